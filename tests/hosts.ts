// Hosts: machines for tests of the shipped executable, each with its own root file system, processes, name and network
// on this one machine. Needs root. Not hosts inside the test's own process (world.ts).
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { test } from "node:test";
import { Disk, EXECUTABLE, MOUNT } from "./disk.ts";
import { Holder, until } from "./holder.ts";
import { lacks } from "./programs.ts";

export { EXECUTABLE, until };

/** Where commands of a host find their programs, and everything else in their environment. */
const HOST_ENV = { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C.UTF-8" };

/** What a host's configuration says unless a test wants something else: a restart is a line in a file. */
const CONF = `boot_id_file = /etc/isconf/boot-id\nreboot_command = /usr/local/sbin/note-restart\n`;

/** Namespaces of its own for everything but users; ending `unshare` ends it all. */
const SEPARATE = ["-m", "-u", "-i", "-n", "-p", "--propagation", "private"];
const PROGRAMS = ["unshare", "nsenter", "mount", "umount", "pivot_root", "env", "head"];

/** Makes a new disk that of a host with a name and an isconf of its own. $1 name; $2 isconf.conf, or nothing. */
const INSTALL = `
rm -rf /var/lib/isconf /etc/isconf /etc/machine-id /srv/*
echo "$1" >/etc/hostname
if [ "$#" = 2 ]; then
  mkdir /etc/isconf
  echo boot-1 >/etc/isconf/boot-id
  printf %s "$2" >/etc/isconf/isconf.conf
  printf '#!/bin/sh\\necho restart >>/var/log/restarts\\n' >/usr/local/sbin/note-restart
  chmod 755 /usr/local/sbin/note-restart
fi
`;

/** Whoever closes hosts: a test, or anything else that ends. */
export interface Owner {
  after(fn: () => Promise<void>): void;
}

/** One that is ended by hand, where there is no context of a test. */
export class Ends implements Owner {
  readonly #after: (() => Promise<void>)[] = [];

  after(fn: () => Promise<void>): void {
    this.#after.push(fn);
  }

  async end(): Promise<void> {
    for (const fn of this.#after.reverse()) await fn();
  }
}

export interface HostOptions {
  /** The Debian root below the host's own layer; else this machine's, of which it changes nothing. */
  lower?: string;
  /** The host's isconf.conf; null: none, and no boot-id file or restart command of the test either. */
  conf?: string | null;
  /** The host's policy file; else it has none. */
  policy?: string;
  /** Whether a layer can be laid over its root. */
  flat?: boolean;
  /** Whether it can be listened to what is done to its files; it is flat, too, then. */
  handles?: boolean;
  /** Users to make before anything runs. */
  users?: string[];
  /** What its network is; else it has none. */
  network?: Network;
}

/** Where a host is plugged in as long as it has power. */
export interface Network {
  /** Gives a network to the namespace of the process `pid`, as seen from outside. */
  plug(pid: number): Promise<void>;
  unplug(): Promise<void>;
}

export interface RunOptions {
  uid?: number;
  env?: Record<string, string>;
  stdin?: string | Uint8Array;
  cwd?: string;
  /** How long it may take, in milliseconds; else `commandMs`. */
  timeoutMs?: number;
  /** Called with each piece of output as it comes. */
  told?: (fd: 1 | 2, bytes: Buffer) => void;
}

export interface Outcome {
  /** Exit status, or the name of the signal that ended it. */
  status: number | string;
  stdout: string;
  stderr: string;
  bytes: Buffer;
}

/** A command under way in a host. */
export interface Spawned {
  child: ChildProcess;
  /** What it has said so far on both streams. */
  said(): string;
  ended: Promise<Outcome>;
}

/** Milliseconds that a command in a host may take. */
const commandMs = 180_000;

let namespaces: string | false | undefined;

/** Why there can be no hosts here, in a few words; false when there can. */
export function lacksHosts(...programs: string[]): string | false {
  const lack = lacks({ root: true, programs: [...PROGRAMS, ...programs], files: [EXECUTABLE] });
  if (lack) return lack;
  namespaces ??=
    spawnSync("unshare", [...SEPARATE, "--fork", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).status === 0
      ? false
      : "needs the right to make namespaces and mounts";
  return namespaces;
}

/** A test on hosts; skipped, with the reason printed, where there can be none or a program is missing. */
export function hostTest(name: string, fn: (t: Owner) => Promise<void>, ...programs: string[]): void {
  const reason = lacksHosts(...programs);
  if (reason) console.log(`skipped: ${name}: ${reason}`);
  test(name, { skip: reason, timeout: 360_000 }, (t) => fn(t));
}

/** One machine. Made by `makeHost`; gone, with every process and mount, after `close` or when the test dies. */
export class Host {
  readonly name: string;
  readonly #options: HostOptions;
  readonly #disk: Disk;
  readonly #holder: Holder;
  readonly #running = new Set<Promise<unknown>>();
  #boots = 0;

  constructor(name: string, options: HostOptions = {}) {
    this.name = name;
    this.#options = options;
    this.#disk = new Disk(
      name,
      options.lower ?? "/",
      options.flat === true || options.handles === true,
      options.handles,
    );
    const script = `hostname "$1"; shift\n${MOUNT}`;
    this.#holder = new Holder(name, SEPARATE, script, [name, ...this.#disk.words], this.#disk.dir);
  }

  /** The process that holds the host: its number 1, as seen from outside. */
  get pid(): number {
    return this.#holder.pid;
  }

  get isOn(): boolean {
    return this.#holder.isOn;
  }

  /** Starts a command in this host, as root unless `uid` says otherwise, with an environment of its own. */
  spawn(argv: string[], options: RunOptions = {}): Spawned {
    const drop = options.uid === undefined
      ? []
      : ["setpriv", `--reuid=${options.uid}`, `--regid=${options.uid}`, "--clear-groups", "--"];
    const words = [...this.enter(), "env", "-C", options.cwd ?? "/", ...drop, ...argv];
    const child = spawn(words[0] as string, words.slice(1), {
      env: { ...HOST_ENV, ...options.env },
      stdio: [options.stdin === undefined ? "ignore" : "pipe", "pipe", "pipe"],
    });
    child.stdin?.on("error", () => {}); // it need not read what it is given
    child.stdin?.end(options.stdin);
    const out: Buffer[] = [], err: Buffer[] = [], both: Buffer[] = [];
    const take = (fd: 1 | 2, kept: Buffer[]) => (bytes: Buffer) => {
      kept.push(bytes);
      both.push(bytes);
      options.told?.(fd, bytes);
    };
    child.stdout?.on("data", take(1, out));
    child.stderr?.on("data", take(2, err));
    const said = () => Buffer.concat(both).toString();
    const { timeoutMs = commandMs } = options;
    const ended = new Promise<Outcome>((resolve, reject) => {
      const late = setTimeout(() => {
        reject(new Error(`${this.name}: still running after ${timeoutMs} ms: ${argv.join(" ")}\n${said()}`));
      }, timeoutMs);
      child.once("error", reject);
      child.once("close", (status, signal) => {
        clearTimeout(late);
        const bytes = Buffer.concat(out);
        resolve({
          status: status ?? signal ?? "?",
          stdout: bytes.toString(),
          stderr: Buffer.concat(err).toString(),
          bytes,
        });
      });
    });
    const over = ended.catch(() => {}).finally(() => this.#running.delete(over)); // whoever awaits `ended` hears of it
    this.#running.add(over);
    return { child, said, ended };
  }

  /** Runs a command in this host to its end. */
  async run(argv: string[], options: RunOptions = {}): Promise<Outcome> {
    return await this.spawn(argv, options).ended;
  }

  /** Runs a command in this host that must end 0. */
  async must(argv: string[], options: RunOptions = {}): Promise<Outcome> {
    const outcome = await this.run(argv, options);
    const { status, stdout, stderr } = outcome;
    assert.equal(status, 0, `${this.name}: ${argv.join(" ")} ended with ${status}\n${stdout}${stderr}`);
    return outcome;
  }

  /** Runs a script of sh that must end 0 and returns what it wrote, less the last newline. */
  async sh(script: string, ...args: string[]): Promise<string> {
    return (await this.must(["sh", "-euc", script, "sh", ...args])).stdout.replace(/\n$/, "");
  }

  /** Runs isconf as root. */
  async isconf(...words: string[]): Promise<Outcome> {
    return await this.run(["isconf", ...words]);
  }

  /** Runs isconf as root; it must end 0. Returns what it said on both streams. */
  async ok(...words: string[]): Promise<string> {
    const { stdout, stderr } = await this.must(["isconf", ...words]);
    return stdout + stderr;
  }

  async write(file: string, bytes: string | Uint8Array, mode = 0o644): Promise<void> {
    const script = 'mkdir -p "$(dirname "$1")" && cat >"$1" && chmod "$2" "$1"';
    await this.must(["sh", "-euc", script, "sh", file, mode.toString(8)], { stdin: bytes });
  }

  async read(file: string): Promise<Buffer> {
    return (await this.must(["cat", "--", file])).bytes;
  }

  /** Where a path of this host is seen from outside. Links with whole paths on the way lead astray: only look. */
  path(file: string): string {
    return `/proc/${this.pid}/root${file}`;
  }

  /** The words that, put before a command, run it in this host. */
  enter(): string[] {
    return ["nsenter", "-t", String(this.pid), "-m", "-u", "-i", "-n", "-p", "--"];
  }

  /** The processes of this host but the holder, by their numbers in it: what they call themselves, and whose they are. */
  processes(): { pid: number; title: string; uid: number }[] {
    return fs.readdirSync(this.path("/proc")).filter((name) => /^[0-9]+$/.test(name) && name !== "1").flatMap(
      (name) => {
        try {
          const title = fs.readFileSync(this.path(`/proc/${name}/cmdline`), "utf8").replace(/\0+$/, "");
          const uid = /^Uid:\t([0-9]+)/m.exec(fs.readFileSync(this.path(`/proc/${name}/status`), "utf8"))
            ?.[1];
          return [{ pid: Number(name), title, uid: Number(uid) }];
        } catch {
          return []; // it ended while we looked
        }
      },
    );
  }

  /** The agent's two halves, as numbers in this host. */
  agent(processes = this.processes()): { root: number | undefined; net: number | undefined } {
    const of = (title: RegExp) => processes.find((p) => title.test(p.title))?.pid;
    return {
      root: of(/^isconf: agent|^\/proc\/self\/exe\0agent\0--ready/),
      net: of(/^isconf: net|--role\0net$/),
    };
  }

  /** Whether a process has ended, and perhaps waits to be collected. */
  #isDead(pid: number): boolean {
    try {
      return /^State:\t[ZX]/m.test(fs.readFileSync(this.path(`/proc/${pid}/status`), "utf8"));
    } catch {
      return true;
    }
  }

  /** Kills the agent's root half as a crash would, and waits until both halves are gone. */
  async kill9Agent(): Promise<void> {
    const { root } = this.agent();
    assert.ok(root, `${this.name}: no agent runs`);
    await this.sh('kill -9 "$1"', String(root));
    await until(`${this.name}'s agent is gone`, () => {
      const all = this.processes();
      // While a program takes the place of another its process has no words: it may be the net half.
      return !all.some(({ pid, title }) => title === "" && !this.#isDead(pid)) &&
        !Object.values(this.agent(all)).some(Boolean);
    });
  }

  /**
   * Takes the power away: every process dies, the disk stays, and no command runs until `on` or `wipe`. The network
   * goes first: a machine without power does not say that its connections end.
   */
  async off(): Promise<void> {
    await this.#options.network?.unplug();
    await this.#holder.off();
    await Promise.all(this.#running);
  }

  /** Power is back: /run and /tmp are empty, the boot id is another, and the agent starts. */
  async on(bootId = `power-${++this.#boots}`): Promise<void> {
    await this.#begin();
    if (this.#options.conf !== null) await this.write("/etc/isconf/boot-id", `${bootId}\n`);
    await this.ok("start");
  }

  /** Restarts this host under another boot id. */
  async rebootAs(bootId: string): Promise<void> {
    await this.off();
    await this.on(bootId);
  }

  /** Puts a new disk in, as `makeHost` made it: nothing of isconf's runs. */
  async wipe(): Promise<void> {
    if (this.#holder.isOn) await this.off();
    this.#disk.wipe();
    await this.#begin();
    const { conf = "", policy, users = [] } = this.#options;
    await this.sh(INSTALL, this.name, ...conf === null ? [] : [CONF + conf]);
    if (policy !== undefined) await this.write("/etc/isconf/policy.d/site.policy", policy);
    for (const user of users) await this.sh('useradd --create-home --shell /bin/sh "$1"', user);
  }

  async #begin(): Promise<void> {
    await this.#holder.on();
    await this.#options.network?.plug(this.pid);
  }

  /** The number of a user of this host. */
  async uidOf(user: string): Promise<number> {
    return Number(await this.sh('id -u "$1"', user));
  }

  /** Ends every process of this host and takes its root away. */
  async close(): Promise<void> {
    await this.#holder.close();
  }
}

/** Makes a host, with isconf in it and nothing of isconf's running, and closes it when the test ends. */
export async function makeHost(t: Owner, name: string, options: HostOptions = {}): Promise<Host> {
  const host = new Host(name, options);
  t.after(() => host.close());
  await host.wipe();
  return host;
}

/** Two hosts of one domain: hosta began it, hostb is empty and joins with the first `carry`. */
export async function makePair(t: Owner, options: HostOptions = {}): Promise<[Host, Host]> {
  const [a, b] = await Promise.all([makeHost(t, "hosta", options), makeHost(t, "hostb", options)]);
  await a.ok("init");
  return [a, b];
}

/** Locks, does the work and checks it in. */
export async function checkIn(host: Host, message: string, ...work: string[][]): Promise<void> {
  await host.ok("lock", message);
  for (const words of work) await host.ok(...words);
  await host.ok("ci");
}

/** Carries the whole journal of one host to the other as a bundle; the other joins the domain with the first. */
export async function carry(from: Host, to: Host): Promise<void> {
  const { domain } = await status(from);
  await from.ok("bundle", "export", "/tmp/carried");
  await to.write("/tmp/carried", await from.read("/tmp/carried"));
  await to.ok("bundle", "import", "/tmp/carried", "--domain", domain, "--host", to.name);
}

export interface Status {
  hostId: string;
  branch: string;
  domain: string;
  state: string;
  at: number;
  of: number;
  stopped: { seq: number; why: string } | null;
  wip: number;
  doing: string | null;
}

/** What `isconf --json status` says. */
export async function status(host: Host): Promise<Status> {
  return JSON.parse((await host.must(["isconf", "--json", "status"])).stdout);
}
