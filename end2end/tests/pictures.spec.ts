// The pictures of README: the main pages of a customer with some weeks behind them, in both themes. `make pictures` runs this; it is no
// test, and the others leave it out.
import { mkdirSync } from "node:fs";
import type { Page } from "@playwright/test";
import { expect, test } from "../support/fixtures.ts";
import { spreadOverWeeks } from "../support/past.ts";
import { openai, toki } from "../support/server.ts";
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

test("pictures", async ({ page }) => {
  test.setTimeout(300_000);
  mkdirSync(FOLDER, { recursive: true });
  await page.setViewportSize({ width: 1280, height: 800 });
  offer();
  await signUp(page, { email: "ada@example.com", password: "correct horse battery" });
  await orderPackage(page);
  await answerPayment(page, "Pay", "Paid");
  const names = ["Support bot", "Nightly reports", "Search"];
  const secrets = [];
  for (const name of names) secrets.push(await createKey(page, name));
  for (let n = 0; n < 90; n++) {
    const { id } = MODELS[[0, 1, 0, 2, 1, 1][n % 6]];
    const content = "A question that somebody asked, and what they knew of it already. ".repeat(3 + ((n * 13) % 17));
    await openai(secrets[(n * 5) % 3]).chat.completions.create({ model: id, messages: [{ role: "user", content }] });
  }
  spreadOverWeeks("ada@example.com");
  expect(toki(["audit"]).differences, "the books add up in pictures too").toEqual([]);

  const pages = { dashboard: "/dashboard", products: "/products", wallet: "/wallet", keys: "/keys", usage: "/usage" };
  for (const [name, path] of Object.entries(pages)) await take(page, name, path);
});
