// Trust: what the control journal says: hosts, persons, roles, keepers, branches, revocations; a fold over it.
// Not signatures (entry.ts) and not storage (journal.ts). States are never changed, only followed by new ones.
import { checkPublicKey, Fault, keyId, sha256, toHex } from "../mq/mod.ts";
import { ById } from "./byid.ts";
import type { Entry, Op } from "./entry.ts";
import { type Base, changeOf } from "./epochs.ts";
import { branchesMax } from "./limits.ts";
import { checkName, CONTROL } from "./names.ts";
import { isRooted } from "./roots.ts";

/** What a key may do. `owner` includes `append`. Root keys have no role: what they say, they say together (roots.ts). */
export const ROLES = ["owner", "append", "enrol", "keeper", "secret", "release", "publish"] as const;
export type Role = typeof ROLES[number];

export interface KeyRecord {
  /** Raw public key, 32 bytes. */
  key: Uint8Array;
  name: string;
}

/** A host's certificate. `net` is the public key that its net half proves on the network, 32 bytes. */
export interface HostRecord extends KeyRecord {
  net: Uint8Array;
}

export interface Grant {
  role: string;
  branch: string;
}

export interface Policy {
  /** Domain id: the id of the genesis entry. */
  readonly domain: Uint8Array;
  /** The control entry this state is as of. */
  readonly seq: number;
  readonly head: Uint8Array;
  readonly roots: readonly Uint8Array[];
  readonly threshold: number;
  /** Id of the entry with what the root keys said last. */
  readonly rooted: Uint8Array;
  /** How often they have said from where the chains go on. */
  readonly epoch: number;
  readonly hosts: ById<HostRecord>;
  readonly persons: ById<KeyRecord>;
  /** What each key may. */
  readonly grants: ById<readonly Grant[]>;
  /** `etcd`: the id of the control entry since which an etcd cluster decides, and any one keeper attests that. */
  readonly keepers: { hosts: readonly string[]; quorum: number; etcd?: string };
  /**
   * Each change of the keepers: the control entry that made it, and where every chain ended. What the keepers before have
   * certified ends there. With a `base` where no keepers said so, but the root keys.
   */
  readonly changes: readonly { seq: number; cuts: Readonly<Record<string, number>>; base?: Base }[];
  readonly branches: ReadonlyMap<string, { branch: string; seq: number; id: Uint8Array } | null>;
  /** Revoked keys: the last seq each may have authored, by branch; branches not named have the cut 0. */
  readonly revoked: ById<Readonly<Record<string, number>>>;
  /** Proofs that a key has signed two things for one place (fork_proof.ts), by id, of which an owner has said: understood. */
  readonly acknowledged: ById<true>;
  /** The newest key of each kind and name, and of each network key the newest host: whatever is to be unique, hashed. */
  readonly holders: ById<string>;
}

/** How many of `n` keepers have to agree where nobody says otherwise: so many that any two such sets have one in common. */
export const majorityOf = (n: number): number => Math.floor(n / 2) + 1;

/** The state before any entry. */
const NOTHING: Policy = {
  domain: new Uint8Array(0),
  seq: 0,
  head: new Uint8Array(0),
  roots: [],
  threshold: 1,
  rooted: new Uint8Array(0),
  epoch: 0,
  hosts: ById.empty(),
  persons: ById.empty(),
  grants: ById.empty(),
  keepers: { hosts: [], quorum: 1 },
  changes: [],
  branches: new Map(),
  revoked: ById.empty(),
  acknowledged: ById.empty(),
  holders: ById.empty(),
};

/**
 * The state after one more control entry. The caller has checked the entry's place in the chain; this checks
 * that its author may say each of these things. Throws denied or corrupt faults and changes nothing.
 */
export function follow(before: Policy | undefined, entry: Entry, id: Uint8Array): Policy {
  const policy = before ?? NOTHING;
  const genesis = before === undefined;
  const next: Draft = { ...policy, domain: genesis ? id : policy.domain, seq: entry.seq, head: id };
  if (genesis) next.rooted = id;
  const bySomebody = !genesis && !isRooted(policy, entry);
  for (const op of entry.ops) {
    if (bySomebody) mustBeAllowed(policy, op, toHex(entry.author), toHex(entry.origin));
    step(next, op, entry);
  }
  if (genesis && (next.roots.length === 0 || next.keepers.hosts.length === 0 || next.branches.size === 0)) {
    throw wrong("a genesis entry names root keys, keepers and a branch");
  }
  if (genesis && !next.roots.some((k) => keyId(k) === toHex(entry.author))) {
    throw wrong("a genesis entry is signed by a root key");
  }
  return next;
}

