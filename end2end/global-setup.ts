// Starts the server that all specs talk to, on a port and a database of its own, and takes both away afterwards.
//
// Needs DATABASE_URL (a cluster where databases may be made) and TOKI_BIN; scripts/e2e.sh sets both.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { once } from "node:events";
import { PACKAGE, psql, toki } from "./support/server.ts";

export default async function setup() {
  const cluster = new URL(required("DATABASE_URL"));
  required("TOKI_BIN");
  const database = `toki_e2e_${process.pid}`;
  // What the server keeps in its working directory (a secret key, mails) goes with it.
  const home = mkdtempSync(join(tmpdir(), "toki-e2e-"));
  psql(cluster.href, `CREATE DATABASE ${database}`);
  const own = new URL(cluster);
  own.pathname = `/${database}`;
  // Read by the workers, which Playwright starts after this.
  process.env.E2E_DATABASE_URL = own.href;
  process.env.E2E_HOME = home;

  let server: ChildProcess | undefined;
  const teardown = async () => {
    if (server) await stop(server);
    psql(cluster.href, `DROP DATABASE IF EXISTS ${database} WITH (FORCE)`);
    rmSync(home, { recursive: true, force: true });
  };
  try {
    toki(["migrate"]);
    server = start();
    process.env.E2E_URL = await address(server);
    const { name, tokens, price } = PACKAGE;
    toki(["package", "add", "--name", name, "--tokens", `${tokens}`, "--price", `${price}`, "--currency", "usd", "--valid-for", "30d"]);
    return teardown;
  } catch (error) {
    await teardown();
    throw error;
  }
}

function required(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set; run scripts/e2e.sh`);
  return value;
}

function start(): ChildProcess {
  mkdirSync("test-results", { recursive: true });
  const log = openSync("test-results/server.log", "w");
  const { bin, options } = toki.invocation();
  const env = { ...options.env, TOKI_ADDR: "127.0.0.1:0" };
  return spawn(bin, ["serve", "--sandbox", "--json"], { ...options, env, stdio: ["ignore", "pipe", log] });
}

/** The address that the server says it listens on, once it does. */
async function address(server: ChildProcess): Promise<string> {
  const died = once(server, "exit").then(([code]) => {
    throw new Error(`toki serve ended with ${code}; see end2end/test-results/server.log`);
  });
  const lines = createInterface({ input: server.stdout! });
  const [line] = await Promise.race([once(lines, "line"), died]);
  died.catch(() => {});
  return JSON.parse(line).url;
}

async function stop(server: ChildProcess) {
  if (server.exitCode !== null || server.signalCode !== null) return;
  const ended = once(server, "exit");
  server.kill("SIGTERM");
  const patience = setTimeout(() => server.kill("SIGKILL"), 10_000);
  await ended;
  clearTimeout(patience);
}
