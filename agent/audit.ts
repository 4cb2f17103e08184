// Audit: tells others on this host of what runs and what is refused: the system's journal, or where there is none a file. A copy, for
// those who watch; the record itself is agent.db (executions.ts). Nothing that a command prints is in it.
import * as fs from "node:fs";
import * as path from "node:path";
import { type Clock, Fault, sendDatagram } from "../mq/mod.ts";
import type { Execution, ExecutionEvent } from "./executions.ts";
import { auditArgvBytesMax, auditFileBytesMax, auditFilesKept } from "./limits.ts";
import { commandLine, inert } from "./names.ts";
import type { Home } from "./paths.ts";
import { inertJson } from "./term.ts";

/** Where systemd-journald takes messages in its native protocol. */
const JOURNALD = "/run/systemd/journal/socket";
/** syslog(3): notice, warning, and the facility of what is about rights. */
const [NOTICE, WARNING, AUTHPRIV] = ["5", "4", "10"];

/** The file of a home, and before it the older ones: commands.log.1 is the newest of them. */
export const auditFile = (home: Home): string => path.join(home.state, "commands.log");

/** What tells of each execution of a home. A try-out's are told to its own file only. */
export function auditOf(
  home: Home,
  clock: Clock,
  log: (line: string) => void,
): (event: ExecutionEvent, row: Execution, chain: string) => void {
  let complaint = "";
  return (event, row, chain) => {
    const said = fieldsOf(event, row, chain);
    if (home.system && tellJournald(said)) return;
    try {
      append(auditFile(home), `${inertJson({ time: new Date(clock.wall()).toISOString(), ...said })}\n`);
      complaint = "";
    } catch (e) {
      const { message } = Fault.from("audit", e);
      if (message !== complaint) log(`the audit file is not written: ${message}`); // once, and the record is elsewhere
      complaint = message;
    }
  };
}

/** Names as journald wants them: capitals and underscores. Each value is inert, whoever it comes from. */
function fieldsOf(event: ExecutionEvent, row: Execution, chain: string): Record<string, string> {
  const { source } = row;
  const command = commandOf(row.argv);
  const end = row.status === null ? row.why ?? "" : `status ${row.status}`;
  const fields: Record<string, string | number | null | undefined> = {
    MESSAGE: `${row.user} ${event === "refused" ? "may not" : `(${event})`} ${row.verb}${
      row.as === "" ? "" : ` as ${row.as}`
    }: ${command}${event === "begun" ? "" : `; ${end}`}`,
    PRIORITY: event === "refused" ? WARNING : NOTICE,
    SYSLOG_IDENTIFIER: "isconf",
    SYSLOG_FACILITY: AUTHPRIV,
    ISCONF_EVENT: event,
    ISCONF_N: row.n,
    ISCONF_VERB: row.verb,
    ISCONF_UID: row.uid,
    ISCONF_USER: row.user,
    ISCONF_PERSON: row.person,
    ISCONF_AS: row.as,
    ISCONF_FILE: row.file,
    ISCONF_ARGV: command,
    ISCONF_CWD: row.cwd,
    ISCONF_RULE: row.rule,
    ISCONF_ENTRY: row.seq,
    ISCONF_CALLER_PID: source?.pid,
    ISCONF_CALLER_UID: source?.uid,
    ISCONF_CALLER_TTY: source?.tty,
    ISCONF_CALLER_CWD: source?.cwd,
    ISCONF_STATUS: row.status,
    ISCONF_WHY: row.why,
    ISCONF_CHAIN: chain,
  };
  return Object.fromEntries(
    Object.entries(fields).flatMap(([name, value]) =>
      value === null || value === undefined || value === "" ? [] : [[name, inert(String(value))]]
    ),
  );
}

/** A command line as somebody could paste it, or the beginning of a long one. */
function commandOf(argv: readonly string[]): string {
  const line = commandLine(argv);
  return line.length <= auditArgvBytesMax ? line : `${line.slice(0, auditArgvBytesMax)}… (cut)`;
}

/** Whether a journald has taken it. */
function tellJournald(fields: Record<string, string>): boolean {
  try {
    sendDatagram(JOURNALD, journaldBytes(fields));
    return true;
  } catch {
    return false; // nobody is there, or is behind: the file takes it
  }
}

/**
 * Fields in journald's native protocol, each in the form in which its length is said before it, so that nothing in a value can
 * begin another field (systemd.io/JOURNAL_NATIVE_PROTOCOL).
 */
export function journaldBytes(fields: Record<string, string>): Uint8Array {
  return Buffer.concat(
    Object.entries(fields).flatMap(([name, value]) => {
      const bytes = Buffer.from(value);
      const length = Buffer.alloc(8);
      length.writeBigUInt64LE(BigInt(bytes.length));
      return [Buffer.from(`${name}\n`), length, bytes, Buffer.from("\n")];
    }),
  );
}

/** Adds a line to a file of ours; a file that is full becomes an older one, and the oldest goes. */
function append(file: string, line: string): void {
  const { O_WRONLY, O_APPEND, O_CREAT, O_NOFOLLOW } = fs.constants;
  const size = fs.lstatSync(file, { throwIfNoEntry: false })?.size ?? 0;
  if (size > 0 && size + line.length > auditFileBytesMax) {
    for (let i = auditFilesKept - 1; i >= 0; i--) {
      const from = i === 0 ? file : `${file}.${i}`;
      if (fs.existsSync(from)) fs.renameSync(from, `${file}.${i + 1}`);
    }
  }
  const fd = fs.openSync(file, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, 0o600);
  try {
    if (fs.writeSync(fd, line) === Buffer.byteLength(line)) return;
    fs.ftruncateSync(fd, size); // half a line would spoil the next one
    throw Object.assign(new Error("ENOSPC: the disk is full"), { code: "ENOSPC", path: file });
  } finally {
    fs.closeSync(fd);
  }
}
