// The forms of a key as a browser shows them, with a script and without one.
import { expect, test } from "../support/fixtures.ts";
import { createKey, existingCustomer, signIn } from "../support/steps.ts";

// A form that is refused.
test.use({ expectedComplaint: /status of 4\d\d .*\/keys/ });

test("a day of one's own is asked for where it is chosen, and kept when the key is edited", async ({ page }) => {
  await signIn(page, existingCustomer());
  await page.goto("/keys");
  const [day, own] = [page.getByLabel("Last day"), page.getByRole("radio", { name: /^On a day of your choice/ })];
  await expect(page.getByRole("radio", { name: /^Never/ })).toBeChecked();
  await expect(day).toBeHidden();
  await own.check();
  await expect(day).toBeVisible();
  await page.getByLabel("Name", { exact: true }).fill("winter");
  await page.getByLabel("Supplier", { exact: true }).selectOption({ label: "Sandbox" });
  await day.fill("2020-01-01");
  await page.getByRole("button", { name: "Create the key" }).click();

  // What is wrong with it is said beside it.
  await expect(page.getByRole("alert")).toContainText("The expiration must be in the future.");
  await expect(own).toBeChecked();
  await expect(day).toHaveValue("2020-01-01");
  await day.fill("2999-01-01");
  await page.getByRole("button", { name: "Create the key" }).click();
  await expect(page.getByRole("heading", { name: "winter", level: 1 })).toBeVisible();
  await expect(page.getByRole("main")).toContainText("1 Jan 2999, 23:59 UTC");
  await expect(page.getByRole("radio", { name: /^As it is/ })).toBeChecked();
  await expect(day).toBeHidden();
});

test("all keys of a page are ticked at once where a script can, and none again", async ({ page, javaScriptEnabled }) => {
  await signIn(page, existingCustomer());
  for (const name of ["winter", "summer"]) await createKey(page, name);
  await page.goto("/keys");
  const [button, boxes] = [page.locator("[data-ticks]"), page.getByRole("checkbox", { name: /^Choose / })];
  const expectTicked = async (...ticked: boolean[]) => {
    for (const [place, checked] of ticked.entries()) await expect(boxes.nth(place)).toBeChecked({ checked });
    await expect(button).toHaveText(ticked.includes(false) ? "Tick all on this page" : "Tick none");
  };
  await expect(boxes).toHaveCount(2);
  await expect(button).toBeVisible({ visible: javaScriptEnabled });
  await expectTicked(false, false);
  if (!javaScriptEnabled) return;

  await button.click();
  await expectTicked(true, true);
  await boxes.first().uncheck();
  await expectTicked(false, true);
  await button.click();
  await expectTicked(true, true);
  await button.click();
  await expectTicked(false, false);
  await button.click();
  await page.getByRole("button", { name: "Disable", exact: true }).click();
  await expect(page.getByText("2 keys are disabled now")).toBeVisible();
});

test("a button that copies is offered where a script can, and keeps its room where there is none", async ({ page, javaScriptEnabled }) => {
  await signIn(page, existingCustomer());
  const secret = await createKey(page, "winter");
  const button = page.locator("[data-copy]").filter({ hasText: "Copy the key" });
  await expect(button).toBeVisible({ visible: javaScriptEnabled });
  await expect(button).toHaveAttribute("data-copy", secret);
  expect(await button.evaluate((button) => button.getBoundingClientRect().height)).toBeGreaterThanOrEqual(36);
  await button.focus();
  await expect(page.locator("[data-copy]:focus")).toHaveCount(javaScriptEnabled ? 1 : 0);
});
