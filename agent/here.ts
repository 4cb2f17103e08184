// Here: what has run on this host, and was refused, as people see it: each their own, root everybody's. Reads only. Not how it is
// kept (executions.ts) or printed (verbs/log.ts).
import { Buffer } from "node:buffer";
import { Fault, fromHex, toHex } from "../mq/mod.ts";
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

/** That the record is as it was written: of the caller's own, or everybody's. */
export interface Verified {
  commands: number;
  /** Of them: from before there was a chain. */
  older: number;
}

/**
 * Checks the record against its chain; `told`: a value of the chain that must be in it, in hex.
 * @throws {Fault} corrupt, naming what was changed, put in or taken away; usage
 */
export function verify(call: Call, told?: string): Verified {
  if (told !== undefined && !/^[0-9a-f]{64}$/.test(told)) {
    throw new Fault("log", "usage", "a value of the chain is 64 characters 0-9 and a-f, as in ISCONF_CHAIN", {
      hint: "journalctl -t isconf -o verbose",
    });
  }
  const { executions } = call.host;
  const { count, older, wrong } = executions.check(uidSeen(call));
  if (told !== undefined && !executions.hasChain(fromHex(told))) {
    wrong.push(
      `nothing that was recorded has the value ${
        told.slice(0, 12)
      }… of the chain: it is old, or was taken away`,
    );
  }
  if (wrong.length === 0) return { commands: count, older };
  throw new Fault(
    "log",
    "corrupt",
    `the record of commands was not only written by isconf: ${wrong.join("; ")}`,
    {
      hint: "journalctl -t isconf, or commands.log, has what was told when it ran",
    },
  );
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
