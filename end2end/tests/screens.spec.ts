// Every page, narrow and wide, light and dark, in both languages, as pictures to look at; none may scroll sideways.
import type { Page } from "@playwright/test";
import { expect, test } from "../support/fixtures.ts";
import { sideways } from "../support/looks.ts";
import { MODEL, PACKAGE, openai, toki } from "../support/server.ts";
import { answerPayment, applyCode, createKey, existingCustomer, join, makeCode, orderPackage, redeem, signIn } from "../support/steps.ts";

const WIDTHS = [360, 1440];
const SCHEMES = ["light", "dark"] as const;

async function take(page: Page, name: string, path: string) {
  // Words of other lengths; the colours are the same.
  await speak(page, "zh-Hans");
  for (const width of WIDTHS) {
    await page.setViewportSize({ width, height: 900 });
    await page.emulateMedia({ colorScheme: "light" });
    await picture(page, `${name}-${width}-zh`, path, `${path} in Chinese at ${width} px`);
    await expect(page.locator("html")).toHaveAttribute("lang", "zh-Hans");
  }
  // Last, since steps that go on from here are in English.
  await speak(page, "en");
  for (const width of WIDTHS) {
    await page.setViewportSize({ width, height: 900 });
    for (const colorScheme of SCHEMES) {
      await page.emulateMedia({ colorScheme });
      await picture(page, `${name}-${width}-${colorScheme}`, path, `${path} at ${width} px`);
    }
  }
}

async function picture(page: Page, name: string, path: string, what: string) {
  await page.goto(path, { waitUntil: "networkidle" });
  await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
  await page.screenshot({ path: `screenshots-out/${name}.png`, fullPage: true });
  expect.soft(await sideways(page), `${what} scrolls sideways`).toBeLessThanOrEqual(0);
}

async function speak(page: Page, language: string) {
  await page.context().addCookies([{ name: "language", value: language, url: process.env.E2E_URL! }]);
}

test("pages for visitors", async ({ page }) => {
  test.setTimeout(300_000);
  for (const [name, path] of [["home", "/"], ["sign-in", "/sign-in"], ["sign-up", "/sign-up"], ["forgot-password", "/forgot-password"], ["products-visitor", "/products"], ["models", "/models"], ["docs", "/docs"], ["docs-clients", "/docs/clients"], ["docs-errors", "/docs/errors"], ["docs-token-plan", "/docs/token-plan"]]) {
    await take(page, name, path);
  }
});

test("pages of a customer who has nothing yet", async ({ page }) => {
  test.setTimeout(300_000);
  await signIn(page, existingCustomer());
  for (const page_ of ["dashboard", "orders", "wallet", "keys", "usage"]) await take(page, `${page_}-empty`, `/${page_}`);
});

test("pages of a customer who uses it", async ({ page }) => {
  test.setTimeout(600_000);
  await signIn(page, existingCustomer());
  await orderPackage(page);
  await take(page, "sandbox-payment", new URL(page.url()).pathname);
  await answerPayment(page, "Pay", "Paid");
  const order = new URL(page.url()).pathname;
  await page.goto("/products");
  const confirm = await page.getByRole("article", { name: PACKAGE.name }).getByRole("link", { name: "Choose" }).getAttribute("href");
  const secret = await createKey(page, "Support bot with a name that is rather long");
  const key = new URL(page.url()).pathname;
  for (const content of ["Good morning", "A longer question, for a bar that is taller than the others. ".repeat(20)]) {
    await openai(secret).chat.completions.create({ model: MODEL, messages: [{ role: "user", content }] });
  }
  await redeem(page, makeCode(["--tokens", "250000", "--note", "Welcome"]).code);
  await expect(page.getByRole("status")).toContainText("Redeemed");
  const wallet = new URL(page.url());
  await page.goto(confirm!);
  await applyCode(page, makeCode(["--percent-off", "20"]).code);
  await expect(page.getByRole("button", { name: "Pay $4.00" })).toBeVisible();
  const pages = { dashboard: "/dashboard", products: "/products", confirm: confirm!, receipt: `${order}/receipt`, orders: "/orders", order, wallet: wallet.pathname + wallet.search, keys: "/keys", key, usage: "/usage", settings: "/settings" };
  for (const [name, path] of Object.entries(pages)) await take(page, name, path);
  await page.goto("/usage");
  const call = await page.getByRole("link", { name: /^Why/ }).first().getAttribute("href");
  const others = { call: call!, members: "/settings/members", log: "/settings/log", "two-factor": "/settings/two-factor", deletion: "/settings/delete", search: "/search?q=bot", "models-customer": "/models", goodbye: "/goodbye" };
  for (const [name, path] of Object.entries(others)) await take(page, name, path);

  // Where there is room, all that a list is filtered by stands in one line, and so does every moment in it.
  await page.setViewportSize({ width: 1440, height: 900 });
  for (const path of ["/usage", "/wallet", "/settings/log", "/settings/members", key]) {
    await page.goto(path);
    const filters = await page.locator(".filters > *").evaluateAll((parts) => parts.map((part) => Math.round(part.getBoundingClientRect().bottom)));
    expect.soft(new Set(filters).size, `${path}, lines of filters`).toBeLessThanOrEqual(1);
    const moments = await page.locator("td > time").evaluateAll((moments) => moments.map((moment) => moment.getBoundingClientRect().height));
    expect.soft(moments.length, `${path}, moments`).toBeGreaterThan(0);
    expect.soft(Math.max(...moments), `${path}, height of a moment`).toBeLessThan(30);
  }
});

test("pages of whoever may only look at an account that has nothing yet", async ({ page }) => {
  test.setTimeout(300_000);
  const reader = existingCustomer();
  join(existingCustomer(), reader, "read_only");
  await signIn(page, reader);
  for (const path of ["dashboard", "products", "wallet", "keys", "usage"]) await take(page, `${path}-reader`, `/${path}`);
});

test("pages of an account whose member left their key behind", async ({ page, browser }) => {
  test.setTimeout(300_000);
  const [owner, member] = [existingCustomer(), existingCustomer()];
  join(owner, member, "member");
  toki(["account", "credit", "--email", owner.email, "--tokens", "100000", "--valid-for", "30d"]);
  const theirs = await browser.newPage({ baseURL: process.env.E2E_URL });
  await signIn(theirs, member);
  const secret = await createKey(theirs, "Nightly reports");
  const key = new URL(theirs.url()).pathname;
  await theirs.close();
  const call = () => openai(secret).chat.completions.create({ model: MODEL, messages: [{ role: "user", content: "Good morning" }] });
  await call();
  await signIn(page, owner);
  await page.goto("/settings/members");
  await page.getByRole("button", { name: `More for ${member.email}` }).click();
  await page.getByRole("button", { name: "Remove…" }).click();
  await page.getByLabel("Make them mine").check();
  await page.getByRole("button", { name: `Remove ${member.email}` }).click();
  await expect(page.getByRole("main").getByText(member.email)).toHaveCount(0);
  await call();
  for (const [name, path] of [["usage-handed-over", "/usage?group=member"], ["key-handed-over", key]]) await take(page, name, path);
  await expect(page.getByText("Belongs to")).toBeVisible();
});
