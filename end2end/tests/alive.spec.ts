// What only a script adds: the palette, buttons that copy, and pages that follow what happens elsewhere.
import type { Page } from "@playwright/test";
import { expectNoViolations } from "../support/axe.ts";
import { expect, test } from "../support/fixtures.ts";

// What the test of switches has the server refuse, and the browser not reach.
const REFUSED = /set-status|status of 404 .*\/keys\//;
import { MODEL, PACKAGE, openai, toki } from "../support/server.ts";
import { answerPayment, createKey, exact, existingCustomer, orderPackage, signIn } from "../support/steps.ts";

/** What pages may do that a browser without a head does not let them. */
const CLIPBOARD = ["clipboard-read", "clipboard-write"];

/** What was copied last. */
const copied = (page: Page) => page.evaluate(() => navigator.clipboard.readText());

/** Opens the palette. A key that is pressed before the script is awake is lost. */
const openPalette = (page: Page) =>
  expect(async () => {
    await page.keyboard.press("Control+k");
    await expect(page.getByRole("dialog")).toBeVisible({ timeout: 500 });
  }).toPass();

test("the palette leads to pages and keys, and gives the focus back", async ({ page }) => {
  await signIn(page, existingCustomer());
  await createKey(page, "lantern");
  await page.goto("/dashboard");
  const products = page.getByRole("navigation").getByRole("link", { name: "Product Center" });
  await products.focus();

  const palette = page.getByRole("dialog");
  await openPalette(page);
  await page.keyboard.press("Escape");
  await expect(palette).toBeHidden();
  await expect(products).toBeFocused();

  for (const [typed, found, kind, path] of [
    ["wal", "Wallet", "Page", /\/wallet$/],
    ["lantern", "lantern", "API key", /\/keys\/[0-9a-f-]+$/],
  ] as const) {
    await openPalette(page);
    await page.keyboard.type(typed);
    // What was found for less has gone.
    await expect(palette.getByRole("link", { name: "Dashboard" })).toBeHidden();
    await expect(palette.getByRole("link", { name: found })).toBeVisible();
    await expect(palette.getByRole("link", { name: found }).getByText(kind, { exact: true })).toBeVisible();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await expect(page).toHaveURL(path);
  }
});

