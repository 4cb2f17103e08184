// Checkin: entries made of the work since lock, all or none, in one transaction.
// Not the work (work.ts) and not the votes (keeper.ts).
import { isDeepStrictEqual } from "node:util";
import type { Tx } from "../fs/mod.ts";
import { bytesEqual, Fault, fromHex, keyId, type KeyPair, toHex } from "../mq/mod.ts";
import { type Entry, ENTRY_LEVEL, readEntry, sealEntry } from "./entry.ts";
import { branchOf, type Call, type Host, hostId, hostPair, needCongruent, personPair } from "./host.ts";
import { takeIn } from "./intake.ts";
import type { Head } from "./journal.ts";
import { certified, type Held, type Proposal } from "./keeper.ts";
import type { Granted } from "./keepers.ts";
import { entriesPerCommitMax } from "./limits.ts";
import { claim, finish, needLock, needRole, nextTerm } from "./locks.ts";
import { shownLine } from "./mask.ts";
import { inert } from "./names.ts";
import type { PendingRow } from "./pending.ts";
import { NO_PROOF } from "./promises.ts";
import type { Policy } from "./trust.ts";
import { opsOf, type WipItem } from "./wip.ts";

/** What `ci` made of the work: the entries' places. */
export interface CheckedIn {
  branch: string;
  from: number;
  to: number;
}

/**
 * Makes entries of all the work: signed, certified, kept, the lock given back. Where this host is the only keeper that is one
 * transaction. Else what keepers have voted for counts: if their answers are lost, the entries come back with the journal
 * and are known again. Throws and changes nothing when anything is in the way.
 */
export async function ci(call: Call): Promise<CheckedIn> {
  const { host, actor } = call;
  const branch = branchOf(host, "ci");
  needCongruent(host, "ci");
  await host.replica.settled();
  const before = host.pending.rows();
  const [first, last] = [before[0], before.at(-1)];
  if (first !== undefined && last !== undefined) {
    await host.replica.sync(); // the last ci was cut off: the keepers may have certified it
    if (host.pending.count() === 0 && host.wip.count() === 0) {
      return { branch, from: first.seq, to: last.seq };
    }
  }
  host.journal.needUnforked("ci", branch);
  host.own.need("ci");
  const items = host.wip.items();
  let held = await needLock(call, "ci");
  const policy = host.journal.needPolicy("ci");
  const author = personPair(host, actor);
  // Asked again: the role may have been taken while the lock was held, and every other host will ask.
  needRole(call, "ci", branch, held.holder);
  host.journal.needNotSuspended("ci", held.holder);
  if (items.length === 0) {
    throw new Fault("ci", "refused", "there is nothing to check in", {
      hint: "isconf snap, isconf exec, or isconf unlock",
    });
  }
  if (items.length > entriesPerCommitMax) {
    throw new Fault("ci", "refused", `more than ${entriesPerCommitMax} pieces of work`, {
      hint: "isconf wip",
    });
  }
  for (const item of items) needSettled(item);
  const head = host.journal.head(branch);
  if (host.keepers.isAlone(policy)) {
    const batch = seal(host, policy, held, head, items, author);
    host.db.write((tx) => keepOwn(tx, host, policy, held, items, batch));
    return { branch, from: head.seq + 1, to: head.seq + batch.length };
  }
  // Keepers that have voted in this term for what was sealed before vote for nothing else in it.
  const sealed = sealedBefore(before, held, head);
  // In one term nobody signs two entries for one place.
  if (sealed === undefined && hasSealed(host, held, head)) {
    held = (await nextTerm(host, policy, held, author)).held;
  }
  let { proof, again } = await proofOf(host, policy, held, author);
  if (again !== undefined && !isSame(again, sealed)) {
    await finish(host, policy, branch, { held, proof, again }, author);
    throw new Fault("ci", "notLocked", "what somebody else had begun to check in had to be finished first", {
      hint: "isconf wip, then isconf up",
    });
  }
  if (sealed !== undefined) {
    const anew = await finish(host, policy, branch, { held, proof, again: sealed }, author);
    if (anew === undefined) {
      settlePending(host);
      return { branch, from: head.seq + 1, to: head.seq + sealed.length };
    }
    ({ held, proof } = anew);
  }
  const batch = seal(host, policy, held, head, items, author);
  const rows = batch.map((proposal, i) => ({ ...proposal, n: items[i]?.n ?? 0 }));
  host.db.write((tx) => {
    host.pending.keep(tx, rows);
    signs(tx, host, batch, held.term);
  });
  try {
    const records = await host.keepers.certify("ci", policy, branch, { term: held.term, proof }, batch);
    takeIn(host, records, { branch });
  } catch (e) {
    await host.replica.sync(); // it may have been certified, and only the answer was lost
    if (!isSame(batch, batch.flatMap(({ seq }) => host.journal.at(branch, seq) ?? []))) throw e;
  }
  settlePending(host);
  host.reports.tellKeepers();
  return { branch, from: head.seq + 1, to: head.seq + batch.length };
}

/** Where this host is the only keeper, its votes and what follows from them are one transaction, which is or is not. */
function keepOwn(
  tx: Tx,
  host: Host,
  policy: Policy,
  { term }: Held,
  items: readonly WipItem[],
  batch: readonly Proposal[],
): void {
  const records = certified(batch, [host.keeper.votes(policy.domain, term, batch)]);
  signs(tx, host, batch, term);
  host.own.sign(tx, "vote", batch[0]!.branch, { ...batch.at(-1)!, term });
  host.journal.append(tx, records.map((record) => ({ record, term, ...readEntry(record.entry) })));
  for (const [i, item] of items.entries()) recordDone(tx, host, item, batch[i] as Proposal);
  host.wip.dropAll(tx);
}

