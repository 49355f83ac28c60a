// The style guide: every component in its states, measured by axe, by how its parts lie, and as pictures to look at; what opens without a
// script, and what charts say when they are pointed at or reached by keyboard.
import type { Locator, Page } from "@playwright/test";
import { expectNoViolations } from "../support/axe.ts";
import { expect, test } from "../support/fixtures.ts";
import { colours, faults, sideways, style, unfold } from "../support/looks.ts";

// The pictures and the report say more than a recording, which takes longer than the tests.
test.use({ trace: "off" });

// The guide is the largest page there is, and axe looks at all of it.
test.describe.configure({ timeout: 300_000 });

async function open(page: Page, width = 1280) {
  await page.setViewportSize({ width, height: 900 });
  await page.goto("/styleguide");
  await expect(page.getByRole("heading", { name: "Style guide", level: 1 })).toBeVisible();
}

/** The whole page, from its top: the guide's error has taken the focus, as errors do. */
async function picture(page: Page, name: string) {
  await page.evaluate(() => scrollTo(0, 0));
  await page.screenshot({ path: `screenshots-out/styleguide-${name}.png`, fullPage: true });
}

/** The dark half of the guide, and the light. */
const half = (page: Page, theme: "light" | "dark") => page.getByRole("region", { name: `In the ${theme} theme` });

for (const width of [360, 1280]) {
  test(`no component has a violation at ${width} px, in either theme`, async ({ page }) => {
    await open(page, width);
    await unfold(page);
    await expectNoViolations(page, `${width} px`);
    expect.soft(await sideways(page), `scrolls sideways at ${width} px`).toBeLessThanOrEqual(0);
    await unfold(page, false);
    for (const colorScheme of ["light", "dark"] as const) {
      await page.emulateMedia({ colorScheme });
      await picture(page, `${width}-${colorScheme}`);
    }
  });
}

/** More than a picture has that shows nothing; the edges of a few letters alone have more than these. */
const FEW_COLOURS = 8;

/** The bar of the page stays in sight, and would be in each picture. */
const hideBar = (page: Page) => page.locator(".topbar").evaluate((bar) => bar.setAttribute("hidden", ""));

for (const width of [360, 1280]) {
  for (const theme of ["light", "dark"] as const) {
    test(`every section is laid out soundly at ${width} px in the ${theme} theme, and shows something`, async ({ page }) => {
      await page.emulateMedia({ colorScheme: theme, reducedMotion: "reduce" });
      await open(page, width);
      await expect(page.locator("html"), "buttons that copy have come").toHaveAttribute("data-copies");
      await hideBar(page);
      // Those of its half of the guide, and those that are in the reader's theme.
      const sections = await page.locator(`.style-guide > section, [data-theme=${theme}] > section`).all();
      expect(sections.length, "sections").toBeGreaterThanOrEqual(11);
      const name = (section: Locator) => section.getAttribute("aria-label");
      for (const section of sections) expect.soft(await colours(section), `${await name(section)}, colours`).toBeGreaterThan(FEW_COLOURS);
      await unfold(page);
      for (const section of sections) expect.soft(await faults(section), `${await name(section)}, layout`).toEqual([]);
    });
  }
}

test("a section that is laid out badly is found, and one that shows nothing", async ({ page }) => {
  await open(page);
  await hideBar(page);
  const section = half(page, "light").getByRole("region", { name: "Buttons and badges" });
  expect(await faults(section)).toEqual([]);
  await section.evaluate((section) => {
    const [wide, left, over, small] = Array.from(section.querySelectorAll<HTMLElement>(".button"));
    wide.style.minWidth = "2000px";
    left.style.marginLeft = "-40px";
    over.style.marginLeft = "-60px";
    Object.assign(small.style, { height: "16px", minHeight: "0" });
    Object.assign(section.querySelector("h2")!.style, { width: "20px", overflow: "hidden", whiteSpace: "nowrap" });
  });
  const found = (await faults(section)).join("\n");
  const overlap = "“Button” and button.button button-quiet “Quiet” overlap";
  for (const fault of ["section overflows", "“Button” begins left", overlap, "badges” is cut off", "“Danger” is only"]) {
    expect(found).toContain(fault);
  }
  await section.evaluate((section) => {
    section.querySelectorAll<HTMLElement>("*").forEach((part) => (part.style.visibility = "hidden"));
  });
  expect(await colours(section)).toBeLessThanOrEqual(FEW_COLOURS);
});

