// axe-core on every page: WCAG 2.0, 2.1 and 2.2, A and AA, light and dark, in both languages, narrow and wide. No violation is let pass.
import AxeBuilder from "@axe-core/playwright";
import type { Page } from "@playwright/test";
import { expect, test } from "../support/fixtures.ts";
import { MODEL, openai } from "../support/server.ts";
import { answerPayment, createKey, existingCustomer, orderPackage, signIn } from "../support/steps.ts";

const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];
const LANGUAGES = ["en", "zh-Hans"];
const WIDTHS = [360, 1280];
const SCHEMES = ["light", "dark"] as const;

/** What axe finds on the page as it is now, a line a violation. */
async function violations(page: Page): Promise<string[]> {
  const { violations } = await new AxeBuilder({ page }).withTags(TAGS).analyze();
  return violations.flatMap(({ id, nodes }) =>
    nodes.map((node) => `${id}: ${node.target.join(" ")}\n    ${node.html.slice(0, 160)}\n    ${node.failureSummary?.split("\n")[1]?.trim()}`),
  );
}

/** Checks the page in each language, width and theme. */
async function check(page: Page, path: string) {
  for (const language of LANGUAGES) {
    await page.context().addCookies([{ name: "language", value: language, url: process.env.E2E_URL! }]);
    await page.goto(path, { waitUntil: "networkidle" });
    await expect(page.locator("html")).toHaveAttribute("lang", language);
    await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
    for (const width of WIDTHS) {
      await page.setViewportSize({ width, height: 900 });
      for (const colorScheme of SCHEMES) {
        await page.emulateMedia({ colorScheme });
        const found = await violations(page);
        expect.soft(found, `${path}, ${language}, ${width} px, ${colorScheme}:\n${found.join("\n")}`).toEqual([]);
      }
    }
  }
}

test("pages for visitors", async ({ page }) => {
  test.setTimeout(300_000);
  for (const path of ["/", "/sign-in", "/sign-up", "/forgot-password", "/products", "/models"]) await check(page, path);
});

test("pages of a customer who has nothing yet", async ({ page }) => {
  test.setTimeout(300_000);
  await signIn(page, existingCustomer());
  for (const path of ["/dashboard", "/orders", "/wallet", "/keys", "/usage"]) await check(page, path);
});

test("pages of a customer who uses it", async ({ page }) => {
  test.setTimeout(600_000);
  await signIn(page, existingCustomer());
  await orderPackage(page);
  const payment = new URL(page.url()).pathname;
  await answerPayment(page, "Pay", "Paid");
  const order = new URL(page.url()).pathname;
  await page.goto("/products");
  const confirm = await page.getByRole("link", { name: "Choose" }).first().getAttribute("href");
  const secret = await createKey(page, "Support bot with a name that is rather long");
  const key = new URL(page.url()).pathname;
  await openai(secret).chat.completions.create({ model: MODEL, messages: [{ role: "user", content: "Good morning" }] });
  const paths = ["/dashboard", "/products", confirm!, payment, order, `${order}/receipt`, "/orders", "/wallet", "/keys", key, "/usage", "/settings", "/settings/two-factor", "/settings/log", "/search"];
  for (const path of paths) await check(page, path);
});
