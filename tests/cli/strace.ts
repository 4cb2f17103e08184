// strace: faults put into the system calls of a running agent, and copies of a home to try each of them on.
// Not what is expected after a fault (inject_test.ts, inject_errors_test.ts).
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { Box, until } from "./tools.ts";

/** The system calls by which something becomes durable or is told. */
export const WRITES = [
  "write",
  "writev",
  "pwrite64",
  "pwritev",
  "sendmsg",
  "fsync",
  "fdatasync",
  "ftruncate",
  "unlink",
  "unlinkat",
  "rename",
  "renameat",
  "renameat2",
  "mkdir",
  "link",
  "linkat",
];

/** Why faults cannot be put in here; false when they can. */
export function cannotTrace(): string | false {
  if (process.getuid?.() !== 0) return "needs root";
  const probe = spawnSync("strace", ["-f", "-o", "/dev/null", "-e", "inject=getpid:retval=1", "true"]);
  return probe.status === 0 ? false : `strace does not work here: ${probe.error?.message ?? probe.stderr}`;
}

/** A strace that is attached. It ends by KILL: by TERM it can wait for ever for a thread of an agent that was killed. */
export interface Tracer {
  detach(signal?: "SIGTERM" | "SIGKILL"): Promise<void>;
}

/** Attaches strace to every thread of the agent's root half, and to none of the commands it starts. */
export async function attach(box: Box, args: string[]): Promise<Tracer> {
  const pid = box.agentPid();
  const threads = fs.readdirSync(`/proc/${pid}/task`);
  const child = spawn("strace", ["-qq", "-o", "/dev/null", ...args, ...threads.flatMap((t) => ["-p", t])], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  const traced = (t: string) => {
    const file = `/proc/${pid}/task/${t}/status`; // a thread may have ended meanwhile
    return !fs.existsSync(file) || /TracerPid:\s+[1-9]/.test(fs.readFileSync(file, "utf8"));
  };
  await until("strace to attach", () => threads.every(traced));
  return { detach: (signal = "SIGKILL") => ended(child, signal) };
}

async function ended(child: ChildProcess, signal: "SIGTERM" | "SIGKILL"): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  process.kill(child.pid as number, signal);
  await exit;
}

/** How often each system call of {@link WRITES} is made by one thread of the agent while `job` runs. */
export async function countCalls(box: Box, job: () => Promise<unknown>): Promise<Map<string, number>> {
  const file = path.join(box.dir, "calls.trace");
  const tracer = await attach(box, ["-o", file, "-e", `trace=${WRITES.join(",")}`, "-e", "signal=none"]);
  await job();
  await tracer.detach("SIGTERM"); // nobody was killed, and what it has written is to be whole
  const perThread = new Map<string, number>();
  for (const m of fs.readFileSync(file, "utf8").matchAll(/^([0-9]+) +([a-z0-9]+)\(/gm)) {
    const key = `${m[1]} ${m[2]}`;
    perThread.set(key, (perThread.get(key) ?? 0) + 1);
  }
  const out = new Map<string, number>();
  for (const [key, n] of perThread) {
    const name = key.split(" ")[1] as string;
    out.set(name, Math.max(out.get(name) ?? 0, n));
  }
  return out;
}

/** The places for faults that were counted, thinned out evenly to at most so many. */
export function pointsOf(counts: Map<string, number>, max: number): { name: string; n: number }[] {
  const all = [...counts].flatMap(([name, n]) => Array.from({ length: n }, (_, i) => ({ name, n: i + 1 })));
  const step = Math.max(1, all.length / max);
  return Array.from(
    { length: Math.min(max, all.length) },
    (_, i) => all[Math.floor(i * step)] as typeof all[0],
  );
}

/** A copy of a home whose agent is stopped, as another box in the same directory. */
export function copyOf(golden: Box, name: string): Box {
  const box = new Box(golden.dir, name);
  fs.cpSync(golden.home, box.home, { recursive: true, force: true, preserveTimestamps: true });
  return box;
}

/** Does all of the jobs, `width` at a time. */
export async function each<T>(
  items: T[],
  width: number,
  job: (item: T, index: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const worker = async () => {
    for (let i = next++; i < items.length; i = next++) await job(items[i] as T, i);
  };
  await Promise.all(Array.from({ length: width }, worker));
}
