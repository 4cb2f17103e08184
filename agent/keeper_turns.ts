// Keeper turns: who may propose something to this keeper now, and what. It looks and decides, and writes nothing: what follows
// from it is in keeper_service.ts.
import { bytesEqual, type Cbor, type Clock, Fault, toHex } from "../mq/mod.ts";
import { type Entry, type Op, readEntry } from "./entry.ts";
import type { Head, Journal } from "./journal.ts";
import { CHANGING, type Held, type Keeper, lockGone } from "./keeper.ts";
import type { Seen } from "./keeper_register.ts";
import type { RequestWords } from "./keeper_words.ts";
import { CONTROL, inert } from "./names.ts";
import type { Own } from "./own.ts";
import { batchId, decodeProof, judge, type Proof, termPromisedBy, type Voted } from "./promises.ts";
import { isFrom, movedOn, type Stage } from "./stages.ts";
import { isCut, nameOf, type Policy } from "./trust.ts";

/** What a keeper knows. */
export interface Knows {
  journal: Journal;
  keeper: Keeper;
  clock: Clock;
}

/** A request, and under which policy. */
export interface Asked {
  policy: Policy;
  branch: string;
  /** Who asks, and this host. */
  from: string;
  self: string;
  body: RequestWords;
  /** Where an etcd decides: how the branch stands there. */
  seen?: Seen;
}

/** Whether no other keeper's word is needed. */
export const isSole = ({ keepers }: Policy): boolean => keepers.quorum === 1;

/** The change of the keepers, or of what decides, among operations. */
export const changeIn = (ops: readonly Op[]) => ops.find((op) => op.op === "keepers" || op.op === "register");

/** Only who holds the lock, on the host where it was taken and under its term, checks in. */
export function needHolder(o: Knows, branch: string, from: string, entry: Entry): void {
  const now = o.keeper.holder(branch);
  const own = now?.held === true && !now.change && now.host === from && now.holder === toHex(entry.author);
  if (!own || now.term !== entry.term) throw lockGone(entry.term, now);
}

/** What gives somebody the right to propose now. `isAgain`: it was proposed before, in an earlier term. */
export type Turn = { isAgain: boolean; proof?: undefined } | { isAgain: boolean; proof: Proof; held: Held };

/**
 * While keepers are changed, the chains stand still: this keeper has promised every branch to who changes them, has voted for
 * nothing more there, and the ends are the same here. Returns these locks, which the keepers that come shall know too. A
 * change that is proposed again may have been begun under other locks, since which no others were given.
 */
export function needLocks(
  o: Knows,
  { policy, from, self }: Asked,
  change: Pick<Op & { op: "keepers" }, "cuts" | "terms">,
  by: Held,
  isAgain: boolean,
): Held[] {
  const isOld = policy.keepers.hosts.includes(self);
  return [...policy.branches.keys()].map((branch) => {
    const { seq } = o.journal.head(branch);
    if ((change.cuts[branch] ?? 0) !== seq) throw movedOn(branch, seq);
    const named = change.terms[branch] ?? 0;
    const now = o.keeper.holder(branch);
    const isStill = now?.held === true && now.change &&
      (isAgain || (now.term === named && now.host === from));
    const isBehind = now === undefined || now.term < named;
    if ((isOld && !isStill && !isBehind) || o.keeper.accepted(branch) !== undefined) {
      throw lockGone(named, now);
    }
    return {
      ...by,
      branch,
      term: Math.max(named, now?.term ?? 0),
      message: CHANGING,
      held: true,
      change: true,
    };
  });
}

/** Whether this keeper has voted for other keepers and does not know what came of it. */
export function isChanging(o: Knows): boolean {
  return votedFor(o, CONTROL) !== null &&
    o.keeper.accepted(CONTROL)?.records.some(([entry]) =>
        changeIn(readEntry(entry!).entry.ops) !== undefined
      ) === true;
}

/** Throws unless this keeper, the only one, has promised the term; of the control journal it promises none. */
export function needSole(o: Knows, { branch, from }: Asked, { entries }: Stage, term: number): Turn {
  if (branch === CONTROL && isChanging(o)) {
    throw new Fault("ci", "refused", "the keepers of the domain are being changed", {
      hint: "isconf keeper add or remove, on a keeper: finishes it",
    });
  }
  for (const { entry } of branch === CONTROL ? [] : entries) {
    needHolder(o, branch, from, entry);
    if (entry.term !== term) throw lockGone(term, o.keeper.holder(branch));
  }
  return { isAgain: false };
}

/** Throws unless a quorum has promised the term to this host, and this is what may be proposed then. */
export function needTurn(
  o: Knows,
  { policy, branch, from }: Asked,
  { entries }: Stage,
  term: number,
  bytes: Cbor,
): Turn {
  const now = o.keeper.holder(branch);
  const isNow = now?.term === term;
  if (now !== undefined && (now.term > term || (isNow && (!now.held || now.change)))) {
    throw lockGone(term, now);
  }
  const place = { policy, branch, ...o.journal.head(branch) };
  const own = isNow ? o.keeper.said(branch) : undefined;
  const { proof, judged: { holder, host, must } } = judgeWith(place, term, decodeProof(bytes), own);
  if (host !== from || (isNow && (now.host !== host || now.holder !== holder))) throw lockGone(term, now);
  const batch = batchId(entries.map(({ id }) => id));
  const accepted = o.keeper.accepted(branch);
  if (accepted?.term === term && !bytesEqual(accepted.batch, batch)) {
    throw denied(`this keeper has voted for something else in term ${term}`);
  }
  if (must !== undefined && !bytesEqual(must.batch, batch)) {
    throw denied(`something else was proposed in term ${must.term}, and may be certified already`);
  }
  for (const { entry } of must === undefined ? entries : []) {
    if (toHex(entry.author) !== holder || !isFrom(entry, from) || entry.term !== term) {
      throw lockGone(entry.term, now);
    }
  }
  const names = { holderName: nameOf(policy, holder), hostName: nameOf(policy, host) };
  const held = {
    branch,
    term,
    held: true,
    change: false,
    holder,
    host,
    message: "",
    sinceMs: o.clock.wall(),
    ...names,
  };
  return { isAgain: must !== undefined, proof, held: isNow ? now : held };
}

