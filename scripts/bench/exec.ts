// Exec: one journaled command from the command line against sudo, and the same without the command line, so that it
// shows what the agent costs and what starting a Node process costs.
import { against, type Figure, median, seconds, skipped } from "./figure.ts";
import { BenchHost, isconf, TempDir } from "./host.ts";
import { Meter } from "./meter.ts";
import { isThere, run } from "./run.ts";
import { inTurn, type Took } from "./turns.ts";

const times = 30;
const calls = 1000;
/** Bytes of output that go through a command, and how often. */
const outputBytes = 1024 ** 3;
const outputTimes = 5;
/** Calls after which the work is checked in, outside the time. */
const callsPerCheckIn = 50;
const sudo = "/usr/bin/sudo";

export async function exec(): Promise<Figure[]> {
  using temp = new TempDir();
  await using host = new BenchHost(`${temp.path}/home`);
  await using meter = new Meter();
  await host.isconf("init", "--host", "hosta");
  using api = host.api();
  await api.call("lock", { message: ["bench"] });
  const has = isThere(sudo);
  const took = await inTurn(times, {
    exec: () => host.both("exec", "true"),
    true: () => meter.both(["/bin/true"]),
    ...(has ? { sudo: () => meter.both([sudo, "-n", "true"]) } : {}),
    status: () => host.both("status"),
    version: () => meter.both([isconf, "version"], { ISCONF_HOME: host.home }),
  });
  await api.call("ci");
  let called = 0;
  const over = await inTurn(calls, {
    "exec over one connection": async () => {
      if (called++ % callsPerCheckIn === 0) {
        if (called > 1) await api.call("ci");
        await api.call("lock", { message: ["bench"] });
      }
      return await timed(host, () => api.call("exec", { command: ["true"], callerEnv: {} }));
    },
    "status over one connection": () => timed(host, () => api.call("status")),
  }, 10);
  const [called1, asked1] = [over["exec over one connection"], over["status over one connection"]];
  const own = (name: string, list: number[]): Figure => ({ name, ours: seconds(median(list)), peer: "-" });
  const figures: Figure[] = [];
  for (const kind of ["cpu", "wall"] as const) {
    const what = kind === "cpu" ? "CPU" : "wall";
    const name = `isconf exec true, ${what}`;
    const api1 = `exec over one connection, ${what}`;
    figures.push(
      against(name, took.exec[kind], "true", took.true[kind]),
      took.sudo ? against(name, took.exec[kind], "sudo -n true", took.sudo[kind]) : skipped(name, "no sudo"),
      against(api1, called1[kind], "true", took.true[kind]),
      took.sudo ? against(api1, called1[kind], "sudo -n true", took.sudo[kind], 1) : skipped(api1, "no sudo"),
      own(`status over one connection, ${what}`, asked1[kind]),
      own(`isconf status, ${what}`, took.status[kind]),
      own(`isconf version, ${what}`, took.version[kind]),
    );
  }
  figures.push(...await output(host));
  return figures;
}

/** A gibibyte from a command to a pipe, and from cat to a pipe. */
async function output(host: BenchHost): Promise<Figure[]> {
  using memory = new TempDir({ inMemory: true });
  const file = `${memory.path}/output`;
  await run(["/bin/sh", "-c", 'head -c "$1" /dev/urandom >"$0"', file, String(outputBytes)]);
  await host.isconf("lock", "output");
  const piped = (...words: string[]) => async () =>
    await host.meter.measure(["/bin/sh", "-c", '"$@" | cat >/dev/null', "sh", ...words, "cat", file], {
      ISCONF_HOME: host.home,
    });
  const took = await inTurn(outputTimes, { exec: piped(isconf, "exec"), cat: piped("env") });
  await host.isconf("ci");
  return (["cpu", "wall"] as const).map((kind) =>
    against(
      `1 GiB of output, ${kind === "cpu" ? "CPU" : "wall"}`,
      took.exec[kind],
      "cat through a pipe",
      took.cat[kind],
    )
  );
}

/** A call over the API: the agent's CPU time, and wall time as the caller sees it. */
async function timed(host: BenchHost, call: () => Promise<unknown>): Promise<Took> {
  const cpu = host.meter.cpuS();
  const start = performance.now();
  const result = await call() as { status?: number; journaled?: boolean };
  const wallS = (performance.now() - start) / 1000;
  if (result.journaled === false) throw new Error(`a command ended ${result.status}`);
  return { cpuS: host.meter.cpuS() - cpu, wallS };
}
