// Root change: what the root keys of a domain are asked to say, and how that comes into its journal. Their secrets are nowhere
// here: who has one signs on the command line (root_here.ts). Not what their signatures are worth (roots.ts).
import { bytesEqual, encode, Fault, fromHex, keyId, open1, toHex } from "../mq/mod.ts";
import { extendControl, sealControl } from "./control.ts";
import type { Op } from "./entry.ts";
import { gather } from "./gather.ts";
import { type Call, type Host, hostId, personPair } from "./host.ts";
import { takeIn } from "./intake.ts";
import { rootKeysMax } from "./limits.ts";
import { CONTROL, inert } from "./names.ts";
import { opText } from "./optext.ts";
import { keyOf, memberNamed } from "./roles.ts";
import {
  joinProposals,
  keysAsked,
  missing,
  readProposal,
  type RootProposal,
  signersOf,
  tooFew,
  writeProposal,
} from "./roots.ts";
import { nameOf, type Policy } from "./trust.ts";

const MESSAGE = "by the root keys";

/** The root keys of a domain. */
export interface RootsNow {
  /** Raw public keys, in hex. */
  keys: string[];
  /** How many have to sign. */
  threshold: number;
  /** How often they have said from where the chains go on. */
  epoch: number;
}

/** What root keys are asked to sign, as one word. */
export interface Proposed {
  proposal: string;
  says: string[];
  /** How many signatures it needs, of the keys of now and of those to be. */
  now: number;
  next: number;
}

/** The root keys of now. */
export function list({ host }: Pick<Call, "host">): RootsNow {
  const { roots, threshold, epoch } = host.journal.needPolicy("root");
  return { keys: roots.map(toHex), threshold, epoch };
}

/** Asks for root keys to come and others to go; `threshold`: how many have to sign from then on; else two, of one key one. */
export function change(
  call: Call,
  { add = [], remove = [], threshold }: { add?: string[]; remove?: string[]; threshold?: number },
): Proposed {
  const policy = call.host.journal.needPolicy("root");
  const usage = (why: string) => new Fault("root", "usage", why, { hint: "isconf root, isconf help root" });
  const now = policy.roots.map(toHex);
  const gone = remove.map((word) => {
    const found = now.filter((key) => /^[0-9a-f]{8,64}$/.test(word) && key.startsWith(word));
    if (found.length !== 1) throw usage(`${inert(word)} is not the beginning of one root key`);
    return found[0] as string;
  });
  for (const key of add) if (!/^[0-9a-f]{64}$/.test(key)) throw usage(`${inert(key)} is no public key`);
  const keys = [...new Set([...now, ...add])].filter((key) => !gone.includes(key));
  const needed = threshold ?? Math.min(2, keys.length);
  if (keys.length > rootKeysMax) throw usage(`a domain has at most ${rootKeysMax} root keys`);
  if (needed < 1 || needed > keys.length) throw usage(`of ${keys.length} root keys ${needed} cannot sign`);
  const isSame = needed === policy.threshold && keys.length === now.length &&
    keys.every((k) => now.includes(k));
  if (isSame) throw usage("these are the root keys already");
  return propose(call, policy, [{ op: "roots", keys: keys.map(fromHex), threshold: needed }]);
}

/** Asks for a role for a person: where several root keys have to agree, nobody else makes an owner of the domain. */
export async function grant(
  call: Call,
  { person, role, branch }: { person: string; role: string; branch: string },
): Promise<Proposed> {
  const policy = call.host.journal.needPolicy("root");
  const { name, key } = await keyOf(call, person);
  const give: Op = { op: "grant", key: fromHex(keyId(key)), role, branch };
  const isKnown = policy.persons.has(keyId(key)) ||
    keyId(key) === keyId(personPair(call.host, call.actor).publicKey);
  return propose(call, policy, isKnown ? [give] : [{ op: "person", key, name }, give]);
}

/** Asks for a person, or a host with those on it, to lose every right. */
export function revoke(call: Call, { whose, reason }: { whose: string; reason: string }): Proposed {
  const policy = call.host.journal.needPolicy("root");
  const person = [...policy.persons].find(([id, p]) => !policy.revoked.has(id) && p.name === whose)?.[0];
  const key = fromHex(person ?? memberNamed(policy, whose, "root"));
  return propose(call, policy, [{ op: "revoke", key, cuts: {}, reason }]);
}

/** Operations as a proposal of the caller's; if nobody knows the caller yet, it makes them known. */
export function propose({ host, actor }: Call, policy: Policy, ops: Op[]): Proposed {
  const pair = personPair(host, actor);
  const author = keyId(pair.publicKey);
  if (policy.revoked.has(author) || policy.revoked.has(hostId(host))) {
    throw new Fault("root", "denied", "your key, or this host's, was revoked in this domain", {
      hint: "isconf root, on another host",
    });
  }
  if (!policy.hosts.has(hostId(host))) {
    throw new Fault("root", "denied", "this host is not of the domain", { hint: "isconf join TOKEN" });
  }
  const name = `${actor.name}@${nameOf(policy, hostId(host))}`;
  const all: Op[] = policy.persons.has(author) ? ops : [{ op: "person", key: pair.publicKey, name }, ...ops];
  const { domain, rooted: after } = policy;
  const statement = { domain, after, author: fromHex(author), origin: fromHex(hostId(host)), ops: all };
  const lack = missing(policy, all, new Set());
  return { proposal: writeProposal({ ...statement, signatures: [] }), says: all.map(opText), ...lack };
}

