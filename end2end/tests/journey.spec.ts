import { expect, test } from "../support/fixtures.ts";
import { MODEL, PACKAGE, openai } from "../support/server.ts";
import { answerPayment, createKey, exact, newCustomer, orderPackage, signUp } from "../support/steps.ts";

test("a customer signs up, buys, creates a key, calls, sees the charge, and ends the key", async ({ page, javaScriptEnabled }) => {
  await signUp(page, newCustomer());
  await orderPackage(page);
  await answerPayment(page, "Pay", "Paid");

  await page.goto("/wallet");
  await expect(page.getByRole("main")).toContainText(exact(PACKAGE.tokens));

  const secret = await createKey(page, "journey");
  await page.reload();
  await expect(page.getByRole("heading", { name: "journey", level: 1 })).toBeVisible();
  expect(await page.content(), "the secret is shown once").not.toContain(secret);

  const client = openai(secret);
  const messages = [{ role: "user" as const, content: "The same words come back." }];
  const whole = await client.chat.completions.create({ model: MODEL, messages }).withResponse();
  expect(whole.data.choices[0].message.content).toContain("The same words come back.");
  const stream = await client.chat.completions.create({ model: MODEL, messages, stream: true, stream_options: { include_usage: true } });
  let text = "";
  let streamedTokens = 0;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta.content ?? "";
    streamedTokens = chunk.usage?.total_tokens ?? streamedTokens;
  }
  expect(text).toContain("The same words come back.");
  expect(streamedTokens).toBeGreaterThan(0);

  // The sandbox's models charge one Token for one Token.
  const charges = [Number(whole.response.headers.get("x-toki-charged-tokens")), streamedTokens];
  expect(charges[0]).toBe(whole.data.usage?.total_tokens);
  await page.goto("/usage");
  for (const charge of charges) {
    await expect(page.getByRole("row").filter({ hasText: "journey" }).getByText(exact(charge), { exact: true }).first()).toBeVisible();
  }
  // Why it was that much: under the call, or on a page of its own.
  await page.getByRole("link", { name: `Why ${exact(charges[0])} Tokens` }).first().click();
  const why = page.locator(".call-why");
  await expect(why).toContainText(`Charged ${exact(charges[0])}.`);
  await expect(why).toContainText("Paid from");
  expect(new URL(page.url()).search.startsWith("?call=")).toBe(!javaScriptEnabled);
  if (javaScriptEnabled) {
    await page.getByRole("link", { name: `Why ${exact(charges[0])} Tokens` }).first().click();
    await expect(why).toBeHidden();
  }
  await page.goto("/wallet");
  await expect(page.getByRole("main")).toContainText(exact(PACKAGE.tokens - charges[0] - charges[1]));

  await page.goto("/keys");
  await page.getByRole("switch", { name: "Enabled: journey" }).click();
  await expect(page.getByRole("row").filter({ hasText: "journey" }).getByText("Disabled", { exact: true })).toBeVisible();
  await expect(client.chat.completions.create({ model: MODEL, messages })).rejects.toMatchObject({ status: 401, code: "invalid_api_key" });

  // The row's menu and the question behind it are the browser's own: they open without a script, too.
  await page.getByRole("button", { name: "More for journey" }).click();
  const asks = page.getByRole("group", { name: "More for journey" }).getByRole("button", { name: "Delete…" });
  const question = page.getByRole("dialog", { name: "Delete “journey” for good?" });
  await asks.click();
  await expect(question).toContainText("Programs that call with it stop working at once.");
  await question.getByRole("button", { name: "Keep it" }).click();
  await expect(question).toBeHidden();
  await asks.click();
  await question.getByRole("button", { name: "Delete journey" }).click();
  await expect(page.getByText("No key yet")).toBeVisible();
  await page.goto("/usage");
  await expect(page.getByRole("row").filter({ hasText: "journey" }).getByText(exact(charges[0]), { exact: true }).first()).toBeVisible();
});
