import { randomUUID } from "node:crypto";
import { expect, test } from "../support/fixtures.ts";
import { PACKAGE, toki } from "../support/server.ts";
import { answerPayment, applyCode, existingCustomer, makeCode, orderPackage, redeem, signIn } from "../support/steps.ts";

// The refusals that these tests ask for: codes that are none, or used; and the page of a refund, which reads itself again after it was taken.
test.use({ expectedComplaint: /status of 422 .*\/api\/(codes\/redeem|checkout\/type_code)|status of 409 .*\/orders\/[0-9a-f-]+\/refund/ });

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
  await orderPackage(page);
  await answerPayment(page, "Decline", "Declined");
  expect(toki(["account", "show", "--email", customer.email]).granted).toBe(0);

  await orderPackage(page);
  await answerPayment(page, "Pay", "Paid");
  expect(toki(["account", "show", "--email", customer.email]).granted).toBe(PACKAGE.tokens);
});

test("what is bought again can wait until the current Tokens end", async ({ page }) => {
  const customer = existingCustomer();
  await signIn(page, customer);
  await orderPackage(page);
  await answerPayment(page, "Pay", "Paid");
  await page.goto("/products");
  await page.getByRole("article", { name: PACKAGE.name }).getByRole("link", { name: "Choose" }).click();
  await expect(page.getByRole("radio", { name: /^Now, beside/ })).toBeChecked();
  await page.getByRole("radio", { name: /^When your current/ }).check();
  await page.getByRole("button", { name: /^Pay/ }).click();
  await answerPayment(page, "Pay", "Paid");
  await page.goto("/wallet");
  await expect(page.getByText("Not begun")).toBeVisible();
  const grants = toki(["account", "show", "--email", customer.email]).grants;
  expect(grants.map((grant: any) => grant.tokens)).toEqual([PACKAGE.tokens, PACKAGE.tokens]);
});

test("a receipt takes billing details once, and unused Tokens are paid back as shown", async ({ page }) => {
  const sold = { name: `Refundable ${randomUUID()}`, tokens: 2_000_000 };
  toki([
    "package", "add", "--name", sold.name, "--tokens", `${sold.tokens}`, "--price", "900", "--currency", "usd", "--valid-for", "30d",
    "--refund-window", "14d", "--purchase-limit", "1", "--limit-period", "7d",
  ]);
  const customer = existingCustomer();
  await signIn(page, customer);
  await orderPackage(page, sold.name);
  await answerPayment(page, "Pay", "Paid");

  await page.getByRole("link", { name: "Receipt" }).click();
  await expect(page.getByRole("heading", { name: /^Receipt R-/ })).toBeVisible();
  await page.getByLabel("Name or company").fill("Ada Ltd");
  await page.getByLabel("Address").fill("1 Street\nLondon");
  await page.getByRole("button", { name: "Save" }).click();
  await expect(page.getByRole("article").getByText("Ada Ltd")).toBeVisible();

  await page.getByRole("link", { name: "Back to the order" }).click();
  await page.getByRole("link", { name: "Return unused Tokens" }).click();
  await expect(page.getByText("$9.00 of $9.00")).toBeVisible();
  await page.getByRole("button", { name: "Return the Tokens for $9.00" }).click();
  await expect(page.getByRole("status").getByText("Refunded", { exact: true })).toBeVisible();
  await page.getByRole("link", { name: "Receipt" }).click();
  await expect(page.getByText(/Credit note C-/)).toBeVisible();
  expect(toki(["account", "show", "--email", customer.email]).refunded).toBe(sold.tokens);

  await page.goto("/products");
  await page.getByRole("article", { name: sold.name }).getByRole("link", { name: "Choose" }).click();
  await expect(page.getByText(/as often as it allows for now. You can buy it again from/)).toBeVisible();
  const packages = toki(["package", "list"]).packages;
  toki(["package", "disable", packages.find((row: any) => row.name === sold.name).package_id]);
});