type Draft = { -readonly [K in keyof Policy]: Policy[K] };

function step(next: Draft, op: Op, entry: Entry): void {
  switch (op.op) {
    case "roots":
      if (op.threshold < 1 || op.threshold > new Set(op.keys.map(toHex)).size) {
        throw wrong("a threshold of root keys that cannot be met");
      }
      next.roots = op.keys;
      next.threshold = op.threshold;
      return;
    case "host":
      mustBeName(op.name);
      return addHost(next, { key: op.key, net: op.net, name: op.name });
    case "person":
      return addPerson(next, { key: op.key, name: op.name });
    case "rotate":
      return rotate(next, op);
    case "grant":
      if (!ROLES.includes(op.role as Role)) throw wrong(`no role is called ${op.role}`);
      give(next, toHex(op.key), { role: op.role, branch: op.branch });
      return;
    case "revoke":
      return revoke(next, toHex(op.key), op.cuts);
    case "acknowledge":
      for (const id of op.proofs) next.acknowledged = next.acknowledged.with(toHex(id), true);
      return;
    case "keepers":
      setKeepers(next, op.hosts.map(toHex), op.quorum, next.keepers.etcd);
      next.changes = [...next.changes, { seq: next.seq, cuts: op.cuts }];
      return;
    case "register":
      if (op.kind !== "etcd" && op.kind !== "keepers") throw wrong("a register that nobody knows");
      setKeepers(next, next.keepers.hosts, op.quorum, op.kind === "etcd" ? toHex(next.head) : undefined);
      next.changes = [...next.changes, { seq: next.seq, cuts: op.cuts }];
      return;
    case "epoch": {
      setKeepers(next, op.hosts.map(toHex), op.quorum); // an etcd, if one decided, does so no more
      const change = changeOf(next, op, entry, next.head);
      if (typeof change === "string") throw wrong(change);
      next.epoch++;
      next.changes = [...next.changes, change];
      return;
    }
    case "signed":
      next.rooted = next.head;
      return;
    case "branch":
      mustBeName(op.name); // above all not the control journal's own
      if (next.branches.size >= branchesMax) throw wrong(`more than ${branchesMax} branches`);
      if (next.branches.has(op.name)) throw wrong(`the branch ${op.name} exists already`);
      if (op.from !== null && !next.branches.has(op.from.branch)) throw wrong(`no branch ${op.from.branch}`);
      next.branches = new Map(next.branches).set(op.name, op.from);
      return;
    default:
      throw wrong(`${op.op} does not belong into the control journal`);
  }
}

/** Any two quorums have a keeper in common; where an etcd decides each keeper only says what that was. */
function setKeepers(next: Draft, ids: readonly string[], quorum: number, etcd?: string): void {
  const hosts = [...new Set(ids)];
  const isWrong = etcd === undefined
    ? quorum * 2 <= hosts.length || quorum > hosts.length
    : quorum !== 1 || hosts.length === 0;
  if (isWrong) throw wrong("quorums that need not intersect");
  const stranger = hosts.find((k) => !next.hosts.has(k) || next.revoked.has(k));
  if (stranger !== undefined) throw wrong(`a keeper that is no host of the domain`);
  next.keepers = { hosts, quorum, ...(etcd !== undefined && { etcd }) };
}

function addHost(next: Draft, host: HostRecord): void {
  const id = keyId(host.key);
  mustBeNewKey(next, host.key);
  checkPublicKey(host.net);
  // A host is known on the network by one key, and a key there is one host's: what it sends is taken for that host's.
  hold(next, `net ${toHex(host.net)}`, id, "a second host with that network key");
  hold(next, `host ${host.name}`, id, `a second key called ${host.name}`);
  next.hosts = next.hosts.with(id, host);
}

function addPerson(next: Draft, person: KeyRecord): void {
  const id = keyId(person.key);
  mustBeNewKey(next, person.key);
  hold(next, `person ${person.name}`, id, `a second key called ${person.name}`);
  next.persons = next.persons.with(id, person);
}

/** A key is used once in a domain's life. */
function mustBeNewKey(next: Draft, key: Uint8Array): void {
  checkPublicKey(key);
  const id = keyId(key);
  if (next.hosts.has(id) || next.persons.has(id) || next.revoked.has(id)) {
    throw wrong("a key that was used before");
  }
}

