// What a customer does, in the words on the pages. A relabelled button is changed here and nowhere else.
import { randomUUID } from "node:crypto";
import type { Page } from "@playwright/test";
import { expect, test } from "./fixtures.ts";
import { PACKAGE, psql, toki } from "./server.ts";

export type Customer = { email: string; password: string };

export function newCustomer(): Customer {
  return { email: `${randomUUID()}@example.com`, password: "correct horse battery" };
}

/** A customer made by the command line, for specs that begin after sign-up. */
export function existingCustomer(): Customer {
  const customer = newCustomer();
  toki(["account", "create", "--email", customer.email, "--password-stdin"], customer.password);
  return customer;
}

/** Has this customer be one of the members of another's account, for which they act from then on. */
export function join(account: Customer, member: Customer, role: "admin" | "member" | "read_only") {
  psql(process.env.E2E_DATABASE_URL!, `INSERT INTO members (account_id, user_id, role)
    SELECT account_id, (SELECT user_id FROM users WHERE email = '${member.email}'), '${role}'
      FROM members JOIN users USING (user_id) WHERE email = '${account.email}'`);
}

export async function signUp(page: Page, customer: Customer) {
  await page.goto("/sign-up");
  await fillCredentials(page, customer);
  await page.getByRole("main").getByRole("button", { name: "Create account" }).click();
  await expect(page.getByRole("heading", { name: "Dashboard", level: 1 })).toBeVisible();
}

/** Signs in, and waits until that is done: a step that leaves earlier would cancel it. */
export async function signIn(page: Page, customer: Customer) {
  await submitSignIn(page, customer);
  await expect(page.getByRole("heading", { name: "Dashboard", level: 1 })).toBeVisible();
}

/** Sends the sign-in form, whatever comes of it. */
export async function submitSignIn(page: Page, customer: Customer) {
  await page.goto("/sign-in");
  await fillCredentials(page, customer);
  await page.getByRole("main").getByRole("button", { name: "Sign in" }).click();
}

async function fillCredentials(page: Page, { email, password }: Customer) {
  await page.getByLabel("E-mail").fill(email);
  await page.getByLabel("Password", { exact: true }).fill(password);
}

/** From the Product Center to the provider's page. */
export async function orderPackage(page: Page, name = PACKAGE.name) {
  await page.goto("/products");
  await page.getByRole("article", { name }).getByRole("link", { name: "Choose" }).click();
  await expect(page.getByRole("heading", { name: "Confirm your order" })).toBeVisible();
  await page.getByRole("button", { name: /^Pay/ }).click();
  await expect(page.getByRole("heading", { name: "Sandbox payment" })).toBeVisible();
}

/** A code that the command line just made, and its id. */
export function makeCode(worth: string[]): { code: string; id: string } {
  const { codes } = toki(["code", "create", ...worth, "--reason", "a journey"]);
  return { code: codes[0].code, id: codes[0].code_id };
}

/** Redeems a code in the wallet, typed as people type. */
export async function redeem(page: Page, code: string) {
  await page.goto("/wallet");
  await page.getByLabel("Code", { exact: true }).fill(code.toLowerCase().replaceAll("-", " "));
  await page.getByRole("button", { name: "Redeem" }).click();
}

/** Types a promotion code on the confirm page. */
export async function applyCode(page: Page, code: string) {
  const form = page.locator("details", { hasText: "Have a promotion code?" });
  if (!(await page.getByLabel("Code", { exact: true }).isVisible())) await form.locator("summary").click();
  await page.getByLabel("Code", { exact: true }).fill(code);
  await page.getByRole("button", { name: "Apply" }).click();
}

/** Pays or declines on the sandbox's payment page, and waits until the order page says so. */
export async function answerPayment(page: Page, button: "Pay" | "Decline", state: "Paid" | "Declined") {
  await page.getByRole("button", { name: button, exact: true }).click();
  await expect(page.getByRole("heading", { name: "Order", level: 1 })).toBeVisible();
  const said = page.getByRole("status").getByText(state, { exact: true });
  if (test.info().project.use.javaScriptEnabled ?? true) {
    // By itself: a script asks again.
    await expect(said).toBeVisible({ timeout: 20_000 });
    return;
  }
  const again = page.getByRole("link", { name: "Look again" });
  await expect(async () => {
    if (await again.isVisible()) await again.click();
    await expect(said).toBeVisible({ timeout: 1_000 });
  }).toPass({ timeout: 20_000 });
}

/** Creates a key on its page; its secret, which is shown this once. */
export async function createKey(page: Page, name: string): Promise<string> {
  await page.goto("/keys");
  await page.getByLabel("Name", { exact: true }).fill(name);
  await page.getByLabel("Supplier", { exact: true }).selectOption({ label: "Sandbox" });
  await page.getByRole("button", { name: "Create the key" }).click();
  await expect(page.getByRole("heading", { name, level: 1 })).toBeVisible();
  const secret = await page.getByRole("status").locator("code").innerText();
  expect(secret).toMatch(/^sk-toki-\S+$/);
  return secret;
}

/** 1234567 as a page writes it out in full. */
export function exact(tokens: number): string {
  return tokens.toLocaleString("en-US");
}
