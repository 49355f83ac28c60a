// An authenticator: the codes of a secret that a page shows, TOTP of RFC 6238 with six digits, anew each 30 seconds, by HMAC-SHA1.
import { createHmac } from "node:crypto";

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/** The code that it shows now. `secret`: in base32, whatever spaces are in it. */
export function codeNow(secret: string): string {
  const bits = [...secret.replace(/\s/g, "")].map((letter) => ALPHABET.indexOf(letter).toString(2).padStart(5, "0")).join("");
  const key = Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => parseInt(byte, 2)));
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000)));
  const digest = createHmac("sha1", key).update(step).digest();
  const number = digest.readUInt32BE(digest.at(-1)! & 15) & 0x7fff_ffff;
  return `${number % 1_000_000}`.padStart(6, "0");
}
