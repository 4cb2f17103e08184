// Cgroup: a cgroup v2 of its own for each command, below the one that the agent was given, so that what a command leaves behind can be
// killed wherever it hides. Where none was given (Delegate= of the unit) there is the process group only. Not limits of resources.
import * as fs from "node:fs";
import * as path from "node:path";
import { getXattr, listXattr } from "../mq/mod.ts";
import { cgroupTakesMax } from "./limits.ts";

/** What systemd marks a cgroup with that it has handed over. */
const MARKS = ["trusted.delegate", "user.delegate"];

/** The cgroup in which this process may make others; undefined: there is none. */
export function delegatedCgroup(): string | undefined {
  try {
    const own = /^0::(\/.*)$/m.exec(fs.readFileSync("/proc/self/cgroup", "utf8"))?.[1];
    const mounts = fs.readFileSync("/proc/self/mountinfo", "utf8");
    const mount = /^\d+ \d+ \d+:\d+ (\S+) (\S+) .* - cgroup2 /m.exec(mounts);
    if (own === undefined || mount === null || own.includes("/..")) return undefined;
    const [, top, point] = mount as unknown as [string, string, string];
    const dir = path.join(point, path.relative(top, own));
    const marks = listXattr(dir).map((name) => Buffer.from(name).toString());
    const isOurs = MARKS.some((mark) =>
      marks.includes(mark) && Buffer.from(getXattr(dir, mark)).toString() === "1"
    );
    return isOurs ? dir : undefined;
  } catch {
    return undefined; // whatever cannot be read here was not given to us
  }
}

/** The cgroups of commands, below one directory. */
export class Cgroups {
  readonly #dir: string;
  #n = 0;

  constructor(dir: string) {
    this.#dir = dir;
  }

  /** Makes one, and takes those away in which nobody is any more. Throws when it cannot be made. */
  make(): CommandCgroup {
    for (const name of fs.readdirSync(this.#dir)) {
      if (name.startsWith("command-")) removeEmpty(`${this.#dir}/${name}`);
    }
    const dir = `${this.#dir}/command-${process.pid}-${++this.#n}`;
    fs.mkdirSync(dir, 0o755);
    return new CommandCgroup(this.#dir, dir);
  }
}

/** The cgroup of one command. Made before the command starts, and `take` called in the same moment as the start. */
export class CommandCgroup {
  readonly #from: string;
  readonly #dir: string;
  /** Who was in the agent's own cgroup before. */
  readonly #before: ReadonlySet<string>;

  constructor(from: string, dir: string) {
    this.#from = from;
    this.#dir = dir;
    this.#before = new Set(procs(from));
  }

  /**
   * Takes a process in that was started after this was made, and whatever it has started since: nobody else starts
   * anything in between, so that whoever is new in the agent's cgroup is of the command.
   */
  take(pid: number): void {
    let strays = [String(pid)];
    for (let i = 0; i < cgroupTakesMax && strays.length > 0; i++) {
      for (const one of strays) move(one, this.#dir);
      strays = procs(this.#from).filter((one) => !this.#before.has(one));
    }
  }

  /** Kills everybody in it, also who has forked meanwhile (cgroup.kill, Linux 5.14). */
  kill(): void {
    try {
      fs.writeFileSync(`${this.#dir}/cgroup.kill`, "1");
    } catch (e) {
      if ((e as { code?: string }).code !== "ENOENT") throw e; // an older kernel, or it is gone
    }
  }

  /** Takes it away, unless the command has left somebody behind who goes on. */
  end(): void {
    removeEmpty(this.#dir);
  }
}

function procs(dir: string): string[] {
  return fs.readFileSync(`${dir}/cgroup.procs`, "latin1").split("\n").filter((pid) => Number(pid) > 0);
}

function move(pid: string, dir: string): void {
  try {
    fs.writeFileSync(`${dir}/cgroup.procs`, pid);
  } catch (e) {
    if ((e as { code?: string }).code !== "ESRCH") throw e; // it has ended
  }
}

function removeEmpty(dir: string): void {
  try {
    fs.rmdirSync(dir);
  } catch (e) {
    if (!["EBUSY", "ENOENT"].includes((e as { code?: string }).code ?? "")) throw e;
  }
}
