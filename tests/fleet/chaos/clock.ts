// Clock: a wall clock for a host that a test can step, as the machine's own is that of all hosts. How: clock_step.c.
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { fileURLToPath } from "node:url";
import { lacks } from "../../programs.ts";
import type { Host } from "../fleet.ts";

const source = fileURLToPath(new URL("clock_step.c", import.meta.url));
const LIBRARY = "/usr/local/lib/clock_step.so";

/** Why clocks cannot be stepped here; false when they can. */
export const lacksClock = (): string | false => lacks({ programs: ["gcc"] });

let built: Uint8Array | undefined;

function library(): Uint8Array {
  if (built !== undefined) return built;
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "isconf-clock-"));
  try {
    const file = path.join(dir, "clock_step.so");
    execFileSync("gcc", ["-O2", "-shared", "-fPIC", "-o", file, source, "-ldl"]);
    return built = fs.readFileSync(file);
  } finally {
    fs.rmSync(dir, { recursive: true, force: true });
  }
}

const bytesOf = (seconds: number) => new Uint8Array(new BigInt64Array([BigInt(seconds)]).buffer);

/** Every process that a host starts from now on, until its disk is wiped, has a clock that can be stepped. */
export async function giveClock(host: Host, seconds = 0): Promise<void> {
  await host.write(LIBRARY, library(), 0o755);
  await host.write("/etc/clock-step", bytesOf(seconds));
  await host.write("/etc/ld.so.preload", `${LIBRARY}\n`);
}

/** The clock of a host is so many seconds off that of the machine from now on, in processes that run, too. */
export async function stepClock(host: Host, seconds: number): Promise<void> {
  await host.must(["sh", "-euc", "cat 1<>/etc/clock-step >&1", "sh"], { stdin: bytesOf(seconds) });
}
