// Fixture: places and terminals for the tests of machines, and a hypervisor that is none. No part of what is shipped.
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { systemClock } from "../../mq/mod.ts";
import { SECURE_PATH } from "../environment.ts";
import type { VmArgs, VmCli } from "./mod.ts";
import type { Place } from "./place.ts";
import { runningPid } from "./running.ts";

type Test = { after(fn: () => void): void };

/** Every shell of this machine that may be /bin/sh somewhere. */
export const SHELLS = [["/bin/dash"], ["/bin/bash", "--posix"], ["/bin/busybox", "ash"]]
  .filter(([file]) => fs.existsSync(file!));

/**
 * A hypervisor as far as isconf knows of one: it stays, for half a minute at the most, as a process that was given a pid file, and
 * lets the console hear of it. When its machine is called `broken` it says so and fails.
 */
const FAKE_QEMU = `#!/bin/sh
case " $* " in *" -name broken "*) echo "no such thing: \x1b[2J" >&2; exit 3;; esac
while [ $# -gt 0 ]; do
  case $1 in
    -pidfile) pid=$2;;
    -serial) console=\${2#file:};;
  esac
  shift
done
printf 'hello\\r\\n' > "$console"
/bin/sh -c 'trap "" HUP; echo $$ > "$2.new"; mv "$2.new" "$2"; n=0; while [ $n -lt 300 ]; do sleep 0.1; n=$((n+1)); done' qemu -pidfile "$pid" > /dev/null 2>&1 &
until [ -s "$pid" ]; do sleep 0.01; done
`;

/** A place in a directory of its own, with a hypervisor that is none; all is gone after the test. */
export function makePlace(t: Test, more: Partial<Place> = {}): Place {
  const dir = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "isconf-vm-")));
  const programs = path.join(dir, "bin");
  fs.mkdirSync(programs);
  fs.writeFileSync(path.join(programs, "qemu-system-x86_64"), FAKE_QEMU, { mode: 0o755 });
  const vms = path.join(dir, "vm");
  t.after(() => {
    for (const name of fs.existsSync(vms) ? fs.readdirSync(vms) : []) {
      const pid = runningPid(path.join(vms, name, "pid"));
      if (pid !== undefined) process.kill(pid, "SIGKILL");
    }
    fs.rmSync(dir, { recursive: true, force: true, maxRetries: 3 });
  });
  return {
    vms,
    os: "linux",
    programs: `${programs}:${SECURE_PATH}`,
    isconf: "/bin/false", // who speaks to a machine through it hears nothing
    shell: "/bin/sh",
    cwd: dir,
    clock: systemClock,
    ...more,
  };
}

/** What a call of `isconf vm` prints. */
export interface Said {
  out: string;
  err: string;
}

/** A command line without a screen. */
export function makeCli(json = false): VmCli & { said: Said } {
  const said = { out: "", err: "" };
  const term = {
    line: (text: string) => void (said.out += `${text}\n`),
    raw: (text: string | Uint8Array) => void (said.out += String(text)),
    say: (text: string) => void (said.err += `${text}\n`),
    table: (rows: string[][]) => void (said.out += rows.map((row) => `${row.join("  ")}\n`).join("")),
  } as unknown as VmCli["term"];
  return { said, term, globals: { json } as VmCli["globals"], homeOption: undefined };
}

/** Words of a command line as the parser gives them. */
export function vmArgs(action: string, name?: string, more: Partial<VmArgs> = {}): VmArgs {
  return {
    action,
    ...(name === undefined ? {} : { name }),
    console: false,
    force: false,
    plan: false,
    json: false,
    ...more,
  };
}
