// Script: a script run by the shell: exactly these bytes, after they were found to be straight; in an environment that is made here,
// with a deadline; its output in the machine's log, its failure with the line it failed at. Not where scripts come from (template.ts).
import { Buffer } from "node:buffer";
import { spawn } from "node:child_process";
import * as fs from "node:fs";
import { closeFd, Fault, memfd, sha256, toHex } from "../../mq/mod.ts";
import { inert } from "../names.ts";
import { moment, outputLines } from "../term.ts";
import { logBytesMax, outputBytesMax } from "./limits.ts";
import { type Place, scriptEnv } from "./place.ts";
import { type Command, straight } from "./straight.ts";

/** How a script ended. */
export interface Ran {
  /** 0 to 255; 128 + n when a signal ended the shell. */
  status: number;
  isLate: boolean;
  /** What its commands have said, without the shell's own lines. */
  said: string[];
  /** The command that it was at when it ended. */
  last: Command | undefined;
}

/**
 * Runs a script. -e: it ends at the first command that fails; -u: nothing unset; -x: each command is told before it runs, which is how
 * it is known where it ended. The text is an argument of the shell: no file that somebody could change between look and use, and no
 * descriptor that a command could read the rest from. Without a log what it says is kept in memory.
 * @throws {Fault} refused, when it is not straight: then nothing has run
 */
export async function runScript(
  place: Place,
  text: string,
  log: string | undefined,
  deadlineMs: number,
): Promise<Ran> {
  const commands = straight(text);
  const fd = log === undefined ? memoryFile("log") : openLog(log);
  try {
    const title = `# ${moment(place.clock.wall())}, sha256 ${toHex(sha256(Buffer.from(text)))}\n`;
    fs.writeSync(fd, `${title}${text}`);
    const from = fs.fstatSync(fd).size;
    const ended = await runShell(place, text, fd, deadlineMs);
    const output = readFrom(fd, from);
    return { ...ended, ...traced(output, commands) };
  } finally {
    fs.closeSync(fd);
  }
}

/** Throws what a script that failed comes to: the line, the command, what it said. */
export function needDone(op: string, { status, isLate, said, last }: Ran, hint: string): void {
  if (status === 0 && !isLate) return;
  const at = last === undefined ? "before its first command" : `at line ${last.line}, ${last.words[0]}`;
  const why = isLate ? "took too long and was ended" : `ended with status ${status}`;
  const words = said.slice(-3).map(inert).join("; ");
  throw new Fault(op, "refused", `the script ${why} ${at}${words === "" ? "" : `: ${words}`}`, {
    hint,
  });
}

/** A file without a name, gone with its last descriptor. */
export function memoryFile(name: string): number {
  const fd = memfd(name);
  try {
    return fs.openSync(`/proc/self/fd/${fd}`, "r+");
  } finally {
    closeFd(fd);
  }
}

/** Appended to; one that is too long begins anew. */
function openLog(log: string): number {
  const { O_RDWR, O_APPEND, O_CREAT, O_NOFOLLOW } = fs.constants;
  const fd = fs.openSync(log, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW, 0o600);
  if (fs.fstatSync(fd).size > logBytesMax) fs.ftruncateSync(fd);
  return fd;
}

function runShell(
  place: Place,
  text: string,
  log: number,
  deadlineMs: number,
): Promise<{ status: number; isLate: boolean }> {
  process.umask(0o077); // what it makes is the caller's alone
  const child = spawn(place.shell, ["-eux", "-c", text], {
    cwd: "/",
    env: scriptEnv(place),
    stdio: ["ignore", log, log],
    detached: true, // a group of its own, so that all of it can be ended
  });
  return new Promise((resolve, reject) => {
    let isLate = false;
    // All of its group at once, while the shell is surely there to give the group its number.
    const end = place.clock.after(deadlineMs, () => {
      isLate = true;
      if (child.exitCode === null && child.signalCode === null) process.kill(-child.pid!, "SIGKILL");
    });
    child.once("error", (e) => (end(), reject(Fault.from("vm", e))));
    child.once("exit", (code, name) => {
      end();
      resolve({ status: code ?? (name === null ? 255 : 128 + (SIGNALS[name] ?? 0)), isLate });
    });
  });
}

const SIGNALS: Partial<Record<NodeJS.Signals, number>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGKILL: 9,
  SIGSEGV: 11,
  SIGTERM: 15,
};

/** The last of what is in the log behind `from`. */
function readFrom(fd: number, from: number): string {
  const { size } = fs.fstatSync(fd);
  const bytes = Buffer.alloc(Math.min(size - from, outputBytesMax));
  fs.readSync(fd, bytes, 0, bytes.length, size - bytes.length);
  return bytes.toString("utf8");
}

/** What the shell told of its commands, told from what they said: shells quote differently, so quotes count for nothing. */
function traced(output: string, commands: readonly Command[]): Pick<Ran, "said" | "last"> {
  const bare = (text: string) => text.replace(/['"\\$]/g, "");
  const said: string[] = [];
  let begun = 0;
  for (const line of output === "" ? [] : outputLines(output)) {
    const next = commands[begun];
    if (next !== undefined && bare(line) === bare(`+ ${next.words.join(" ")}`)) begun++;
    else said.push(line);
  }
  return { said, last: commands[begun - 1] };
}
