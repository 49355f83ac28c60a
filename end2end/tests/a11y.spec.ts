// axe-core on every page: WCAG 2.0, 2.1 and 2.2, A and AA, light and dark, in both languages, narrow and wide, with all open that folds;
// and that none scrolls sideways on a phone or has a label before nothing there, has one title, one main action, and what its copy buttons
// need. The languages run beside each other, each with a customer of its own.
import { randomUUID } from "node:crypto";
import type { Page } from "@playwright/test";
import { codeNow } from "../support/authenticator.ts";
import { expectNoViolations } from "../support/axe.ts";
import { expect, test } from "../support/fixtures.ts";
import { emptyLabels, sideways, unfold } from "../support/looks.ts";
import { MODEL, openai, toki } from "../support/server.ts";
import { answerPayment, createKey, existingCustomer, join, orderPackage, signIn, submitSignIn } from "../support/steps.ts";
import type { Customer } from "../support/steps.ts";

const PHONE = 360;
const WIDTHS = [PHONE, 1280];

/** Checks the pages at these addresses. */
async function check(page: Page, language: string, ...paths: string[]) {
  await speak(page, language);
  for (const path of paths) {
    await page.goto(path);
    await checkHere(page, language, path);
  }
}

/** Checks the page as it is now: some are there only after a step. */
async function checkHere(page: Page, language: string, what: string) {
  await expect(page.locator("html")).toHaveAttribute("lang", language);
  await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
  await expectOneOfEach(page, what);
  await expectWhatCopies(page, what);
  await unfold(page);
  for (const width of WIDTHS) {
    await page.setViewportSize({ width, height: 900 });
    if (width === PHONE) {
      expect.soft(await sideways(page), `${what}, ${language}, scrolls sideways`).toBeLessThanOrEqual(0);
      expect.soft(await emptyLabels(page), `${what}, ${language}, labels before nothing`).toEqual([]);
    }
    await expectNoViolations(page, `${what}, ${language}, ${width} px`);
  }
}

/** Checks all pages of the docs, as their list has them. */
async function checkDocs(page: Page, language: string) {
  await page.goto("/docs");
  const listed = page.getByRole("main").locator('a[href^="/docs/"]');
  const links = await listed.evaluateAll((links) => links.map((link) => link.getAttribute("href")!));
  const pages = [...new Set(links.map((link) => link.split("#")[0]!))];
  expect(pages, "pages of the docs").toHaveLength(10);
  await check(page, language, "/docs", ...pages);
}

/** Checks the page of a form that was refused, filled in by the names of its fields: what they are called depends on the language. */
async function checkRefusal(page: Page, language: string) {
  await speak(page, language);
  await page.goto("/keys");
  await page.locator("#name").fill("lantern");
  await page.locator("#supplier").selectOption({ label: "Sandbox" });
  await page.locator("#quota").fill("plenty");
  await page.locator("#quota").press("Enter");
  await expect(page.locator("#quota")).toHaveAttribute("aria-invalid", "true");
  await checkHere(page, language, "a form that was refused");
}

/** Checks each step of setting two-factor up, and the page that asks for a code from then on. Signs the customer out. */
async function checkTwoFactor(page: Page, language: string, customer: Customer) {
  await speak(page, language);
  await page.goto("/settings/two-factor");
  await page.locator("#current").fill(customer.password);
  await page.locator("#current").press("Enter");
  const secret = page.locator("#totp-secret");
  await expect(secret).toBeVisible();
  await checkHere(page, language, "two-factor, begun");
  await page.locator("#code").fill(codeNow(await secret.innerText()));
  await page.locator("#code").press("Enter");
  await expect(page.locator(".recovery-codes")).toBeVisible();
  await checkHere(page, language, "two-factor, on");

  await page.context().clearCookies();
  await submitSignIn(page, customer);
  await expect(page).toHaveURL(/\/sign-in\/code$/);
  await check(page, language, "/sign-in/code");
}

/** One title, and one main action at most; the report names the others. */
async function expectOneOfEach(page: Page, path: string) {
  await expect.soft(page.getByRole("heading", { level: 1 }), `${path}, h1`).toHaveCount(1);
  const primary = await page.getByRole("main").locator(".button-primary:visible").allInnerTexts();
  expect.soft(primary.slice(1), `${path} has main actions beside “${primary[0]}”`).toEqual([]);
}

/** The island that serves all copy buttons, once where there are any or may come, as for whoever is signed in; nowhere else. */
async function expectWhatCopies(page: Page, path: string) {
  const needed = await page.locator("[data-copy], .sidebar").count();
  await expect.soft(page.locator("leptos-island[data-component*=Copies]"), `${path}, what copies`).toHaveCount(needed > 0 ? 1 : 0);
  if (needed > 0) await expect.soft(page.locator("html"), path).toHaveAttribute("data-copies");
}

/** Checks the links of a visitor, which open below the bar where it is narrow. */
async function checkVisitorLinks(page: Page, language: string) {
  await speak(page, language);
  await page.setViewportSize({ width: PHONE, height: 900 });
  await page.goto("/products");
  await page.locator("[popovertarget=visitor-links]").click();
  await expect(page.locator("#visitor-links")).toBeInViewport({ ratio: 0.99 });
  await expectNoViolations(page, `a visitor's links, ${language}`, ".topbar");
}