/** Gives a key what only one that counts may have. Whoever had it before the newest holder was revoked before it came. */
function hold(next: Draft, what: string, id: string, otherwise: string): void {
  const at = toHex(sha256(new TextEncoder().encode(what)));
  const holder = next.holders.get(at);
  if (holder !== undefined && !next.revoked.has(holder)) throw wrong(otherwise);
  next.holders = next.holders.with(at, id);
}

function give(next: Draft, key: string, grant: Grant): void {
  const has = next.grants.get(key) ?? [];
  if (has.some((g) => g.role === grant.role && g.branch === grant.branch)) return;
  next.grants = next.grants.with(key, [...has, grant]);
}

/** Names of hosts and branches are what `isconf init` and the like take; no entry makes others, whoever signed it. */
function mustBeName(name: string): void {
  try {
    checkName("trust", "host or branch", name);
  } catch (e) {
    throw wrong(Fault.from("trust", e).message);
  }
}

/** Cuts a key off, once, and with a host whoever is a person on it: who took the host has their keys too. */
function revoke(next: Draft, key: string, cuts: Readonly<Record<string, number>>): void {
  if (next.revoked.has(key)) return; // its name may be another's by now
  next.revoked = next.revoked.with(key, cuts);
  for (const id of personsOn(next, key)) revoke(next, id, cuts);
}

/** The persons whose keys are on a host. */
function personsOn({ hosts, persons }: Pick<Policy, "hosts" | "persons">, key: string): string[] {
  const host = hosts.get(key);
  if (host === undefined) return [];
  return [...persons].flatMap(([id, { name }]) => name.endsWith(`@${host.name}`) ? [id] : []);
}

/** Puts a new key in the place of an old one: its name, its grants, its votes. The old one counts up to the cuts. */
function rotate(next: Draft, op: Op & { op: "rotate" }): void {
  const old = toHex(op.old), now = keyId(op.key);
  const host = next.hosts.get(old), person = next.persons.get(old);
  if ((host === undefined && person === undefined) || next.revoked.has(old)) throw wrong("no key to rotate");
  next.revoked = next.revoked.with(old, op.cuts);
  if (host !== undefined) {
    if (op.net === null) throw wrong("a host's key without the key of its net half");
    addHost(next, { key: op.key, net: op.net, name: host.name });
    next.keepers = { ...next.keepers, hosts: next.keepers.hosts.map((k) => k === old ? now : k) };
  } else if (person !== undefined) {
    addPerson(next, { key: op.key, name: person.name });
  }
  for (const grant of next.grants.get(old) ?? []) give(next, now, grant);
}

function mustBeAllowed(policy: Policy, op: Op, author: string, origin: string): void {
  if (needsRoots(policy, op, author)) {
    const many = policy.threshold === 1 ? "a root key" : `${policy.threshold} root keys`;
    throw new Fault("trust", "denied", `${op.op} in the control journal needs the signatures of ${many}`, {
      hint: "isconf root grant or revoke; see isconf help root",
    });
  }
  if (op.op === "acknowledge" && toHex(op.key) === author && hasOtherOwner(policy, author)) {
    throw new Fault(
      "trust",
      "denied",
      `${nameOf(policy, author)} cannot acknowledge what is proven of it itself`,
      {
        hint: "isconf status: shows the owners of this domain",
      },
    );
  }
  if (op.op === "branch") {
    if (may(policy, author, "owner", op.from?.branch ?? CONTROL)) return;
  } else if (op.op === "host") {
    if (may(policy, author, "enrol", CONTROL)) return;
  } else if (op.op === "rotate") {
    // A host's key is changed on that host: an enroller elsewhere could else put himself in the place of a keeper.
    const enrols = policy.hosts.has(toHex(op.old)) && origin === toHex(op.old) &&
      may(policy, author, "enrol", CONTROL);
    if (enrols || toHex(op.old) === author || may(policy, author, "owner", CONTROL)) return;
  } else if (may(policy, author, "owner", CONTROL)) return;
  throw new Fault("trust", "denied", `${nameOf(policy, author)} may not ${op.op} in the control journal`, {
    hint: "isconf status: shows the owners of this domain",
  });
}

/**
 * Whether only the root keys can say this. Where more than one of them has to agree, also who owns the domain: one stolen
 * key of an owner shall not be enough to make itself friends, or to take the other owners out.
 */
export function needsRoots(policy: Policy, op: Op, author: string): boolean {
  const isOwners = (key: string) =>
    [key, ...personsOn(policy, key)].some((one) => may(policy, one, "owner", CONTROL));
  if (op.op === "roots" || op.op === "epoch") return true;
  if (policy.threshold < 2) return false;
  if (op.op === "grant") return op.role === "owner" && [CONTROL, "*"].includes(op.branch);
  if (op.op === "revoke") return isOwners(toHex(op.key)) && toHex(op.key) !== author;
  return op.op === "rotate" && isOwners(toHex(op.old)) && toHex(op.old) !== author;
}