/**
 * What promises come to that somebody shows. Any quorum of them will do: what this keeper has promised itself counts where they
 * are too few, or do not tell, and not where they do: it may report a vote that came to nothing, of which they know no more.
 */
function judgeWith(
  place: Parameters<typeof judge>[0],
  term: number,
  proof: Proof,
  own: Uint8Array | undefined,
): { proof: Proof; judged: ReturnType<typeof judge> } {
  try {
    return { proof, judged: judge(place, term, proof) };
  } catch (e) {
    if (own === undefined) throw e;
    const more = { ...proof, promises: [own, ...proof.promises] };
    return { proof: more, judged: judge(place, term, more) };
  }
}

/**
 * What a key did up to now stays and nothing later does: the places named in a revocation are the ends of all chains. A
 * lower one would make certified entries worthless to who has not got them yet, a higher one would revoke nothing.
 */
export function needCutsNow(o: Knows, policy: Policy, ops: readonly Op[]): void {
  for (const op of ops) {
    if (op.op !== "revoke" && op.op !== "rotate") continue;
    for (const branch of [CONTROL, ...policy.branches.keys()]) {
      if (branch !== CONTROL && o.keeper.accepted(branch) !== undefined) {
        throw new Fault(
          "ci",
          "refused",
          `a check-in of ${inert(branch)} was begun, and may be certified already`,
          {
            hint: 'isconf lock "finish what was begun", on a host of that branch',
          },
        );
      }
      const end = o.journal.head(branch).seq + (branch === CONTROL ? 1 : 0); // with the entry that says so
      const cut = Object.hasOwn(op.cuts, branch) ? op.cuts[branch] : 0;
      if (cut !== end) throw movedOn(branch, end);
    }
  }
}

/**
 * While this keeper has voted for a revocation and does not know what came of it, it votes for nothing on a branch: the
 * revocation says where that ends, and would make worthless what is certified behind.
 */
export function needNoCuts(o: Knows): void {
  const begun = votedFor(o, CONTROL) === null ? [] : o.keeper.accepted(CONTROL)?.records ?? [];
  const isCutting = begun.some(([entry]) =>
    readEntry(entry!).entry.ops.some(({ op }) => op === "revoke" || op === "rotate")
  );
  if (!isCutting) return;
  throw new Fault("ci", "refused", "a key is being revoked, which somebody has begun and not finished", {
    hint: "isconf revoke, evict or grant, by an owner: finishes it, then isconf ci",
  });
}

/**
 * What this keeper has voted for, and what a promise has to report. Not what a key made that was revoked since: a quorum has
 * voted for that having voted for nothing on the branch, and votes for nothing of that key from then on. And not what says
 * that a chain ends where it has gone on since: a quorum of those who vote for that holds the chain still.
 */
export function votedFor(o: Knows, branch: string): Voted | null {
  const accepted = o.keeper.accepted(branch);
  if (accepted === undefined) return null;
  const policy = o.journal.needPolicy("keeper");
  const hasMoved = (op: Op) =>
    "cuts" in op && [...policy.branches.keys()].some((one) => o.journal.head(one).seq > (op.cuts[one] ?? 0));
  const isOver = accepted.records.some(([bytes]) => {
    const { entry } = readEntry(bytes!);
    return (branch === CONTROL && entry.ops.some(hasMoved)) ||
      [entry.author, entry.origin].some((key) => isCut(policy, toHex(key), branch, entry.seq));
  });
  return isOver ? null : { term: accepted.term, batch: accepted.batch };
}

/** The end of a branch, which has to be where it is for who claims a lock, too. */
export function needSameEnd(o: Knows, branch: string, claim: { seq: number; id: Uint8Array }): Head {
  const head = o.journal.head(branch);
  if (claim.seq === head.seq && bytesEqual(claim.id, head.id)) return head;
  const text = `that host is at entry ${claim.seq} of ${inert(branch)}, the keeper at ${head.seq}`;
  throw new Fault("lock", "refused", text, { hint: "isconf up" });
}

/** Who proposes has to show promises: if one is this keeper's and it does not remember, it was put back from a backup. */
export function needMemory(
  { keeper, own }: Pick<Knows, "keeper"> & { own: Own },
  { policy, branch, self }: Asked,
  proof: Uint8Array | undefined,
): void {
  if (proof === undefined || !policy.hosts.has(self)) return;
  const term = termPromisedBy(decodeProof(proof), policy, branch, self);
  if (term > (keeper.holder(branch)?.term ?? 0)) {
    own.found(`this host has promised term ${term} of ${inert(branch)}`);
    own.need("keeper");
  }
}

/** A branch begins at an entry that exists: nobody could ever replay one that does not. */
export function needForkPoints(o: Knows, ops: readonly Op[]): void {
  for (const op of ops) {
    if (op.op !== "branch" || op.from === null) continue;
    const { branch, seq, id } = op.from;
    const there = o.journal.at(branch, seq)?.id;
    if (there === undefined || !bytesEqual(there, id)) {
      throw new Fault("fork", "refused", `${inert(branch)} has no such entry ${seq}`, { hint: "isconf up" });
    }
  }
}

const denied = (why: string) =>
  new Fault("keeper", "denied", why, { hint: "isconf status: shows who may what" });