test("no component has a violation in Chinese", async ({ page }) => {
  await page.context().addCookies([{ name: "language", value: "zh-Hans", url: process.env.E2E_URL! }]);
  await open(page, 1440);
  await expect(page.getByText("以表格查看").first()).toBeVisible();
  await expectNoViolations(page, "in Chinese");
  await picture(page, "1440-zh");
});

test("dialogs, drawers, the palette and menus open, are named, and give the focus back", async ({ page }) => {
  await open(page);
  for (const theme of ["light", "dark"] as const) {
    const openers = { "Open the dialog": "Delete Support bot?", "Open the drawer": "Call 0192f3", "Open the palette": "Search" };
    Object.assign(openers, { "Open the question": "Remove bob@example.com?", "Open the harmless question": "Role of bob@example.com" });
    for (const [button, dialog] of Object.entries(openers)) {
      const opener = half(page, theme).getByRole("button", { name: button, exact: true });
      await opener.click();
      await expect(page.getByRole("dialog", { name: dialog })).toBeVisible();
      await expectNoViolations(page, `${dialog}, in the ${theme} half`, "dialog:open");
      await page.screenshot({ path: `screenshots-out/styleguide-${button.replace("Open the ", "").replace(" ", "-")}-${theme}.png` });
      await page.keyboard.press("Escape");
      await expect(page.getByRole("dialog", { name: dialog })).toBeHidden();
      await expect(opener).toBeFocused();
    }
    const more = half(page, theme).getByRole("button", { name: "More for Support bot" });
    await more.click();
    await expect(page.getByRole("group", { name: "More for Support bot" })).toBeVisible();
    await expectNoViolations(page, `the menu, in the ${theme} half`, ".menu:popover-open");
    await page.screenshot({ path: `screenshots-out/styleguide-menu-${theme}.png` });
    await page.keyboard.press("Escape");
    await expect(page.getByRole("group", { name: "More for Support bot" })).toBeHidden();
  }
});

test("every kind of field is there, as it is and as it is when something is wrong with it", async ({ page }) => {
  await open(page);
  for (const theme of ["light", "dark"] as const) {
    const fields = half(page, theme).getByRole("region", { name: "Fields" });
    for (const kind of ["textarea", "select", "[type=password]", "[type=date]", ".long-code"]) {
      const wrong = fields.locator(`${kind}[aria-invalid=true]`);
      await expect(fields.locator(`${kind}:not([aria-invalid])`).first(), kind).toBeVisible();
      await expect(wrong.first(), kind).toBeVisible();
      const said = (await wrong.first().getAttribute("aria-describedby"))!.split(" ").at(-1);
      await expect(page.locator(`#${said}`), kind).toHaveText(/\.$/);
    }
  }
  const ids = await page.locator("[id]").evaluateAll((all) => all.map((one) => one.id));
  expect(ids.filter((id, place) => ids.indexOf(id) < place), "ids that two things have").toEqual([]);

  const password = page.locator("#light-password");
  await password.fill("correct horse battery");
  await half(page, "light").getByRole("button", { name: "Show password" }).first().click();
  await expect(password).toHaveAttribute("type", "text");
  await expect(page.locator("#dark-password"), "the other half has its own").toHaveAttribute("type", "password");
});

test("code is copied here too, where no frame is around the page", async ({ page, context }) => {
  await context.grantPermissions(["clipboard-write"]);
  await open(page);
  for (const code of [".snippet", ".code-panel:visible"]) {
    const copy = half(page, "dark").locator(`${code} [data-copy]`);
    await copy.click();
    await expect(copy).toHaveText("Copied");
  }
});

test("a tab shows its code and no other, in its own half of the page", async ({ page }) => {
  await open(page);
  const [dark, light] = (["dark", "light"] as const).map((theme) => half(page, theme).getByRole("group", { name: "Programs" }));
  const shown = (tabs: Locator, name: string) => tabs.getByRole("region", { name: `Example: ${name}` });
  await dark.getByText("Python", { exact: true }).click();
  await expect(shown(dark, "Python")).toBeVisible();
  await expect(shown(dark, "curl")).toBeHidden();
  await expect(shown(light, "curl"), "the other half has its own").toBeVisible();
  await dark.getByRole("radio", { name: "Python" }).press("ArrowRight");
  await expect(dark.getByText("No model of this key answers", { exact: false })).toBeVisible();
  await expectNoViolations(page, "a tab without code", ".code-tabs");
});

