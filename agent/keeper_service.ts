// Keeper service: what this host answers as a keeper to hosts that ask over the mesh. It believes the signatures in a
// request and its own journal, and nothing else; what it grants is durable before it is said.
import type { Db } from "../fs/mod.ts";
import { bytesEqual, type Cbor, type Clock, Fault, fromHex, keyId, type KeyPair, toHex } from "../mq/mod.ts";
import type { Entry, EntryRecord, Op } from "./entry.ts";
import type { Journal } from "./journal.ts";
import { type Held, lockedBy, lockGone, type SoleKeeper } from "./keeper.ts";
import {
  claimant,
  type ClaimWords,
  openClaim,
  openRequest,
  type RequestWords,
  sealReply,
} from "./keeper_words.ts";
import type { Mesh } from "./mesh.ts";
import { checkMessage, CONTROL, inert } from "./names.ts";
import { isFrom, movedOn, type Stage, Stages } from "./stages.ts";
import { authorKey, isCut, isMember, may, nameOf, type Policy } from "./trust.ts";

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

/** From now on this host answers as a keeper, whenever the policy says that it is one. */
export function serveKeeper(o: KeeperServiceOptions): void {
  const stages = new Stages(o.journal, o.clock);
  o.mesh.answer("keeper", async (from, value) => {
    const [branch, bytes] = Array.isArray(value) ? value : [];
    if (typeof branch !== "string" || !(bytes instanceof Uint8Array)) throw malformed();
    await o.settled();
    const policy = o.journal.needPolicy("keeper");
    const self = keyId(o.key().publicKey);
    if (policy.keepers.quorum !== 1 || !policy.keepers.hosts.includes(self)) {
      throw new Fault("keeper", "refused", "this host is no keeper", { hint: "isconf status" });
    }
    if (!isMember(policy, from)) throw denied("that host is not of this domain");
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

async function answerTo(o: KeeperServiceOptions, stages: Stages, asked: Asked): Promise<Cbor> {
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
      o.journal.needUnforked("ci", branch);
      await stages.take(from, branch, body, (entry) => {
        if (!isFrom(entry, from)) throw denied("an entry that was made on another host");
        if (branch !== CONTROL) needHolder(o, branch, from, entry);
      });
      return null;
    case "certify":
      certify(o, asked, stages.finish(from, branch, body.batch, body.parts), body.term);
      return look(o, branch);
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
  const isRevoked = isCut(policy, author, branch, next);
  if (isRevoked || !may(policy, author, claim.steal ? "owner" : "append", branch)) {
    throw denied(
      `${nameOf(policy, author)} has no ${claim.steal ? "owner" : "append"} role on ${inert(branch)}`,
    );
  }
  o.journal.needUnforked(claim.what, branch);
  const now = o.keeper.holder(branch);
  if (claim.what === "unlock") return release(o, branch, now, claim, { author, from });
  checkMessage("lock", claim.message);
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

/** Only who holds the lock, on the host where it was taken and under its term, checks in. */
function needHolder(o: KeeperServiceOptions, branch: string, from: string, entry: Entry): void {
  const now = o.keeper.holder(branch);
  const own = now?.held === true && now.host === from && now.holder === toHex(entry.author);
  if (!own || now.term !== entry.term) throw lockGone(entry.term, now);
}

/** Votes for the whole of a check-in and keeps it, in one transaction, or for nothing of it. */
function certify(o: KeeperServiceOptions, { policy, branch, from }: Asked, stage: Stage, term: number): void {
  o.journal.needUnforked("ci", branch);
  const head = o.journal.head(branch);
  if (!bytesEqual(head.id, stage.base.id)) throw movedOn(branch, head.seq);
  const isControl = branch === CONTROL;
  for (const { entry } of stage.entries) {
    if (!isControl) needHolder(o, branch, from, entry);
    else {
      needCutsNow(o, policy, entry.ops);
      needForkPoints(o, entry.ops);
    }
    if (!isControl && !bytesEqual(entry.policy, policy.head)) {
      throw new Fault("ci", "refused", "the policy of the domain has changed meanwhile", {
        hint: "isconf ci",
      });
    }
  }
  o.db.write((tx) => {
    const proposals = stage.entries.map(({ record, entry, id }) => ({ ...record, ...placeOf(entry), id }));
    const records = isControl
      ? o.keeper.voteControl(policy.domain, proposals)
      : o.keeper.vote(tx, policy.domain, term, proposals);
    o.journal.append(
      tx,
      stage.entries.map((checked, i) => ({ ...checked, record: records[i] as EntryRecord })),
    );
    if (!isControl) o.keeper.release(tx, branch);
  });
}

/**
 * What a key did up to now stays and nothing later does: the places named in a revocation are the ends of all chains. A
 * lower one would make certified entries worthless to who has not got them yet, a higher one would revoke nothing.
 */
function needCutsNow(o: KeeperServiceOptions, policy: Policy, ops: readonly Op[]): void {
  for (const op of ops) {
    if (op.op !== "revoke" && op.op !== "rotate") continue;
    for (const branch of [CONTROL, ...policy.branches.keys()]) {
      const end = o.journal.head(branch).seq + (branch === CONTROL ? 1 : 0); // with the entry that says so
      const cut = Object.hasOwn(op.cuts, branch) ? op.cuts[branch] : 0;
      if (cut !== end) throw movedOn(branch, end);
    }
  }
}

/** A branch begins at an entry that exists: nobody could ever replay one that does not. */
function needForkPoints(o: KeeperServiceOptions, ops: readonly Op[]): void {
  for (const op of ops) {
    if (op.op !== "branch" || op.from === null) continue;
    const { branch, seq, id } = op.from;
    const there = o.journal.at(branch, seq)?.id;
    if (there === undefined || !bytesEqual(there, id)) {
      throw new Fault("fork", "refused", `${inert(branch)} has no such entry ${seq}`, { hint: "isconf up" });
    }
  }
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
