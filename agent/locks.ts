// Locks: who may change a branch now: lock, unlock, and what became of a lock that somebody held.
// Not the promise itself (keeper.ts) and not the work done under it (work.ts).
import { Fault, fromHex, keyId, type KeyPair } from "../mq/mod.ts";
import { branchOf, type Call, type Host, hostId, hostName, needCongruent, personPair } from "./host.ts";
import { takeIn } from "./intake.ts";
import { type Held, lockedBy } from "./keeper.ts";
import type { Granted } from "./keepers.ts";
import { checkMessage, inert } from "./names.ts";
import { setMeta } from "./schema.ts";
import { isCut, may, nameOf, type Policy } from "./trust.ts";

/** A lock as its holder has it; `took`: not only said anew why. */
export type Taken = Omit<Held, "change"> & { took: boolean };

/** Takes the branch's lock, or changes the message of one's own. */
export async function lock(
  call: Call,
  message: string,
  steal = false,
): Promise<Taken> {
  const { host, actor } = call;
  checkMessage("lock", message);
  const branch = branchOf(host, "lock");
  needCongruent(host, "lock");
  host.journal.needUnforked("lock", branch);
  host.own.need("lock");
  await host.replica.settled();
  const { lock: now, keeper, seq: end, freed } = await host.keepers.look(
    "lock",
    host.journal.needPolicy("lock"),
    branch,
  );
  await host.replica.sync();
  if (host.journal.head(branch).seq < end) await host.replica.pull(keeper, branch);
  const policy = host.journal.needPolicy("lock");
  const person = personPair(host, actor);
  const author = keyId(person.publicKey);
  host.journal.needUnforked("lock", branch);
  host.own.need("lock"); // what has come may be this host's own
  host.journal.needNotSuspended("lock", author);
  needRole(call, "lock", branch, author, steal ? "owner" : "append");
  if (now?.held && !steal && (now.holder !== author || now.host !== hostId(host))) {
    throw lockedBy("lock", now, host.clock.wall());
  }
  const head = host.journal.head(branch);
  const items = host.wip.items();
  const foreign = items.find((i) => i.author !== author || i.baseSeq !== head.seq);
  if (foreign !== undefined) throw inTheWay("lock", items.length, nameOf(policy, foreign.author));
  const applied = host.history.applied();
  if (applied !== head.seq) {
    throw new Fault(
      "lock",
      "refused",
      `this host has applied ${applied} of ${head.seq} entries of ${branch}`,
      {
        hint: "isconf up",
      },
    );
  }
  const isOwn = now?.held === true && now.holder === author && now.host === hostId(host);
  const after = isOwn ? now.term - 1 : now?.term ?? 0;
  const words = { message, after, steal, freed };
  const granted = await claim(host, policy, branch, words, person).catch(async (e) => {
    // Too few keepers have promised what looked like one's own, and others have promised that term to somebody else.
    if (isOwn && Fault.from("lock", e).kind === "notLocked") {
      return await claim(host, policy, branch, { ...words, after: now.term }, person);
    }
    if (!isOwn && policy.keepers.quorum > 1) await takeBack(host, policy, branch, words, person);
    throw e;
  });
  if (granted.again !== undefined) {
    await finish(host, policy, branch, granted, person);
    return await lock(call, message, steal);
  }
  const { holder, holderName, host: at, hostName: name, held, term, sinceMs } = granted.held;
  host.db.write((tx) => host.wip.moveTo(tx, term));
  const took = !(isOwn && now.term === term);
  return { holder, holderName, host: at, hostName: name, message, branch, held, term, sinceMs, took };
}

/** What somebody wants of the keepers: a term above `after`. */
interface Want {
  what?: "lock" | "change";
  message: string;
  after: number;
  steal: boolean;
  /** The words in which the last lock was given back. */
  freed?: Uint8Array | null;
}

/** Claims a lock of the keepers for a person. */
export async function claim(
  host: Host,
  policy: Policy,
  branch: string,
  { freed = null, ...want }: Want,
  person: KeyPair,
): Promise<Granted> {
  const { seq, id } = host.journal.head(branch);
  const words = { ...want, host: fromHex(hostId(host)), seq, id };
  return await host.keepers.lock(policy, branch, { what: "lock", ...words }, person, freed);
}

