// The server under test, from outside the browser: its command line, its database, its gateway.
import { execFileSync } from "node:child_process";
import OpenAI from "openai";

/** The package on sale. */
export const PACKAGE = { name: "Starter", tokens: 1_000_000, price: 500 };

/** A model of the sandbox supplier; it answers with what it was sent. */
export const MODEL = "sandbox/echo";

export function psql(url: string, sql: string) {
  execFileSync("psql", [url, "-XqAt", "-v", "ON_ERROR_STOP=1", "-c", sql], { stdio: ["ignore", "pipe", "inherit"] });
}

/** What a question to the database of the tests is answered, as text. */
export function query(sql: string): string {
  return execFileSync("psql", [process.env.E2E_DATABASE_URL!, "-XqAt", "-v", "ON_ERROR_STOP=1", "-c", sql], { encoding: "utf8" }).trimEnd();
}

/** Runs a `toki` command against the database of the tests; its reply, parsed. */
export function toki(args: string[], input = ""): any {
  const { bin, options } = toki.invocation();
  const reply = execFileSync(bin, [...args, "--json"], { ...options, input, encoding: "utf8" });
  return reply.trim() ? JSON.parse(reply) : undefined;
}

toki.invocation = () => {
  const ours = Object.entries(process.env).filter(([name]) => !/^(TOKI_|STRIPE_|SMTP_)/.test(name));
  const env = {
    ...Object.fromEntries(ours),
    DATABASE_URL: process.env.E2E_DATABASE_URL,
    // One key for the server and every command; any 32 bytes will do.
    TOKI_SECRET_KEY: Buffer.alloc(32, 7).toString("base64"),
  };
  return { bin: process.env.TOKI_BIN!, options: { env, cwd: process.env.E2E_HOME } };
};

/** A client as customers use it, without retries that would hide a failure. */
export function openai(secret: string): OpenAI {
  return new OpenAI({ apiKey: secret, baseURL: `${process.env.E2E_URL}/v1`, maxRetries: 0 });
}
