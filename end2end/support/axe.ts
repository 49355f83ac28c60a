// axe-core in the page as it is now: WCAG 2.0, 2.1 and 2.2, A and AA. No violation is let pass.
import AxeBuilder from "@axe-core/playwright";
import type { Page } from "@playwright/test";
import { expect } from "./fixtures.ts";

export const SCHEMES = ["light", "dark"] as const;

const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];

/** The rules about colours, which alone can find more in another theme: a theme changes nothing else (`style/tokens.css`). */
const COLOURS = ["color-contrast", "link-in-text-block"];

/** What axe finds, a line a violation. */
async function violations(page: Page, colours: boolean): Promise<string[]> {
  // "Legacy": without a second page for what frames report, since nothing here has frames.
  const axe = new AxeBuilder({ page }).setLegacyMode().options({ resultTypes: ["violations"] });
  const { violations } = await (colours ? axe.withRules(COLOURS) : axe.withTags(TAGS)).analyze();
  return violations.flatMap(({ id, nodes }) =>
    nodes.map(({ target, html, failureSummary }) => `${id}: ${target.join(" ")}\n    ${html.slice(0, 160)}\n    ${failureSummary?.split("\n")[1]?.trim()}`),
  );
}

/** Checks the page as it is now in both themes; `what` it is, in the report. */
export async function expectNoViolations(page: Page, what: string) {
  for (const colorScheme of SCHEMES) {
    // Reduced motion, so that no colour is measured on its way to another.
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    const found = await violations(page, colorScheme !== SCHEMES[0]);
    expect.soft(found, `${what}, ${colorScheme}:\n${found.join("\n")}`).toEqual([]);
  }
}