test("a chart says the values of the column that is pointed at or has the focus", async ({ page }) => {
  await open(page);
  const chart = page.getByRole("group", { name: "Tokens by model: 31 days, six models" });
  const column = chart.getByRole("img", { name: /^24 Dec 2026: [\d,]+ Tokens; / });
  const readout = column.locator(".chart-readout");
  await expect(readout).toBeHidden();
  await column.hover();
  await expect(readout).toBeVisible();
  for (const value of await chart.locator(".chart-label b").all()) await expect(value).toBeHidden();
  // Each value stands at its name.
  await expectBesideEachOther(chart, column);
  await chart.screenshot({ path: "screenshots-out/chart-hover.png" });
  await page.mouse.move(0, 0);
  await expect(readout).toBeHidden();
  await column.focus();
  await expect(readout).toBeVisible();

  const linked = half(page, "light").getByRole("group", { name: "Tokens of the last 7 days by model" });
  const day = linked.getByRole("group", { name: /^31 Dec 2026: / });
  const finer = day.getByRole("link", { name: "Open 31 Dec 2026" });
  await expect(finer).toBeHidden();
  await day.focus();
  await page.keyboard.press("Tab");
  await expect(finer).toBeFocused();
  await expect(day.locator(".chart-readout")).toBeVisible();
  await linked.getByText("As a table").click();
  await expect(linked.getByRole("row", { name: /^31 Dec 2026/ })).toBeVisible();
});

/** Every value of the column that is looked at is in the line of a name. */
async function expectBesideEachOther(chart: Locator, column: Locator) {
  const [names, values] = await Promise.all([middles(chart.locator(".chart-name")), middles(column.locator(".chart-readout > b"))]);
  expect(values.length).toBe(names.length);
  for (const [place, value] of values.entries()) expect(Math.abs(value - names[place]), `value ${place}`).toBeLessThan(2);
}

function middles(things: Locator): Promise<number[]> {
  return things.evaluateAll((all) => all.map((thing) => thing.getBoundingClientRect()).map(({ top, bottom }) => (top + bottom) / 2));
}

const CHARTS = ["31 days, six models", "The last day has just begun", "Small parts", "90 days", "One day"];

test("the parts of a chart are named beside it, none over another", async ({ page }) => {
  await open(page);
  for (const name of CHARTS) {
    const chart = page.getByRole("group", { name: `Tokens by model: ${name}` });
    const plot = (await chart.locator(".chart-plot > svg").boundingBox())!;
    const names = chart.locator(".chart-names li");
    const boxes = await names.evaluateAll((all) => all.map((name) => name.getBoundingClientRect().toJSON() as DOMRect));
    expect(boxes.length, name).toBeGreaterThan(1);
    for (const [place, { x, top, bottom }] of boxes.entries()) {
      expect(x, `${name}: right of the plot`).toBeGreaterThanOrEqual(plot.x + plot.width);
      expect(top, `${name}: below the one above`).toBeGreaterThanOrEqual(place === 0 ? plot.y - 1 : boxes[place - 1].bottom - 1);
      expect(bottom, `${name}: above the base`).toBeLessThanOrEqual(plot.y + plot.height + 1);
    }
    // A name that is cut is in its tooltip.
    for (const label of await chart.locator(".chart-name").all()) await expect(label).toHaveAttribute("title", (await label.textContent())!);
  }
  const small = page.getByRole("group", { name: "Tokens by model: Small parts" });
  await expect(small.locator(".chart-names .chart-lead")).toBeVisible();
  await small.screenshot({ path: "screenshots-out/chart-small-parts.png" });
});