/** Gives back what some keepers may have promised to a claim that too few of them have. */
async function takeBack(
  host: Host,
  policy: Policy,
  branch: string,
  { freed: _, ...want }: Want,
  person: KeyPair,
): Promise<void> {
  const { seq, id } = host.journal.head(branch);
  const words = { ...want, host: fromHex(hostId(host)), seq, id, after: want.after + 1 };
  try {
    await host.keepers.unlock(policy, branch, { what: "unlock", ...words, steal: false }, person);
  } catch {
    // whoever has promised nothing has nothing to take back
  }
}

/**
 * Has certified what somebody began to check in before: the keepers would certify nothing else now. Made under a policy that
 * has changed since, those who have not voted for it do so only in a higher term, whose promises show that others have. When they
 * show that nobody has, nothing of it will ever be certified: returns that term's lock, which is good for something else.
 */
export async function finish(
  host: Host,
  policy: Policy,
  branch: string,
  granted: Granted,
  person: KeyPair,
): Promise<Granted | undefined> {
  try {
    await finishIn(host, policy, branch, granted);
    return undefined;
  } catch (e) {
    if (Fault.from("lock", e).kind !== "refused") throw e;
    const higher = await nextTerm(host, policy, granted.held, person);
    if (higher.again === undefined) return higher;
    await finishIn(host, policy, branch, higher);
    return undefined;
  }
}

/** The same lock in a higher term. A keeper that decides alone gives its holder none before it is given back. */
export async function nextTerm(host: Host, policy: Policy, held: Held, person: KeyPair): Promise<Granted> {
  if (policy.keepers.quorum === 1) await giveBack(host, policy, held, person);
  const want = { message: held.message, after: held.term, steal: false };
  const granted = await claim(host, policy, held.branch, want, person);
  host.db.write((tx) => host.wip.moveTo(tx, granted.held.term));
  return granted;
}

async function finishIn(
  host: Host,
  policy: Policy,
  branch: string,
  { held, proof, again }: Granted,
): Promise<void> {
  const records = await host.keepers.certify("lock", policy, branch, { term: held.term, proof }, again ?? []);
  takeIn(host, records, { branch });
  host.log(`${branch}: what was begun to be checked in before term ${held.term} is certified now`);
}

/** Gives the lock back. Somebody else's needs the owner role and `steal`; what it leaves behind is said. */
export async function unlock(
  call: Call,
  steal: boolean,
): Promise<{ branch: string; term: number; of: string }> {
  const { host, actor } = call;
  const branch = branchOf(host, "unlock");
  const person = personPair(host, actor);
  const author = keyId(person.publicKey);
  const policy = host.journal.needPolicy("unlock");
  await host.replica.settled();
  const { lock: held } = await host.keepers.look("unlock", policy, branch);
  if (held?.held !== true) throw notLocked("unlock", branch);
  const own = held.holder === author && held.host === hostId(host);
  if (!own) {
    if (!steal) {
      const fault = lockedBy("unlock", held, host.clock.wall());
      throw new Fault("unlock", "locked", fault.message, {
        hint: `isconf unlock --steal, as an owner, after calling ${inert(held.holderName)}`,
      });
    }
    needRole(call, "unlock", branch, author, "owner");
    host.log(`lock of ${branch}, term ${held.term}, held by ${held.holderName}, stolen by ${actor.name}`);
  } else if (host.wip.count() > 0 && !steal) {
    throw new Fault("unlock", "refused", `${host.wip.count()} pieces of work are not checked in`, {
      hint: "isconf ci, or isconf wip drop --rebuild",
    });
  }
  await giveBack(host, policy, held, person, steal && !own);
  return { branch, term: held.term, of: held.holderName };
}

/** Gives a promised term back to whoever promised it. */
export async function giveBack(
  host: Host,
  policy: Policy,
  held: Held,
  person: KeyPair,
  steal = false,
): Promise<void> {
  const { seq, id } = host.journal.head(held.branch);
  const words = {
    what: "unlock" as const,
    host: fromHex(hostId(host)),
    message: "",
    after: held.term,
    steal,
    seq,
    id,
  };
  await host.keepers.unlock(policy, held.branch, words, person);
}

