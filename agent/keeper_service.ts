// Keeper service: what this host answers as a keeper to hosts that ask over the mesh. It believes the signatures in a
// request and its own journal, and nothing else; what it grants is durable before it is said.
import type { Db } from "../fs/mod.ts";
import { bytesEqual, type Cbor, type Clock, Fault, fromHex, keyId, type KeyPair, toHex } from "../mq/mod.ts";
import { readEntry } from "./entry.ts";
import { takeIn } from "./intake.ts";
import type { Journal } from "./journal.ts";
import type { Own } from "./own.ts";
import { Answers } from "./answers.ts";
import { type Held, type Keeper, lockedBy } from "./keeper.ts";
import type { KeeperRegister, Seen } from "./keeper_register.ts";
import {
  claimant,
  type ClaimWords,
  openClaim,
  openRequest,
  type RequestWords,
  sealReply,
} from "./keeper_words.ts";
import {
  type Asked,
  changeIn,
  isChanging,
  isSole,
  needHolder,
  needSameEnd,
  votedFor,
} from "./keeper_turns.ts";
import { certify, noKeeper } from "./keeper_vote.ts";
import { termStepMax } from "./limits.ts";
import type { Mesh } from "./mesh.ts";
import { checkMessage, CONTROL, inert } from "./names.ts";
import { encodeProof, sealPromise } from "./promises.ts";
import { isFrom, Stages } from "./stages.ts";
import { authorKey, isCut, isMember, may, nameOf } from "./trust.ts";

export interface KeeperServiceOptions {
  db: Db;
  journal: Journal;
  keeper: Keeper;
  own: Own;
  key(): KeyPair;
  clock: Clock;
  mesh: Mesh;
  /** What decides before this keeper does, in a domain that says so. */
  register: KeeperRegister;
  /** Resolves when this host has compared its journal with others, or has waited long enough for that. */
  settled(): Promise<void>;
  /** Whether it has heard from so many other keepers since its start that it may vote. */
  hearEnough(): Promise<boolean>;
  /** Brings a chain up to what another host has. */
  pull(host: string, branch: string): Promise<void>;
  log(line: string): void;
}

/** Answers a signed request of a host. */
export type KeeperDoor = (from: string, value: Cbor) => Promise<Uint8Array>;

/** From now on this host answers as a keeper, whenever the policy says that it is one; the same for requests of its own. */
export function serveKeeper(o: KeeperServiceOptions): KeeperDoor {
  const stages = new Stages(o.journal, o.clock);
  const answers = new Answers(o.clock);
  const door: KeeperDoor = async (from, value) => {
    const [branch, bytes] = Array.isArray(value) ? value : [];
    if (typeof branch !== "string" || !(bytes instanceof Uint8Array)) throw malformed();
    await o.settled();
    const policy = o.journal.needPolicy("keeper");
    const key = o.key(); // the answer to a rotation of it is still signed with the old one
    const self = keyId(key.publicKey);
    // Who is to become one votes for that, too.
    const isKeeper = policy.keepers.hosts.includes(self);
    if (!isKeeper && branch !== CONTROL) throw noKeeper();
    if (!isMember(policy, from)) throw denied("that host is not of this domain");
    const { nonce, body } = openRequest(bytes, policy, branch, from, fromHex(self));
    const seal = (answer: Cbor) => sealReply(answer, nonce, policy.domain, branch, key);
    if (body.what === "more") return seal(answers.part(from, body.of, body.offset));
    o.own.need("keeper");
    if (!await o.hearEnough()) throw tooEarly();
    const answer = await answerTo(o, stages, { policy, branch, from, self, body });
    return seal(answers.fit(from, nonce, answer));
  };
  o.mesh.answer("keeper", door);
  return door;
}

async function answerTo(
  o: KeeperServiceOptions,
  stages: Stages,
  asked: Asked & { body: Exclude<RequestWords, { what: "more" }> },
): Promise<Cbor> {
  const { policy, branch, from, body } = asked;
  if (branch !== CONTROL && !asked.policy.branches.has(branch)) {
    throw new Fault("keeper", "notFound", `there is no branch ${inert(branch)}`, { hint: "isconf status" });
  }
  if (!asked.policy.keepers.hosts.includes(asked.self) && (body.what === "look" || body.what === "claim")) {
    throw noKeeper();
  }
  switch (body.what) {
    case "look":
      return await o.register.deciding(asked, () => Promise.resolve(look(o, branch)));
    case "claim":
      try {
        if (body.freed !== undefined && policy.keepers.etcd === undefined) hear(o, asked, body.freed);
      } catch (e) {
        o.log(`keeper: what was said of ${inert(branch)}: ${Fault.from("keeper", e).message}`);
      }
      return await o.register.deciding(asked, async (asked) => {
        await decide(o, asked, body.claim);
        return { ...look(o, branch) as { [name: string]: Cbor }, ...promised(o, branch) };
      });
    case "stage":
      o.journal.needUnforked("ci", branch);
      if (body.part === 0) await o.register.deciding(asked, () => Promise.resolve());
      if (body.part === 0) await catchUp(o, asked, body.entries[0]?.[0]);
      await stages.take(from, branch, body, (entry) => {
        // The promises say whose it may be, when all has come.
        if (!isSole(policy) || changeIn(entry.ops) !== undefined) return;
        if (!isFrom(entry, from)) throw denied("an entry that was made on another host");
        if (branch !== CONTROL) needHolder(o, branch, from, entry);
      });
      return null;
    case "keep":
      keep(o, branch, body);
      return look(o, branch);
    case "certify": {
      const stage = stages.finish(from, branch, body.batch, body.parts);
      return await o.register.deciding(asked, async (asked) => {
        await o.register.begin(asked, stage.entries);
        const votes = await certify(o, asked, stage, body.term, body.proof);
        return { ...look(o, branch) as { [name: string]: Cbor }, votes };
      });
    }
  }
}

