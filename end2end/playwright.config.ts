import { existsSync } from "node:fs";
import { defineConfig, devices } from "@playwright/test";

// The system's Chromium: a browser of Playwright's own would be another download, and none that the system keeps safe.
export const executablePath = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find((path) => existsSync(path));

// Every spec runs twice: with the page taken over by WebAssembly, and as a browser without JavaScript has it.
export default defineConfig({
  testDir: "tests",
  globalSetup: "./global-setup.ts",
  // Pictures and figures are made when they are asked for.
  testIgnore: [...(process.env.PICTURES ? [] : ["pictures.spec.ts"]), ...(process.env.FIGURES ? [] : ["figures.spec.ts"])],
  fullyParallel: true,
  workers: 2,
  forbidOnly: true,
  retries: 0,
  timeout: 60_000,
  expect: { timeout: 10_000 },
  reporter: [["list"]],
  use: {
    ...devices["Desktop Chrome"],
    trace: "retain-on-failure",
    launchOptions: {
      executablePath,
      args: [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
      ],
    },
  },
  projects: [
    { name: "js", use: { javaScriptEnabled: true } },
    { name: "nojs", use: { javaScriptEnabled: false }, testIgnore: ["pictures.spec.ts", "figures.spec.ts", "access.spec.ts", "alive.spec.ts", "screens.spec.ts", "a11y.spec.ts", "style_guide.spec.ts", "other_sites.spec.ts", "scripts_in_texts.spec.ts", "layout.spec.ts"] },
  ],
});
