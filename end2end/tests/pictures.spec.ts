// The pictures of README: the main pages of a customer with some weeks behind them, in both themes. `make pictures` runs this; it is no
// test, and the others leave it out.
import { mkdirSync } from "node:fs";
import type { Page } from "@playwright/test";
import { expect, test } from "../support/fixtures.ts";
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

/** Spreads the calls over the last weeks, weekends quieter, as if they had been made then: records, entries, totals. */
const LONG_AGO = `
  SET session_replication_role = replica;
  CREATE TEMP TABLE moved AS
  SELECT request_id, shift, (substr(first_request_id(started_at - shift)::text, 1, 13) || substr(request_id::text, 14))::uuid AS moved_id
    FROM (SELECT u.request_id, u.started_at,
                 make_interval(days => (row_number() OVER (ORDER BY u.request_id) * 7 % 29)::int, mins => (row_number() OVER (ORDER BY u.request_id) * 37 % 600)::int)
                     AS shift
            FROM usage_records u JOIN accounts a USING (account_id) WHERE a.name = 'ada@example.com') calls
   WHERE extract(isodow FROM started_at - shift) < 6 OR random() < 0.3;
  UPDATE ledger l SET request_id = moved_id, at = at - shift FROM moved m WHERE m.request_id = l.request_id;
  UPDATE usage_records u SET request_id = moved_id, started_at = started_at - shift, recorded_at = recorded_at - shift
    FROM moved m WHERE m.request_id = u.request_id;
  DELETE FROM usage_totals;
  INSERT INTO usage_totals
  SELECT r.account_id, u.unit, date_trunc(u.unit, r.started_at, 'UTC'), r.key_id, r.model_id, count(*),
         count(*) FILTER (WHERE is_failure(r.outcome)), sum(r.input_tokens), sum(r.cached_tokens), sum(r.output_tokens), sum(r.charge)
    FROM usage_records r CROSS JOIN (VALUES ('hour'), ('day')) AS u (unit)
   GROUP BY 1, 2, 3, 4, 5`;

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
  psql(process.env.E2E_DATABASE_URL!, LONG_AGO);
  expect(toki(["audit"]).differences, "the books add up in pictures too").toEqual([]);

  const pages = { dashboard: "/dashboard", products: "/products", wallet: "/wallet", keys: "/keys", usage: "/usage" };
  for (const [name, path] of Object.entries(pages)) await take(page, name, path);
});
