// Control: one more entry of the control journal, wherever the keeper is.
// Not what such entries mean (trust.ts) and not who wants them (domain.ts, enrol.ts, roles.ts).
import { bytesEqual, Fault, fromHex, keyId, type KeyPair, sleep } from "../mq/mod.ts";
import { type Entry, ENTRY_LEVEL, type Op, readEntry, sealEntry } from "./entry.ts";
import { type Host, hostId, hostPair } from "./host.ts";
import type { Head } from "./journal.ts";
import type { Proposal } from "./keeper.ts";
import { takeIn } from "./intake.ts";
import { keepersFor } from "./certificate.ts";
import type { Granted } from "./keepers.ts";
import { changeIn } from "./keeper_turns.ts";
import { controlAgainMs, controlTriesMax } from "./limits.ts";
import { claim } from "./locks.ts";
import { CONTROL } from "./names.ts";
import { NO_PROOF } from "./promises.ts";
import type { Policy } from "./trust.ts";

/** An entry of the control journal, signed by its author and this host, at a place. */
export function sealControl(
  host: Host,
  author: KeyPair,
  ops: Op[],
  message: string,
  place: { domain: Uint8Array; prev: Uint8Array; epoch: number; seq: number; term: number },
): ReturnType<typeof sealEntry> {
  const entry: Entry = {
    level: ENTRY_LEVEL,
    domain: place.domain,
    branch: CONTROL,
    epoch: place.epoch,
    seq: place.seq,
    prev: place.prev,
    term: place.term,
    policy: place.prev,
    timeMs: host.clock.wall(),
    author: fromHex(keyId(author.publicKey)),
    origin: fromHex(hostId(host)),
    message,
    ops,
  };
  return sealEntry(entry, author, hostPair(host));
}

const NO_ID = new Uint8Array(0);

/** Where every chain ends, by branch; the control journal's with the entry that is being made. */
export type Ends = Readonly<Record<string, number>>;

/**
 * Signs, has certified and keeps one entry of the control journal. `make` gives its operations under the newest policy,
 * none when there is nothing to say any more; it is asked again when somebody else's entry came first. If it takes
 * `ends`, they are the keeper's, which alone has every chain. Returns the id of the newest entry.
 * @throws {Fault} noQuorum, when no keeper can be reached; denied, when the author may not; what `make` throws
 */
