// What the clients' cases share: where the server is, how requests are counted, and how a case is run and reported.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { basename } from "node:path";

// Installed once, for the browser tests.
export const require = createRequire(new URL("../../end2end/package.json", import.meta.url));

// A key with a quota that pays for no call, and one that may send one request a minute.
export const { CLIENTS_URL: url, CLIENTS_KEY: key, CLIENTS_POOR_KEY: poorKey, CLIENTS_RATED_KEY: ratedKey } = process.env;
/** A model that always fails in this way, of this script alone: the gateway leaves one alone that fails five times in a row. */
export const failing = (how) => `sandbox/${how}-${basename(process.argv[1])}`;

const requests = async () => (await fetch(`${url}/-/requests`)).json();

/** A case, and how many requests it sends, retries included: so many reach the gateway, and so many of them the supplier. */
export const sends = (gateway, supplier, run) => async () => {
  const before = await requests();
  await run();
  const after = await requests();
  assert.deepEqual([after.gateway - before.gateway, after.supplier - before.supplier], [gateway, supplier], "requests sent");
};

/** Runs the cases, reports them under the script's name, and ends the process. */
export async function main(script, cases) {
  const failed = [];
  for (const [name, run] of Object.entries(cases)) {
    await run().catch((error) => {
      console.error(error);
      failed.push(name);
    });
  }
  const count = Object.keys(cases).length;
  console.log(`${script}: ${count - failed.length} of ${count} cases as they should be`, ...failed);
  process.exit(failed.length ? 1 : 0);
}
