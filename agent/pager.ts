// Pager: what is long is shown by the caller's pager, on a terminal and nowhere else. The pager is started by its words, never by a
// shell, and what is shown reaches it as bytes on its standard input.
import * as tty from "node:tty";
import type { Globals } from "./parse.ts";
import { wordsOf } from "./rules_words.ts";
import { termFor, writeNow } from "./screen.ts";
import type { Term } from "./term.ts";

const USUAL = "less -FRX";

/** Of the environment, what a pager gets that shows what another user has asked for. */
const PASSED = ["TERM", "PATH", "LANG", "LC_ALL", "LC_CTYPE"];

/**
 * The words that start the pager and its environment; undefined: none is wanted. Where sudo and the like have made the caller somebody
 * else it is less, with all ways out of it shut: who may run `sudo isconf log` is not given a shell by that.
 */
export function pagerOf(
  env: Record<string, string | undefined>,
): { words: string[]; env: Record<string, string | undefined> } | undefined {
  const isLent = ["SUDO_UID", "DOAS_USER", "PKEXEC_UID"].some((name) => env[name] !== undefined);
  if (isLent) {
    const passed = Object.fromEntries(PASSED.map((name) => [name, env[name]]));
    return { words: USUAL.split(" "), env: { ...passed, LESSSECURE: "1" } };
  }
  const text = env.ISCONF_PAGER ?? env.PAGER ?? USUAL;
  try {
    const words = wordsOf(text).map((word) => word.text);
    return words.length === 0 || words[0] === "cat" ? undefined : { words, env };
  } catch {
    return undefined; // a quote that does not end
  }
}

/** Runs `show` with what prints; on a terminal its data goes through the pager. */
export function paged(globals: Globals, show: (term: Term) => void): void {
  const isTerminal = tty.isatty(1) && process.env.TERM !== "dumb";
  const pager = globals.noPager || globals.json || !isTerminal ? undefined : pagerOf(process.env);
  if (pager === undefined) return show(termFor(globals));
  const kept: Uint8Array[] = [];
  show(termFor(globals, (chunk) => void kept.push(typeof chunk === "string" ? Buffer.from(chunk) : chunk)));
  const input = Buffer.concat(kept);
  if (input.length === 0 || isShown(pager, input)) return;
  writeNow(1, input);
}

/** Has man show a manual page, on a terminal that has it; else prints the page as it is written. */
export function showManual(globals: Globals, roff: string): void {
  const words = ["man", ...globals.noPager ? ["-P", "cat"] : [], "-l", "-"];
  const env = pagerOf(process.env)?.env ?? process.env;
  if (tty.isatty(1) && isShown({ words, env }, Buffer.from(roff))) return;
  writeNow(1, roff);
}

/** Whether it could be started. Who stops it with a key stops only that. */
function isShown({ words, env }: NonNullable<ReturnType<typeof pagerOf>>, input: Uint8Array): boolean {
  const { spawnSync } = process.getBuiltinModule("node:child_process"); // loaded where it is needed only
  const stay = () => {};
  process.on("SIGINT", stay);
  const { error } = spawnSync(words[0]!, words.slice(1), {
    env,
    input,
    stdio: ["pipe", "inherit", "inherit"],
  });
  process.off("SIGINT", stay);
  return error === undefined || (error as { code?: string }).code === "EPIPE";
}
