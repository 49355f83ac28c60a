// A key tried on its page: with a script the browser calls `/v1` itself, without one the server does, and both show the same.
import type { Page } from "@playwright/test";
import { expectNoViolations } from "../support/axe.ts";
import { expect, test } from "../support/fixtures.ts";
import { MODEL, PACKAGE, toki } from "../support/server.ts";
import { createKey, existingCustomer, signIn } from "../support/steps.ts";

// What these tests have refused, and out of reach.
test.use({ expectedComplaint: /(status of (429|502)|ERR_FAILED) .*\/v1\/chat\/completions/ });

/** A customer with Tokens and a key, on its page. */
async function withKey(page: Page): Promise<{ email: string; secret: string }> {
  const customer = existingCustomer();
  toki(["account", "credit", "--email", customer.email, "--tokens", `${PACKAGE.tokens}`, "--valid-for", "30d"]);
  await signIn(page, customer);
  return { email: customer.email, secret: await createKey(page, "trial") };
}

async function ask(page: Page, prompt: string, model = MODEL) {
  // A script that wakes later would find the form sent already.
  if (test.info().project.name === "js") await expect(page.locator("[data-try=stream]")).toBeVisible();
  await page.getByLabel("Model", { exact: true }).selectOption(model);
  await page.getByLabel("Prompt").fill(prompt);
  await page.getByRole("button", { name: "Send" }).click();
}

test("a new key answers on its page, and the receipt says what it cost", async ({ page, javaScriptEnabled }) => {
  const { email, secret } = await withKey(page);
  await expect(page.getByLabel("Secret of this key")).toHaveValue(secret);
  await ask(page, "What comes back?");
  const section = page.locator("#try");
  await expect(section.getByRole("region", { name: "Answer" })).toContainText("What comes back?");
  await expect(section.getByRole("heading", { name: "Receipt of the call" })).toBeVisible();
  await expect(section).toContainText("Measured: the supplier's own report");
  const { spent } = toki(["account", "show", "--email", email]);
  await expect(section).toContainText(`Charged ${spent}.`);
  await expect(section).toContainText("a grant (credit)");
  expect(page.url(), "the secret is in no address").not.toContain(secret);
  if (javaScriptEnabled) await expectNoViolations(page, "a tried key");

  // Reloaded, the page names the call yet, and nobody's words.
  await page.reload();
  await expect(section.getByRole("heading", { name: "Receipt of the call" })).toBeVisible();
  expect(await page.content()).not.toContain(secret);
  await expect(section.getByRole("region", { name: "Answer" })).toBeHidden();
});

test("a refusal is shown in the words of /v1", async ({ page }) => {
  await withKey(page);
  await ask(page, "Anybody?", "sandbox/rate-limited");
  const refusal = page.locator("#try").getByRole("alert");
  await expect(refusal).toContainText("The model's supplier is limiting requests at the moment. Nothing was charged.");
  const section = "/docs/errors#upstream_rate_limited";
  await expect(refusal.locator("[lang=en]"), "English on any page").toContainText("Nothing was charged.");
  await expect(refusal.getByRole("link", { name: "upstream_rate_limited" })).toHaveAttribute("href", section);
});

test("a secret of another key is not sent at all", async ({ page }) => {
  await withKey(page);
  const other = await createKey(page, "other");
  await page.goto("/keys");
  await page.getByRole("link", { name: "trial", exact: true }).click();
  await page.getByLabel("Secret of this key").fill(other);
  await page.getByRole("button", { name: "Send" }).click();
  const mismatch = await page.getByLabel("Secret of this key").evaluate((field: HTMLInputElement) => field.validity.patternMismatch);
  expect(mismatch).toBe(true);
  await expect(page).toHaveURL(/\/keys\/[0-9a-f-]+$/);
});

test("an answer comes piece by piece, and can be stopped", async ({ page, javaScriptEnabled }) => {
  test.skip(!javaScriptEnabled, "without a script the browser's own button stops it");
  await withKey(page);
  const answer = page.locator("[data-try=answer]");
  // In the page itself, at the first words: from here a click may come when all has been said.
  await answer.evaluate((answer) => {
    new MutationObserver((_, observer) => {
      if (!answer.textContent?.includes("one")) return;
      observer.disconnect();
      document.querySelector<HTMLElement>("[data-try=stop]")?.click();
    }).observe(answer, { childList: true, characterData: true, subtree: true });
  });
  await ask(page, "one two three four five six seven eight nine ten ".repeat(40), "sandbox/slow");
  await expect(page.getByRole("button", { name: "Stop" })).toBeVisible();
  await expect(answer).toContainText("one");
  await expect(answer).toHaveAttribute("aria-busy", "false");
  expect((await answer.innerText()).split(" ").length).toBeLessThan(400);
  await expect(page.getByRole("button", { name: "Send" })).toBeEnabled();
  await expect(page.locator("#try").getByRole("alert")).toBeHidden();
  // It is settled, for what was delivered, and the receipt comes by itself.
  await expect(page.getByRole("heading", { name: "Receipt of the call" })).toBeVisible({ timeout: 30_000 });
});

test("an answer can also come whole, and what cannot be reached is said", async ({ page, javaScriptEnabled }) => {
  test.skip(!javaScriptEnabled, "without a script it always comes whole");
  const { secret } = await withKey(page);
  await expect(page.locator("[data-try=stream]")).toBeVisible();
  await page.getByRole("switch", { name: "Show the answer as it comes" }).uncheck();
  const called = page.waitForRequest("**/v1/chat/completions");
  await ask(page, "All at once");
  const request = await called;
  expect(request.postDataJSON()).toEqual({ model: MODEL, messages: [{ role: "user", content: "All at once" }], stream: false });
  expect(await request.headerValue("authorization")).toBe(`Bearer ${secret}`);
  await expect(page.locator("#try").getByRole("region", { name: "Answer" })).toContainText("All at once");

  // Until something is known there are lines in its place.
  const waiting = page.locator("[data-try=answer] .skeleton");
  await expect(waiting).toBeHidden();
  let fail = () => {};
  const failed = new Promise<void>((resolve) => (fail = resolve));
  await page.route("**/v1/chat/completions", async (route) => {
    await failed;
    await route.abort();
  });
  await ask(page, "Hello?");
  await expect(waiting).toBeVisible();
  fail();
  const refusal = page.locator("#try").getByRole("alert");
  await expect(refusal).toContainText("The server could not be reached.");
  await expect(waiting).toBeHidden();

  // A proxy's answers in our place: none says what we would.
  await page.unroute("**/v1/chat/completions");
  for (const [contentType, body] of [["text/html", "<h1>Bad gateway</h1>"], ["application/json", "{}"]] as const) {
    await page.route("**/v1/chat/completions", (route) => route.fulfill({ status: 502, contentType, body }), { times: 1 });
    const proxys = page.waitForResponse("**/v1/chat/completions");
    await ask(page, "Anybody?");
    await proxys;
    await expect(refusal).toContainText("The server could not be reached.");
    await expect(page.getByRole("button", { name: "Send" })).toBeEnabled();
  }
});
