// Journal: makes journals to measure with, through the real API of a first host, and brings them to second hosts.
// Not measured itself, except the import of the bundle.
import { tell } from "./figure.ts";
import { BenchHost, copyHome, TempDir } from "./host.ts";

export const fileBytes = 1024;
/** Steps in one check-in: every snap and exec looks at all the work that waits. */
const stepsPerCheckIn = 50;

/**
 * The directory that the steps of a journal put their files into, empty before each run. What was in it is moved aside
 * and removed at the end only: ext4 does not give out an inode again for five seconds after its removal, and searches
 * past all of them for each file that is made meanwhile.
 */
export class Target implements Disposable {
  readonly #temp = new TempDir();
  readonly dir = `${this.#temp.path}/target`;
  #used = 0;

  constructor() {
    Deno.mkdirSync(this.dir);
  }

  empty(): void {
    Deno.renameSync(this.dir, `${this.#temp.path}/used-${++this.#used}`);
    Deno.mkdirSync(this.dir);
  }

  /** Whether every step's file is there. */
  check(steps: number): void {
    for (let i = 0; i < steps; i++) {
      const { size } = Deno.statSync(`${this.dir}/file${i}`);
      if (size !== fileBytes) throw new Error(`${this.dir}/file${i} has ${size} bytes`);
    }
  }

  [Symbol.dispose](): void {
    this.#temp[Symbol.dispose]();
  }
}

/** A second host's home, agent stopped, that has a journal and has applied nothing of it. */
export interface Imported {
  home: string;
  steps: number;
  importCpuS: number;
}

/**
 * A journal of `steps` steps, each a snapped file and an executed /bin/true, brought by bundle to a new home below
 * `dir`. The target directory is empty afterwards.
 */
export async function importedHome(dir: string, target: Target, steps: number): Promise<Imported> {
  using temp = new TempDir({ inMemory: true });
  const bundle = `${temp.path}/bundle`;
  let domain = "";
  {
    await using first = new BenchHost(`${temp.path}/a`);
    await first.isconf("init", "--host", "hosta");
    using api = first.api();
    for (let i = 0; i < steps; i++) {
      if (i % stepsPerCheckIn === 0) await api.call("lock", { message: ["bench"] });
      const file = `${target.dir}/file${i}`;
      Deno.writeTextFileSync(file, `file ${i} `.padEnd(fileBytes, "x"));
      await api.call("snap", { path: [file] });
      await api.call("exec", { command: ["/bin/true"] });
      if (i % stepsPerCheckIn === stepsPerCheckIn - 1 || i === steps - 1) await api.call("ci");
    }
    domain = (await api.call("status") as { domain: string }).domain;
    await first.isconf("bundle", "export", bundle);
  }
  target.empty();
  const home = `${dir}/imported-${steps}`;
  await using second = new BenchHost(home);
  await second.isconf("start");
  const { cpuS } = await second.isconf("bundle", "import", bundle, "--domain", domain, "--host", "hostb");
  tell(`import of ${2 * steps} entries: ${cpuS.toFixed(3)} CPU s`);
  return { home, steps, importCpuS: cpuS };
}

/** Copies an imported home, starts its agent and runs `up` once; the host is handed to `then` before it stops. */
export async function runUp<T>(
  from: Imported,
  to: string,
  target: Target,
  then: (host: BenchHost, up: { cpuS: number; wallS: number }) => Promise<T> | T,
): Promise<T> {
  target.empty();
  await copyHome(from.home, to);
  try {
    await using host = new BenchHost(to);
    await host.isconf("start");
    const up = await host.isconf("-q", "up");
    target.check(from.steps);
    return await then(host, up);
  } finally {
    Deno.removeSync(to, { recursive: true });
  }
}
