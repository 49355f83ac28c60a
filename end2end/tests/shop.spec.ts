import { expect, test } from "../support/fixtures.ts";
import { PACKAGE, toki } from "../support/server.ts";
import { answerPayment, existingCustomer, orderPackage, signIn } from "../support/steps.ts";

test("a visitor sees what is on sale, and is asked who they are only when they choose", async ({ page }) => {
  await page.goto("/products");
  const card = page.getByRole("article", { name: PACKAGE.name });
  await expect(card).toContainText("5.00");
  await card.getByRole("link", { name: "Choose" }).click();
  await expect(page).toHaveURL(/\/sign-in\?next=/);
});

test("a declined payment brings no Tokens, and the package can be ordered again", async ({ page }) => {
  const customer = existingCustomer();
  await signIn(page, customer);
  await expect(page.getByRole("heading", { name: "Dashboard", level: 1 })).toBeVisible();
  await orderPackage(page);
  await answerPayment(page, "Decline", "Declined");
  expect(toki(["account", "show", "--email", customer.email]).granted).toBe(0);

  await orderPackage(page);
  await answerPayment(page, "Pay", "Paid");
  expect(toki(["account", "show", "--email", customer.email]).granted).toBe(PACKAGE.tokens);
});