test("on a phone the parts of a chart are named right below it, and values stand at the names", async ({ page }) => {
  await open(page, 360);
  const chart = page.getByRole("group", { name: "Tokens by model: 31 days, six models" });
  const plot = (await chart.locator(".chart-plot").boundingBox())!;
  const names = await middles(chart.locator(".chart-names li"));
  expect(names.length).toBe(5);
  expect(names[0] - (plot.y + plot.height), "close to it").toBeLessThan(40);
  expect(names[0]).toBeGreaterThan(plot.y + plot.height);
  expect([...names].sort((a, b) => a - b), "one below another").toEqual(names);
  await expect(chart.locator(".chart-lead").first()).toBeHidden();
  const column = chart.getByRole("img", { name: /^24 Dec 2026: [\d,]+ Tokens; / });
  await column.focus();
  await expect(column.locator(".chart-readout")).toBeVisible();
  await expectBesideEachOther(chart, column);
  await chart.screenshot({ path: "screenshots-out/chart-phone.png" });
});

test("a line is named at its end, and what is expected where it leads", async ({ page }) => {
  await open(page);
  const chart = page.getByRole("group", { name: /^Balance of the last 21 days/ });
  const plot = (await chart.locator(".chart-plot > svg").boundingBox())!;
  const dot = await chart.locator(".chart-dot").evaluate((dot) => {
    const { left, right, top, bottom } = dot.getBoundingClientRect();
    return { x: (left + right) / 2, y: (top + bottom) / 2 };
  });
  const name = await chart.locator(".chart-end").evaluate((end) => {
    const text = document.createRange();
    text.selectNodeContents(end);
    return text.getBoundingClientRect().toJSON() as DOMRect;
  });
  expect(Math.abs(name.right - dot.x), "ends where the line does").toBeLessThan(6);
  expect(name.left).toBeGreaterThan(plot.x);
  const away = Math.min(Math.abs(name.top - dot.y), Math.abs(name.bottom - dot.y));
  expect(away, "close to its end").toBeLessThan(16);
  await expect(chart.locator(".chart-names li")).toHaveText(["At most", "Forecast", "At least"]);
});

test("in forced colours the system's own tell what is on, what is chosen, and where a bar is", async ({ page }) => {
  await page.emulateMedia({ forcedColors: "active" });
  await open(page);
  const light = half(page, "light");
  const [on, off] = ["Low balance", "Every purchase"].map((name) => light.getByRole("switch", { name }));
  expect(await style(on, "background-color")).not.toBe(await style(off, "background-color"));
  const [turned, unturned] = [true, false].map((on) => light.locator(`.switch-form > [aria-checked="${on}"]`));
  expect(await style(turned, "background-color", "::before")).not.toBe(await style(unturned, "background-color", "::before"));
  const tabs = light.getByRole("navigation", { name: "Views of the key" });
  const [here, elsewhere] = ["Calls", "Limits"].map((name) => tabs.getByRole("link", { name }));
  expect(await style(here, "border-bottom-color")).not.toBe(await style(elsewhere, "border-bottom-color"));
  expect(await style(light.locator("progress").first(), "border-top-style")).toBe("solid");
  const chart = page.getByRole("group", { name: "Tokens by model: 31 days, six models" });
  const [swatch, other] = [0, 1].map((place) => chart.locator(".chart-names .chart-swatch").nth(place));
  expect(await style(swatch, "background-color")).not.toBe(await style(other, "background-color"));
  await page.screenshot({ path: "screenshots-out/styleguide-forced-colours.png", fullPage: true });
});

test("switches turn by moving, and at once for who wants no motion", async ({ page }) => {
  await open(page);
  const lever = half(page, "light").getByRole("switch", { name: "Low balance" });
  expect(await style(lever, "transition-property", "::after")).toBe("translate");
  await page.emulateMedia({ reducedMotion: "reduce" });
  expect(await style(lever, "transition-property", "::after")).toBe("none");
});

test("on a phone a row is a card: its name, then its state beside its number", async ({ page }) => {
  await open(page, 360);
  const card = half(page, "light").locator("tbody tr", { hasText: "Support bot" });
  const box = async (part: string) => (await card.locator(part).boundingBox())!;
  const [name, state, number] = [await box("th"), await box("td:has(.badge)"), await box("td.number")];
  expect(name.y + name.height).toBeLessThanOrEqual(state.y);
  expect(Math.abs(state.y - number.y)).toBeLessThan(1);
  expect(state.x + state.width).toBeLessThanOrEqual(number.x);
});
