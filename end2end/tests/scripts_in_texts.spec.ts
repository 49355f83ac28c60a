// Scripts in every text that somebody writes and somebody else reads: none runs, with the content security policy and without it, so
// that it is the escaping that holds and the policy has nothing to report.
import { randomUUID } from "node:crypto";
import type { BrowserContext, Page } from "@playwright/test";
import { expect, test } from "../support/fixtures.ts";
import { MODEL, openai, psql, toki } from "../support/server.ts";
import { answerPayment, existingCustomer, redeem, signIn } from "../support/steps.ts";
import type { Customer } from "../support/steps.ts";

// Each breaks out of another place: of text, of attributes in either quotes or none, of titles, scripts, comments and addresses.
const PAYLOADS = [
  `<script>ran()</script>`,
  `"><img src=x onerror=ran()>`,
  `'><svg onload=ran()>`,
  `</title><script>ran()</script>`,
  `</script><script>ran()</script>`,
  `x --><img src=x onerror=ran()>`,
  `" autofocus onfocus=ran() x="`,
  `</textarea><img src=x onerror=ran()>`,
  `<iframe srcdoc="<script>parent.ran()</script>">`,
  `<a href=javascript:ran()>x</a>`,
];

// What an address can carry: no spaces, 64 bytes before the @. Its own for every row, since an address is one user's.
const ADDRESSES = [`"><img/src=x/onerror=ran()>`, `'><svg/onload=ran()>`, `<script>ran()</script>`, `"/autofocus/onfocus=ran()/x="`];
const address = (n: number) => `${ADDRESSES[n % ADDRESSES.length]}${randomUUID().slice(0, 8)}@example.com`;

const model = (n: number) => `hostile/m${n}`;

/** What came of the visits of a context. */
type Seen = { ran: string[]; reports: string[]; dialogs: string[]; pages: number; showed: number };

async function watched(context: BrowserContext): Promise<Seen> {
  const seen: Seen = { ran: [], reports: [], dialogs: [], pages: 0, showed: 0 };
  await context.exposeBinding("ran", ({ page }) => void seen.ran.push(page.url()));
  await context.exposeBinding("reported", ({ page }, what: string) => void seen.reports.push(`${what} on ${page.url()}`));
  await context.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) =>
      (window as any).reported(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
  });
  context.on("dialog", (dialog) => {
    seen.dialogs.push(dialog.message());
    void dialog.dismiss();
  });
  return seen;
}

/** Visits a page and does what a reader might: moves over it, focuses what can be focused. */
async function visit(page: Page, seen: Seen, path: string) {
  await page.goto(path, { waitUntil: "load" });
  await page.evaluate(() => {
    for (const element of Array.from(document.querySelectorAll<HTMLElement>("a, button, input, select, textarea, summary, [tabindex]"))) {
      element.focus();
      element.dispatchEvent(new MouseEvent("mouseover", { bubbles: true }));
    }
  });
  const links = await page.locator("a").evaluateAll((links) => links.map((link) => (link as HTMLAnchorElement).href));
  expect(links.filter((href) => href.startsWith("javascript:")), path).toEqual([]);
  seen.pages += 1;
  if ((await page.locator("body").innerText()).includes("ran()")) seen.showed += 1;
}

/** Every text that operators write, by the command line, and as somebody might who has the database. */
function operatorsTexts() {
  PAYLOADS.forEach((payload, n) => {
    const slug = `hostile-${n}-${randomUUID().slice(0, 8)}`;
    toki(["supplier", "add", "--slug", slug, "--name", payload]);
    toki(["model", "add", "--id", `${model(n)}-${slug}`, "--supplier", slug, "--upstream-id", payload, "--context", "8000", "--max-output", "4000"]);
  });
}

test("no script in a name, an address, a note, a reason or a receipt runs", async ({ browser, baseURL }) => {
  test.setTimeout(900_000);
  operatorsTexts();
  const customer = existingCustomer();
  const operator = existingCustomer();
  psql(process.env.E2E_DATABASE_URL!, `UPDATE users SET operator = true WHERE email = '${operator.email}'`);
  const written = [];
  for (const who of [customer, operator]) {
    const writing = await browser.newContext({ baseURL });
    written.push({ who, paths: await writeTexts(await writing.newPage(), who, who === customer) });
    await writing.close();
  }
  // The device of a session is a text, too.
  for (const options of [{ userAgent: `Mozilla/5.0 ${PAYLOADS[2]} Chrome/1` }, { userAgent: `Mozilla/5.0 ${PAYLOADS[1]} Chrome/1`, bypassCSP: true }]) {
    const context = await browser.newContext({ baseURL, ...options });
    const seen = await watched(context);
    for (const { who, paths } of written) await read(context, who, paths, seen);
    expect(seen.pages).toBeGreaterThan(90);
    expect(seen.showed, "pages with one of the texts").toBeGreaterThan(40);
    expect(seen.ran, "scripts that ran").toEqual([]);
    expect(seen.dialogs).toEqual([]);
    expect(seen.reports, "reports of the policy").toEqual([]);
    await context.close();
  }
  // What is on sale to everybody is in the way of the other tests.
  for (const sold of toki(["package", "list"]).packages) {
    if (PAYLOADS.includes(sold.name)) toki(["package", "disable", sold.package_id]);
  }
});

