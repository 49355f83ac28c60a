// What pages look like where that is a promise: codes are seen whole, what belongs together stands in a line, words are not broken.
import type { Page } from "@playwright/test";
import { expect, test } from "../support/fixtures.ts";
import { sideways, standsOut } from "../support/looks.ts";
import { openai, toki } from "../support/server.ts";
import { existingCustomer, makeCode, signIn } from "../support/steps.ts";

const WIDTHS = [360, 1280];

for (const width of WIDTHS) {
  test(`a code is seen whole where it is typed, at ${width} px`, async ({ page }) => {
    await page.setViewportSize({ width, height: 800 });
    await signIn(page, existingCustomer());
    const { code } = makeCode(["--tokens", "1000"]);
    await page.goto("/products");
    const confirm = await page.getByRole("link", { name: "Choose" }).first().getAttribute("href");
    for (const path of ["/wallet", confirm!]) {
      await page.goto(path);
      const fold = page.locator("details", { hasText: "Have a promotion code?" }).locator("summary");
      if (await fold.isVisible()) await fold.click();
      const field = page.getByLabel("Code", { exact: true });
      await field.fill(code);
      const beyond = await field.evaluate((field) => field.scrollWidth - field.clientWidth);
      expect(beyond, `${path}: ${code}`).toBeLessThanOrEqual(0);
      expect(await sideways(page), path).toBeLessThanOrEqual(0);
    }
  });
}

test("a search stands in one line with its button, and the wallet's cards leave no column empty", async ({ page }) => {
  await signIn(page, existingCustomer());
  for (const path of ["/models", "/models?q=echo", "/search"]) {
    for (const width of WIDTHS) {
      await page.setViewportSize({ width, height: 800 });
      await page.goto(path);
      const form = page.getByRole("main").locator("form:has([type=search])");
      const field = (await form.getByRole("searchbox").boundingBox())!;
      for (const button of await form.locator(".button").all()) {
        const { x, y } = (await button.boundingBox())!;
        expect(y, `${path}, ${width} px`).toBe(field.y);
        expect(x, `${path}, ${width} px`).toBeGreaterThanOrEqual(field.x + field.width);
      }
      expect(field.width, `${path}, ${width} px`).toBeLessThanOrEqual(720);
      expect(await sideways(page), `${path}, ${width} px`).toBeLessThanOrEqual(0);
    }
  }
  await page.goto("/wallet");
  const cards = page.locator("[data-live=wallet-standing]");
  const [all, last] = [(await cards.boundingBox())!, (await cards.locator("> .card").last().boundingBox())!];
  expect(Math.abs(all.x + all.width - (last.x + last.width)), "the last card ends where the row does").toBeLessThanOrEqual(1);
});

test("what is said of a key's quota stays in its column, little that is left in words too", async ({ page }) => {
  const customer = existingCustomer();
  const { email } = customer;
  await signIn(page, customer);
  toki(["account", "credit", "--email", email, "--tokens", "5000000"]);
  for (const left of [0.05, 0.25]) {
    const key = toki(["key", "create", "--email", email, "--name", `Reports of the night, ${left}`]);
    const question = { model: "sandbox/echo", messages: [{ role: "user" as const, content: "What happened? ".repeat(20_000) }] };
    const { response } = await openai(key.secret).chat.completions.create(question).withResponse();
    const charged = Number(response.headers.get("x-toki-charged-tokens"));
    toki(["key", "edit", key.key_id, "--quota", `${Math.round(charged / (1 - left))}`]);
  }
  await page.goto("/keys");
  for (const words of ["30 % or less left", "10 % or less left"]) await expect(page.getByText(words)).toBeVisible();
  for (const width of [721, 900, 1100, 1280, 1440]) {
    await page.setViewportSize({ width, height: 800 });
    expect(await standsOut(page), `${width} px`).toEqual([]);
  }
});

test("every list to choose from looks the same, whichever page it is on", async ({ page }) => {
  await signIn(page, existingCustomer());
  const looks = new Set<string>();
  for (const path of ["/keys", "/settings", "/settings/members", "/settings/log"]) {
    await page.goto(path);
    const lists = await page.locator("main select").evaluateAll((lists) => {
      const styles = lists.map((list) => getComputedStyle(list));
      return styles.map((style) => [style.appearance, style.backgroundImage, style.paddingRight].join("; "));
    });
    expect(lists.length, path).toBeGreaterThan(0);
    for (const look of lists) looks.add(look);
  }
  expect([...looks]).toEqual([expect.stringMatching(/^none; linear-gradient/)]);
});

test("the headline has each of its words in one line, in Chinese too, where no space ends them", async ({ page }) => {
  const headlines = {
    en: ["One", "wallet", "Tokens", "every", "model"],
    "zh-Hans": ["一个", "Token", "钱包", "调用", "所有", "模型"],
  };
  for (const [language, words] of Object.entries(headlines)) {
    await page.context().addCookies([{ name: "language", value: language, url: process.env.E2E_URL! }]);
    await page.goto("/");
    for (const width of [320, 360, 480, 768, 1280]) {
      await page.setViewportSize({ width, height: 800 });
      expect(await brokenWords(page, words), `${language}, ${width} px`).toEqual([]);
      expect(await sideways(page), `${language}, ${width} px`).toBeLessThanOrEqual(0);
    }
  }
});

/** Those of the words that the headline does not have in one line. */
function brokenWords(page: Page, words: string[]): Promise<string[]> {
  return page.getByRole("heading", { level: 1 }).evaluate((heading, words) => {
    const inOneLine = (word: string) => {
      const texts = document.createTreeWalker(heading, NodeFilter.SHOW_TEXT);
      while (texts.nextNode()) {
        const [text, place] = [texts.currentNode, texts.currentNode.textContent!.indexOf(word)];
        if (place < 0) continue;
        const range = document.createRange();
        range.setStart(text, place);
        range.setEnd(text, place + word.length);
        const lines = Array.from(range.getClientRects(), ({ top }) => top);
        return Math.max(...lines) - Math.min(...lines) < 1;
      }
      return false;
    };
    return words.filter((word) => !inOneLine(word));
  }, words);
}