test("Enter leads to the first that the palette found, and to the search page while it does not know", async ({ page }) => {
  await signIn(page, existingCustomer());
  const [palette, found] = [page.getByRole("dialog"), page.locator(".palette-found")];
  // A place of the very page, above which the palette would stay.
  for (const [from, typed, to] of [["/dashboard", "wallet", /\/wallet$/], ["/models", MODEL, /\/models#sandbox\/echo$/]] as const) {
    await page.goto(from);
    await openPalette(page);
    await page.keyboard.type(typed);
    await expect(found).toHaveAttribute("aria-busy", "false");
    await page.keyboard.press("Enter");
    await expect(page).toHaveURL(to);
    await expect(palette).toBeHidden();
  }
  // What was found before is not what is asked for now.
  await page.goto("/dashboard");
  await openPalette(page);
  await expect(palette.getByRole("link", { name: "Dashboard" })).toBeVisible();
  await page.route(/\/search\?q=/, async (route) => {
    if (route.request().isNavigationRequest()) await route.continue();
  });
  await page.keyboard.type("keys");
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/search\?q=keys$/);
});

test("the palette has lines where its results are on their way", async ({ page }) => {
  await signIn(page, existingCustomer());
  let answer = () => {};
  const asked = new Promise<void>((resolve) => (answer = resolve));
  await page.route(/\/search\?q=/, async (route) => {
    await asked;
    await route.continue();
  });
  await page.goto("/dashboard");
  const [palette, found] = [page.getByRole("dialog"), page.locator(".palette-found")];
  await openPalette(page);
  await expect(found.locator(".skeleton")).toBeVisible();
  await expect(found.locator(".skeleton"), "nobody is read them").toHaveAttribute("aria-hidden", "true");
  await expect(found).toHaveAttribute("aria-busy", "true");
  const waiting = await found.evaluate((found) => found.scrollHeight);

  answer();
  await expect(palette.getByRole("link", { name: "Dashboard" })).toBeVisible();
  await expect(found.locator(".skeleton")).toHaveCount(0);
  await expect(found).toHaveAttribute("aria-busy", "false");
  const whole = await found.evaluate((found) => found.scrollHeight);
  expect(Math.abs(whole - waiting), "they take the room of what comes").toBeLessThanOrEqual(8);
});

test.describe("a palette that finds nothing out", () => {
  test.use({ expectedComplaint: /(ERR_FAILED|status of 50[23]) .*\/search\?q=/ });

  test("the palette says that the server cannot be reached, and that the session has ended", async ({ page, context }) => {
    await signIn(page, existingCustomer());
    await page.goto("/dashboard");
    const [palette, found] = [page.getByRole("dialog"), page.locator(".palette-found")];
    await page.route(/\/search\?q=/, (route) => route.abort(), { times: 1 });
    await openPalette(page);
    await expect(found).toHaveText(/^The server could not be reached\./);
    await expect(found).toHaveAttribute("aria-busy", "false");

    // A proxy's page, which has no list.
    const proxys = { status: 502, contentType: "text/html", body: "<h1>Bad gateway</h1>" };
    await page.route(/\/search\?q=/, (route) => route.fulfill(proxys), { times: 1 });
    // Waited for, since what is typed at once is looked up at once.
    const answer = page.waitForResponse(/\/search\?q=w$/);
    await page.keyboard.type("w");
    await answer;
    await expect(found).toHaveAttribute("aria-busy", "false");
    await expect(found).toHaveText(/^The server could not be reached\./);
    await page.keyboard.type("a");
    await expect(palette.getByRole("link", { name: "Wallet" })).toBeVisible();

    await context.clearCookies();
    await page.keyboard.type("l");
    await expect(found).toHaveText("Sign in to continue.");
  });
});

test("a button copies exactly what it stands for, says so for a moment, and says so too where the browser refuses", async ({ page, context }) => {
  await context.grantPermissions(CLIPBOARD);
  await signIn(page, existingCustomer());
  const secret = await createKey(page, "lantern");
  const button = page.getByRole("status").locator("[data-copy]");
  await expect(button).toHaveText("Copy the key");
  await button.click();
  await expect(button).toHaveText("Copied");
  // Once more before it has its own words again.
  await button.press("Enter");
  await expect(button).toHaveText("Copied");
  expect(await copied(page)).toBe(secret);
  await expect(button).toHaveText("Copy the key");

  // Code is copied from where it stands, with the spaces and lines that it has.
  await page.locator(".code-panel:visible").getByRole("button", { name: "Copy" }).click();
  const call = [
    /^curl http\S+\/v1\/chat\/completions \\$/,
    `  -H "Authorization: Bearer ${secret}" \\`,
    '  -H "Content-Type: application/json" \\',
    /^ {2}-d '\{"model": "[^"]+", "messages": \[\{"role": "user", "content": "Hello"\}\]\}'$/,
  ];
  await expect.poll(() => copied(page)).toContain("curl");
  const lines = (await copied(page)).split("\n");
  expect(lines).toEqual(call.map((line) => (typeof line === "string" ? line : expect.stringMatching(line))));

  await page.evaluate(() => {
    navigator.clipboard.writeText = () => Promise.reject(new Error("refused"));
  });
  await button.click();
  await expect(button).toHaveText("Not copied");
  await expect(button).toHaveText("Copy the key");
});

test("a visitor copies a model's id; over plain http no button is offered that could not", async ({ page, context }) => {
  await context.grantPermissions(CLIPBOARD);
  await page.goto("/models");
  const button = page.getByRole("row", { name: MODEL }).first().locator("[data-copy]");
  await button.click();
  await expect(button).toHaveText("Copied");
  expect(await copied(page)).toBe(MODEL);

  await page.addInitScript(() => {
    Object.defineProperty(window, "isSecureContext", { value: false });
  });
  await page.reload({ waitUntil: "networkidle" });
  await expect(page.locator("[data-copy]").first()).toBeHidden();
  await expect(page.locator("html")).not.toHaveAttribute("data-copies");
});

test("open pages follow a credit and a call by themselves", async ({ page }) => {
  const customer = existingCustomer();
  await signIn(page, customer);
  const secret = await createKey(page, "elsewhere");
  const listening = page.waitForResponse((response) => new URL(response.url()).pathname === "/live");
  await page.goto("/usage");
  await listening;
  await expect(page.getByText("No call yet")).toBeVisible();
  const filter = page.getByRole("button", { name: "Filter" });
  const file = page.getByRole("link", { name: "Download as CSV" });
  await expect(filter, "there is nothing to narrow").toBeHidden();
  await expect(file, "nor to download").toBeHidden();
  // Whoever reloads the page loses this.
  await page.evaluate(() => document.body.setAttribute("data-untouched", ""));

  toki(["account", "credit", "--email", customer.email, "--tokens", String(PACKAGE.tokens), "--valid-for", "30d"]);
  await expect(page.getByRole("link", { name: "Balance in Tokens" })).toContainText("1 M");
  const answer = await openai(secret).chat.completions.create({ model: MODEL, messages: [{ role: "user", content: "Hello" }] }).withResponse();
  await expect(page.getByText("No call yet")).toBeHidden();
  await expect(filter, "it comes with the totals").toBeVisible();
  await expect(file, "as does this").toBeVisible();
  await expect(page.getByRole("link", { name: "Last 7 days" })).toBeVisible();
  const charge = exact(Number(answer.response.headers.get("x-toki-charged-tokens")));
  const [totals, calls] = [page.locator("[data-live=totals]"), page.locator("[data-live=calls]")];
  await expect(totals.getByRole("row", { name: MODEL }).getByText(charge, { exact: true })).toBeVisible();
  await expect(calls.getByRole("heading", { name: "Calls", exact: true })).toBeVisible();
  const listed = calls.locator(".calls tbody tr");
  await expect(listed, "the list of a page that opened without any").toHaveCount(1);
  await expect(listed.getByText(charge, { exact: true }).first()).toBeVisible();
  await openai(secret).chat.completions.create({ model: MODEL, messages: [{ role: "user", content: "Hello again" }] });
  await expect(listed, "and one more").toHaveCount(2);
  await expect(page.locator("body")).toHaveAttribute("data-untouched", "");
});

test("an open dashboard ticks its steps and counts by itself", async ({ page }) => {
  const customer = existingCustomer();
  await signIn(page, customer);
  const secret = await createKey(page, "elsewhere");
  const listening = page.waitForResponse((response) => new URL(response.url()).pathname === "/live");
  await page.goto("/dashboard");
  await listening;
  const balance = page.locator(".balance .stat");
  const bought = page.locator(".checklist li").filter({ hasText: "Buy a package of Tokens" });
  await expect(balance).toHaveText(/^Balance in Tokens\s*0$/);
  await expect(bought).not.toHaveClass(/done/);
  await expect(page.getByText("No calls yet")).toBeVisible();
  await page.evaluate(() => document.body.setAttribute("data-untouched", ""));

  toki(["account", "credit", "--email", customer.email, "--tokens", String(PACKAGE.tokens), "--valid-for", "30d"]);
  await expect(balance).toContainText(exact(PACKAGE.tokens));
  await expect(bought).toHaveClass(/done/);
  await expect(bought).toContainText("(done)");

  const answer = await openai(secret).chat.completions.create({ model: MODEL, messages: [{ role: "user", content: "Hello" }] }).withResponse();
  const charge = Number(answer.response.headers.get("x-toki-charged-tokens"));
  await expect(balance).toContainText(exact(PACKAGE.tokens - charge));
  await expect(page.locator(".checklist"), "nothing is left to do").toHaveCount(0);
  await expect(page.locator(".stat").filter({ hasText: "Calls today" })).toContainText("1");
  const why = page.getByRole("row", { name: MODEL }).getByRole("link", { name: `Why ${exact(charge)} Tokens` });
  await expect(why).toBeVisible();
  await expect(page.locator("body")).toHaveAttribute("data-untouched", "");

  await why.click();
  await expect(page.getByText("Paid from:")).toBeVisible();
  // On a page that had nothing to copy when it came.
  await page.context().grantPermissions(CLIPBOARD);
  const copy = page.locator(".call-why [data-copy]");
  await copy.click();
  await expect(copy).toHaveText("Copied");
});

test("the list of orders and an open order follow a purchase; the order's status stays, for screen readers to say what changes in it", async ({ page, browser, baseURL }) => {
  const customer = existingCustomer();
  await signIn(page, customer);
  const context = await browser.newContext({ baseURL });
  const elsewhere = await context.newPage();
  await signIn(elsewhere, customer);
  const listening = page.waitForResponse((response) => new URL(response.url()).pathname === "/live");
  await page.goto("/orders");
  await listening;
  await expect(page.getByText("No orders yet")).toBeVisible();
  await orderPackage(elsewhere);
  const row = page.getByRole("row", { name: PACKAGE.name });
  await expect(row.getByText("Processing", { exact: true })).toBeVisible();

  await row.getByRole("link", { name: PACKAGE.name }).click();
  const status = page.locator("[data-live=order-state]");
  await expect(status).toHaveRole("status");
  await expect(status).toContainText("Processing");
  await expect(page.getByRole("link", { name: "Look again" })).toBeVisible();
  await status.evaluate((status) => status.setAttribute("data-untouched", ""));
  await answerPayment(elsewhere, "Pay", "Paid");
  await expect(status.getByText("Paid", { exact: true })).toBeVisible();
  await expect(status).toHaveAttribute("data-untouched", "");
  await expect(page.getByRole("link", { name: "Look again" }), "nothing is waited for").toHaveCount(0);
  await context.close();
});

test.describe("without a stream", () => {
  test.use({ expectedComplaint: /status of 503 .*\/live/ });

  test("a page that is refused the stream is read again and again, and follows the stream when there is one", async ({ page }) => {
    // Twice 15 s, besides what pages take.
    test.slow();
    const customer = existingCustomer();
    await page.route((url) => url.pathname === "/live", (route) => route.fulfill({ status: 503 }));
    await signIn(page, customer);
    const answer = (status: number) =>
      page.waitForResponse((response) => new URL(response.url()).pathname === "/live" && response.status() === status);
    const refused = answer(503);
    await page.goto("/usage");
    await refused;
    await page.evaluate(() => document.body.setAttribute("data-untouched", ""));
    const credit = () => toki(["account", "credit", "--email", customer.email, "--tokens", String(PACKAGE.tokens), "--valid-for", "30d"]);
    const balance = page.getByRole("link", { name: "Balance in Tokens" });
    credit();
    await expect(balance).toContainText("1 M", { timeout: 30_000 });

    const listening = answer(200);
    await page.unrouteAll();
    await listening;
    credit();
    await expect(balance).toContainText("2 M");
    await expect(page.locator("body")).toHaveAttribute("data-untouched", "");
  });
});

test.describe("switches", () => {
  test.use({ expectedComplaint: REFUSED });

  test("a switch turns at once, and back with a reason where the server refuses or cannot be reached", async ({ page }) => {
    await signIn(page, existingCustomer());
    await createKey(page, "lantern");
    const key = new URL(page.url()).pathname.split("/").at(-1)!;
    await page.goto("/keys", { waitUntil: "networkidle" });
    const lever = page.getByRole("switch", { name: "Enabled: lantern" });
    const row = page.getByRole("row").filter({ hasText: "lantern" });
    const toast = page.locator(".toast");
    await page.evaluate(() => document.body.setAttribute("data-untouched", ""));

    // The server has not even been asked when it has turned.
    let ask = () => {};
    await page.route("**/api/keys/set-status", async (route) => {
      await new Promise<void>((resolve) => (ask = resolve));
      await route.continue();
    }, { times: 1 });
    await lever.click();
    await expect(lever).toHaveAttribute("aria-checked", "false");
    await expect(row.getByText("Disabled", { exact: true })).toBeVisible();
    expect(toki(["key", "show", key]).status).toBe("enabled");
    ask();
    await expect.poll(() => toki(["key", "show", key]).status).toBe("disabled");
    await expect(lever).toHaveAttribute("aria-checked", "false");
    await expect(toast).toBeHidden();

    await page.route("**/api/keys/set-status", (route) => route.abort(), { times: 1 });
    await lever.click();
    await expect(toast).toContainText("The server could not be reached.");
    await expect(lever).toHaveAttribute("aria-checked", "false");
    await expectNoViolations(page, "a toast");

    // And it works again, on the key's page too, whose facts follow.
    await lever.click();
    await expect.poll(() => toki(["key", "show", key]).status).toBe("enabled");
    await expect(page.locator("body")).toHaveAttribute("data-untouched", "");
    await page.goto(`/keys/${key}`, { waitUntil: "networkidle" });
    await lever.click();
    await expect(page.locator("[data-live=facts]").getByText("Disabled")).toBeVisible();

    toki(["key", "delete", key]);
    await lever.click();
    await expect(toast).toContainText("This does not exist");
    await expect(lever).toHaveAttribute("aria-checked", "false");
  });
});

test.describe("in a browser that is in Tokyo", () => {
  test.use({ timezoneId: "Asia/Tokyo" });

  test("times are in UTC until local time is chosen, which stays chosen until UTC is", async ({ page }) => {
    const customer = existingCustomer();
    toki(["account", "credit", "--email", customer.email, "--tokens", "1000000", "--valid-for", "30d"]);
    await signIn(page, customer);
    await page.goto("/wallet");
    const times = page.getByRole("group", { name: "Times", exact: true });
    const [utc, tokyo, local] = ["UTC", "Tokyo", "Local time"].map((name) => times.getByRole("button", { name, exact: true }));
    const moment = page.getByRole("main").locator("time").first();
    const expectZone = async (timeZone: string, short: string) => {
      const at = new Date((await moment.getAttribute("datetime"))!);
      const clock = at.toLocaleTimeString("en-GB", { timeZone, hour: "2-digit", minute: "2-digit" });
      await expect(moment).toContainText(`${clock} ${short}`);
    };
    await expect(utc).toHaveAttribute("aria-pressed", "true");
    await expectZone("UTC", "UTC");

    await local.click();
    await expect(tokyo).toHaveAttribute("aria-pressed", "true");
    await expect(page, "the page that was read").toHaveURL(/\/wallet\??$/);
    await expectZone("Asia/Tokyo", "JST");
    await expect(local, "there is nothing left to change").toBeHidden();
    await page.reload();
    await expect(tokyo).toHaveAttribute("aria-pressed", "true");
    await expectZone("Asia/Tokyo", "JST");

    await utc.click();
    await expect(utc).toHaveAttribute("aria-pressed", "true");
    await expectZone("UTC", "UTC");
    await expect(local, "it can be chosen again").toBeVisible();
  });
});
