// CLI: finds the verb, asks the agent, prints the answer, ends with its code. Thin: it loads neither SQLite nor
// libp2p, and everything it prints goes through inert().
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import * as tty from "node:tty";
import { Fault, KINDS } from "../mq/mod.ts";
import { callVerb, type Where } from "./client.ts";
import { COMPLETE } from "./completion.ts";
import { completeFor } from "./complete_here.ts";
import { confirmed } from "./confirm_here.ts";
import { doHere } from "./cli_here.ts";
import { execOver, type StreamEnd } from "./exec_client.ts";
import { helpErrors, helpList, helpVerb } from "./help.ts";
import { inert } from "./names.ts";
import { paged } from "./pager.ts";
import { type Globals, needExactWords, parseGlobals, parseVerb } from "./parse.ts";
import { currentDirectory, homeOf, socketOf } from "./paths.ts";
import { termFor } from "./screen.ts";
import { readAll, writeAll } from "./stdio.ts";
import { suggest } from "./suggest.ts";
import type { Halves } from "./sea.ts";
import { inertJson, type Term } from "./term.ts";
import { tellerOf } from "./told.ts";
import { SOMETHING, toldArgs, type Verb } from "./verb.ts";
import { VERBS } from "./verbs/mod.ts";

/** Loads the bundle of one half of the agent. */
export type LoadHalf = <Name extends keyof Halves>(name: Name) => Halves[Name];

/** What the verbs of cli_here.ts need to know of this call. */
export interface Cli {
  term: Term;
  globals: Globals;
  where: Where;
  home: ReturnType<typeof homeOf>;
  homeOption: string | undefined;
  loadHalf: LoadHalf;
  version: string;
}

/** Runs one command line and returns its exit code. Nothing it throws is left for anybody else to print. */
export async function runCli(
  words: string[],
  version: string,
  loadHalf: LoadHalf,
): Promise<number> {
  let term = termFor({ quiet: false, verbose: false, color: "auto" });
  let json = false, isDetailed = false;
  // What goes wrong outside of any wait is told like everything else: no stack reaches a person.
  process.on("uncaughtException", (e) => process.exit(fail(term, json, e)));
  try {
    needExactWords(words, fs.readFileSync("/proc/self/cmdline"));
    const { globals, verb: name, rest } = parseGlobals(words);
    term = termFor(globals);
    json = globals.json;
    if (name === COMPLETE) return await completeFor(term, globals, rest);
    if (globals.version) return versionTold(globals, version);
    if (name === undefined) {
      if (globals.help) return printed(globals, helpList(VERBS));
      throw new Fault("isconf", "usage", "say what to do", { hint: "isconf help" });
    }
    const verb = VERBS.find((v) => v.name === name);
    if (verb === undefined) throw unknownVerb(name);
    const args = globals.help ? undefined : parseVerb(verb, rest);
    if (args === undefined) return printed(globals, helpVerb(verb));
    isDetailed = args.detailedExitcode === true;
    if (name === "lock" && globals.message !== undefined) (args.message as string[]).unshift(globals.message);
    if (name === "help") return helpTopic(globals, args.topic as string | undefined);
    if (name === "version") return versionTold(globals, version);
    const homeOption = (globals.home ?? process.env.ISCONF_HOME) || undefined;
    const home = homeOf(homeOption);
    const cli: Cli = {
      term,
      globals,
      home,
      homeOption: homeOption === undefined ? undefined : path.resolve(homeOption),
      loadHalf,
      version,
      where: { socket: socketOf(home, process.getuid?.() ?? 0) },
    };
    if (verb.kind === "here") return await doHere(cli, verb.name, args);
    if (["policy", "confirm", "boot", "rebuild"].includes(verb.name)) {
      return await doHere(cli, verb.name, args);
    }
    if (["init", "join"].includes(verb.name)) return await doHere(cli, verb.name, withHost(args));
    if (Array.isArray(args.path)) args.path = args.path.map(absolute);
    if (["exec", "preview"].includes(verb.name)) return await exec(cli, verb, args);
    return await ask(cli, verb, args);
  } catch (e) {
    const status = fail(term, json, e);
    return isDetailed && status === SOMETHING ? KINDS.refused.exit : status; // 2 says one thing only, then
  }
}

function withHost(args: Record<string, unknown>): Record<string, unknown> {
  return { ...args, host: args.host ?? os.hostname().split(".")[0] };
}

/** One verb in the agent: progress to stderr, result to stdout. */
export async function ask(cli: Cli, verb: Verb, args: Record<string, unknown>): Promise<number> {
  const teller = tellerOf(cli);
  const call = (where: Where) => callVerb(where, verb.name, toldArgs(verb, args), teller.tell);
  const result = await confirmed(cli, call).finally(teller.end);
  return shown(cli, verb, args, result);
}

function shown(cli: Cli, verb: Verb, args: Record<string, unknown>, result: unknown): number {
  if (cli.globals.json) cli.term.line(inertJson(result));
  else if (verb.isLong) paged(cli.globals, (term) => verb.show?.(result, term, args));
  else verb.show?.(result, cli.term, args);
  return verb.exit?.(result, args) ?? 0;
}

