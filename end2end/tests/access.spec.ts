// What readers bring along: a keyboard, a large zoom, a short window, a printer, and what they chose before.
import { expect, test } from "../support/fixtures.ts";
import { sideways, style } from "../support/looks.ts";
import { MODEL, openai, toki } from "../support/server.ts";
import { answerPayment, createKey, existingCustomer, orderPackage, signIn } from "../support/steps.ts";

test("the first stop of Tab leads to the content, and every stop is seen", async ({ page }) => {
  await page.goto("/products");
  await page.keyboard.press("Tab");
  const skip = page.getByRole("link", { name: "Skip to content" });
  await expect(skip).toBeFocused();
  await expect(skip).toBeInViewport();
  for (let stop = 0; stop < 5; stop++) {
    const focused = page.locator(":focus");
    expect(await style(focused, "outline-style"), `stop ${stop}`).toBe("solid");
    expect(Number.parseFloat(await style(focused, "outline-width")), `stop ${stop}`).toBeGreaterThanOrEqual(2);
    await page.keyboard.press("Tab");
  }

  await skip.focus();
  await page.keyboard.press("Enter");
  await expect(page.getByRole("main")).toBeFocused();
});

test("a row's menu and the question behind it go by keyboard, and give the focus back one by one", async ({ page }) => {
  await signIn(page, existingCustomer());
  await createKey(page, "lantern");
  await page.goto("/keys");
  const more = page.getByRole("button", { name: "More for lantern" });
  const menu = page.getByRole("group", { name: "More for lantern" });
  await more.focus();
  await page.keyboard.press("Enter");
  await expect(menu).toBeVisible();
  await page.keyboard.press("Tab");
  await expect(menu.getByRole("link", { name: "Edit" })).toBeFocused();

  const asks = menu.getByRole("button", { name: "Delete…" });
  const question = page.getByRole("dialog", { name: "Delete “lantern” for good?" });
  await asks.focus();
  await page.keyboard.press("Enter");
  await expect(question).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(question).toBeHidden();
  await expect(asks).toBeFocused();
  await page.keyboard.press("Escape");
  await expect(menu).toBeHidden();
  await expect(more).toBeFocused();

  // The card of a phone has room for a word beside the dots, a table of nine columns has not.
  const [word, name] = [more.getByText("More", { exact: true }), page.getByRole("link", { name: "lantern", exact: true })];
  await expect(word).toBeHidden();
  await page.setViewportSize({ width: 360, height: 800 });
  await expect(word).toBeVisible();
  const [title, button] = [(await name.boundingBox())!, (await more.boundingBox())!];
  expect(title.x + title.width).toBeLessThanOrEqual(button.x);
  expect(await sideways(page)).toBeLessThanOrEqual(0);
});

test("the balance stays in a short window, while the navigation scrolls", async ({ page }) => {
  await signIn(page, existingCustomer());
  await page.setViewportSize({ width: 1280, height: 480 });
  const balance = page.locator(".sidebar .frame-balance");
  await expect(balance).toBeInViewport({ ratio: 0.9 });
  const last = page.locator(".sidebar nav").getByRole("link").last();
  await last.scrollIntoViewIfNeeded();
  await expect(last).toBeInViewport({ ratio: 0.9 });
  await expect(balance).toBeInViewport({ ratio: 0.9 });
});

test("a call is a short card on a phone, and pages zoomed to 200 % do not scroll sideways", async ({ page }) => {
  test.setTimeout(120_000);
  const customer = existingCustomer();
  toki(["account", "credit", "--email", customer.email, "--tokens", "1000000", "--valid-for", "30d"]);
  await signIn(page, customer);
  const secret = await createKey(page, "Bot");
  const key = new URL(page.url()).pathname;
  await openai(secret).chat.completions.create({ model: MODEL, messages: [{ role: "user", content: "Good morning" }] });

  await page.setViewportSize({ width: 360, height: 800 });
  await page.goto("/usage");
  const card = page.locator(".calls tbody tr").first();
  await card.scrollIntoViewIfNeeded();
  // Laid out when it has come near.
  await expect.poll(async () => (await card.boundingBox())?.height).toBeLessThanOrEqual(240);
  const box = async (part: string) => (await card.locator(part).boundingBox())!;
  const [title, outcome] = [await box("td:first-child"), await box("td:has(.badge)")];
  const [charge, input] = [await box("td:has([data-why])"), await box("td:nth-child(4)")];
  expect(title.y).toBeLessThan(outcome.y);
  expect(outcome.y).toBeLessThan(input.y);
  expect(charge.y).toBeLessThan(input.y);

  // A window of 1280 by 720, twice as large.
  await page.setViewportSize({ width: 640, height: 360 });
  for (const path of ["/", "/products", "/models", "/docs/endpoints", "/dashboard", "/wallet", "/keys", key, "/usage", "/orders", "/settings"]) {
    await page.goto(path);
    await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
    expect.soft(await sideways(page), path).toBeLessThanOrEqual(0);
  }
});

test("a printed receipt is the receipt and nothing else", async ({ page }) => {
  await signIn(page, existingCustomer());
  await orderPackage(page);
  await answerPayment(page, "Pay", "Paid");
  await page.goto(`${new URL(page.url()).pathname}/receipt`);
  const around = page.locator(":is(header, nav, footer, form, .banner, .skip-link):visible");
  await expect(around.first()).toBeVisible();

  await page.emulateMedia({ media: "print" });
  await expect(around).toHaveCount(0);
  await expect(page.getByRole("button", { name: "Print" })).toBeHidden();
  await expect(page.getByRole("heading", { name: /^Receipt R-/ })).toBeVisible();
  await expect(page.locator(".receipt").getByRole("table")).toBeVisible();
});

test("what somebody chose before is in the first bytes of a page: no other theme or language flashes up", async ({ request }) => {
  for (const [theme, language] of [["dark", "zh-Hans"], ["light", "en"]]) {
    const headers = { accept: "text/html", cookie: `theme=${theme}; language=${language}` };
    const answer = await request.get(`${process.env.E2E_URL}/sign-in`, { headers });
    const html = await answer.text();
    const root = html.match(/<html[^>]*>/)?.[0];
    expect(root).toContain(`data-theme="${theme}"`);
    expect(root).toContain(`lang="${language}"`);
    expect(html).toMatch(new RegExp(`<meta name="color-scheme" content="${theme}"`));
  }
});
