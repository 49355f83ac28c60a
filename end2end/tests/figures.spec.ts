// What the console costs its readers, against its bars: `make lighthouse` runs this; it is slow, and the others leave it out. Lighthouse is
// a phone on a slow line; the server's own time is asked for without a browser, one page at a time.
import { Agent, get } from "node:http";
import { createServer, type AddressInfo } from "node:net";
import { chromium, type Page } from "@playwright/test";
import lighthouse, { type Flags } from "lighthouse";
import { executablePath } from "../playwright.config.ts";
import { expect, test } from "../support/fixtures.ts";
import { repeatBefore, spreadOverWeeks } from "../support/past.ts";
import { MODEL, toki } from "../support/server.ts";
import { answerPayment, createKey, existingCustomer, orderPackage, signIn } from "../support/steps.ts";

const CALLS = 10_000;
/** As many more, older ones: `CALLS_BEFORE=10000000 make lighthouse` shows whether pages still read no more than they show. */
const CALLS_BEFORE = Number(process.env.CALLS_BEFORE ?? 0);
/** How often each page is rendered, and how often before that: Postgres plans a statement anew five times on each of ten connections. */
const ROUNDS = 300;
const BEFORE = 60;
/** 95 of 100 times, in times of `/healthz`. */
const MOST_TIMES_HEALTHZ = 10;
const LIGHTHOUSE_RUNS = 3;

/** A customer whose wallet, key and weeks are full; the cookie of their session, and the pages that they have of their own. */
async function busyCustomer(page: Page) {
  const customer = existingCustomer();
  await signIn(page, customer);
  await orderPackage(page);
  await answerPayment(page, "Pay", "Paid");
  const order = new URL(page.url()).pathname;
  toki(["account", "credit", "--email", customer.email, "--tokens", "1000000000", "--valid-for", "30d"]);
  const secret = await createKey(page, "Nightly reports");
  const key = new URL(page.url()).pathname;
  const body = JSON.stringify({ model: MODEL, messages: [{ role: "user", content: "A question that somebody asked." }] });
  const headers = { authorization: `Bearer ${secret}`, "content-type": "application/json" };
  let left = CALLS;
  const caller = async () => {
    while (left-- > 0) {
      const answer = await fetch(`${process.env.E2E_URL}/v1/chat/completions`, { method: "POST", headers, body });
      expect(answer.status).toBe(200);
      await answer.text();
    }
  };
  await Promise.all(Array.from({ length: 32 }, caller));
  spreadOverWeeks(customer.email);
  if (CALLS_BEFORE > 0) repeatBefore(customer.email, CALLS_BEFORE);
  await page.goto("/products");
  const confirm = (await page.getByRole("link", { name: "Choose" }).first().getAttribute("href"))!;
  const session = (await page.context().cookies()).map(({ name, value }) => `${name}=${value}`).join("; ");
  return { session, order, key, confirm };
}

function median(figures: number[]): number {
  return [...figures].sort((a, b) => a - b)[Math.floor(figures.length / 2)];
}

/** The time that 95 of 100 take no longer than. */
function p95(figures: number[]): number {
  return [...figures].sort((a, b) => a - b)[Math.ceil(figures.length * 0.95) - 1];
}

const connection = new Agent({ keepAlive: true, maxSockets: 1 });

/** Milliseconds until the whole answer is here. */
function timeOf(path: string, cookie: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const began = process.hrtime.bigint();
    const headers = { accept: "text/html", ...(cookie ? { cookie } : {}) };
    get(process.env.E2E_URL + path, { agent: connection, headers }, (answer) => {
      answer.on("error", reject).on("data", () => {});
      answer.on("end", () =>
        answer.statusCode === 200 ? resolve(Number(process.hrtime.bigint() - began) / 1e6) : reject(new Error(`${path}: ${answer.statusCode}`)),
      );
    }).on("error", reject);
  });
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** What Lighthouse's mobile preset says of a page, and which of its checks it fails. */
async function judge(path: string, cookie: string) {
  const port = await freePort();
  const browser = await chromium.launch({ executablePath, args: [`--remote-debugging-port=${port}`, "--no-sandbox", "--disable-gpu"] });
  const flags: Flags = { port, logLevel: "error", extraHeaders: cookie ? { Cookie: cookie } : undefined };
  flags.onlyCategories = ["performance", "accessibility", "best-practices", "seo"];
  const result = await lighthouse(process.env.E2E_URL + path, flags);
  await browser.close();
  const { categories, audits } = result!.lhr;
  const score = (name: string) => Math.round((categories[name].score ?? 0) * 100);
  const figure = (name: string) => audits[name].numericValue ?? Number.NaN;
  const failed = ["accessibility", "best-practices", "seo"].flatMap((name) =>
    categories[name].auditRefs.filter(({ id, weight }) => weight > 0 && (audits[id].score ?? 1) < 1).map(({ id }) => id),
  );
  return {
    performance: score("performance"),
    accessibility: score("accessibility"),
    practices: score("best-practices"),
    seo: score("seo"),
    lcp: figure("largest-contentful-paint"),
    tbt: figure("total-blocking-time"),
    cls: figure("cumulative-layout-shift"),
    failed,
  };
}