export async function extendControl(
  host: Host,
  op: string,
  author: KeyPair,
  message: string,
  make: (policy: Policy, ends: Ends) => Op[],
): Promise<Uint8Array> {
  host.journal.needUnforked(op, CONTROL);
  host.own.need(op);
  if (op !== "acknowledge") host.journal.needNotSuspended(op, keyId(author.publicKey));
  // What was proposed from here: somebody else may have finished it.
  const made: { seq: number; id: Uint8Array }[] = [];
  for (let tries = 1; tries <= controlTriesMax; tries++) {
    await host.replica.sync();
    const needsEnds = make.length > 1;
    const theirs = needsEnds ? await endsAtKeepers(host, op) : undefined;
    const policy = host.journal.needPolicy(op);
    const [keeper] = host.keepers.reach(op, policy) as [string];
    if (policy.keepers.quorum > 1 || policy.keepers.etcd !== undefined) await catchUp(host, op, policy);
    const standing = made.find(({ seq, id }) => bytesEqual(host.journal.at(CONTROL, seq)?.id ?? NO_ID, id));
    if (standing !== undefined) return standing.id;
    const head = host.journal.head(CONTROL);
    const ops = make(policy, theirs ?? endsHere(host, policy));
    if (ops.length === 0) return head.id;
    // Of a keeper that is alone its word is enough, unless others are to come.
    const isSole = policy.keepers.quorum === 1 && changeIn(ops) === undefined;
    const sealIn = (term: number) => {
      const place = { domain: policy.domain, prev: head.id, epoch: head.epoch, seq: head.seq + 1, term };
      return sealControl(host, author, ops, message, place);
    };
    // Checked here first: what this host would refuse is not for the keepers to be asked.
    host.journal.check({ ...sealIn(0), cert: new Uint8Array(0) }, head, "proposal");
    try {
      const { held: { term }, proof, again } = isSole
        ? { held: { term: 0 }, proof: NO_PROOF, again: undefined }
        : await turnAt(host, policy, op, author, head);
      // Whoever else here was given the same turn has signed in it: nobody signs twice for one place in one term.
      if (again === undefined && !isSole && term <= signedTerm(host, head)) {
        throw new Fault(op, "notLocked", "another change was made here at the same time", {
          hint: `isconf ${op} again`,
        });
      }
      const sealed = sealIn(term);
      const batch: readonly Proposal[] = again ??
        [{ branch: CONTROL, epoch: head.epoch, seq: head.seq + 1, ...sealed }];
      const place = { epoch: head.epoch, seq: head.seq + 1, term };
      if (again === undefined) made.push({ seq: place.seq, id: sealed.id });
      host.db.write((tx) => host.own.sign(tx, "entry", CONTROL, place));
      const sets = batch.flatMap(({ entry, id }) => keepersFor(policy, readEntry(entry).entry, id));
      const records = await host.keepers.certify(op, policy, CONTROL, { term, proof }, batch, sets);
      takeIn(host, records, { branch: CONTROL });
      if (again === undefined) return sealed.id;
    } catch (e) {
      const kind = e instanceof Fault ? e.kind : undefined;
      const isLate = ["refused", "corrupt", ...isSole ? [] : ["notLocked", "denied"]].includes(kind ?? "") &&
        tries < controlTriesMax;
      const mayDiffer = isLate &&
        (await movedOn(host, keeper, head.seq) || needsEnds || !isSole || policy.keepers.etcd !== undefined);
      if (!mayDiffer) throw e;
      if (!isSole) await sleep(host.clock, controlAgainMs * host.clock.random(1)[0]! / 256); // others try too
    }
  }
  throw new Fault(op, "refused", "others change the control journal all the time", {
    hint: `isconf log --branch ${CONTROL}, then isconf ${op} again`,
  });
}

/** Brings the control journal up to what a quorum of keepers has. */
async function catchUp(host: Host, op: string, policy: Policy): Promise<void> {
  const { seq, keeper } = await host.keepers.look(op, policy, CONTROL);
  if (host.journal.head(CONTROL).seq < seq) await host.replica.pull(keeper, CONTROL);
}

/** The next term of the control journal, which nobody keeps: whoever comes takes it; above that in which we have signed. */
async function turnAt(
  host: Host,
  policy: Policy,
  op: string,
  author: KeyPair,
  head: Pick<Head, "epoch" | "seq">,
): Promise<Granted> {
  const { lock } = await host.keepers.look(op, policy, CONTROL);
  const after = Math.max(lock?.term ?? 0, signedTerm(host, head));
  return await claim(host, policy, CONTROL, { message: op, after, steal: false }, author);
}

/** The term in which this host has signed an entry for the place after `head`, or one beyond; -1: in none. */
function signedTerm(host: Host, { epoch, seq }: Pick<Head, "epoch" | "seq">): number {
  const last = host.own.last("entry", CONTROL);
  return last !== undefined && last.epoch === epoch && last.seq > seq ? last.term : -1;
}

function endsHere({ journal }: Host, policy: Policy): Ends {
  const ends = [...policy.branches.keys()].map((branch) => [branch, journal.head(branch).seq]);
  return Object.fromEntries([...ends, [CONTROL, journal.head(CONTROL).seq + 1]]);
}

/** The ends of chains as the keepers know them; undefined where this host is the only one. */
async function endsAtKeepers(host: Host, op: string): Promise<Ends | undefined> {
  const policy = host.journal.needPolicy(op);
  if (host.keepers.isAlone(policy)) return undefined;
  const ends: Record<string, number> = {};
  for (const branch of [CONTROL, ...policy.branches.keys()]) {
    const { seq } = await host.keepers.look(op, policy, branch);
    ends[branch] = branch === CONTROL ? seq + 1 : seq;
  }
  return ends;
}

/** Whether the keeper has entries of the control journal that we did not build on; brings them. */
async function movedOn(host: Host, keeper: string, seq: number): Promise<boolean> {
  if (keeper !== hostId(host)) await host.replica.pull(keeper, CONTROL);
  return host.journal.head(CONTROL).seq > seq;
}
