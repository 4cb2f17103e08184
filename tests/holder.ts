// Holder: namespaces held by a process whose standard input ends when the test does, so that everything in them ends
// then too, also when the test is killed. Not what is in them: hosts.ts gives them a root, fleet/switch.ts a network.
import assert from "node:assert/strict";
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { setTimeout as pause } from "node:timers/promises";

/** Milliseconds that beginning and ending may take, and whatever else is waited for without a time of its own. */
const waitMs = 30_000;

/**
 * Makes the namespaces anew for each line "on" until there are no more lines, then removes the directory $1: it
 * outlives the test by that moment. What it starts reads one line, or the end. Nobody may be there to hear of the end.
 */
const KEEPER = `dir=$1; shift
while read -r word; do
  unshare "$@" 2>&1
  (echo ended)
done
rm -rf -- "$dir"`;

/** Goes before a holder's script: the number of its process as seen from here, while /proc still shows it. */
const BEGIN = "set -eu\nread -r pid rest </proc/self/stat\n";

/** Goes after it: ready, and asleep until the next line; whatever it inherits is reaped. */
const END = '\necho "ready $pid"\nexec env -i --ignore-signal=CHLD head -n 1 >/dev/null\n';

/** Namespaces that can be made and ended again and again, until `close` or the end of the test. */
export class Holder {
  readonly #what: string;
  readonly #keeper: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: AsyncIterator<string>;
  readonly #gone: Promise<void>;
  #pid = 0;

  /**
   * `flags` are unshare's for the namespaces, among them -p; `script` is what sh does in them, with `args`, each time
   * that they are made; `dir` is removed at the end.
   */
  constructor(what: string, flags: string[], script: string, args: string[], dir = "") {
    this.#what = what;
    const unshare = [...flags, "--fork", "--kill-child", "sh", "-c", BEGIN + script + END, "sh", ...args];
    this.#keeper = spawn("sh", ["-c", KEEPER, "sh", dir, ...unshare], {
      detached: true, // a ^C for the test is none for the keeper, who has yet to remove the directory
      stdio: ["pipe", "pipe", "ignore"],
      cwd: "/",
    });
    this.#keeper.stdin.on("error", () => {}); // when it is gone, its missing answer tells
    this.#lines = createInterface(this.#keeper.stdout)[Symbol.asyncIterator]();
    this.#gone = new Promise((resolve) => this.#keeper.once("close", () => resolve()));
  }

  get isOn(): boolean {
    return this.#pid !== 0;
  }

  /** The process that holds the namespaces, number 1 in them, as seen from outside. */
  get pid(): number {
    assert.ok(this.isOn, `${this.#what} is off`);
    return this.#pid;
  }

  /** Makes the namespaces. */
  async on(): Promise<void> {
    assert.ok(!this.isOn, `${this.#what} is on`);
    const said = await this.#say("on");
    const pid = /^ready ([0-9]+)$/m.exec(said)?.[1];
    assert.ok(pid, `${this.#what} cannot be made: ${said}`);
    this.#pid = Number(pid);
  }

  /** Ends the namespaces with every process in them. */
  async off(): Promise<void> {
    assert.ok(this.isOn, `${this.#what} is off`);
    this.#pid = 0;
    await this.#say("off");
  }

  /** Ends the namespaces, if they are, and removes the directory. */
  async close(): Promise<void> {
    this.#pid = 0;
    this.#keeper.stdin.end();
    await inTime(`${this.#what} ends`, this.#gone);
  }

  /** Says a word to the keeper and returns its answer, which ends with the line "ready …" or "ended". */
  async #say(word: string): Promise<string> {
    this.#keeper.stdin.write(`${word}\n`);
    return await inTime(`${this.#what} is ${word}`, this.#answer());
  }

  async #answer(): Promise<string> {
    const lines: string[] = [];
    while (!/^ready |^ended$/.test(lines.at(-1) ?? "")) {
      const { value, done } = await this.#lines.next();
      if (done) break;
      lines.push(value);
    }
    return lines.join("\n");
  }
}

/** Waits until something is so, looking often and for a bounded time. */
export async function until(
  what: string,
  isSo: () => boolean | Promise<boolean>,
  ms = waitMs,
): Promise<void> {
  for (const sinceMs = performance.now(); performance.now() - sinceMs < ms;) {
    if (await isSo()) return;
    await pause(20);
  }
  throw new Error(`not so after ${ms} ms: ${what}`);
}

/** Waits for a promise for a bounded time. */
export async function inTime<T>(what: string, promise: Promise<T>): Promise<T> {
  let late: ReturnType<typeof setTimeout> | undefined;
  const deadline = new Promise<never>((_, reject) => {
    late = setTimeout(() => reject(new Error(`not within ${waitMs} ms: ${what}`)), waitMs);
  });
  try {
    return await Promise.race([promise, deadline]);
  } finally {
    clearTimeout(late);
  }
}