test("the console is fast", async ({ page }) => {
  test.setTimeout(1_800_000);
  const { session, order, key, confirm } = await busyCustomer(page);

  // The browser has no part in what follows, and an open page would go on reading what changes.
  await page.goto("about:blank");
  const pages: [path: string, cookie: string][] = [
    ...["/", "/sign-in", "/sign-up", "/forgot-password", "/products", "/models", "/docs", "/docs/endpoints"].map((path): [string, string] => [path, ""]),
    ...["/dashboard", "/products", confirm, "/orders", order, `${order}/receipt`, "/wallet", "/keys", key, "/usage", "/usage?group=key", "/models"].map((path): [string, string] => [path, session]),
    ...["/settings", "/settings/two-factor", "/settings/members", "/settings/log", "/search?q=reports"].map((path): [string, string] => [path, session]),
  ];
  const alive: number[] = [];
  const times = pages.map((): number[] => []);
  for (let round = -BEFORE; round < ROUNDS; round++) {
    for (const [place, [path, cookie]] of pages.entries()) {
      const [healthz, rendered] = [await timeOf("/healthz", ""), await timeOf(path, cookie)];
      // The first rounds warm everything up.
      if (round < 0) continue;
      alive.push(healthz);
      times[place].push(rendered);
    }
  }
  console.log(`\n/healthz, p95 of ${alive.length}: ${p95(alive).toFixed(2)} ms, median ${median(alive).toFixed(2)} ms`);
  for (const [place, [path, cookie]] of pages.entries()) {
    const ratio = p95(times[place]) / p95(alive);
    const who = cookie ? "customer" : "visitor";
    const shown = path.replace(/[0-9a-f-]{36}/, ":id");
    console.log(`${shown.padEnd(28)} ${who}  p95 ${p95(times[place]).toFixed(1)} ms, median ${median(times[place]).toFixed(1)} ms  ${ratio.toFixed(1)} × /healthz`);
    expect.soft(ratio, `${path} beside /healthz`).toBeLessThanOrEqual(MOST_TIMES_HEALTHZ);
  }

  // To search engines these are open that a visitor may read (`public/robots.txt`).
  for (const [path, cookie, performance, isPublic] of [
    ["/sign-in", "", 98, false],
    ["/products", "", 98, true],
    ["/", "", 95, true],
    ["/docs", "", 95, true],
    ["/sign-up", "", 95, true],
    ["/dashboard", session, 95, false],
    ["/usage", session, 95, false],
  ] as const) {
    const runs: Awaited<ReturnType<typeof judge>>[] = [];
    for (let run = 0; run < LIGHTHOUSE_RUNS; run++) runs.push(await judge(path, cookie));
    const middle = (name: Exclude<keyof (typeof runs)[0], "failed">) => median(runs.map((run) => run[name]));
    const { failed } = runs[0];
    console.log(
      `${path}: performance ${middle("performance")}, accessibility ${middle("accessibility")}, best practices ${middle("practices")}, SEO ${middle("seo")}; ` +
        `LCP ${(middle("lcp") / 1000).toFixed(2)} s, TBT ${middle("tbt").toFixed(0)} ms, CLS ${middle("cls").toFixed(3)}${failed.length > 0 ? `; fails ${failed.join(", ")}` : ""}`,
    );
    expect.soft(middle("performance"), `${path}, performance`).toBeGreaterThanOrEqual(performance);
    expect.soft(middle("accessibility"), `${path}, accessibility`).toBe(100);
    expect.soft(middle("practices"), `${path}, best practices`).toBe(100);
    if (isPublic) expect.soft(middle("seo"), `${path}, SEO`).toBeGreaterThanOrEqual(95);
    expect.soft(middle("lcp"), `${path}, LCP in ms`).toBeLessThanOrEqual(1_500);
    expect.soft(middle("tbt"), `${path}, TBT in ms`).toBeLessThanOrEqual(150);
    expect.soft(middle("cls"), `${path}, CLS`).toBeLessThanOrEqual(0.02);
  }
});
