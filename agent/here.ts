// Here: what has run on this host, and was refused, as people see it: each their own, root everybody's. Reads only. Not how it is
// kept (executions.ts) or printed (verbs/log.ts).
import { Buffer } from "node:buffer";
import { Fault, toHex } from "../mq/mod.ts";
import type { Source } from "./caller.ts";
import type { Execution, ExecutionState } from "./executions.ts";
import type { Call } from "./host.ts";
import { logEntriesDefault, logEntriesMax } from "./limits.ts";

/** One of them, without its output. */
export type ExecutionLine = Omit<Execution, "state" | "entry" | "source" | "output"> & {
  /** running, done, failed, uncertain or refused. */
  state: string;
  /** The id of the entry that it is of. */
  entry: string | null;
  from: Source | null;
};

const WORDS: Record<ExecutionState, string> = {
  intent: "uncertain",
  done: "done",
  failed: "failed",
  refused: "refused",
};

/** Whose commands a caller sees: undefined is everybody's. */
function uidSeen({ actor }: Call): number | undefined {
  return actor.uid === (process.geteuid?.() ?? 0) ? undefined : actor.uid;
}

/** The newest, newest last. */
export function list(call: Call, args: { last?: number }): ExecutionLine[] {
  const count = Math.min(args.last ?? logEntriesDefault, logEntriesMax);
  return call.host.executions.newest(count, uidSeen(call)).map((row) => line(call, row));
}

/** One with its output. Throws notFound, for those of others too. */
export function at(call: Call, n: number): ExecutionLine & { output: string } {
  const row = call.host.executions.at(n);
  const uid = uidSeen(call);
  if (row === undefined || (uid !== undefined && row.uid !== uid)) {
    throw new Fault("show", "notFound", `no command ${n} of yours is on record here`, {
      hint: "isconf log --here",
    });
  }
  return { ...line(call, row), output: Buffer.from(row.output ?? []).toString("utf8") };
}

function line({ host }: Call, row: Execution): ExecutionLine {
  const { state, entry, source, output: _, ...rest } = row;
  const word = host.executions.isRunning(row.n) ? "running" : WORDS[state];
  return { ...rest, state: word, entry: entry === null ? null : toHex(entry), from: source };
}
