// The style guide: every component in its states, measured by axe and as pictures to look at; what opens without a script, and what charts
// say when they are pointed at or reached by keyboard.
import AxeBuilder from "@axe-core/playwright";
import type { Page } from "@playwright/test";
import { expect, test } from "../support/fixtures.ts";

const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];

async function open(page: Page, width = 1280) {
  await page.setViewportSize({ width, height: 900 });
  await page.goto("/styleguide", { waitUntil: "networkidle" });
  await expect(page.getByRole("heading", { name: "Style guide", level: 1 })).toBeVisible();
}

async function expectNoViolations(page: Page) {
  const { violations } = await new AxeBuilder({ page }).withTags(TAGS).analyze();
  const found = violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.target.join(" ")}: ${node.failureSummary}`));
  expect.soft(found, found.join("\n")).toEqual([]);
}

/** The dark half of the guide, and the light. */
const half = (page: Page, theme: "light" | "dark") => page.getByRole("region", { name: `In the ${theme} theme` });

test("every component, narrow and wide, light and dark, has no violation", async ({ page }) => {
  test.setTimeout(300_000);
  for (const width of [360, 1280]) {
    for (const colorScheme of ["light", "dark"] as const) {
      await page.emulateMedia({ colorScheme });
      await open(page, width);
      for (const summary of await page.locator("details > summary").all()) await summary.click();
      await expectNoViolations(page);
      const sideways = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      expect.soft(sideways, `scrolls sideways at ${width} px`).toBeLessThanOrEqual(0);
      for (const summary of await page.locator("details > summary").all()) await summary.click();
      await page.evaluate(() => scrollTo(0, 0));
      await page.screenshot({ path: `screenshots-out/styleguide-${width}-${colorScheme}.png`, fullPage: true });
    }
  }
});

test("every component in Chinese has no violation", async ({ page }) => {
  test.setTimeout(180_000);
  await page.context().addCookies([{ name: "language", value: "zh-Hans", url: process.env.E2E_URL! }]);
  await open(page, 1440);
  await expect(page.getByText("以表格查看").first()).toBeVisible();
  await expectNoViolations(page);
  await page.screenshot({ path: "screenshots-out/styleguide-1440-zh.png", fullPage: true });
});

test("dialogs, drawers and menus open, are named, and give the focus back", async ({ page }) => {
  test.setTimeout(300_000);
  await open(page);
  for (const theme of ["light", "dark"] as const) {
    for (const [button, dialog] of [["Open the dialog", "Delete Support bot?"], ["Open the drawer", "Call 0192f3"]]) {
      const opener = half(page, theme).getByRole("button", { name: button });
      await opener.click();
      await expect(page.getByRole("dialog", { name: dialog })).toBeVisible();
      await expectNoViolations(page);
      await page.screenshot({ path: `screenshots-out/styleguide-${button.split(" ").at(-1)}-${theme}.png` });
      await page.keyboard.press("Escape");
      await expect(page.getByRole("dialog", { name: dialog })).toBeHidden();
      await expect(opener).toBeFocused();
    }
    const more = half(page, theme).getByRole("button", { name: "More for Support bot" });
    await more.click();
    await expect(page.getByRole("group", { name: "More for Support bot" })).toBeVisible();
    await expectNoViolations(page);
    await page.screenshot({ path: `screenshots-out/styleguide-menu-${theme}.png` });
    await page.keyboard.press("Escape");
    await expect(page.getByRole("group", { name: "More for Support bot" })).toBeHidden();
  }
});

test("a chart says the values of the column that is pointed at or has the focus", async ({ page }) => {
  await open(page);
  const chart = page.getByRole("group", { name: "Tokens by model: 31 days, six models" });
  const column = chart.getByRole("img", { name: /^24 Dec 2026: [\d,]+ Tokens; / });
  const readout = column.locator(".chart-readout");
  await expect(readout).toBeHidden();
  await column.hover();
  await expect(readout).toBeVisible();
  await expect(chart.locator(".chart-key b").first()).toBeHidden();
  await chart.screenshot({ path: "screenshots-out/chart-hover.png" });
  await page.mouse.move(0, 0);
  await expect(readout).toBeHidden();
  await column.focus();
  await expect(readout).toBeVisible();

  const linked = half(page, "light").getByRole("group", { name: "Tokens of the last 7 days by model" });
  const day = linked.getByRole("group", { name: /^31 Dec 2026: / });
  const finer = day.getByRole("link", { name: "Open 31 Dec 2026" });
  await expect(finer).toBeHidden();
  await day.focus();
  await page.keyboard.press("Tab");
  await expect(finer).toBeFocused();
  await expect(day.locator(".chart-readout")).toBeVisible();
  await linked.getByText("As a table").click();
  await expect(linked.getByRole("row", { name: /^31 Dec 2026/ })).toBeVisible();
});
