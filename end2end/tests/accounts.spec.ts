import { expect, test } from "../support/fixtures.ts";
import { existingCustomer, newCustomer, signIn, submitSignIn } from "../support/steps.ts";

test("a visitor who asks for a page signs in and arrives there; signing out closes it again", async ({ page }) => {
  const customer = existingCustomer();
  await page.goto("/wallet");
  await expect(page).toHaveURL(/\/sign-in\?next=%2Fwallet/);
  await page.getByLabel("E-mail").fill(customer.email);
  await page.getByLabel("Password", { exact: true }).fill(customer.password);
  await page.getByRole("main").getByRole("button", { name: "Sign in" }).click();
  await expect(page.getByRole("heading", { name: "Wallet", level: 1 })).toBeVisible();

  await page.getByRole("button", { name: "Sign out" }).click();
  await expect(page.getByRole("link", { name: "Sign in" }).first()).toBeVisible();
  await page.goto("/wallet");
  await expect(page).toHaveURL(/\/sign-in/);
});

test.describe("wrong credentials", () => {
  test.use({ expectedComplaint: /status of 401/ });

  test("a wrong password and an unknown address are told apart by nobody", async ({ page }) => {
    const known = { ...existingCustomer(), password: "not the password" };
    for (const stranger of [known, newCustomer()]) {
      await submitSignIn(page, stranger);
      await expect(page.getByRole("alert")).toHaveText("E-mail or password is wrong.");
      await expect(page.getByRole("alert"), "what went wrong is read out").toBeFocused();
      await expect(page).toHaveURL(/\/sign-in/);
    }
  });
});

test.describe("a form that is refused", () => {
  test.use({ expectedComplaint: /status of 4\d\d .*\/keys/ });

  test("its error has the focus, and the field that it is about is marked", async ({ page }) => {
    await signIn(page, existingCustomer());
    await page.goto("/keys");
    await page.getByLabel("Name", { exact: true }).fill("lantern");
    await page.getByLabel("Supplier", { exact: true }).selectOption({ label: "Sandbox" });
    await page.getByLabel("Quota, in Tokens").fill("plenty");
    await page.getByRole("button", { name: "Create the key" }).click();
    await expect(page.getByRole("alert")).toBeFocused();
    await expect(page.getByLabel("Quota, in Tokens")).toHaveAttribute("aria-invalid", "true");
    await expect(page.getByLabel("Name", { exact: true })).not.toHaveAttribute("aria-invalid");
  });
});
