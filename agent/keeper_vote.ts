// Keeper vote: whether this keeper votes for a check-in that has come as a whole, and what is written down before anybody sees the
// votes. Not how it came (stages.ts) and not whose turn it is (keeper_turns.ts).
import type { Db, Tx } from "../fs/mod.ts";
import { bytesEqual, Fault, toHex } from "../mq/mod.ts";
import type { EntryRecord } from "./entry.ts";
import { proveAuthors, takeIn } from "./intake.ts";
import { certified, type Proposal } from "./keeper.ts";
import {
  type Asked,
  changeIn,
  isSole,
  type Knows,
  needCutsNow,
  needForkPoints,
  needLocks,
  needMemory,
  needNoCuts,
  needSole,
  needTurn,
} from "./keeper_turns.ts";
import { CONTROL } from "./names.ts";
import type { Own } from "./own.ts";
import { NO_PROOF } from "./promises.ts";
import { movedOn, type Stage } from "./stages.ts";

/** What a vote is given with. */
export interface Votes extends Knows {
  db: Db;
  own: Own;
}

/**
 * Votes for the whole of a check-in, or for nothing of it; the votes, by entry. Where no other keeper is needed it is
 * certified with that, and kept in the same transaction.
 */
export async function certify(
  o: Votes,
  asked: Asked,
  stage: Stage,
  term: number,
  proof: Uint8Array | undefined,
): Promise<Uint8Array[]> {
  const { policy, branch, seen } = asked;
  o.journal.needUnforked("ci", branch);
  const head = o.journal.head(branch);
  if (!bytesEqual(head.id, stage.base.id)) throw movedOn(branch, head.seq);
  const isControl = branch === CONTROL;
  const batch: Proposal[] = stage.entries.map(({ record, entry, id }) => ({
    ...record,
    ...placeOf(entry),
    id,
  }));
  const change = isControl
    ? stage.entries.map(({ entry }) => changeIn(entry.ops)).find((op) => op)
    : undefined;
  if (!policy.keepers.hosts.includes(asked.self) && !isToBeKeeper(change, asked.self)) {
    throw noKeeper();
  }
  needMemory(o, asked, proof);
  proveAuthors(o, branch, [
    ...o.keeper.accepted(branch)?.records.map(([entry]) => entry!) ?? [],
    ...batch.map(({ entry }) => entry),
  ]);
  const turn = isSole(policy) && change === undefined
    ? needSole(o, asked, stage, term)
    : needTurn(o, asked, stage, term, proof ?? null);
  for (const { entry } of turn.isAgain ? [] : stage.entries) {
    const isOnlyThat = entry.ops.every(({ op }) => op === "acknowledge");
    if (!(isControl && isOnlyThat)) o.journal.needNotSuspended("ci", toHex(entry.author));
  }
  const locks = change === undefined || turn.proof === undefined
    ? []
    : needLocks(o, asked, change, turn.held, turn.isAgain);
  if (!isControl) needNoCuts(o);
  for (const { entry } of stage.entries) {
    if (isControl) {
      needCutsNow(o, policy, entry.ops);
      needForkPoints(o, entry.ops);
    } else if (!turn.isAgain && !bytesEqual(entry.policy, policy.head)) {
      throw new Fault("ci", "refused", "the policy of the domain has changed meanwhile", {
        hint: "isconf ci",
      });
    }
  }
  const votes = o.keeper.votes(policy.domain, term, batch);
  const last = batch.at(-1) as Proposal;
  const sign = (tx: Tx) => o.own.sign(tx, "vote", branch, { epoch: last.epoch, seq: last.seq, term });
  if (seen !== undefined) {
    await seen.entries(term, batch, turn.proof ?? NO_PROOF);
    if (turn.proof === undefined) {
      o.db.write(sign);
      takeIn(o, certified(batch, [votes]), { branch }); // perhaps they have come from another keeper by now
      return votes;
    }
  }
  o.db.write((tx) => {
    sign(tx);
    if (turn.proof === undefined) {
      const records = certified(batch, [votes]);
      return o.journal.append(
        tx,
        stage.entries.map((checked, i) => ({ ...checked, term, record: records[i] as EntryRecord })),
      );
    }
    o.keeper.learn(tx, { ...turn.held, message: stage.entries[0]!.entry.message });
    o.keeper.accept(tx, branch, term, batch, turn.proof);
    for (const held of locks) o.keeper.learn(tx, held);
  });
  return votes;
}

const isToBeKeeper = (change: ReturnType<typeof changeIn>, self: string): boolean =>
  change?.op === "keepers" && change.hosts.some((k) => toHex(k) === self);

const placeOf = ({ branch, epoch, seq }: { branch: string; epoch: number; seq: number }) => ({
  branch,
  epoch,
  seq,
});

/** The fault of who is asked for what only keepers say. */
export const noKeeper = (): Fault =>
  new Fault("keeper", "refused", "this host is no keeper", { hint: "isconf status" });
