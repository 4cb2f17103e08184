// Private keys in files: host, persons. Made, kept, and refused when anybody else could have read them.
// Not signatures (mq/sign.ts) and not who may do what (trust.ts).
import { Buffer } from "node:buffer";
import * as fs from "node:fs";
import * as path from "node:path";
import {
  type Clock,
  Fault,
  fromHex,
  generateKeyPair,
  keyId,
  type KeyPair,
  keyPairFromSecret,
  toHex,
} from "../mq/mod.ts";

const HEADER = "isconf-ed25519-secret-1 ";

/** The directory of one host's private keys. */
export class KeyRing {
  readonly #dir: string;
  readonly #clock: Clock;
  readonly #held = new Map<string, KeyPair>();

  /** Opens (and makes, 0700) the directory; throws a denied fault when others could reach into it. */
  constructor(dir: string, clock: Clock) {
    this.#dir = dir;
    this.#clock = clock;
    fs.mkdirSync(dir, { recursive: true, mode: 0o700 });
    checkPrivate(dir);
    for (const name of fs.readdirSync(dir)) if (name.endsWith(".key")) this.#load(name.slice(0, -4));
  }

  /** The key called `name` ("host", "user-1000"), or undefined when there is none yet. */
  find(name: string): KeyPair | undefined {
    return this.#held.get(name);
  }

  /** The key called `name`, made and durable before it is returned when there was none. */
  obtain(name: string): KeyPair {
    const held = this.#held.get(name);
    if (held !== undefined) return held;
    const pair = generateKeyPair(this.#clock);
    const file = path.join(this.#dir, `${name}.key`);
    writeDurably(file, Buffer.from(`${HEADER}${toHex(pair.secretKey)}\n`), 0o600);
    this.#held.set(name, pair);
    return pair;
  }

  /** A key that is to follow the one called `name`: made and durable, and not used before {@link promote}. */
  prepare(name: string): KeyPair {
    return this.obtain(`${name}.next`);
  }

  /** The names of keys that have a follower. */
  prepared(): string[] {
    return [...this.#held.keys()].filter((name) => name.endsWith(".next")).map((name) => name.slice(0, -5));
  }

  /** Puts the prepared key in the place of the one called `name`, which is kept as a past one, or not at all. */
  promote(name: string, keepsPast: boolean): void {
    const next = this.#held.get(`${name}.next`);
    if (next === undefined) return;
    const file = path.join(this.#dir, `${name}.key`);
    const now = this.#held.get(name);
    if (keepsPast && now !== undefined) {
      const past = `${name}.past-${keyId(now.publicKey)}`;
      const kept = path.join(this.#dir, `${past}.key`);
      if (!fs.existsSync(kept)) fs.linkSync(file, kept); // a crash may have come after it
      syncDir(this.#dir);
      this.#held.set(past, now);
    }
    fs.renameSync(path.join(this.#dir, `${name}.next.key`), file);
    syncDir(this.#dir);
    this.#held.set(name, next);
    this.#held.delete(`${name}.next`);
  }

  /** The keys that were in use as `name` before, and kept: to open what was sealed for them, and to sign nothing. */
  past(name: string): KeyPair[] {
    return [...this.#held].filter(([held]) => held.startsWith(`${name}.past-`)).map(([, pair]) => pair);
  }

  #load(name: string): void {
    const file = path.join(this.#dir, `${name}.key`);
    checkPrivate(file);
    const text = fs.readFileSync(file, "latin1");
    if (!text.startsWith(HEADER) || text.length !== HEADER.length + 65) {
      throw new Fault("keys", "corrupt", `${file} is not a key file`, {
        hint: `restore ${file} from a backup`,
      });
    }
    this.#held.set(name, keyPairFromSecret(fromHex(text.slice(HEADER.length).trim())));
  }
}

/** Throws unless `file` belongs to us and nobody else has any right on it. */
function checkPrivate(file: string): void {
  const st = fs.lstatSync(file);
  const uid = process.geteuid?.() ?? 0;
  if (st.isSymbolicLink() || st.uid !== uid || (st.mode & 0o077) !== 0) {
    const mode = (st.mode & 0o7777).toString(8).padStart(4, "0");
    throw new Fault(
      "keys",
      "denied",
      `${file} (owner ${st.uid}, mode ${mode}) could be read by others: not used`,
      {
        hint: `chown ${uid} ${file} && chmod ${st.isDirectory() ? "0700" : "0600"} ${file}`,
      },
    );
  }
}

/** Writes a small file so that after a crash there is the whole of it or none: temporary, fsync, rename, fsync. */
export function writeDurably(file: string, bytes: Uint8Array, mode: number): void {
  const temporary = `${file}.new`;
  fs.rmSync(temporary, { force: true });
  const fd = fs.openSync(temporary, "wx", mode);
  try {
    fs.writeSync(fd, bytes);
    fs.fchmodSync(fd, mode);
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
  fs.renameSync(temporary, file);
  syncDir(path.dirname(file));
}

function syncDir(name: string): void {
  const dir = fs.openSync(name, "r");
  try {
    fs.fsyncSync(dir);
  } finally {
    fs.closeSync(dir);
  }
}
