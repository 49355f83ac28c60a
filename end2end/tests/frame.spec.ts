// The frame of a visitor, with a script and without one.
import { expect, test } from "../support/fixtures.ts";

test("a visitor on a phone reaches every page of the bar", async ({ page }) => {
  await page.setViewportSize({ width: 360, height: 800 });
  const bar = page.locator(".topbar");
  const menu = bar.getByRole("button", { name: "Menu" });
  for (const [name, path] of [["Product Center", "/products"], ["Models", "/models"], ["Docs", "/docs"], ["Sign in", "/sign-in"]]) {
    await page.goto("/");
    const link = bar.getByRole("link", { name, exact: true });
    await expect(link).toBeHidden();
    await menu.click();
    await expect(link).toBeInViewport({ ratio: 0.99 });
    await link.click();
    await expect(page).toHaveURL(new RegExp(`${path}$`));
    await menu.click();
    await expect(link).toHaveAttribute("aria-current", "page");
  }
  await expect(bar.getByRole("link", { name: "Sign up" }), "without the menu").toBeVisible();

  // By keyboard: into the links, and back to what opened them.
  await page.goto("/");
  await menu.focus();
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  await expect(bar.getByRole("link", { name: "Product Center" })).toBeFocused();
  await page.keyboard.press("Escape");
  await expect(bar.getByRole("link", { name: "Product Center" })).toBeHidden();
  await expect(menu).toBeFocused();
});

test("a phone's browser without popovers has a visitor's links in the bar", async ({ page }) => {
  // One that knows no such state leaves out what is said of it.
  await page.route("**/*.css", async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: (await response.text()).replaceAll(":popover-open", ":no-such-state") });
  });
  for (const width of [320, 360, 599]) {
    await page.setViewportSize({ width, height: 800 });
    await page.goto("/products");
    const bar = page.locator(".topbar");
    await expect(bar.getByRole("button", { name: "Menu" }), `${width} px`).toBeHidden();
    const line = (await bar.boundingBox())!;
    for (const name of ["Product Center", "Models", "Docs", "Sign in", "Sign up"]) {
      const link = bar.getByRole("link", { name, exact: true });
      await expect(link, `${width} px, ${name}`).toBeInViewport({ ratio: 0.99 });
      const box = (await link.boundingBox())!;
      expect(box.y + box.height, `${width} px, ${name} in the bar`).toBeLessThanOrEqual(line.y + line.height);
    }
    const title = (await page.locator("h1").boundingBox())!;
    expect(title.y, `${width} px, nothing covers the page`).toBeGreaterThanOrEqual(line.y + line.height);
  }
});

for (const language of ["en", "zh-Hans"]) {
  test(`a visitor's bar fits its window, and has its links where there is room for them, in ${language}`, async ({ page }) => {
    await page.context().addCookies([{ name: "language", value: language, url: process.env.E2E_URL! }]);
    await page.goto("/");
    const bar = page.locator(".topbar");
    const [docs, menu] = [bar.locator('[href="/docs"]'), bar.locator("[popovertarget]")];
    for (const width of [320, 599, 600, 900, 1280]) {
      await page.setViewportSize({ width, height: 800 });
      await expect(docs, `${width} px`).toBeVisible({ visible: width >= 600 });
      await expect(menu, `${width} px`).toBeVisible({ visible: width < 600 });
      const box = async (part: string) => (await bar.locator(part).last().boundingBox())!;
      const [first, last] = [await box(".wordmark"), await box(":is(a, button):visible")];
      expect(first.x, `${width} px`).toBeGreaterThanOrEqual(0);
      expect(last.x + last.width, `${width} px`).toBeLessThanOrEqual(width);
      const [line, up] = [(await bar.boundingBox())!, await box('[href="/sign-up"]')];
      expect(up.y + up.height, `${width} px, in one line`).toBeLessThanOrEqual(line.y + line.height);
    }
  });
}
