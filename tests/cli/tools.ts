// tools: homes of the shipped executable in temporary directories, for tests that type commands as people do.
// Not a test, and not hosts inside this process (tests/world.ts).
import { Buffer } from "node:buffer";
import { type ChildProcess, spawn } from "node:child_process";
import * as fs from "node:fs";
import * as http from "node:http";
import * as net from "node:net";
import * as os from "node:os";
import * as path from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";

/** The executable that is tested; `deno task build` makes it. */
export const ISCONF = fileURLToPath(new URL("../../dist/isconf", import.meta.url));
const own = process.getuid?.() ?? 0;

/** How a command ended. */
export interface Outcome {
  out: string;
  err: string;
  outBytes: Buffer;
  /** Exit status, or the name of the signal that ended it. */
  status: number | string;
}

export interface RunOptions {
  env?: Record<string, string>;
  cwd?: string;
  stdin?: Uint8Array | string;
  timeoutMs?: number;
}

/** The environment of commands under test: nothing of the caller's but the way to programs. */
export const ENV = { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", LANG: "C.UTF-8" };

/** Starts a program whose output is collected; `done` resolves when it has ended, in a minute at the most. */
export function begin(
  program: string,
  args: string[],
  o: RunOptions = {},
): { child: ChildProcess; done: Promise<Outcome> } {
  const child = spawn(program, args, {
    env: { ...ENV, ...o.env },
    cwd: o.cwd ?? "/",
    stdio: [o.stdin === undefined ? "ignore" : "pipe", "pipe", "pipe"],
  });
  const chunks: [Buffer[], Buffer[]] = [[], []];
  child.stdout?.on("data", (b: Buffer) => chunks[0].push(b));
  child.stderr?.on("data", (b: Buffer) => chunks[1].push(b));
  child.stdin?.on("error", () => child.stdin?.destroy());
  if (o.stdin !== undefined) child.stdin?.end(o.stdin);
  const late = setTimeout(() => child.kill("SIGKILL"), o.timeoutMs ?? 180_000);
  const done = new Promise<Outcome>((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", () => {
      // What it started may hold the pipes open; what that says later is not awaited.
      const shut = setTimeout(() => [child.stdout, child.stderr].forEach((s) => s?.destroy()), 5_000);
      child.once("close", () => clearTimeout(shut));
    });
    child.once("close", (code, signal) => {
      clearTimeout(late);
      const [outBytes, err] = [Buffer.concat(chunks[0]), Buffer.concat(chunks[1]).toString("utf8")];
      resolve({ out: outBytes.toString("utf8"), outBytes, err, status: code ?? signal ?? "?" });
    });
  });
  return { child, done };
}

/** Runs a program to its end. */
export function run(program: string, args: string[], o: RunOptions = {}): Promise<Outcome> {
  return begin(program, args, o).done;
}

/** Waits until `look` returns something else than undefined or false; throws what was waited for when it does not. */
export async function until<T>(
  what: string,
  look: () => T | undefined | false | Promise<T | undefined | false>,
  ms = 30_000,
): Promise<T> {
  for (const end = Date.now() + ms;;) {
    const seen = await look();
    if (seen !== undefined && seen !== false) return seen;
    if (Date.now() > end) throw new Error(`waited ${ms} ms in vain: ${what}`);
    await pause(10);
  }
}

export interface HttpAnswer {
  status: number;
  headers: http.IncomingHttpHeaders;
  text: string;
}

/** A home of one host: its directory, its agent and its command line. */
export class Box {
  /** The test's directory; the home is inside it. */
  readonly dir: string;
  readonly home: string;
  /** Where an agent that this test started in the foreground says what it does. */
  readonly logFile: string;
  agent: ChildProcess | undefined;

  constructor(dir: string, name = "h") {
    this.dir = dir;
    this.home = path.join(dir, name);
    this.logFile = path.join(dir, `${name}.log`);
    fs.mkdirSync(path.join(this.home, "etc"), { recursive: true });
    this.conf("");
  }