/** Checks what opens over the page: the sheet where it is narrow, the palette where it is wide. */
async function checkOverlays(page: Page, language: string) {
  await speak(page, language);
  await page.goto("/dashboard");
  await page.setViewportSize({ width: 360, height: 900 });
  await page.locator("[popovertarget=sidebar]").click();
  await expect(page.locator(".sidebar")).toBeVisible();
  await expectNoViolations(page, `the sheet, ${language}`, ".sidebar");
  await page.keyboard.press("Escape");
  await page.setViewportSize({ width: 1280, height: 900 });
  // Nothing answers the keys before the script is awake.
  await expect(async () => {
    await page.keyboard.press("Control+k");
    await expect(page.locator(".palette")).toBeVisible({ timeout: 500 });
  }).toPass();
  await expect(page.locator(".palette .found a").first()).toBeVisible();
  await expectNoViolations(page, `the palette, ${language}`, ".palette");
}

/** Checks what opens over lists: the menu of a key's row, that of a member's, and the dialogs behind them and on the key's page. */
async function checkRows(page: Page, language: string, key: string) {
  await speak(page, language);
  const [menu, dialog] = [page.locator(".menu:popover-open"), page.locator("dialog:open")];
  const openMenu = async (path: string) => {
    await page.goto(path);
    await page.locator("td .menu-button").first().click();
    await expect(menu).toBeInViewport({ ratio: 0.99 });
  };
  const checkDialog = async (what: string) => {
    await expect(dialog).toBeInViewport({ ratio: 0.99 });
    await expectNoViolations(page, what, "dialog:open");
  };
  for (const width of WIDTHS) {
    const where = `${language}, ${width} px`;
    await page.setViewportSize({ width, height: 900 });
    await openMenu("/keys");
    await page.screenshot({ path: `screenshots-out/keys-menu-${width}-${language}.png` });
    await expectNoViolations(page, `a key's menu, ${where}`, ".menu:popover-open");
    await menu.locator(".menu-danger").click();
    await checkDialog(`a key's dialog in the list, ${where}`);
    await page.screenshot({ path: `screenshots-out/keys-dialog-${width}-${language}.png` });

    await page.goto(key);
    await page.getByRole("main").locator("[command=show-modal]").click();
    await checkDialog(`a key's dialog on its page, ${where}`);

    await openMenu("/settings/members");
    const entries = await menu.getByRole("button").all();
    expect(entries, "role, limits, removal").toHaveLength(3);
    for (const [n, entry] of entries.entries()) {
      await entry.click();
      await checkDialog(`dialog ${n} of a member, ${where}`);
      await page.screenshot({ path: `screenshots-out/members-dialog-${n}-${width}-${language}.png` });
      await page.keyboard.press("Escape");
      await expect(dialog).toBeHidden();
    }
  }
}

async function speak(page: Page, language: string) {
  await page.context().addCookies([{ name: "language", value: language, url: process.env.E2E_URL! }]);
}

// What is wrong is in the report; recording how the test came there would take longer than the test.
test.use({ trace: "off" });

for (const language of ["en", "zh-Hans"]) {
  test.describe(language, () => {
    // Of the page that is not there, of an invitation that is none, and of the form that is refused.
    test.use({ expectedComplaint: /status of 404|status of 4\d\d .*\/(invitation|keys)/ });

    test("no page of a visitor has a violation", async ({ page }) => {
      test.setTimeout(600_000);
      await check(page, language, "/", "/sign-in", "/sign-up", "/forgot-password", "/reset-password", "/products", "/models", "/nowhere");
      await check(page, language, "/goodbye", "/invitation?token=none", "/forgot-password?sent=yes", "/reset-password?token=none");
      await check(page, language, "/verify-email?token=none", "/verify-email?sent=sign-up", "/verify-email?done=yes");
      await checkDocs(page, language);
      await checkVisitorLinks(page, language);
    });

    test("no page of a customer has a violation", async ({ page }) => {
      test.setTimeout(600_000);
      // The steps are in English.
      await speak(page, "en");
      const customer = existingCustomer();
      await signIn(page, customer);
      await check(page, language, "/dashboard", "/orders", "/wallet", "/keys", "/usage", "/verify-email");

      // A package with all that a package can have, a refund among it.
      const name = `Everything ${randomUUID()}`;
      const rules = ["--refund-window", "14d", "--purchase-limit", "5", "--limit-period", "7d", "--rolls-over"];
      toki(["package", "add", "--name", name, "--tokens", "2000000", "--price", "900", "--currency", "usd", "--valid-for", "30d", ...rules]);
      await speak(page, "en");
      await orderPackage(page, name);
      const payment = new URL(page.url()).pathname;
      await answerPayment(page, "Pay", "Paid");
      const order = new URL(page.url()).pathname;
      await check(page, language, payment, order, `${order}/receipt`, `${order}/refund`);

      await speak(page, "en");
      await page.goto("/products");
      const confirm = await page.getByRole("link", { name: "Choose" }).first().getAttribute("href");
      const secret = await createKey(page, "Support bot with a name that is rather long");
      const key = new URL(page.url()).pathname;
      await openai(secret).chat.completions.create({ model: MODEL, messages: [{ role: "user", content: "Good morning" }] });
      await page.goto("/usage");
      const call = await page.getByRole("link", { name: /^Why/ }).first().getAttribute("href");
      await check(page, language, "/dashboard", "/products", confirm!, "/orders", "/wallet", "/keys", key, "/usage", call!);
      await check(page, language, "/settings", "/settings/two-factor", "/settings/members", "/settings/log", "/settings/delete");
      await check(page, language, "/search?q=bot", "/search?q=nothing-has-this-name", `/keys/delete?chosen%5B%5D=${key.split("/").at(-1)}`);
      await checkOverlays(page, language);
      join(customer, existingCustomer(), "member");
      await checkRows(page, language, key);
      await checkRefusal(page, language);
      await checkTwoFactor(page, language, customer);
    });
  });
}