/**
 * The lock as held by the caller on this host, or the fault that says what happened to it and the ways out. The keeper
 * is asked when it can be reached; when not, what is known here must do until `ci`, which asks it for certain.
 */
export async function needLock(call: Call, op: string, term?: number): Promise<Held> {
  const { host, actor } = call;
  const branch = branchOf(host, op);
  const author = keyId(personPair(host, actor).publicKey);
  const held = await host.keepers.refresh(branch);
  const own = held?.held === true && !held.change && held.holder === author && held.host === hostId(host);
  const { count, lost } = host.wip.heldBy(author, held?.term);
  if (own && lost === undefined && (term === undefined || term === held.term)) return held;
  if (lost !== undefined || (term !== undefined && held?.term !== term)) {
    await host.replica.sync(); // has the new holder checked in already?
    throw lostLock(call, op, held, lost, term);
  }
  if (held?.held === true) throw lockedBy(op, held, host.clock.wall());
  if (count > 0) {
    throw new Fault(
      op,
      "notLocked",
      `the lock of ${branch} was given back; ${count} pieces of work remain`,
      {
        hint: 'isconf lock "why" takes it again with the same work, or isconf wip drop --rebuild',
      },
    );
  }
  throw notLocked(op, branch);
}

/** The holder lost the lock: if others committed and we ran something, that work can never be checked in. */
function lostLock(
  call: Call,
  op: string,
  held: Held | undefined,
  item: { term: number; baseSeq: number } | undefined,
  term?: number,
): Fault {
  const { host } = call;
  const branch = branchOf(host, op);
  const head = host.journal.head(branch);
  const moved = item !== undefined && item.baseSeq !== head.seq;
  const ran = host.wip.items().some((i) => i.op.op === "exec");
  const was = item?.term ?? term ?? 0;
  const who = inert(held?.holderName ?? "");
  const text = held === undefined
    ? `your lock (term ${was}) has ended with its epoch`
    : `your lock (term ${was}) was taken over by ${who} (term ${held.term})`;
  if (moved && ran) {
    host.db.write((tx) =>
      setMeta(
        tx,
        "diverged",
        `work under term ${was} ran here, and term ${held?.term ?? 0} was checked in first`,
      )
    );
    return new Fault(op, "diverged", `${text} and the branch has moved on to entry ${head.seq}`, {
      hint: "isconf wip drop --rebuild, then rebuild this host",
    });
  }
  return new Fault(op, held?.held ? "locked" : "notLocked", text, {
    hint: moved
      ? "isconf wip drop, then isconf up and start again"
      : 'isconf lock "why" takes it again with the same work, or isconf wip drop --rebuild',
  });
}

/** Throws a denied fault unless the key has the role on the branch. */
export function needRole(
  call: Call,
  op: string,
  branch: string,
  author: string,
  role: "append" | "owner" = "append",
): void {
  const policy = call.host.journal.needPolicy(op);
  const isRevoked = isCut(policy, author, branch, call.host.journal.head(branch).seq + 1);
  if (!isRevoked && may(policy, author, role, branch)) return;
  throw new Fault(
    op,
    "denied",
    `${inert(call.actor.name)}@${hostName(call.host)} has no ${role} role on ${branch}`,
    {
      hint: "isconf status: shows who has; ask an owner of the branch",
    },
  );
}

function notLocked(op: string, branch: string): Fault {
  return new Fault(op, "notLocked", `${branch} is not locked`, {
    hint: 'isconf lock "what you are about to change"',
  });
}

function inTheWay(op: string, n: number, whose: string): Fault {
  return new Fault(op, "refused", `${n} pieces of work of ${inert(whose)} are in the way`, {
    hint: "isconf wip, then isconf ci or isconf wip drop --rebuild",
  });
}

/** Throws when work that is not checked in would be run over. */
export function needNoWip(call: Pick<Call, "host">, op: string): void {
  const items = call.host.wip.items();
  const first = items[0];
  if (first !== undefined) throw inTheWay(op, items.length, nameOf(call.host.journal.policy(), first.author));
}
