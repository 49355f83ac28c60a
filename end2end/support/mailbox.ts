// The mails that the server under test has written to its folder, as its customers would find them in their mailboxes.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "@playwright/test";

function mailsTo(email: string): string[] {
  const folder = join(process.env.E2E_HOME!, ".data", "mail");
  let names: string[] = [];
  try {
    names = readdirSync(folder).filter((name) => name.endsWith(".eml")).sort();
  } catch {
    // Made with the first mail.
  }
  return names.map((name) => readFileSync(join(folder, name), "utf8")).filter((mail) => mail.includes(`To: ${email}\r\n`));
}

/** The link to this page in the last mail that has one, once it is there. */
export async function linkMailedTo(email: string, path: string): Promise<string> {
  const find = () =>
    mailsTo(email)
      .map((mail) => mail.match(new RegExp(`https?://\\S+${path}\\?token=\\S+`))?.[0])
      .filter((link) => link !== undefined)
      .at(-1);
  await expect.poll(find, { timeout: 20_000 }).toBeTruthy();
  return find()!;
}