  /** Writes isconf.conf: restarts that restart nothing, and `more`. */
  conf(more: string): void {
    const file = path.join(this.dir, "boot-id");
    fs.writeFileSync(file, "boot-1\n");
    const text = `boot_id_file = ${file}\nreboot_command = /bin/true\n${more}`;
    fs.writeFileSync(path.join(this.home, "etc/isconf.conf"), text);
  }

  /** Writes the policy of this host. */
  policy(text: string): void {
    const dir = path.join(this.home, "etc/policy.d");
    fs.mkdirSync(dir, { recursive: true });
    fs.writeFileSync(path.join(dir, "site.policy"), text);
  }

  get socket(): string {
    return path.join(this.home, `run/${own}.sock`);
  }

  isconf(args: string[], o: RunOptions = {}): Promise<Outcome> {
    return run(ISCONF, args, { ...o, env: { ISCONF_HOME: this.home, ...o.env } });
  }

  beginIsconf(args: string[], o: RunOptions = {}): ReturnType<typeof begin> {
    return begin(ISCONF, args, { ...o, env: { ISCONF_HOME: this.home, ...o.env } });
  }

  /** The same, and throws when it does not end 0. */
  async ok(args: string[], o: RunOptions = {}): Promise<string> {
    const { out, err, status } = await this.isconf(args, o);
    if (status !== 0) throw new Error(`isconf ${args.join(" ")} ended ${status}: ${err}`);
    return out;
  }

  /** Starts the agent in the foreground, as a child of this test, and returns when it answers. */
  async start(wrap: string[] = []): Promise<void> {
    const words = [...wrap, ISCONF, "--home", this.home, "agent"];
    const [program, args] = [words[0] as string, words.slice(1)];
    const log = fs.openSync(this.logFile, "a");
    const child = spawn(program, args, { env: ENV, cwd: "/", stdio: ["ignore", log, log] });
    fs.closeSync(log);
    this.agent = child;
    await until(
      `the agent of ${this.home}: ${this.log()}`,
      async () => child.exitCode !== null || await this.answers(),
    );
    if (child.exitCode !== null) throw new Error(`the agent ended ${child.exitCode}: ${this.log()}`);
  }

  log(): string {
    return fs.existsSync(this.logFile) ? fs.readFileSync(this.logFile, "utf8") : "";
  }

  async answers(): Promise<boolean> {
    try {
      return (await this.http("GET", "/v1/status", undefined, {}, 1_000)).status === 200;
    } catch {
      return false; // nobody listens yet, or nobody any more
    }
  }

  /** The agent's own process, also when it was started under another program. */
  agentPid(): number {
    const [pid] = holdersOf(path.join(this.home, "run/agent.lock"));
    if (pid === undefined) throw new Error("no agent holds the home's lock");
    return pid;
  }

  /** Ends the agent: by TERM, or with a signal that leaves no time to tidy up. */
  async stop(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<void> {
    for (const pid of holdersOf(path.join(this.home, "run/agent.lock"))) process.kill(pid, signal);
    await this.gone();
  }

  /** The processes of this home's agents. */
  pids(): number[] {
    return [...new Set([...holdersOf(this.home), ...holdersOf(this.logFile)])];
  }

  /** Resolves when every process of this home's agents has ended. */
  async gone(): Promise<void> {
    await until("the agent to end", () => this.pids().length === 0);
  }

  /** Starts the agent, begins a domain and, when asked, takes the lock. */
  async begin(message?: string): Promise<void> {
    await this.start();
    await this.ok(["init", "--host", "hosta"]);
    if (message !== undefined) await this.ok(["lock", message]);
  }

  /** One request on the socket of this user, answered in so many milliseconds. */
  http(
    method: string,
    target: string,
    body?: unknown,
    more: http.RequestOptions = {},
    ms = 30_000,
  ): Promise<HttpAnswer> {
    return new Promise((resolve, reject) => {
      const headers = body === undefined ? {} : { "content-type": "application/json" };
      const options = { socketPath: this.socket, method, path: target, headers, agent: false, ...more };
      const req = http.request(options, (res) => {
        let text = "";
        res.setEncoding("utf8");
        res.on("data", (s: string) => text += s);
        res.on("end", () => resolve({ status: res.statusCode ?? 0, headers: res.headers, text }));
        res.on("error", reject);
      });
      // Not req.setTimeout: it knows of no connection that never came about.
      const late = setTimeout(() => {
        reject(new Error(`${method} ${target}: no answer in ${ms} ms`));
        req.destroy();
      }, ms);
      req.on("close", () => clearTimeout(late));
      req.on("error", reject);
      req.end(body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body));
    });
  }