test("the watch sees a script that runs, a dialog, and a report", async ({ browser, baseURL }) => {
  for (const bypassCSP of [true, false]) {
    const context = await browser.newContext({ baseURL, bypassCSP });
    const seen = await watched(context);
    const page = await context.newPage();
    await page.goto("/");
    await page.evaluate((html) => document.body.insertAdjacentHTML("beforeend", html), `<img src="/no-such-picture" onerror="ran(); alert(1)">`);
    await expect.poll(() => (bypassCSP ? seen.ran.length + seen.dialogs.length : seen.reports.length)).toBeGreaterThan(bypassCSP ? 1 : 0);
    expect(bypassCSP ? seen.reports : seen.ran).toEqual([]);
    await context.close();
  }
});

/** Writes every text that a customer, or an operator for them, can write; the pages that show them, and with `typing` what is typed. */
async function writeTexts(page: Page, customer: Customer, typing: boolean): Promise<string[]> {
  await signIn(page, customer);
  const paths = ["/", "/dashboard", "/products", "/models", "/keys", "/orders", "/wallet", "/usage", "/settings", "/settings/members", "/settings/log", "/settings/two-factor", "/docs", "/docs/quickstart", "/styleguide"];
  const typed = ["/search?q", "/models?q", "/keys?search", "/usage?model", "/settings/log?search", "/sign-in?next", "/sign-up?next", "/dashboard?__err", "/wallet?redeemed", "/reset-password?token", "/verify-email?token", "/invitation?token"];
  for (const [n, payload] of PAYLOADS.entries()) {
    toki(["account", "credit", "--email", customer.email, "--tokens", "1000", "--note", payload]);
    const key = toki(["key", "create", "--email", customer.email, "--name", payload]);
    // Lists show all of them; of pages that show one, some will do.
    if (n % 3 === 1) {
      const text = encodeURIComponent(payload);
      paths.push(`/keys/${key.key_id}`, `/keys/delete?chosen[]=${key.key_id}`, `/${text}`, `/docs/${text}`);
      if (typing) paths.push(...typed.map((parameter) => `${parameter}=${text}`));
    }
    // The sandbox's errors quote what they are sent, as suppliers' do.
    for (const model of [MODEL, "sandbox/error"]) {
      await openai(key.secret).chat.completions.create({ model, messages: [{ role: "user", content: payload }] }).catch(() => undefined);
    }
  }
  const order = await buy(page, PAYLOADS[customer.email.charCodeAt(0) % PAYLOADS.length]!);
  paths.push(order, `${order}/receipt`, `${order}/refund`);
  await redeem(page, toki(["code", "create", "--tokens", "5", "--note", PAYLOADS[1]!, "--reason", PAYLOADS[2]!]).codes[0].code);
  // A name that no form takes, as if one had.
  const named = `UPDATE accounts SET name = $$${PAYLOADS[1]}$$ WHERE account_id = (SELECT account_id FROM members JOIN users USING (user_id) WHERE email = '${customer.email}')`;
  psql(process.env.E2E_DATABASE_URL!, named);
  writeAddresses(customer);
  return paths;
}

/** Members and invitations with such addresses, and the customer's own, as if it had been changed to one. */
function writeAddresses(customer: Customer) {
  const own = `SELECT account_id, user_id FROM members JOIN users USING (user_id) WHERE email = '${customer.email}'`;
  for (let n = 0; n < ADDRESSES.length; n++) {
    const member = address(n);
    toki(["account", "create", "--email", member, "--password-stdin"], customer.password);
    psql(process.env.E2E_DATABASE_URL!, `INSERT INTO members (account_id, user_id, role)
      SELECT own.account_id, users.user_id, 'member' FROM (${own}) own, users WHERE email = $$${member}$$;
      INSERT INTO invitations (invitation_id, account_id, email, role, invited_by, token_hash, expires_at)
      SELECT gen_random_uuid(), account_id, $$${address(n)}$$, 'member', user_id, sha256(gen_random_uuid()::text::bytea), now() + interval '1 day'
      FROM (${own}) own`);
  }
  const renamed = address(customer.email.charCodeAt(0));
  psql(process.env.E2E_DATABASE_URL!, `UPDATE users SET email = $$${renamed}$$ WHERE email = '${customer.email}'`);
  customer.email = renamed;
}

/** Looks at all pages as whoever wrote on them. */
async function read(context: BrowserContext, customer: Customer, paths: string[], seen: Seen) {
  await context.clearCookies();
  // Not by the form: a browser takes no such address, and somebody who wants to does without.
  const sent = { form: { email: customer.email, password: customer.password }, headers: { "sec-fetch-site": "same-origin" } };
  expect((await context.request.post("/api/accounts/sign_in", sent)).ok()).toBe(true);
  const page = await context.newPage();
  for (const path of paths) await visit(page, seen, path);
  await page.close();
}

/** Buys a package of this name, billed to that name; the order's page. */
async function buy(page: Page, name: string): Promise<string> {
  toki(["package", "add", "--name", name, "--tokens", "1000", "--price", "500", "--currency", "usd", "--valid-for", "30d", "--refund-window", "7d"]);
  const sold = toki(["package", "list"]).packages.findLast((row: any) => row.name === name);
  await page.goto(`/products/${sold.package_id}/confirm`);
  await page.getByRole("button", { name: /^Pay/ }).click();
  await answerPayment(page, "Pay", "Paid");
  const path = new URL(page.url()).pathname;
  await page.goto(`${path}/receipt`);
  await page.getByLabel("Name or company").fill(name);
  await page.getByLabel("Address").fill(`${name}\n${name}`);
  await page.getByLabel("Tax number").fill(name.slice(0, 40));
  await page.getByRole("button", { name: "Save" }).click();
  await expect(page.getByRole("article").first()).toContainText(name);
  return path;
}