/** What this keeper has voted for is certified now, as these votes of others prove; from the entry `first` of it on. */
function keep(
  o: KeeperServiceOptions,
  branch: string,
  { batch, first, certs }: RequestWords & { what: "keep" },
): void {
  const accepted = o.keeper.accepted(branch);
  if (accepted === undefined || !bytesEqual(accepted.batch, batch)) return; // it has it by now, or fetches it
  const records = accepted.records.slice(first, first + certs.length).map(([entry, origin], i) => ({
    entry: entry!,
    origin: origin!,
    cert: certs[i]!,
  }));
  takeIn(o, records, { branch });
}

/** Who builds on an entry that this keeper has not got has it; who names the ends of all chains has them. */
async function catchUp(
  o: KeeperServiceOptions,
  { policy, branch, from }: Asked,
  first: Uint8Array | undefined,
): Promise<void> {
  if (first === undefined) return;
  const { entry } = readEntry(first);
  if (entry.seq > o.journal.head(branch).seq + 1) await bring(o, branch, from);
  const change = changeIn(entry.ops);
  if (branch !== CONTROL || change === undefined) return;
  for (const one of policy.branches.keys()) {
    if ((change.cuts[one] ?? 0) > o.journal.head(one).seq) await bring(o, one, from);
  }
}

/** What another host has of a branch and of the control journal, as far as it can be had: what does not come is missed later. */
async function bring(o: KeeperServiceOptions, branch: string, from: string): Promise<void> {
  for (const one of new Set([CONTROL, branch])) {
    await o.pull(from, one).catch((e) => o.log(`keeper: ${Fault.from("keeper", e).message}`));
  }
}

/** The promise of the newest term, and what this keeper has voted for beside what it has certified. */
function promised(o: KeeperServiceOptions, branch: string): { [name: string]: Cbor } {
  const accepted = o.keeper.accepted(branch);
  return {
    said: o.keeper.said(branch) ?? null,
    accepted: accepted === undefined ? null : {
      term: accepted.term,
      records: accepted.records,
      proof: encodeProof(accepted.proof),
    },
  };
}

/** What this keeper knows of a branch: its end, and its lock. */
function look(o: KeeperServiceOptions, branch: string): Cbor {
  const { seq, id } = o.journal.head(branch);
  const held = o.keeper.holder(branch);
  const freed = o.keeper.freed(branch) ?? null;
  const voted = o.keeper.voted(branch);
  return {
    seq,
    id,
    freed,
    lock: held === undefined ? null : { ...held },
    voted: voted === undefined ? null : { term: voted.term, seq: voted.seq },
  };
}

/** A lock was given back, and this keeper was not there: the words of who gave it back are as good from anybody. */
function hear(o: KeeperServiceOptions, { policy, branch }: Asked, bytes: Uint8Array): void {
  const now = o.keeper.holder(branch);
  const author = claimant(bytes);
  const claim = openClaim(bytes, policy.domain, branch, authorKey(policy, author));
  if (claim.what !== "unlock" || now?.held !== true || now.term !== claim.after) return;
  const isTheirs = author === now.holder && toHex(claim.host) === now.host;
  if (!isTheirs && !(claim.steal && may(policy, author, "owner", branch))) return;
  if (now.change && isChanging(o)) return;
  o.db.write((tx) => o.keeper.release(tx, branch, bytes));
}

