// Checkin: entries made of the work since lock, all or none, in one transaction.
// Not the work (work.ts) and not the votes (keeper.ts).
import { Fault, fromHex } from "../mq/mod.ts";
import { type Entry, ENTRY_LEVEL, readEntry, sealEntry } from "./entry.ts";
import { branchOf, type Call, hostId, hostPair, needCongruent, personPair } from "./host.ts";
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
 * Makes entries of all the work: signed, certified, kept, the lock given back, in one transaction that either
 * is or is not. Throws and changes nothing when anything is in the way.
 */
export function ci(call: Call): CheckedIn {
  const { host, actor } = call;
  const branch = branchOf(host, "ci");
  needCongruent(host, "ci");
  host.journal.needUnforked("ci", branch);
  const items = host.wip.items();
  const held = needLock(call, "ci");
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
  host.db.write((tx) => {
    const records = host.keeper.vote(tx, policy.domain, held.term, batch);
    host.journal.append(
      tx,
      records.map((record, i) => ({
        record,
        entry: entries[i] as Entry,
        id: (batch[i] as Proposal).id,
      })),
    );
    for (const [i, item] of items.entries()) {
      const { seq, id } = batch[i] as Proposal;
      host.history.intent(tx, { seq, id, boot: item.boot, startedMs: item.startedMs });
      host.history.ended(tx, seq, {
        status: item.status ?? 0,
        endedMs: item.endedMs ?? item.startedMs,
        ...(item.output === null ? {} : { output: item.output }),
      });
    }
    host.wip.dropAll(tx);
    host.keeper.release(tx, branch);
  });
  return { branch, from: head.seq + 1, to: head.seq + items.length };
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
