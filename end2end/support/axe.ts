// axe-core in the page as it is now: WCAG 2.0, 2.1 and 2.2, A and AA. No violation is let pass.
import type { Page } from "@playwright/test";
import axe, { type RunOptions } from "axe-core";
import { expect } from "./fixtures.ts";

declare global {
  // In the page, once its source has run there.
  var axe: typeof import("axe-core") | undefined;
}

const ALL: RunOptions = { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"] };

/** The rules about colours, which alone can find more in another theme: a theme changes nothing else (`style/tokens.css`). */
const COLOURS: RunOptions = { runOnly: { type: "rule", values: ["color-contrast", "link-in-text-block"] } };

/** What axe finds, a line a violation. */
async function violations(page: Page, within: string, rules: RunOptions): Promise<string[]> {
  if (!(await page.evaluate(() => "axe" in globalThis))) await page.evaluate(axe.source);
  // Nothing here has frames, or styles from elsewhere, which axe would look for.
  const options: RunOptions = { ...rules, resultTypes: ["violations"], iframes: false, preload: false };
  const { violations } = await page.evaluate(([within, options]) => globalThis.axe!.run(within, options), [within, options] as const);
  return violations.flatMap(({ id, nodes }) =>
    nodes.map(({ target, html, failureSummary }) => `${id}: ${target.join(" ")}\n    ${html.slice(0, 160)}\n    ${failureSummary?.split("\n")[1]?.trim()}`),
  );
}

/** Checks the page as it is now in both themes, or the part of it that is `within`; `what` it is, in the report. */
export async function expectNoViolations(page: Page, what: string, within = "html") {
  for (const [colorScheme, rules] of [["light", ALL], ["dark", COLOURS]] as const) {
    // Reduced motion, so that no colour is measured on its way to another.
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    const found = await violations(page, within, rules);
    expect.soft(found, `${what}, ${colorScheme}`).toEqual([]);
  }
}
