// Host: one isconf home in a temporary directory, its agent from the shipped executable inside a meter.
// Not a test's world: nothing here runs in this process.
import { Api } from "./api.ts";
import { Meter } from "./meter.ts";
import { type Ran, run } from "./run.ts";

export const root = new URL("../../", import.meta.url).pathname;
export const isconf = `${root}dist/isconf`;
export const nodeOfOurs = `${root}node_modules/node-linux-${
  Deno.build.arch === "aarch64" ? "arm64" : "x64"
}/bin/node`;

export class BenchHost implements AsyncDisposable {
  readonly home: string;
  readonly meter = new Meter();
  readonly #env: Record<string, string>;
  #isStarted = false;

  constructor(home: string) {
    this.home = home;
    this.#env = { ISCONF_HOME: home };
  }

  /** A verb of the command line, with the CPU time of everybody who worked for it. */
  async isconf(...words: string[]): Promise<Ran & { cpuS: number }> {
    this.#isStarted ||= ["start", "init", "bundle"].includes(words[0] as string);
    return await this.meter.measure([isconf, ...words], this.#env);
  }

  /** The same for short verbs, run twice: once for the CPU time and once for the wall time. */
  async both(...words: string[]): Promise<Ran & { cpuS: number }> {
    return await this.meter.both([isconf, ...words], this.#env);
  }

  api(): Api {
    return new Api(`${this.home}/run/${Deno.uid()}.sock`);
  }

  /** The pid of the root half, which is the one that has no role in its arguments. */
  rootHalf(): number {
    const pid = this.meter.pids().find((p) =>
      Deno.readTextFileSync(`/proc/${p}/cmdline`).startsWith("isconf: agent")
    );
    if (pid === undefined) throw new Error(`no root half runs on ${this.home}`);
    return pid;
  }

  async stop(): Promise<void> {
    if (!this.#isStarted) return;
    Deno.kill(this.rootHalf(), "SIGTERM");
    this.#isStarted = false;
    for (let i = 0; this.meter.pids().length > 0; i++) {
      if (i > 500) throw new Error(`the agent of ${this.home} does not stop`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.stop();
    } finally {
      await this.meter[Symbol.asyncDispose]();
    }
  }
}

/** A directory that is removed with everything in it at the end of its block. */
export class TempDir implements Disposable {
  readonly path: string;

  constructor(options: { inMemory?: boolean } = {}) {
    const dir = options.inMemory ? "/dev/shm" : undefined;
    this.path = Deno.makeTempDirSync({ prefix: "isconf-bench-", ...(dir === undefined ? {} : { dir }) });
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}

/** A copy of a home whose agent has stopped. */
export async function copyHome(from: string, to: string): Promise<void> {
  await run(["cp", "-a", "--", from, to]);
}