async function exec(cli: Cli, verb: Verb, args: Record<string, unknown>): Promise<number> {
  const before = process.umask(0o077);
  process.umask(before);
  const full = {
    ...args,
    cwd: currentDirectory("exec"),
    umask: before,
    callerEnv: callerEnv(args.env as string[]),
  };
  const result = await confirmed(cli, (where) => execOnce(cli, verb, where, full));
  if (verb.show !== undefined) return shown(cli, verb, args, result);
  if (cli.globals.json) cli.term.line(inertJson(result));
  else if (!result.journaled) cli.term.more(`status ${result.status}: not journaled`);
  return result.status;
}

async function execOnce(
  cli: Cli,
  verb: Verb,
  where: Where,
  args: Record<string, unknown>,
): Promise<StreamEnd> {
  const typed = args.terminal === true && tty.isatty(0) ? rawTerminal() : undefined;
  const teller = tellerOf(cli);
  const full = typed === undefined ? args : { ...args, windowSize: typed.size() };
  return await execOver(where, verb.name, full, {
    ...(typed
      ? { stdin: typed.keys, onResize: typed.onResize }
      : args.stdin === true
      ? { stdin: readAll(0) }
      : {}),
    // What a preview says is its list: where a program reads that, the command's output is not among it.
    stdout: (bytes) => writeAll(cli.globals.json && verb.name === "preview" ? 2 : 1, bytes),
    stderr: (bytes) => writeAll(2, bytes),
    event: teller.tell,
    onSignal(fn) {
      const names = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"] as const;
      for (const name of names) process.on(name, fn);
      return () => names.forEach((name) => process.off(name, fn));
    },
  }).finally(() => {
    teller.end();
    typed?.restore();
  });
}

/** Our own terminal, each key passed on as it is typed; `restore` before anything else is printed. */
function rawTerminal() {
  const keys = new tty.ReadStream(0);
  keys.setRawMode(true);
  const shown = [1, 2].find((fd) => tty.isatty(fd)); // both may go elsewhere
  const screen = shown === undefined ? undefined : new tty.WriteStream(shown);
  const size = () => screen === undefined ? "" : `${screen.rows}x${screen.columns}`;
  // Node looks at the size again for process.stdout only, which is not to be touched here.
  const look = () => (screen as unknown as { _refreshSize(): void } | undefined)?._refreshSize();
  process.on("SIGWINCH", look);
  return {
    keys: keys as AsyncIterable<Uint8Array>,
    size,
    onResize: (fn: (size: string) => void) => void screen?.on("resize", () => fn(size())),
    restore() {
      process.off("SIGWINCH", look);
      keys.setRawMode(false);
      keys.destroy();
      screen?.destroy();
    },
  };
}

/** Only what the agent may ask for travels: locale, time zone, and the names given with --env. */
function callerEnv(names: string[]): Record<string, string> {
  const out: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (value !== undefined && (names.includes(name) || /^(LANG|LANGUAGE|LC_[A-Z]+|TZ)$/.test(name))) {
      out[name] = value;
    }
  }
  return out;
}

const absolute = (p: string): string => path.resolve(p);

function unknownVerb(name: string): Fault {
  const near = suggest(name, VERBS.map((v) => v.name));
  return new Fault(
    "isconf",
    "usage",
    `isconf has no verb ${inert(name)}${near === undefined ? "" : `; did you mean ${near}?`}`,
    {
      hint: "isconf help",
    },
  );
}

function printed(globals: Globals, text: string): number {
  paged(globals, (term) => term.line(text));
  return 0;
}

function versionTold(globals: Globals, version: string): number {
  const [number, build = ""] = version.split(/ \((.*)\)$/);
  return printed(globals, globals.json ? inertJson({ version: number, build }) : `isconf ${version}`);
}

function helpTopic(globals: Globals, topic: string | undefined): number {
  if (globals.json) {
    if (topic === "errors") return printed(globals, inertJson({ kinds: KINDS }));
    const about = topic === undefined ? VERBS : VERBS.filter((v) => v.name === topic);
    if (about.length === 0) throw unknownVerb(topic!);
    return printed(globals, inertJson({ verbs: about })); // functions are no JSON: what is left are words and tables
  }
  if (topic === undefined) return printed(globals, helpList(VERBS));
  if (topic === "errors") return printed(globals, helpErrors());
  const verb = VERBS.find((v) => v.name === topic);
  if (verb === undefined) throw unknownVerb(topic);
  return printed(globals, helpVerb(verb));
}

/** Says what went wrong and what to type next; never a stack. */
export function fail(term: Term, json: boolean, e: unknown): number {
  const fault = Fault.from("isconf", e);
  if (json) term.line(inertJson({ fault }));
  term.error(`isconf ${inert(fault.op)}: ${inert(fault.message)}`);
  term.error(`  ${inert(fault.hint)}`);
  return fault.exit;
}