/**
 * Brings what root keys have signed into the journal: copies of one proposal, each with some of the signatures.
 * @throws {Fault} usage; refused, when it is out of date or another's to bring; denied, when signatures are missing
 */
export async function submit(call: Call, words: readonly string[]): Promise<{ said: string[]; seq: number }> {
  const { host, actor } = call;
  const [first, ...others] = words.map(readProposal);
  if (first === undefined) {
    throw new Fault("root", "usage", "submit which file?", { hint: "isconf help root" });
  }
  const proposal = others.reduce(joinProposals, first);
  const epoch = proposal.ops.find((op) => op.op === "epoch");
  if (epoch !== undefined) await gather(host, forkedOf(host));
  else await host.replica.sync();
  const policy = policyFor(host, proposal);
  const author = personPair(host, actor);
  const isTheirs = bytesEqual(proposal.author, fromHex(keyId(author.publicKey))) &&
    bytesEqual(proposal.origin, fromHex(hostId(host)));
  if (!isTheirs) {
    const [who, where] = [proposal.author, proposal.origin].map((id) => inert(nameOf(policy, toHex(id))));
    throw new Fault("root", "refused", `only ${who} can bring it, on ${where}: who made it`, {
      hint: `isconf root submit FILE, on ${where}`,
    });
  }
  const signed = signedBy(policy, proposal);
  if (epoch !== undefined) {
    return { said: proposal.ops.map(opText), seq: begin(call, proposal, epoch, signed) };
  }
  const isCutting = proposal.ops.some((op) => op.op === "revoke");
  const fill = (ends: Record<string, number>): Op[] => [
    ...proposal.ops.map((op) => op.op === "revoke" ? { ...op, cuts: { ...ends } } : op),
    signed,
  ];
  const make = isCutting
    ? (_: Policy, ends: Readonly<Record<string, number>>) => fill(ends)
    : (_: Policy) => fill({});
  await extendControl(host, "root", author, MESSAGE, make);
  return { said: proposal.ops.map(opText), seq: host.journal.head(CONTROL).seq };
}

/** The policy under which a proposal was made, which has to be that of now. */
function policyFor({ journal }: Host, { domain, after, ops }: RootProposal): Policy {
  const now = journal.needPolicy("root");
  if (!bytesEqual(domain, now.domain)) {
    throw new Fault("root", "refused", "that proposal is for another domain", { hint: "isconf status" });
  }
  const base = ops.flatMap((op) => op.op === "epoch" ? op.bases[CONTROL]?.[1] ?? [] : [])[0];
  const then = base === undefined ? now : journal.policyAt(base);
  if (then === undefined || !bytesEqual(after, then.rooted)) {
    throw stale("the root keys have said something else");
  }
  return then;
}

/** The signatures of a proposal as an operation; those of keys that have no say are left out. */
function signedBy(policy: Policy, proposal: RootProposal): Op {
  const keys = keysAsked(policy, proposal.ops);
  const ids = new Set(keys.map(keyId));
  const byKey = new Map(proposal.signatures.map((bytes) => [open1(bytes).kid, bytes]));
  const signatures = [...byKey].filter(([kid]) => ids.has(kid)).map(([, bytes]) => bytes).slice(
    0,
    rootKeysMax,
  );
  const lack = missing(policy, proposal.ops, signersOf(proposal, signatures, keys));
  if (lack.now > 0 || lack.next > 0) throw tooFew(policy, lack);
  return { op: "signed", after: proposal.after, signatures };
}

/** The first entry of an epoch: at the one place that the root keys have signed, without anybody's vote. Returns its seq. */
function begin(
  { host, actor }: Call,
  { domain, ops }: RootProposal,
  { bases }: Op & { op: "epoch" },
  signed: Op,
): number {
  const { journal } = host;
  const [seq, prev] = bases[CONTROL] as [number, Uint8Array];
  const isMended = journal.forkOf(CONTROL) !== undefined; // then what follows is to go
  for (const [branch, [end, id]] of Object.entries(bases)) {
    const head = journal.head(branch);
    if (isMended || (head.seq === end && bytesEqual(head.id, id))) continue;
    throw stale(`${inert(branch)} has moved on from entry ${end} to ${head.seq}`);
  }
  const place = { domain, prev, epoch: (journal.policyAt(prev) as Policy).epoch + 1, seq: seq + 1, term: 0 };
  const sealed = sealControl(host, personPair(host, actor), [...ops, signed], MESSAGE, place);
  host.db.write((tx) => host.own.sign(tx, "entry", CONTROL, place));
  takeIn(host, [{ ...sealed, cert: encode([]) }], { branch: CONTROL });
  return seq + 1;
}

/** A branch that is frozen, if there is one. */
export function forkedOf({ journal }: Host): string | undefined {
  return [...journal.needPolicy("root").branches.keys()].find((branch) =>
    journal.forkOf(branch) !== undefined
  );
}

const stale = (why: string) =>
  new Fault("root", "refused", `${why} since that was proposed: it has to be proposed and signed anew`, {
    hint: `isconf log --branch ${CONTROL}`,
  });
