// History: what clients of one branch asked for and were told, with the times of question and answer: what a judge judges.
// The object is a lock with a list: `lock` takes it and reads how long the list is, `ci` appends and gives it back.
// Not a judge (solver.ts, porcupine.ts) and not how it is recorded (tests/fleet/chaos).
import * as fs from "node:fs";

/** One operation of a client, a person on a host. Times are of one monotonic clock, in microseconds. */
export interface Operation {
  client: string;
  /**
   * lock: nobody had it, or the same client, or it is stolen. unlock: the client had it; with `steal`, anybody had it.
   * drop: gives it back if the client has it. ci: the client has it; `ids` follow what is there; nobody has it then.
   * read: how long the list is.
   */
  op: "lock" | "ci" | "unlock" | "drop" | "read";
  steal?: boolean;
  callUs: number;
  /** null: nobody was told how it ended; it may have come to pass at any time since, or never. */
  returnUs: number | null;
  /** What a lock was told: the term, above all terms before. */
  term?: number;
  /** What a lock or read was told: how long the list was, and the last of it ("" of none). */
  length?: number;
  last?: string;
  /** What a ci appends, all of it or nothing; each id is of one ci only. */
  ids?: string[];
  /** The place of the first of a ci, from 1: as it was told, or as it was made for. */
  from?: number;
  /**
   * Of a ci: it was asked for more than once, as an answer stayed away. What some keepers have voted for, whoever locks later
   * may have to finish, also when somebody else had the lock in between and checked nothing in: as if the client had taken
   * the lock once more. So its client need not have the lock then; the same of a ci without an answer.
   */
  again?: true;
}

export interface History {
  operations: Operation[];
  /** The list as all had it when all was over. */
  final: string[];
}

/**
 * What a try to steal may have done that too few keepers answered: it had the lock for a moment, by those whose answers were lost, and
 * then the agent gave back what it believed nobody had promised. `client` is a name of that one try, for what is given back is
 * its own term and never a later lock of the same client.
 */
export const takenBack = (client: string, callUs: number): Operation[] => [
  { client, op: "lock", steal: true, callUs, returnUs: null },
  { client, op: "drop", callUs, returnUs: null },
];

/** Whether the client of a ci must have had the lock when it came to pass. */
export const isByHolder = ({ returnUs, again }: Operation): boolean => returnUs !== null && again !== true;

/** The history with what is known from its end: what is not in the final list was never checked in. */
export function resolved({ operations, final }: History): History {
  const there = new Set(final);
  return {
    operations: operations.filter((o) =>
      o.op !== "ci" || o.returnUs !== null || o.ids?.some((id) => there.has(id))
    ),
    final,
  };
}

export const readHistory = (file: string): History => JSON.parse(fs.readFileSync(file, "utf8"));

/** One operation a line, so that people can look at it. */
export function writeHistory(file: string, { operations, final }: History): void {
  const lines = operations.map((operation) => JSON.stringify(operation)).join(",\n");
  fs.writeFileSync(file, `{"operations":[\n${lines}\n],\n"final":${JSON.stringify(final)}}\n`);
}
