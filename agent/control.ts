// Control: one more entry of the control journal, wherever the keeper is.
// Not what such entries mean (trust.ts) and not who wants them (domain.ts, enrol.ts, roles.ts).
import { Fault, fromHex, keyId, type KeyPair, toHex } from "../mq/mod.ts";
import { type Entry, ENTRY_LEVEL, type EntryRecord, type Op, sealEntry } from "./entry.ts";
import { type Host, hostId, hostPair } from "./host.ts";
import type { Proposal } from "./keeper.ts";
import { controlTriesMax } from "./limits.ts";
import { CONTROL } from "./names.ts";
import type { Policy } from "./trust.ts";

/** An entry of the control journal, signed by its author and this host, at a place. */
export function sealControl(
  host: Host,
  author: KeyPair,
  ops: Op[],
  message: string,
  place: { domain: Uint8Array; prev: Uint8Array; seq: number },
): ReturnType<typeof sealEntry> {
  const entry: Entry = {
    level: ENTRY_LEVEL,
    domain: place.domain,
    branch: CONTROL,
    epoch: 0,
    seq: place.seq,
    prev: place.prev,
    term: 0,
    policy: place.prev,
    timeMs: host.clock.wall(),
    author: fromHex(keyId(author.publicKey)),
    origin: fromHex(hostId(host)),
    message,
    ops,
  };
  return sealEntry(entry, author, hostPair(host));
}

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
  for (let tries = 1; tries <= controlTriesMax; tries++) {
    await host.replica.sync();
    const needsEnds = make.length > 1;
    const theirs = needsEnds ? await endsAtKeeper(host, op) : undefined;
    const policy = host.journal.needPolicy(op);
    const keeper = host.keepers.reach(op, policy);
    const head = host.journal.head(CONTROL);
    const ops = make(policy, theirs ?? endsHere(host, policy));
    if (ops.length === 0) return head.id;
    const place = { domain: policy.domain, prev: head.id, seq: head.seq + 1 };
    const sealed = sealControl(host, author, ops, message, place);
    const proposal: Proposal = { branch: CONTROL, epoch: 0, seq: place.seq, ...sealed };
    // Checked here first: what this host would refuse is not for the keeper to be asked.
    host.journal.check({ ...sealed, cert: new Uint8Array(0) }, head, "proposal");
    if (keeper === undefined) {
      const [record] = host.keeper.voteControl(policy.domain, [proposal]);
      const checked = host.journal.check(record as EntryRecord, head);
      host.db.write((tx) => host.journal.append(tx, [checked]));
      return sealed.id;
    }
    try {
      await host.keepers.certify(op, policy, CONTROL, 0, [proposal]);
    } catch (e) {
      const isLate = e instanceof Fault && (e.kind === "refused" || e.kind === "corrupt") &&
        tries < controlTriesMax;
      const mayDiffer = isLate && (await movedOn(host, keeper, head.seq) || needsEnds);
      if (!mayDiffer) throw e;
      continue;
    }
    await host.replica.pull(keeper, CONTROL);
    const at = host.journal.at(CONTROL, place.seq);
    if (at !== undefined && toHex(at.id) === toHex(sealed.id)) return sealed.id;
  }
  throw new Fault(op, "gone", "the keeper says that it has certified this and does not send it", {
    hint: `isconf log --branch ${CONTROL}, then isconf ${op} again`,
  });
}

function endsHere({ journal }: Host, policy: Policy): Ends {
  const ends = [...policy.branches.keys()].map((branch) => [branch, journal.head(branch).seq]);
  return Object.fromEntries([...ends, [CONTROL, journal.head(CONTROL).seq + 1]]);
}

/** The ends of chains as the keeper on another host knows them; undefined where this host is the keeper. */
async function endsAtKeeper(host: Host, op: string): Promise<Ends | undefined> {
  const policy = host.journal.needPolicy(op);
  if (host.keepers.isHere(policy)) return undefined;
  const ends: Record<string, number> = {};
  for (const branch of [CONTROL, ...policy.branches.keys()]) {
    const { seq } = await host.keepers.look(op, policy, branch);
    ends[branch] = branch === CONTROL ? seq + 1 : seq;
  }
  return ends;
}

/** Whether the keeper has entries of the control journal that we did not build on; brings them. */
async function movedOn(host: Host, keeper: string, seq: number): Promise<boolean> {
  await host.replica.pull(keeper, CONTROL);
  return host.journal.head(CONTROL).seq > seq;
}