/** Grants a lock or takes it back, when everything is as it must be. */
async function decide(
  o: KeeperServiceOptions,
  { policy, branch, from, seen }: Asked,
  bytes: Uint8Array,
): Promise<void> {
  const author = claimant(bytes);
  const claim = openClaim(bytes, policy.domain, branch, authorKey(policy, author));
  if (toHex(claim.host) !== from) throw denied("a claim that was made on another host");
  const next = o.journal.head(branch).seq + 1;
  const isRevoked = isCut(policy, author, branch, next);
  if (branch !== CONTROL) o.journal.needNotSuspended(claim.what, author); // there its entries are judged one by one
  // Of the control journal nobody keeps a lock: who may say what there, its entries are judged by.
  const isChange = claim.what === "change";
  const isAllowed = branch === CONTROL
    ? (policy.grants.get(author) ?? []).length > 0 && !isChange
    : isChange
    ? may(policy, author, "owner", CONTROL)
    : may(policy, author, claim.steal ? "owner" : "append", branch);
  if (isRevoked || !isAllowed) {
    throw denied(
      `${nameOf(policy, author)} has no ${claim.steal ? "owner" : "append"} role on ${inert(branch)}`,
    );
  }
  o.journal.needUnforked(claim.what, branch);
  if (claim.what === "unlock") {
    return await release(o, branch, o.keeper.holder(branch), claim, { author, from, bytes }, seen);
  }
  checkMessage("lock", claim.message);
  const isInPart = () => (o.keeper.voted(branch)?.seq ?? Infinity) <= o.journal.head(branch).seq;
  if ((claim.seq > o.journal.head(branch).seq && !isSole(policy)) || isInPart()) await bring(o, branch, from);
  if (isInPart()) {
    throw new Fault(
      "lock",
      "refused",
      `the keeper has a check-in into ${inert(branch)} only in part by now`,
      {
        hint: "isconf lock, again, when the hosts that have it are connected",
      },
    );
  }
  const now = o.keeper.holder(branch);
  const own = now?.held === true && now.holder === author && now.host === from;
  // Who changes the keepers goes on with a change that somebody else has begun; nobody else takes that over.
  const steal = branch === CONTROL || (now?.change === true ? isChange : claim.steal);
  if (now?.held === true && !(own && (isChange || !now.change)) && !steal) {
    throw lockedBy("lock", now, o.clock.wall());
  }
  // An old claim that comes a second time names a term that has been promised since. Other keepers may have promised more.
  const term = now?.term ?? 0;
  const isNext = isSole(policy)
    ? claim.after === term
    : claim.after >= term && claim.after <= term + termStepMax;
  if (!isNext && !(own && claim.after === term - 1)) throw stale(branch);
  const head = needSameEnd(o, branch, claim);
  const holder = {
    holder: author,
    holderName: nameOf(policy, author),
    host: from,
    hostName: nameOf(policy, from),
    message: claim.message,
  };
  const nowMs = o.clock.wall();
  const how = {
    steal,
    // Of the control journal nobody keeps a term: what was promised there before is for an end that may have moved on.
    after: isSole(policy) && seen === undefined && branch !== CONTROL ? undefined : claim.after,
    change: isChange,
  };
  const held = o.keeper.next(branch, holder, nowMs, how);
  if (seen !== undefined) await seen.lock(held, bytes);
  o.db.write((tx) => {
    o.keeper.follow(tx, held);
    if (o.keeper.said(branch) !== undefined) return; // of the same term: the same words
    if (o.keeper.accepted(branch)?.term === held.term) return; // it has voted in this term already, without having promised it
    const words = {
      ...head,
      term: held.term,
      holder: fromHex(author),
      host: fromHex(from),
      voted: votedFor(o, branch),
    };
    o.keeper.keepSaid(tx, branch, sealPromise(words, policy.domain, branch, o.key()));
  });
}

async function release(
  o: KeeperServiceOptions,
  branch: string,
  now: Held | undefined,
  claim: ClaimWords,
  who: { author: string; from: string; bytes: Uint8Array },
  seen: Seen | undefined,
): Promise<void> {
  if (now?.term !== claim.after) throw stale(branch);
  if (!now.held) return;
  if (now.change && isChanging(o)) {
    throw new Fault("unlock", "refused", "the keepers of the domain are being changed", {
      hint: "isconf keeper add or remove, on a keeper: finishes it",
    });
  }
  const own = now.holder === who.author && now.host === who.from;
  if (!own && !claim.steal) throw lockedBy("unlock", now, o.clock.wall());
  if (seen !== undefined) await seen.free();
  o.db.write((tx) => o.keeper.release(tx, branch, who.bytes));
  if (!own) {
    o.log(
      `lock of ${branch}, term ${now.term}, held by ${now.holderName}, stolen by ${who.author.slice(0, 12)}`,
    );
  }
}

const tooEarly = () =>
  new Fault("keeper", "refused", "this keeper has started and not yet heard from enough others to vote", {
    hint: "isconf keeper, then try again",
  });
const malformed = () =>
  new Fault("keeper", "corrupt", "a request to a keeper is malformed", { hint: "isconf version" });
const denied = (why: string) =>
  new Fault("keeper", "denied", why, { hint: "isconf status: shows who may what" });
const stale = (branch: string) =>
  new Fault("lock", "notLocked", `another lock of ${inert(branch)} was promised meanwhile`, {
    hint: "isconf status",
  });
