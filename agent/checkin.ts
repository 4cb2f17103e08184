// Checkin: entries made of the work since lock, all or none, in one transaction.
// Not the work (work.ts) and not the votes (keeper.ts).
import { isDeepStrictEqual } from "node:util";
import type { Tx } from "../fs/mod.ts";
import { bytesEqual, Fault, fromHex, keyId, toHex } from "../mq/mod.ts";
import { type Entry, ENTRY_LEVEL, readEntry, sealEntry } from "./entry.ts";
import { branchOf, type Call, type Host, hostId, hostPair, needCongruent, personPair } from "./host.ts";
import type { Proposal } from "./keeper.ts";
import { entriesPerCommitMax } from "./limits.ts";
import { needLock, needRole } from "./locks.ts";
import { commandLine, inert } from "./names.ts";
import type { WipItem } from "./wip.ts";

/** What `ci` made of the work: the entries' places. */
export interface CheckedIn {
  branch: string;
  from: number;
  to: number;
}

/**
 * Makes entries of all the work: signed, certified, kept, the lock given back. Where this host is the keeper that is one
 * transaction, which is or is not. Else the keeper's is what counts: if its answer is lost, the entries come back with
 * the journal and are known again. Throws and changes nothing when anything is in the way.
 */
export async function ci(call: Call): Promise<CheckedIn> {
  const { host, actor } = call;
  const branch = branchOf(host, "ci");
  needCongruent(host, "ci");
  await host.replica.settled();
  const before = host.pending.rows();
  const [first, last] = [before[0], before.at(-1)];
  if (first !== undefined && last !== undefined) {
    await host.replica.sync(); // the last ci was cut off: the keeper may have certified it
    if (host.pending.count() === 0 && host.wip.count() === 0) {
      return { branch, from: first.seq, to: last.seq };
    }
  }
  host.journal.needUnforked("ci", branch);
  const items = host.wip.items();
  const held = await needLock(call, "ci");
  const policy = host.journal.needPolicy("ci");
  const author = personPair(host, actor);
  // Asked again: the role may have been taken while the lock was held, and every other host will ask.
  needRole(call, "ci", branch, held.holder);
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
  let prev = head.id;
  const batch: Proposal[] = [];
  const entries: Entry[] = [];
  for (const [i, item] of items.entries()) {
    const entry: Entry = {
      level: ENTRY_LEVEL,
      domain: policy.domain,
      branch,
      epoch: head.epoch,
      seq: head.seq + 1 + i,
      prev,
      term: held.term,
      policy: policy.head,
      timeMs: host.clock.wall(),
      author: fromHex(item.author),
      origin: fromHex(hostId(host)),
      message: item.message,
      ops: [item.op],
    };
    const sealed = sealEntry(entry, author, hostPair(host));
    readEntry(sealed.entry); // what we could not read again must never be certified
    batch.push({ branch, epoch: head.epoch, seq: entry.seq, ...sealed });
    entries.push(entry);
    prev = sealed.id;
  }
  const checkedIn = { branch, from: head.seq + 1, to: head.seq + items.length };
  if (host.keepers.isHere(policy)) {
    host.db.write((tx) => {
      const records = host.keeper.vote(tx, policy.domain, held.term, batch);
      const place = (i: number) => ({ entry: entries[i] as Entry, id: (batch[i] as Proposal).id });
      host.journal.append(tx, records.map((record, i) => ({ record, ...place(i) })));
      for (const [i, item] of items.entries()) recordDone(tx, host, item, batch[i] as Proposal);
      host.wip.dropAll(tx);
      host.keeper.release(tx, branch);
    });
    return checkedIn;
  }
  host.db.write((tx) =>
    host.pending.keep(tx, batch.map(({ seq, id }, i) => ({ branch, seq, id, n: items[i]!.n })))
  );
  const keeper = await host.keepers.certify("ci", policy, branch, held.term, batch);
  await host.replica.pull(keeper, branch);
  if (host.pending.count() > 0) {
    throw new Fault("ci", "gone", "the keeper has certified this and its answer has not come whole", {
      hint: "isconf ci",
    });
  }
  host.reports.tellKeepers();
  return checkedIn;
}

/**
 * Our own entries that have come back certified are work no more: it was done here when it was made. They are known by what
 * they do, not by their ids: if the answer to a check-in is lost and the work is sealed again, either may have arrived.
 */
export function settlePending(
  host: Pick<Host, "db" | "pending" | "journal" | "wip" | "history" | "keeper" | "keys">,
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
        (item !== undefined && toHex(entry.origin) === self && isDeepStrictEqual(entry.ops, [item.op]));
      // Somebody else's entry stands there: ours was not certified and never will be.
      if (!isOurs) return host.pending.clear(tx);
      if (item !== undefined) recordDone(tx, host, item, { seq, id: at.id });
      host.wip.drop(tx, n);
      host.wip.rebase(tx, seq, at.id); // what was done here since then was done on top of this
      host.pending.drop(tx, seq);
      const held = host.keeper.holder(branch);
      if (held?.host === self && held.term === entry.term) host.keeper.release(tx, branch); // by the keeper, with the vote
    }
  });
}

function recordDone(
  tx: Tx,
  host: Pick<Host, "history">,
  item: WipItem,
  at: { seq: number; id: Uint8Array },
): void {
  host.history.intent(tx, { ...at, boot: item.boot, startedMs: item.startedMs });
  host.history.ended(tx, at.seq, {
    status: item.status ?? 0,
    endedMs: item.endedMs ?? item.startedMs,
    ...(item.output === null ? {} : { output: item.output }),
  });
}

function needSettled(item: WipItem): void {
  if (item.state === "done") return;
  if (item.state === "reboot") {
    throw new Fault("ci", "refused", "this host has not restarted since isconf reboot", {
      hint: "isconf reboot --now",
    });
  }
  const what = item.op.op === "exec" ? inert(commandLine(item.op.argv)) : item.op.op;
  throw new Fault("ci", "uncertain", `work ${item.n} was started and its end is not known: ${what}`, {
    hint: `isconf wip done ${item.n} if it finished, isconf wip again ${item.n} to take it out and repeat it`,
  });
}
