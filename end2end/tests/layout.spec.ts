// What pages look like where that is a promise: codes are seen whole, what belongs together stands in a line, words are not broken.
import { expect, test } from "../support/fixtures.ts";
import { sideways } from "../support/looks.ts";
import { existingCustomer, makeCode, signIn } from "../support/steps.ts";

const WIDTHS = [360, 1280];

for (const width of WIDTHS) {
  test(`a code is seen whole where it is typed, at ${width} px`, async ({ page }) => {
    await page.setViewportSize({ width, height: 800 });
    await signIn(page, existingCustomer());
    const { code } = makeCode(["--tokens", "1000"]);
    await page.goto("/products");
    const confirm = await page.getByRole("link", { name: "Choose" }).first().getAttribute("href");
    for (const path of ["/wallet", confirm!]) {
      await page.goto(path);
      const fold = page.locator("details", { hasText: "Have a promotion code?" }).locator("summary");
      if (await fold.isVisible()) await fold.click();
      const field = page.getByLabel("Code", { exact: true });
      await field.fill(code);
      const beyond = await field.evaluate((field) => field.scrollWidth - field.clientWidth);
      expect(beyond, `${path}: ${code}`).toBeLessThanOrEqual(0);
      expect(await sideways(page), path).toBeLessThanOrEqual(0);
    }
  });
}