/** Whether somebody else is an owner of the domain, too. */
function hasOtherOwner(policy: Policy, key: string): boolean {
  return [...policy.persons].some(([id]) =>
    id !== key && !policy.revoked.has(id) && may(policy, id, "owner", CONTROL)
  );
}

/** Whether the key has the role on the branch. `*` in a grant means every branch, the control journal too. */
export function may(policy: Policy, key: string, role: Role, branch: string): boolean {
  return (policy.grants.get(key) ?? []).some((g) =>
    (g.branch === branch || g.branch === "*") &&
    (g.role === role || (g.role === "owner" && OWNERS.includes(role)))
  );
}

/** What an owner of a branch may besides. */
const OWNERS: readonly Role[] = ["append", "enrol", "publish"];

/**
 * Whether what the key says of a name counts now: with `publish` on a branch, of names below the branch's own; with
 * `publish` on the control journal, of any. What a revoked key says or has said never does.
 */
export function mayName(policy: Policy, key: string, name: string): boolean {
  if (policy.revoked.has(key)) return false;
  if (may(policy, key, "publish", CONTROL)) return true;
  const [branch, ...rest] = name.split("/") as [string, ...string[]];
  return rest.length > 0 && policy.branches.has(branch) && may(policy, key, "publish", branch);
}

/** Whether a revocation that `policy` knows of forbids the key to be the author of this seq of this branch. */
export function isCut(policy: Policy, key: string, branch: string, seq: number): boolean {
  const cuts = policy.revoked.get(key);
  return cuts !== undefined && seq > (Object.hasOwn(cuts, branch) ? cuts[branch] as number : 0);
}

/** Where the keepers of `then` have ended on a branch, as `policy` knows; undefined: they have not been replaced. */
export function endOfKeepers(policy: Policy, then: Policy, branch: string): number | undefined {
  const change = policy.changes.find(({ seq }) => seq > then.seq);
  if (change === undefined) return undefined;
  return Object.hasOwn(change.cuts, branch) ? change.cuts[branch] as number : 0;
}

/** Whether a host belongs to the domain now: certified and not revoked. */
export function isMember(policy: Policy, id: string): boolean {
  return policy.hosts.has(id) && !policy.revoked.has(id);
}

/** The hosts that belong to the domain now, by id. */
export function members(policy: Policy): Map<string, HostRecord> {
  return new Map([...policy.hosts].filter(([id]) => !policy.revoked.has(id)));
}

/** The role that an entry with these operations needs on its branch. */
export function roleFor(ops: readonly Op[]): Role {
  return ops.every((o) => ["file", "delete", "exec", "effects", "reboot"].includes(o.op))
    ? "append"
    : "owner";
}

/**
 * The raw public key of an author: a person, a root key, or whom the entry itself makes known, which root keys have to sign
 * then: who has lost every owner has nobody else. Throws a denied fault for a stranger.
 */
export function authorKey(policy: Policy, key: string, ops: readonly Op[] = []): Uint8Array {
  const known = ops.at(-1)?.op === "signed" ? ops.flatMap((op) => op.op === "person" ? [op.key] : []) : [];
  const found = policy.persons.get(key)?.key ?? [...policy.roots, ...known].find((k) => keyId(k) === key);
  if (found === undefined) throw stranger("author", key);
  return found;
}

/** The raw public key of a host of the domain. Throws a denied fault for a stranger. */
export function hostKey(policy: Policy, key: string): Uint8Array {
  const found = policy.hosts.get(key)?.key;
  if (found === undefined) throw stranger("host", key);
  return found;
}

/** What people call a key: `alice@hosta`, a host's name, or the beginning of its id. */
export function nameOf(policy: Policy | undefined, key: string): string {
  if (policy?.roots.some((k) => keyId(k) === key)) return "root key";
  return policy?.persons.get(key)?.name ?? policy?.hosts.get(key)?.name ?? key.slice(0, 12);
}

function wrong(message: string): Fault {
  return new Fault("trust", "corrupt", message, { hint: "isconf verify" });
}

function stranger(what: string, key: string): Fault {
  return new Fault("trust", "denied", `${what} ${key.slice(0, 12)} is not known in this domain`, {
    hint: "isconf status: shows whom this domain knows",
  });
}
