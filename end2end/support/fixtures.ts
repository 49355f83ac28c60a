// `test` for every spec: knows the server's address, and fails a test whose browser complained about anything.
import { test as base } from "@playwright/test";

type Options = {
  /** What the browser may complain about in this test, such as the 401 of a wrong password. */
  expectedComplaint: RegExp;
};

const NOTHING = /(?!)/;

export const test = base.extend<Options>({
  baseURL: async ({}, use) => use(process.env.E2E_URL),

  expectedComplaint: [NOTHING, { option: true }],

  page: async ({ page, expectedComplaint }, use) => {
    const complaints: string[] = [];
    page.on("pageerror", (error) => complaints.push(`uncaught: ${error.stack ?? error.message}`));
    // Violations of the content security policy and panics of the WebAssembly arrive as console errors.
    page.on("console", (message) => {
      if (message.type() === "error") complaints.push(`${message.text()} (${message.location().url})`);
    });
    await use(page);
    const unexpected = complaints.filter((complaint) => !expectedComplaint.test(complaint));
    if (unexpected.length > 0) throw new Error(`The browser complained:\n  ${unexpected.join("\n  ")}`);
  },
});

export { expect } from "@playwright/test";
