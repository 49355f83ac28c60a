import { expect, test } from "../support/fixtures.ts";
import { linkMailedTo } from "../support/mailbox.ts";
import { existingCustomer, newCustomer, signIn, signUp } from "../support/steps.ts";

test("a new customer confirms the address from the mail, and is asked no more", async ({ page }) => {
  const customer = newCustomer();
  await signUp(page, customer);
  const banner = page.getByRole("complementary", { name: "Unconfirmed address" });
  await expect(banner).toContainText("Confirm your address.");

  await page.goto(await linkMailedTo(customer.email, "/verify-email"));
  await page.getByRole("button", { name: "Confirm the address" }).click();
  await expect(page.getByRole("heading", { name: "Address confirmed" })).toBeVisible();
  await page.getByRole("link", { name: "Go to the dashboard" }).click();
  await expect(page.getByRole("heading", { name: "Dashboard", level: 1 })).toBeVisible();
  await expect(banner).toHaveCount(0);
});

test("a forgotten password is replaced by mail; the link works once", async ({ page }) => {
  const customer = existingCustomer();
  await page.goto("/sign-in");
  await page.getByRole("link", { name: "Forgotten your password?" }).click();
  await page.getByLabel("E-mail").fill(customer.email);
  await page.getByRole("button", { name: "Send the link" }).click();
  await expect(page.getByRole("status")).toContainText("If an account has that address");

  const link = await linkMailedTo(customer.email, "/reset-password");
  await page.goto(link);
  await page.getByLabel("Password", { exact: true }).fill("password1");
  await page.getByRole("button", { name: "Set the password" }).click();
  await expect(page.getByRole("alert")).toContainText("among those that are tried first");
  await page.getByLabel("Password", { exact: true }).fill("a brand new password");
  await page.getByRole("button", { name: "Set the password" }).click();
  await expect(page.getByText("Your password is set.")).toBeVisible();

  await signIn(page, { ...customer, password: "a brand new password" });
  await page.goto(link);
  await page.getByLabel("Password", { exact: true }).fill("another new password");
  await page.getByRole("button", { name: "Set the password" }).click();
  await expect(page.getByRole("alert")).toContainText("This link was used already");
});

test("the settings page changes the password and ends the other sessions", async ({ page, browser, baseURL }) => {
  const customer = existingCustomer();
  const other = await browser.newContext({ baseURL, javaScriptEnabled: false });
  const elsewhere = await other.newPage();
  await signIn(elsewhere, customer);
  await signIn(page, customer);

  await page.goto("/settings");
  await expect(page.getByRole("row", { name: /This session/ })).toHaveCount(1);
  await expect(page.getByRole("button", { name: "End", exact: true })).toHaveCount(1);
  await page.getByLabel("Current password").fill(customer.password);
  await page.getByLabel("New password").fill("a brand new password");
  await page.getByRole("button", { name: "Change the password" }).click();
  await expect(page.getByRole("status")).toContainText("Your password is changed");
  await expect(page.getByRole("button", { name: "End", exact: true })).toHaveCount(0);
  await elsewhere.goto("/settings");
  await expect(elsewhere).toHaveURL(/\/sign-in/);
  await other.close();
});
