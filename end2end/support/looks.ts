// How a page looks and is laid out, as a browser says.
import type { Locator, Page } from "@playwright/test";

/** Opens all that folds, or folds it again. */
export async function unfold(page: Page, open = true) {
  await page.evaluate((open) => document.querySelectorAll("details").forEach((details) => (details.open = open)), open);
}

/** By how many pixels the page can be scrolled sideways. */
export function sideways(page: Page): Promise<number> {
  return page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
}

/** The labels that stand before nothing, in the cards that rows are where it is narrow. */
export function emptyLabels(page: Page): Promise<string[]> {
  return page.locator("td[data-label]").evaluateAll((cells) => {
    const empty = cells.filter((cell) => cell.checkVisibility() && !cell.textContent!.trim());
    return empty.filter((cell) => getComputedStyle(cell, "::before").content !== "none").map((cell) => cell.getAttribute("data-label")!);
  });
}

/** What a property comes to on a thing, or on a part of it, as `::after`. */
export function style(thing: Locator, property: string, part?: string): Promise<string> {
  const wanted = [property, part ?? ""] as const;
  return thing.evaluate((element, [property, part]) => getComputedStyle(element, part || null).getPropertyValue(property), wanted);
}
