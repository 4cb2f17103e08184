// Meter: a cgroup of its own, in which commands run and daemons stay, so that the kernel counts the CPU time of all of
// them. Not a profiler, and not memory (rss.ts, pss.ts).
import { isThere, type Ran, run } from "./run.ts";

/**
 * Why a cgroup: a command line's own rusage misses the agent that did the work, and /proc/PID/stat counts in ticks of
 * 10 ms and misses what a dead process leaves unreaped. `usage_usec` in a cgroup's cpu.stat (version 2, without any
 * controller) is the scheduler's own sum in microseconds over every process that ever was in the group: the command,
 * both halves of the agent, their children. The kernel's threads (journal of the file system) are in nobody's.
 */
const MOUNTS = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"];

/** A process joins before it becomes the command: what the shell needs to start is in nobody's figure. */
const JOIN = 'echo 0 >"$0/cgroup.procs" && exec "$@"';

/** Milliseconds that the processes of a group get to end before they are killed. */
const endMs = 10_000;

/** Which group of the mount this process is in. */
const GROUP = /^0::(.*)$/m;

let made = 0;

export class Meter implements AsyncDisposable {
  readonly dir: string;
  readonly #mount: string;
  #cameFrom: string | undefined;

  /** Makes the group. Throws when this system has no cgroup version 2 that we may write to. */
  constructor() {
    const mount = MOUNTS.find((m) => isThere(`${m}/cgroup.procs`) && isThere(`${m}/cgroup.controllers`));
    if (mount === undefined) {
      throw new Error("no cgroup version 2 is mounted here: CPU time cannot be counted");
    }
    this.#mount = mount;
    this.dir = `${mount}/isconf-bench-${Deno.pid}-${++made}`;
    Deno.mkdirSync(this.dir);
  }

  /** Runs a command to its end in the group; everything it leaves running stays in the group. */
  async run(argv: string[], env: Record<string, string> = {}): Promise<Ran> {
    return await run(["/bin/sh", "-c", JOIN, this.dir, ...argv], env);
  }

  /** The same, and the CPU seconds that the whole group used meanwhile. Its wall time has the joining in it. */
  async measure(argv: string[], env: Record<string, string> = {}): Promise<Ran & { cpuS: number }> {
    const before = this.cpuS();
    const ran = await this.run(argv, env);
    return { ...ran, cpuS: this.cpuS() - before };
  }

  /**
   * CPU seconds of a run in the group, and the wall time of a second run outside of it: to join a group, the kernel
   * waits up to some 13 ms for all its processors, which is more than some commands take.
   */
  async both(argv: string[], env: Record<string, string> = {}): Promise<Ran & { cpuS: number }> {
    const { cpuS } = await this.measure(argv, env);
    return { ...await run(argv, env), cpuS };
  }

  /** CPU seconds that the group has used since it was made. */
  cpuS(): number {
    const usec = /^usage_usec ([0-9]+)$/m.exec(Deno.readTextFileSync(`${this.dir}/cpu.stat`))?.[1];
    if (usec === undefined) throw new Error(`${this.dir}/cpu.stat has no usage_usec`);
    return Number(usec) / 1e6;
  }

  /** Takes this process and all that it starts from now on into the group, until the meter is disposed of. */
  enter(): void {
    this.#cameFrom = GROUP.exec(Deno.readTextFileSync("/proc/self/cgroup"))?.[1];
    Deno.writeTextFileSync(`${this.dir}/cgroup.procs`, String(Deno.pid));
  }

  pids(): number[] {
    return Deno.readTextFileSync(`${this.dir}/cgroup.procs`).split("\n").filter(Boolean).map(Number);
  }

  /** Waits until the group is empty, kills by pid what does not end, removes the group. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#cameFrom !== undefined) {
      Deno.writeTextFileSync(`${this.#mount}${this.#cameFrom}/cgroup.procs`, String(Deno.pid));
    }
    for (let waited = 0; this.pids().length > 0 && waited < 2 * endMs; waited += 20) {
      if (waited >= endMs) {
        for (const pid of this.pids()) {
          try {
            Deno.kill(pid, "SIGKILL");
          } catch (e) {
            if (!(e instanceof Deno.errors.NotFound)) throw e; // it ended by itself just now
          }
        }
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    Deno.removeSync(this.dir);
  }
}
