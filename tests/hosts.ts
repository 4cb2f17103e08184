// Hosts: machines for tests of the shipped executable, each with its own root file system, processes, name and network
// on this one machine. Needs root. Not hosts inside the test's own process (world.ts).
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { lacks } from "./programs.ts";

const checkout = fileURLToPath(new URL("../", import.meta.url)).replace(/\/$/, "");

/** The executable that goes into each host. */
export const EXECUTABLE = process.env.ISCONF_EXECUTABLE ?? `${checkout}/dist/isconf`;

/** Where commands of a host find their programs, and everything else in their environment. */
const HOST_ENV = { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C.UTF-8" };

/** What a host's configuration says unless a test wants something else: a restart is a line in a file. */
const CONF = `boot_id_file = /etc/isconf/boot-id\nreboot_command = /usr/local/sbin/note-restart\n`;

/** Type of an overlay file system, which cannot hold the writable layer of another. */
const OVERLAYFS_MAGIC = 0x794c7630;

/** Namespaces of its own for everything but users; ending `unshare` ends it all. */
const SEPARATE = ["-m", "-u", "-i", "-n", "-p", "--fork", "--kill-child", "--propagation", "private"];
const PROGRAMS = ["unshare", "nsenter", "mount", "umount", "pivot_root", "env", "cp"];

/**
 * Builds the host's root in a mount namespace of its own, moves into it, says which process holds it, and sleeps until
 * its standard input ends: that is when the test ends, however it ends. $1 lower root, $2 directory, $3 name, $4 checkout.
 */
const HOLDER = `set -eu
read -r pid rest </proc/self/stat
mount -t overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" overlay "$2/root"
cd "$2/root"
mount -t proc -o nosuid,nodev,noexec proc proc
mount -t tmpfs -o nosuid,nodev,mode=755 tmpfs run
mount -t tmpfs -o nosuid,nodev,mode=1777 tmpfs tmp
mount -t tmpfs -o nosuid,mode=755 tmpfs dev
for name in null zero full random urandom tty; do
  : >"dev/$name"
  mount --bind "/dev/$name" "dev/$name"
done
mkdir dev/pts dev/shm
mount -t devpts -o nosuid,noexec,newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
mount -t tmpfs -o nosuid,nodev,mode=1777 tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
ln -s fd/0 dev/stdin; ln -s fd/1 dev/stdout; ln -s fd/2 dev/stderr
if [ -d ".$4" ]; then mount -t tmpfs -o size=4k,mode=0 tmpfs ".$4"; fi
rm -rf var/lib/isconf etc/isconf etc/machine-id
hostname "$3"
echo "$3" >etc/hostname
pivot_root . .
umount -l .
cd /
echo "ready $pid"
exec env -i --ignore-signal=CHLD cat >/dev/null
`;

/** Whoever closes hosts: a test, or anything else that ends. */
export interface Owner {
  after(fn: () => Promise<void>): void;
}

export interface HostOptions {
  /** The Debian root below the host's own layer; else this machine's, of which it changes nothing. */
  lower?: string;
  /** The host's isconf.conf; null: none, and no boot-id file or restart command of the test either. */
  conf?: string | null;
  /** Users to make before anything runs. */
  users?: string[];
}

export interface RunOptions {
  uid?: number;
  env?: Record<string, string>;
  stdin?: string | Uint8Array;
  cwd?: string;
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

/** Milliseconds that a command in a host, and the making or ending of a host, may take. */
const commandMs = 60_000;
const holderMs = 15_000;

let namespaces: string | false | undefined;

/** Why there can be no hosts here, in a few words; false when there can. */
export function lacksHosts(...programs: string[]): string | false {
  const lack = lacks({ root: true, programs: [...PROGRAMS, ...programs], files: [EXECUTABLE] });
  if (lack) return lack;
  namespaces ??= spawnSync("unshare", [...SEPARATE, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).status === 0
    ? false
    : "needs the right to make namespaces and mounts";
  return namespaces;
}

/** A test on hosts; skipped, with the reason printed, where there can be none or a program is missing. */
export function hostTest(name: string, fn: (t: Owner) => Promise<void>, ...programs: string[]): void {
  const reason = lacksHosts(...programs);
  if (reason) console.log(`skipped: ${name}: ${reason}`);
  test(name, { skip: reason, timeout: 120_000 }, (t) => fn(t));
}

/** One machine. Made by `makeHost`; gone, with every process and mount, after `close` or when the test dies. */
export class Host {
  readonly name: string;
  /** The process that holds the host: its number 1, as seen from outside. */
  readonly pid: number;
  readonly #holder: ChildProcess;
  readonly #gone: Promise<void>;

  constructor(name: string, pid: number, holder: ChildProcess, gone: Promise<void>) {
    this.name = name;
    this.pid = pid;
    this.#holder = holder;
    this.#gone = gone;
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
    const ended = new Promise<Outcome>((resolve, reject) => {
      const late = setTimeout(() => {
        reject(new Error(`${this.name}: still running after ${commandMs} ms: ${argv.join(" ")}\n${said()}`));
      }, commandMs);
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
    ended.catch(() => {}); // whoever awaits it hears of it
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
  agent(): { root: number | undefined; net: number | undefined } {
    const of = (title: RegExp) => this.processes().find((p) => title.test(p.title))?.pid;
    return {
      root: of(/^isconf: agent|^\/proc\/self\/exe\0agent\0--ready/),
      net: of(/^isconf: net|--role\0net$/),
    };
  }

  /** Kills the agent's root half as a crash would, and waits until both halves are gone. */
  async kill9Agent(): Promise<void> {
    const { root } = this.agent();
    assert.ok(root, `${this.name}: no agent runs`);
    await this.sh('kill -9 "$1"', String(root));
    await until(`${this.name}'s agent is gone`, () => !Object.values(this.agent()).some(Boolean));
  }

  /** Restarts this host: every process dies, /run and /tmp are empty, the boot id is another, the agent starts. */
  async rebootAs(bootId: string): Promise<void> {
    await this.run(["sh", "-c", "kill -9 -1"]);
    await until(`${this.name} has no processes`, () => this.processes().length === 0);
    await this.sh('find /run /tmp -mindepth 1 -delete; echo "$1" >/etc/isconf/boot-id', bootId);
    await this.ok("start");
  }

  /** The number of a user of this host. */
  async uidOf(user: string): Promise<number> {
    return Number(await this.sh('id -u "$1"', user));
  }

  /** Ends every process of this host and takes its root away. */
  async close(): Promise<void> {
    this.#holder.stdin?.end();
    await inTime(`${this.name} ends`, this.#gone);
  }
}

/** Makes a host, with isconf in it and nothing of isconf's running, and closes it when the test ends. */
export async function makeHost(t: Owner, name: string, options: HostOptions = {}): Promise<Host> {
  const dir = fs.mkdtempSync(path.join(upperHome(), `isconf-${name}-`));
  for (const sub of ["upper/usr/local/sbin", "work", "root"]) {
    fs.mkdirSync(path.join(dir, sub), { recursive: true });
  }
  fs.chmodSync(path.join(dir, "upper"), 0o755);
  const inside = path.join(dir, "upper/usr/local/sbin/isconf");
  fs.copyFileSync(EXECUTABLE, inside, fs.constants.COPYFILE_FICLONE);
  fs.chmodSync(inside, 0o755);
  const words = [...SEPARATE, "sh", "-c", HOLDER, "sh", options.lower ?? "/", dir, name, checkout];
  // Outlives the test by the moment that it takes to remove the directory, also when the test is killed.
  const holder = spawn("sh", ["-c", 'dir=$1; shift; unshare "$@"; rm -rf -- "$dir"', "sh", dir, ...words], {
    detached: true,
    stdio: ["pipe", "pipe", "pipe"],
    cwd: "/",
  });
  let said = "";
  const gone = new Promise<void>((resolve) => holder.once("close", () => resolve()));
  holder.stderr?.on("data", (bytes) => said += bytes);
  const pid = await inTime(
    `${name} begins`,
    new Promise<number>((resolve, reject) => {
      holder.stdout?.on("data", (bytes) => {
        said += bytes;
        const ready = /^ready ([0-9]+)$/m.exec(said);
        if (ready) resolve(Number(ready[1]));
      });
      void gone.then(() => reject(new Error(`${name} cannot be made: ${said}`)));
    }),
  );
  const host = new Host(name, pid, holder, gone);
  t.after(() => host.close());
  const { conf = "" } = options;
  if (conf !== null) {
    const note = "#!/bin/sh\necho restart >>/var/log/restarts\n";
    await Promise.all([
      host.write("/etc/isconf/isconf.conf", CONF + conf),
      host.write("/etc/isconf/boot-id", "boot-1\n"),
      host.write("/usr/local/sbin/note-restart", note, 0o755),
    ]);
  }
  for (const user of options.users ?? []) await host.sh('useradd --create-home --shell /bin/sh "$1"', user);
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

/** Waits until something is so, looking often and for a bounded time. */
export async function until(
  what: string,
  isSo: () => boolean | Promise<boolean>,
  ms = holderMs,
): Promise<void> {
  for (let waited = 0; waited < ms; waited += 20) {
    if (await isSo()) return;
    await pause(20);
  }
  throw new Error(`not so after ${ms} ms: ${what}`);
}

async function inTime<T>(what: string, promise: Promise<T>): Promise<T> {
  let late: ReturnType<typeof setTimeout> | undefined;
  const deadline = new Promise<never>((_, reject) => {
    late = setTimeout(() => reject(new Error(`not within ${holderMs} ms: ${what}`)), holderMs);
  });
  try {
    return await Promise.race([promise, deadline]);
  } finally {
    clearTimeout(late);
  }
}

/** A directory for the hosts' own layers: on a file system that can hold them. */
function upperHome(): string {
  const dirs = [process.env.ISCONF_TEST_HOSTS, os.tmpdir(), "/var/tmp", "/dev/shm"];
  const fit = dirs.find((dir) => dir && fs.existsSync(dir) && fs.statfsSync(dir).type !== OVERLAYFS_MAGIC);
  if (fit === undefined) throw new Error("no directory outside an overlay: name one as ISCONF_TEST_HOSTS");
  return fit;
}
