// The pictures of README: the main pages of a customer with some weeks behind them, in both themes. `make pictures` runs this; it is no
// test, and the others leave it out.
import { mkdirSync } from "node:fs";
import type { Page } from "@playwright/test";
import { expect, test } from "../support/fixtures.ts";
import { spreadOverWeeks } from "../support/past.ts";
import { openai, psql, toki } from "../support/server.ts";
import { answerPayment, createKey, orderPackage, signUp } from "../support/steps.ts";

const FOLDER = "../docs/pictures";

const MODELS = [
  { id: "borealis/large", input: 1_000_000, output: 3_000_000 },
  { id: "borealis/small", input: 200_000, output: 600_000 },
  { id: "borealis/embed", input: 50_000, output: 50_000 },
];

/** Some models more of the sandbox, at multipliers of their own. */
function offer() {
  for (const { id, input, output } of MODELS) {
    toki([
      "model", "add", "--id", id, "--supplier", "sandbox", "--upstream-id", "echo", "--context", "128000", "--max-output", "8000",
      "--input-ppm", `${input}`, "--output-ppm", `${output}`,
    ]);
  }
}

async function take(page: Page, name: string, path: string) {
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme });
    await page.goto(path, { waitUntil: "networkidle" });
    await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
    await page.screenshot({ path: `${FOLDER}/${name}-${colorScheme}.png` });
  }
}

/** What is on sale beside the package of all tests, the more Tokens the cheaper. */
const PACKAGES = [
  { name: "Pro", tokens: 10_000_000, price: 4_000, time: "90d" },
  { name: "Scale", tokens: 100_000_000, price: 30_000, time: "180d" },
];

/** What part of its quota each key has left; the last has no quota. */
const KEYS = [
  { name: "Support bot", left: 0.25 },
  { name: "Nightly reports", left: 0.08 },
  { name: "Search" },
];

/** Of a package of a million: at the pace of the weeks that this was spent in, the rest lasts some weeks more. */
const SPENT = 600_000;

const EMAIL = "ada@example.com";

test("pictures", async ({ page }) => {
  test.setTimeout(300_000);
  mkdirSync(FOLDER, { recursive: true });
  // High enough for what lies below the figures: the bars of usage, the grants of the wallet.
  await page.setViewportSize({ width: 1280, height: 1120 });
  offer();
  for (const { name, tokens, price, time } of PACKAGES) {
    toki(["package", "add", "--name", name, "--tokens", `${tokens}`, "--price", `${price}`, "--currency", "usd", "--valid-for", time]);
  }
  await signUp(page, { email: EMAIL, password: "correct horse battery" });
  psql(process.env.E2E_DATABASE_URL!, `UPDATE users SET email_verified_at = now() WHERE email = '${EMAIL}'`);
  await orderPackage(page);
  await answerPayment(page, "Pay", "Paid");
  toki(["account", "credit", "--email", EMAIL, "--tokens", "150000", "--valid-for", "60d", "--note", "Welcome"]);
  const keys: { secret: string; id: string; left?: number; charged: number }[] = [];
  for (const { name, left } of KEYS) {
    const secret = await createKey(page, name);
    keys.push({ secret, id: new URL(page.url()).pathname.split("/").at(-1)!, left, charged: 0 });
  }
  for (let n = 0, charged = 0; charged < SPENT; n++) {
    const { id: model } = MODELS[[0, 1, 0, 2, 1, 1][n % 6]];
    const key = keys[(n * 5 + Math.floor(n / 6)) % 3];
    const content = "A question that somebody asked, and what they knew of it already. ".repeat(28 * (3 + ((n * 13) % 17)));
    const { response } = await openai(key.secret).chat.completions.create({ model, messages: [{ role: "user", content }] }).withResponse();
    const charge = Number(response.headers.get("x-toki-charged-tokens"));
    expect(charge).toBeGreaterThan(0);
    key.charged += charge;
    charged += charge;
  }
  for (const { id, left, charged } of keys) {
    if (left) toki(["key", "edit", id, "--quota", `${Math.round(charged / (1 - left))}`]);
  }
  spreadOverWeeks(EMAIL);
  expect(toki(["audit"]).differences, "the books add up in pictures too").toEqual([]);

  const pages = { dashboard: "/dashboard", products: "/products", wallet: "/wallet", keys: "/keys", usage: "/usage" };
  for (const [name, path] of Object.entries(pages)) await take(page, name, path);
  await expectWhatTheyAreToShow(page);
});

/** All that the pictures are taken for, in case that a page changes. */
async function expectWhatTheyAreToShow(page: Page) {
  await page.goto("/keys");
  for (const words of ["30 % or less left", "10 % or less left"]) await expect(page.getByText(words).first()).toBeVisible();
  await page.goto("/dashboard");
  await expect(page.getByText("Confirm your address.")).toHaveCount(0);
  await expect(page.getByText(/^Lasts? until/i).first()).toBeVisible();
  await page.goto("/products");
  await expect(page.getByRole("main").getByRole("article")).toHaveCount(3);
  await page.goto("/wallet");
  await expect(page.getByRole("progressbar").first()).toBeInViewport({ ratio: 1 });
  await page.goto("/usage");
  await expect(page.locator(".chart-plot").first()).toBeInViewport({ ratio: 1 });
}
