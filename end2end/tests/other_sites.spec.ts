// A page of another site in a signed-in owner's browser: it posts forms and fetches with credentials to every server function, and none
// is accepted.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { readFileSync } from "node:fs";
import type { Page } from "@playwright/test";
import { expect, test } from "../support/fixtures.ts";
import { query, toki } from "../support/server.ts";
import { existingCustomer, signIn } from "../support/steps.ts";

/** Every server function that is posted to, out of the reviewed list of routes. */
function posts(): string[] {
  const surface = readFileSync("../tests/snapshots/surface__surface.snap", "utf8");
  const paths = [...surface.matchAll(/^ {2}POST +(\/api\/\S+)/gm)].map(([, path]) => path!);
  expect(paths.length).toBeGreaterThan(30);
  return paths;
}

/** All rows of the database that name this account or its user, their sessions excepted. */
function rowsOf(email: string): string {
  const [account, user] = query(`SELECT account_id || ' ' || user_id FROM members JOIN users USING (user_id) WHERE email = '${email}'`).split(" ");
  const tables = query("SELECT string_agg(relname, ' ') FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname NOT IN ('sessions', 'mails')");
  const rows = tables.split(" ").map((table) =>
    query(`SELECT '${table} ' || coalesce(string_agg(t::text, ' ' ORDER BY t::text), '') FROM "${table}" t WHERE t::text ~ '${account}|${user}|${email}'`));
  return rows.join("\n");
}

/** Serves one empty page, at an address that is none of ours. */
async function otherSite(): Promise<{ port: number; close: () => void }> {
  const server = createServer((_, answer) => answer.setHeader("content-type", "text/html").end("<!doctype html><title>Other</title>"));
  await new Promise<void>((listening) => server.listen(0, listening));
  return { port: (server.address() as AddressInfo).port, close: () => server.close() };
}

/** Has the page send a request in every form that needs no permission, and those that ask for one. */
async function attack(page: Page, ours: string, path: string, fields: Record<string, string>) {
  await page.evaluate(async ({ url, fields }) => {
    const forms = ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain"].map((enctype, n) => {
      const frame = document.createElement("iframe");
      frame.name = `frame-${n}`;
      const form = document.createElement("form");
      Object.assign(form, { method: "post", action: url, target: frame.name });
      form.enctype = enctype;
      for (const [name, value] of Object.entries(fields)) {
        const input = document.createElement("input");
        Object.assign(input, { name, value });
        form.append(input);
      }
      document.body.append(frame, form);
      // After the load of the empty frame, which is over by now.
      const loaded = new Promise((done) => frame.addEventListener("load", done));
      form.submit();
      return Promise.race([loaded, new Promise((done) => setTimeout(done, 1_000))]);
    });
    const body = new URLSearchParams(fields);
    const inits: RequestInit[] = [
      { mode: "no-cors", body },
      { mode: "no-cors", body: body.toString() },
      { mode: "cors", body },
      { mode: "cors", body: JSON.stringify(fields), headers: { "content-type": "application/json" } },
      { mode: "cors", body, headers: { accept: "application/json" } },
    ];
    const fetched = inits.map((init) => fetch(url, { method: "POST", credentials: "include", ...init }).catch(() => undefined));
    navigator.sendBeacon(url, body);
    await Promise.all([...forms, ...fetched]);
    document.body.replaceChildren();
  }, { url: ours + path, fields });
}

for (const [kind, host] of [["another site", "localhost"], ["another port of this site", "127.0.0.1"]] as const) {
  test(`nothing that a page of ${kind} sends is accepted`, async ({ page, context, baseURL }) => {
    test.setTimeout(300_000);
    const customer = existingCustomer();
    const key = toki(["key", "create", "--email", customer.email, "--name", "safe"]);
    await signIn(page, customer);
    const before = rowsOf(customer.email);
    const answers: Record<number, number> = {};
    const accepted: string[] = [];
    context.on("response", (response) => {
      if (response.request().method() !== "POST") return;
      answers[response.status()] = (answers[response.status()] ?? 0) + 1;
      if (response.status() !== 403) accepted.push(`${response.url()}: ${response.status()}`);
    });
    const other = await otherSite();
    const evil = await context.newPage();
    await evil.goto(`http://${host}:${other.port}/`);
    const fields = { key_id: key.key_id, status: "disabled", name: "stolen", supplier: "all", email: "eve@example.com", role: "admin", keys: "disable", code: "x", password: "correct horse battery", current: "correct horse battery" };
    for (const path of posts()) await attack(evil, baseURL!, path, fields);
    other.close();
    expect(accepted).toEqual([]);
    // Forms and fetches that ask nobody arrive, and are refused; of the other fetches the browser does not even tell.
    expect(answers[403] ?? 0).toBeGreaterThanOrEqual(posts().length * 5);
    expect(rowsOf(customer.email)).toBe(before);
    await page.goto("/dashboard");
    await expect(page.getByRole("heading", { name: "Dashboard", level: 1 })).toBeVisible();
  });
}
