// Keeper service: what this host answers as a keeper to hosts that ask over the mesh. It believes the signatures in a
// request and its own journal, and nothing else; what it grants is durable before it is said.
import type { Db } from "../fs/mod.ts";
import {
  bytesEqual,
  type Cbor,
  type Clock,
  Fault,
  fromHex,
  keyId,
  type KeyPair,
  pause,
  toHex,
} from "../mq/mod.ts";
import { type EntryRecord, readEntry } from "./entry.ts";
import type { Checked, Head, Journal } from "./journal.ts";
import { type Held, lockedBy, type SoleKeeper } from "./keeper.ts";
import {
  claimant,
  type ClaimWords,
  openClaim,
  openRequest,
  type RequestWords,
  sealReply,
} from "./keeper_words.ts";
import { entriesPerCommitMax, stageBytesMax, stagesMax, termStepMax } from "./limits.ts";
import type { Mesh } from "./mesh.ts";
import { checkMessage, CONTROL, inert } from "./names.ts";
import { authorKey, isCut, may, members, nameOf, type Policy } from "./trust.ts";

export interface KeeperServiceOptions {
  db: Db;
  journal: Journal;
  keeper: SoleKeeper;
  key(): KeyPair;
  clock: Clock;
  mesh: Mesh;
  /** Resolves when this host has compared its journal with others, or has waited long enough for that. */
  settled(): Promise<void>;
  log(line: string): void;
}

/** A check-in that is being brought, part by part; every part is checked when it comes. */
interface Stage {
  batch: Uint8Array;
  branch: string;
  /** The end of the branch that the first entry follows, and the end after the last part. */
  base: Head;
  head: Head & { policySeq?: number };
  entries: Checked[];
  parts: number;
  bytes: number;
}

/** From now on this host answers as a keeper, whenever the policy says that it is one. */
export function serveKeeper(o: KeeperServiceOptions): void {
  const stages = new Map<string, Stage>();
  o.mesh.answer("keeper", async (from, value) => {
    const [branch, bytes] = Array.isArray(value) ? value : [];
    if (typeof branch !== "string" || !(bytes instanceof Uint8Array)) throw malformed();
    await o.settled();
    const policy = o.journal.needPolicy("keeper");
    const self = keyId(o.key().publicKey);
    if (policy.keepers.quorum !== 1 || !policy.keepers.hosts.includes(self)) {
      throw new Fault("keeper", "refused", "this host is no keeper", { hint: "isconf status" });
    }
    if (!members(policy).has(from)) throw denied("that host is not of this domain");
    const { nonce, body } = openRequest(bytes, policy, branch, from, fromHex(self));
    const answer = await answerTo(o, stages, { policy, branch, from, body });
    return sealReply(answer, nonce, policy.domain, branch, o.key());
  });
}

interface Asked {
  policy: Policy;
  branch: string;
  from: string;
  body: RequestWords;
}

async function answerTo(o: KeeperServiceOptions, stages: Map<string, Stage>, asked: Asked): Promise<Cbor> {
  const { branch, from, body } = asked;
  if (branch !== CONTROL && !asked.policy.branches.has(branch)) {
    throw new Fault("keeper", "notFound", `there is no branch ${inert(branch)}`, { hint: "isconf status" });
  }
  switch (body.what) {
    case "look":
      return look(o, branch);
    case "claim":
      decide(o, asked, body.claim);
      return look(o, branch);
    case "stage":
      await stage(o, stages, asked, body);
      return null;
    case "certify": {
      const held = stages.get(from);
      if (held === undefined || !bytesEqual(held.batch, body.batch) || held.parts !== body.parts) {
        throw new Fault("ci", "refused", "the keeper does not have the whole of this check-in", {
          hint: "isconf ci",
        });
      }
      stages.delete(from);
      certify(o, asked, held, body.term);
      return look(o, branch);
    }
  }
}

/** What this keeper knows of a branch: its end, and its lock. */
function look(o: KeeperServiceOptions, branch: string): Cbor {
  const { seq, id } = o.journal.head(branch);
  const held = o.keeper.holder(branch);
  return { seq, id, lock: held === undefined ? null : { ...held } };
}

/** Grants a lock or takes it back, when everything is as it must be. */
function decide(o: KeeperServiceOptions, { policy, branch, from }: Asked, bytes: Uint8Array): void {
  const author = claimant(bytes);
  const claim = openClaim(bytes, policy.domain, branch, authorKey(policy, author));
  if (toHex(claim.host) !== from) throw denied("a claim that was made on another host");
  const next = o.journal.head(branch).seq + 1;
  const isRevoked = [author, from].some((key) => isCut(policy, key, branch, next));
  if (isRevoked || !may(policy, author, claim.steal ? "owner" : "append", branch)) {
    throw denied(
      `${nameOf(policy, author)} has no ${claim.steal ? "owner" : "append"} role on ${inert(branch)}`,
    );
  }
  o.journal.needUnforked(claim.what, branch);
  const now = o.keeper.holder(branch);
  if (claim.what === "unlock") return release(o, branch, now, claim, { author, from });
  checkMessage("lock", claim.message);
  if (claim.after > termStepMax + (now?.term ?? 0)) throw stale(branch);
  const own = now?.held === true && now.holder === author && now.host === from;
  if (now?.held === true && !own && !claim.steal) throw lockedBy("lock", now, o.clock.wall());
  // An old claim that comes a second time names a term that has been promised since.
  if (claim.after !== (now?.term ?? 0) && !(own && claim.after === now.term - 1)) throw stale(branch);
  const head = o.journal.head(branch);
  if (claim.seq !== head.seq || !bytesEqual(claim.id, head.id)) {
    throw new Fault(
      "lock",
      "refused",
      `that host is at entry ${claim.seq} of ${inert(branch)}, the keeper at ${head.seq}`,
      {
        hint: "isconf up",
      },
    );
  }
  const holder = {
    holder: author,
    holderName: nameOf(policy, author),
    host: from,
    hostName: nameOf(policy, from),
    message: claim.message,
  };
  o.db.write((tx) => o.keeper.promise(tx, branch, holder, o.clock.wall(), claim.steal));
}