/** Notes which entries this host has signed, before anybody sees them. */
function signs(tx: Tx, host: Host, batch: readonly Proposal[], term: number): void {
  const { branch, epoch, seq } = batch.at(-1) as Proposal;
  host.own.sign(tx, "entry", branch, { epoch, seq, term });
}

/** Whether something was signed for the next place in this term that is not to be checked in any more: it was given up. */
function hasSealed(host: Host, { branch, term }: Held, head: Head): boolean {
  const last = host.own.last("entry", branch);
  return last !== undefined && last.epoch === head.epoch && last.seq > head.seq && last.term === term;
}

/** Entries made of the work, in order, signed. */
function seal(
  host: Host,
  policy: Policy,
  held: Held,
  head: Head,
  items: readonly WipItem[],
  author: KeyPair,
): Proposal[] {
  let prev = head.id;
  return items.map((item, i) => {
    const entry: Entry = {
      level: ENTRY_LEVEL,
      domain: policy.domain,
      branch: held.branch,
      epoch: head.epoch,
      seq: head.seq + 1 + i,
      prev,
      term: held.term,
      policy: policy.head,
      timeMs: host.clock.wall(),
      author: fromHex(item.author),
      origin: fromHex(hostId(host)),
      message: item.message,
      ops: opsOf(item),
    };
    const sealed = sealEntry(entry, author, hostPair(host));
    readEntry(sealed.entry); // what we could not read again must never be certified
    prev = sealed.id;
    return { branch: held.branch, epoch: head.epoch, seq: entry.seq, ...sealed };
  });
}

/** What was sealed under this lock already, when the last check-in came to no end. */
function sealedBefore(rows: readonly PendingRow[], held: Held, head: Head): Proposal[] | undefined {
  const [first] = rows;
  if (first === undefined || first.seq !== head.seq + 1 || first.branch !== held.branch) return undefined;
  const { entry } = readEntry(first.entry);
  if (entry.term !== held.term || entry.epoch !== head.epoch) return undefined;
  return rows.map(({ n: _n, ...row }) => ({ ...row, epoch: head.epoch }));
}

const isSame = (a: readonly Proposal[], b: readonly Pick<Proposal, "id">[] | undefined): boolean =>
  a.length === b?.length && a.every(({ id }, i) => bytesEqual(id, b[i]!.id));

/** The promises under which a lock is held. Of a keeper that is alone its own word is enough. */
async function proofOf(
  host: Host,
  policy: Policy,
  held: Held,
  author: KeyPair,
): Promise<Pick<Granted, "proof" | "again">> {
  if (policy.keepers.quorum === 1) return { proof: NO_PROOF, again: undefined };
  const known = host.keepers.proofOf(held);
  if (known !== undefined) return { proof: known, again: undefined };
  const what = { message: held.message, after: held.term - 1, steal: false };
  return await claim(host, policy, held.branch, what, author);
}

/**
 * Our own entries that have come back certified are work no more: it was done here when it was made. They are known by what
 * they do, not by their ids: if the answer to a check-in is lost and the work is sealed again, either may have arrived.
 */
export function settlePending(
  host: Pick<Host, "db" | "pending" | "journal" | "wip" | "history" | "executions" | "keeper" | "keys">,
): void {
  const rows = host.pending.rows();
  if (rows.length === 0) return;
  const items = new Map(host.wip.items().map((item) => [item.n, item]));
  const self = keyId(host.keys.obtain("host").publicKey);
  host.db.write((tx) => {
    for (const { branch, seq, id, n } of rows) {
      const at = host.journal.at(branch, seq);
      if (at === undefined) return;
      const { entry } = readEntry(at.entry);
      const item = items.get(n);
      const isOurs = bytesEqual(at.id, id) ||
        (item !== undefined && toHex(entry.origin) === self && isDeepStrictEqual(entry.ops, opsOf(item)));
      // Somebody else's entry stands there: ours was not certified and never will be.
      if (!isOurs) return host.pending.clear(tx);
      if (item !== undefined) recordDone(tx, host, item, { seq, id: at.id });
      host.wip.drop(tx, n);
      host.wip.rebase(tx, seq, at.id); // what was done here since then was done on top of this
      host.pending.drop(tx, seq);
    }
  });
}

function recordDone(
  tx: Tx,
  host: Pick<Host, "history" | "executions">,
  item: WipItem,
  at: { seq: number; id: Uint8Array },
): void {
  host.history.intent(tx, { ...at, boot: item.boot, startedMs: item.startedMs });
  host.history.ended(tx, at.seq, {
    status: item.status ?? 0,
    endedMs: item.endedMs ?? item.startedMs,
  });
  if (item.execution !== null) host.executions.becameEntry(tx, item.execution, at);
}

function needSettled(item: WipItem): void {
  if (item.state === "done") return;
  if (item.state === "reboot") {
    throw new Fault("ci", "refused", "this host has not restarted since isconf reboot", {
      hint: "isconf reboot --now",
    });
  }
  const what = item.op.op === "exec" ? inert(shownLine(item.op.argv)) : item.op.op;
  throw new Fault("ci", "uncertain", `work ${item.n} was started and its end is not known: ${what}`, {
    hint: `isconf wip done ${item.n} if it finished, isconf wip again ${item.n} to take it out and repeat it`,
  });
}