  /** Sends bytes as they are and returns what comes back until the agent closes, or for so long. */
  raw(bytes: string | Uint8Array, ms = 10_000): Promise<{ text: string; closed: boolean; ms: number }> {
    return new Promise((resolve) => {
      const began = performance.now();
      const socket = net.connect(this.socket);
      let text = "";
      const end = (closed: boolean) => {
        clearTimeout(late);
        socket.destroy();
        resolve({ text, closed, ms: performance.now() - began });
      };
      const late = setTimeout(() => end(false), ms);
      socket.on("data", (b) => text += b.toString("latin1"));
      socket.on("error", () => end(true));
      socket.on("close", () => end(true));
      socket.write(bytes);
    });
  }

  /** Resident memory of the agent's root half in MiB. */
  rssMiB(): number {
    const text = fs.readFileSync(`/proc/${this.agentPid()}/status`, "utf8");
    return Number(/VmRSS:\s+([0-9]+)/.exec(text)?.[1]) / 1024;
  }

  /** Ends whatever still uses this home. */
  async end(): Promise<void> {
    for (const signal of ["SIGTERM", "SIGKILL"] as const) {
      for (const pid of this.pids()) {
        try {
          process.kill(pid, signal);
        } catch {
          // it ended by itself in between
        }
      }
      const clear = () => this.pids().length === 0;
      if (signal === "SIGKILL") console.log(`the agent of ${this.home} does not end by TERM: killing it`);
      if (await until("", clear, signal === "SIGTERM" ? 5_000 : 10_000).catch(() => false)) return;
    }
  }
}

/** The processes that have a file open at or below `file`: the agents of a home, whatever they call themselves. */
export function holdersOf(file: string): number[] {
  const out: number[] = [];
  for (const name of fs.readdirSync("/proc")) {
    if (!/^[0-9]+$/.test(name) || Number(name) === process.pid) continue;
    try {
      const links = fs.readdirSync(`/proc/${name}/fd`).map((fd) => linkOf(`/proc/${name}/fd/${fd}`));
      if (links.some((l) => l === file || l.startsWith(`${file}/`))) out.push(Number(name));
    } catch {
      // not ours, or it has ended meanwhile
    }
  }
  return out;
}

function linkOf(file: string): string {
  try {
    return fs.readlinkSync(file);
  } catch {
    return ""; // closed meanwhile
  }
}

type Test = { after(fn: () => Promise<void>): void };

/** A temporary directory for one test, which others may enter but not read. */
export function tempDir(t: Test): string {
  const dir = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "isconf-cli-")));
  fs.chmodSync(dir, 0o711);
  t.after(() => Promise.resolve(fs.rmSync(dir, { recursive: true, force: true, maxRetries: 3 })));
  return dir;
}

/** One home for one test; its agents and files are gone when the test ends, also when it fails. */
export function makeBox(t: Test, name = "h"): Box {
  const dir = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "isconf-cli-")));
  fs.chmodSync(dir, 0o711);
  const box = new Box(dir, name);
  t.after(async () => {
    await box.end();
    fs.rmSync(dir, { recursive: true, force: true, maxRetries: 3 });
  });
  return box;
}

/** Prints why a test is left out, so that it is not left out silently; returns the reason for node:test. */
export function skipIf(name: string, reason: string | false): { skip: string | false } {
  if (reason) console.log(`skipped: ${name}: ${reason}`);
  return { skip: reason };
}