function release(
  o: KeeperServiceOptions,
  branch: string,
  now: Held | undefined,
  claim: ClaimWords,
  who: { author: string; from: string },
): void {
  if (now?.term !== claim.after) throw stale(branch);
  if (!now.held) return;
  const own = now.holder === who.author && now.host === who.from;
  if (!own && !claim.steal) throw lockedBy("unlock", now, o.clock.wall());
  o.db.write((tx) => o.keeper.release(tx, branch));
  if (!own) {
    o.log(
      `lock of ${branch}, term ${now.term}, held by ${now.holderName}, stolen by ${who.author.slice(0, 12)}`,
    );
  }
}

/** Takes one part of a check-in and checks each of its entries as if it were already certified. */
async function stage(
  o: KeeperServiceOptions,
  stages: Map<string, Stage>,
  { branch, from }: Asked,
  body: RequestWords & { what: "stage" },
): Promise<void> {
  if (body.part === 0) {
    const base = o.journal.head(branch);
    stages.delete(from);
    if (stages.size >= stagesMax) stages.delete(stages.keys().next().value as string);
    stages.set(from, { batch: body.batch, branch, base, head: base, entries: [], parts: 0, bytes: 0 });
  }
  const held = stages.get(from);
  if (
    held === undefined || held.branch !== branch || !bytesEqual(held.batch, body.batch) ||
    held.parts !== body.part
  ) {
    throw new Fault("ci", "refused", "a part of a check-in that does not follow the one before", {
      hint: "isconf ci",
    });
  }
  held.parts++;
  held.bytes += body.entries.reduce((sum, pair) => sum + pair.reduce((n, b) => n + b.length, 0), 0);
  if (held.bytes > stageBytesMax || held.entries.length + body.entries.length > entriesPerCommitMax) {
    stages.delete(from);
    throw new Fault("ci", "refused", "the check-in is too large for the keeper", { hint: "isconf wip" });
  }
  for (const [i, pair] of body.entries.entries()) {
    const [entry, origin] = pair as [Uint8Array, Uint8Array];
    const record: EntryRecord = { entry, origin, cert: new Uint8Array(0) };
    if (toHex(readEntry(entry).entry.origin) !== from) throw denied("an entry that was made on another host");
    const checked = o.journal.check(record, held.head, "proposal");
    if (checked.entry.branch !== branch) throw malformed();
    held.entries.push(checked);
    held.head = {
      seq: checked.entry.seq,
      id: checked.id,
      epoch: checked.entry.epoch,
      policySeq: checked.policySeq,
    };
    if (i % 64 === 63) await pause();
  }
}

/** Votes for the whole of a check-in and keeps it, in one transaction, or for nothing of it. */
function certify(o: KeeperServiceOptions, { policy, branch }: Asked, held: Stage, term: number): void {
  const head = o.journal.head(branch);
  if (!bytesEqual(head.id, held.base.id) || held.entries.length === 0) {
    throw new Fault("ci", "refused", `${inert(branch)} has moved on to entry ${head.seq}`, {
      hint: "isconf up",
    });
  }
  const isControl = branch === CONTROL;
  if (!isControl && held.entries.some(({ entry }) => !bytesEqual(entry.policy, policy.head))) {
    throw new Fault("ci", "refused", "the policy of the domain has changed meanwhile", { hint: "isconf ci" });
  }
  o.db.write((tx) => {
    const proposals = held.entries.map(({ record, entry, id }) => ({ ...record, ...placeOf(entry), id }));
    const records = isControl
      ? o.keeper.voteControl(policy.domain, proposals)
      : o.keeper.vote(tx, policy.domain, term, proposals);
    o.journal.append(
      tx,
      held.entries.map((checked, i) => ({ ...checked, record: records[i] as EntryRecord })),
    );
    if (!isControl) o.keeper.release(tx, branch);
  });
}

const placeOf = ({ branch, epoch, seq }: { branch: string; epoch: number; seq: number }) => ({
  branch,
  epoch,
  seq,
});

const malformed = () =>
  new Fault("keeper", "corrupt", "a request to a keeper is malformed", { hint: "isconf version" });
const denied = (why: string) =>
  new Fault("keeper", "denied", why, { hint: "isconf status: shows who may what" });
const stale = (branch: string) =>
  new Fault("lock", "notLocked", `another lock of ${inert(branch)} was promised meanwhile`, {
    hint: "isconf status",
  });