test("a redemption code brings its Tokens once, and says so", async ({ page }) => {
  const customer = existingCustomer();
  await signIn(page, customer);
  const { code, id } = makeCode(["--tokens", "250000", "--uses", "5", "--note", "Welcome"]);
  await redeem(page, "no code at all");
  await expect(page.getByRole("alert")).toContainText("This is no code");
  await redeem(page, code);
  await expect(page.getByRole("status")).toContainText("Redeemed: 250,000 Tokens");
  await expect(page.getByRole("cell", { name: "Redeemed" })).toBeVisible();
  await redeem(page, code);
  await expect(page.getByRole("alert")).toContainText("Your account has used this code");
  expect(toki(["account", "show", "--email", customer.email]).granted).toBe(250_000);
  expect(toki(["code", "show", id]).used).toBe(1);
});

test("a promotion code lowers the price before anything is bought", async ({ page }) => {
  const customer = existingCustomer();
  await signIn(page, customer);
  const { code, id } = makeCode(["--percent-off", "20"]);
  await page.goto("/products");
  await page.getByRole("article", { name: PACKAGE.name }).getByRole("link", { name: "Choose" }).click();
  await expect(page.getByRole("button", { name: "Pay $5.00" })).toBeVisible();
  await applyCode(page, "0000-0000-0000-0000-0000");
  await expect(page.getByRole("alert")).toContainText("This is no code");
  await applyCode(page, code);
  const pay = page.getByRole("button", { name: "Pay $4.00" });
  await expect(pay).toBeVisible();
  await expect(page.getByRole("main")).toContainText("-$1.00");
  // It stands there without being unfolded, and goes as it came.
  await expect(page.getByText("A code is applied: it takes $1.00 off.")).toBeVisible();
  await page.getByRole("button", { name: "Take it away" }).click();
  await expect(page.getByRole("button", { name: "Pay $5.00" })).toBeVisible();
  await applyCode(page, code);
  await expect(pay).toBeVisible();
  await pay.click();
  await expect(page.getByRole("heading", { name: "Sandbox payment" })).toBeVisible();
  expect(toki(["code", "show", id]).used).toBe(1);
  await answerPayment(page, "Pay", "Paid");
  await expect(page.getByRole("main")).toContainText("List price");
  expect(toki(["account", "show", "--email", customer.email]).granted).toBe(PACKAGE.tokens);
});

test("who cancels at the payment comes back to the order as it was: its code, its start", async ({ page }) => {
  const customer = existingCustomer();
  await signIn(page, customer);
  await orderPackage(page);
  await answerPayment(page, "Pay", "Paid");
  const { code, id } = makeCode(["--percent-off", "20"]);
  await page.goto("/products");
  await page.getByRole("article", { name: PACKAGE.name }).getByRole("link", { name: "Choose" }).click();
  const pay = page.getByRole("button", { name: "Pay $4.00" });
  const later = page.getByRole("radio", { name: /^When your current/ });
  await later.check();
  await applyCode(page, code);
  await expect(pay).toBeVisible();
  await expect(later, "what was chosen before the code was applied").toBeChecked();
  await pay.click();
  await page.getByRole("link", { name: "Cancel and go back" }).click();

  await expect(page.getByRole("heading", { name: "Confirm your order" })).toBeVisible();
  await expect(page.getByText("You have an order of this package that is not paid yet.")).toBeVisible();
  await expect(later).toBeChecked();
  await pay.click();
  await answerPayment(page, "Pay", "Paid");
  expect(toki(["code", "show", id]).used, "one order").toBe(1);
  expect(toki(["account", "show", "--email", customer.email]).grants).toHaveLength(2);
});

test("an order that nobody paid is cancelled, and its code is free again", async ({ page }) => {
  await signIn(page, existingCustomer());
  const { code, id } = makeCode(["--percent-off", "20"]);
  await page.goto("/products");
  await page.getByRole("article", { name: PACKAGE.name }).getByRole("link", { name: "Choose" }).click();
  await applyCode(page, code);
  await page.getByRole("button", { name: "Pay $4.00" }).click();
  await expect(page.getByRole("heading", { name: "Sandbox payment" })).toBeVisible();
  expect(toki(["code", "show", id]).used).toBe(1);
  await page.goto("/orders");
  await page.getByRole("main").getByRole("link", { name: PACKAGE.name }).click();
  await page.getByRole("button", { name: "Cancel this order" }).click();
  await expect(page.getByText("This order was cancelled before it was paid.")).toBeVisible();
  await expect(page.getByRole("link", { name: "Order again" })).toBeVisible();
  expect(toki(["code", "show", id]).used).toBe(0);
});
