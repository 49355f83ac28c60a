// axe-core on every page: WCAG 2.0, 2.1 and 2.2, A and AA, light and dark, in both languages, narrow and wide. The languages run beside
// each other, each with a customer of its own who signs in once.
import type { Page } from "@playwright/test";
import { expectNoViolations } from "../support/axe.ts";
import { expect, test } from "../support/fixtures.ts";
import { MODEL, openai } from "../support/server.ts";
import { answerPayment, createKey, existingCustomer, orderPackage, signIn } from "../support/steps.ts";

const WIDTHS = [360, 1280];

/** Checks the pages at these addresses. */
async function check(page: Page, language: string, paths: string[]) {
  await speak(page, language);
  for (const path of paths) {
    await page.goto(path);
    await expect(page.locator("html")).toHaveAttribute("lang", language);
    await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
    for (const width of WIDTHS) await checkAt(page, width, `${path}, ${language}`);
  }
}

async function checkAt(page: Page, width: number, what: string) {
  await page.setViewportSize({ width, height: 900 });
  await expectNoViolations(page, `${what}, ${width} px`);
}

async function speak(page: Page, language: string) {
  await page.context().addCookies([{ name: "language", value: language, url: process.env.E2E_URL! }]);
}

for (const language of ["en", "zh-Hans"]) {
  test.describe(language, () => {
    // Of the page that is not there.
    test.use({ expectedComplaint: /status of 404/ });

    test("no page has a violation", async ({ page }) => {
      test.setTimeout(300_000);
      await check(page, language, ["/", "/sign-in", "/sign-up", "/forgot-password", "/reset-password", "/products", "/models", "/nowhere"]);

      // The steps are in English.
      await speak(page, "en");
      await signIn(page, existingCustomer());
      await check(page, language, ["/dashboard", "/orders", "/wallet", "/keys", "/usage", "/verify-email"]);

      await speak(page, "en");
      await orderPackage(page);
      const payment = new URL(page.url()).pathname;
      await answerPayment(page, "Pay", "Paid");
      const order = new URL(page.url()).pathname;
      await page.goto("/products");
      const confirm = await page.getByRole("link", { name: "Choose" }).first().getAttribute("href");
      const secret = await createKey(page, "Support bot with a name that is rather long");
      const key = new URL(page.url()).pathname;
      await openai(secret).chat.completions.create({ model: MODEL, messages: [{ role: "user", content: "Good morning" }] });
      await check(page, language, ["/dashboard", "/products", confirm!, payment, order, `${order}/receipt`, `${order}/refund`, "/orders"]);
      await check(page, language, ["/wallet", "/keys", key, "/usage", "/settings", "/settings/two-factor", "/settings/members", "/settings/log", "/search"]);
    });
  });
}
