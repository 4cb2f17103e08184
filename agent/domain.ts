// Domain: how a domain begins (init), how branches part (fork) and how a host changes branch (migrate).
// Not the daily work on a branch (work.ts) and not trust itself (trust.ts).
import { encode, Fault, fromHex, generateKeyPair, keyId, type KeyPair, toHex } from "../mq/mod.ts";
import { type Entry, ENTRY_LEVEL, type Op, sealEntry, sealVote } from "./entry.ts";
import { branchOf, type Call, hostId, hostName, hostPair, needCongruent, personPair } from "./host.ts";
import { checkName, CONTROL, inert } from "./names.ts";
import { setMeta } from "./schema.ts";
import { may, type Role, ROLES } from "./trust.ts";
import { needNoWip } from "./locks.ts";

export interface Initialised {
  domain: string;
  branch: string;
  host: string;
  owner: string;
  /** The root key's secret, told once and kept nowhere. */
  recovery: string;
}

/**
 * Begins a domain on this host: it becomes the first host and the one keeper, the caller the first owner. The
 * root key is made, signs the genesis entry, is returned once and forgotten.
 */
export function init(call: Call, args: { host: string; branch: string }): Initialised {
  const { host, actor } = call;
  checkName("init", "host", args.host);
  checkName("init", "branch", args.branch);
  if (host.journal.policy() !== undefined) {
    throw new Fault("init", "refused", `this host already belongs to the domain ${host.journal.domain()}`, {
      hint: "isconf status",
    });
  }
  const root = generateKeyPair(host.clock);
  const self = hostPair(host);
  const person = personPair(host, actor);
  const owner = `${actor.name}@${args.host}`;
  const personId = fromHex(keyId(person.publicKey));
  const ops: Op[] = [
    { op: "roots", keys: [root.publicKey], threshold: 1 },
    { op: "host", key: self.publicKey, name: args.host },
    { op: "keepers", hosts: [fromHex(keyId(self.publicKey))], quorum: 1 },
    { op: "person", key: person.publicKey, name: owner },
    { op: "grant", key: personId, role: "owner", branch: "*" },
    { op: "branch", name: args.branch, from: null },
  ];
  const none = new Uint8Array(0);
  const id = extendControl(call, root, ops, `domain begun on ${args.host}`, {
    domain: none,
    prev: none,
    seq: 1,
  });
  host.db.write((tx) => {
    setMeta(tx, "host_name", args.host);
    setMeta(tx, "branch", args.branch);
  });
  return { domain: toHex(id), branch: args.branch, host: args.host, owner, recovery: toHex(root.secretKey) };
}

/** Gives a local user of this host a role on a branch (`*`: on every one); makes the user's key if there is none yet. */
export function grant(
  call: Call,
  args: { uid: number; name: string; role: string; branch: string },
): { person: string; role: string; branch: string } {
  const { host, actor } = call;
  const policy = host.journal.needPolicy("grant");
  host.journal.needUnforked("grant", CONTROL);
  host.keeper.needQuorum("grant", policy);
  if (args.branch !== "*" && args.branch !== CONTROL && !policy.branches.has(args.branch)) {
    throw new Fault("grant", "notFound", `there is no branch ${inert(args.branch)}`, {
      hint: "isconf status",
    });
  }
  if (!ROLES.includes(args.role as Role)) {
    throw new Fault("grant", "usage", `${inert(args.role)} is not one of ${ROLES.join(", ")}`, {
      hint: "isconf help grant",
    });
  }
  const key = personPair(host, args).publicKey;
  const person = `${args.name}@${hostName(host)}`;
  const known = policy.persons.has(keyId(key));
  const give: Op = { op: "grant", key: fromHex(keyId(key)), role: args.role, branch: args.branch };
  const ops: Op[] = known ? [give] : [{ op: "person", key, name: person }, give];
  const head = host.journal.head(CONTROL);
  extendControl(call, personPair(host, actor), ops, `grant ${args.role} on ${args.branch} to ${person}`, {
    domain: policy.domain,
    prev: head.id,
    seq: head.seq + 1,
  });
  return { person, role: args.role, branch: args.branch };
}

/** Revokes a key: nothing it authors beyond these places (by branch; 0 where not named) counts from now on. */
export function revoke(
  call: Call,
  args: { key: string; cuts: Record<string, number>; reason: string },
): void {
  const { host, actor } = call;
  const policy = host.journal.needPolicy("revoke");
  host.keeper.needQuorum("revoke", policy);
  const head = host.journal.head(CONTROL);
  const op: Op = { op: "revoke", key: fromHex(args.key), cuts: args.cuts, reason: args.reason };
  extendControl(call, personPair(host, actor), [op], `revoke ${args.key.slice(0, 12)}`, {
    domain: policy.domain,
    prev: head.id,
    seq: head.seq + 1,
  });
}

/** Makes a branch that begins where this host is, and moves this host onto it. */
export function fork(call: Call, name: string): { branch: string; from: string; seq: number } {
  const { host, actor } = call;
  checkName("fork", "branch", name);
  const branch = branchOf(host, "fork");
  const policy = host.journal.needPolicy("fork");
  needCongruent(host, "fork");
  needNoWip(call, "fork");
  needSettledHistory(call, "fork");
  host.journal.needUnforked("fork", CONTROL);
  host.keeper.needQuorum("fork", policy);
  if (policy.branches.has(name)) {
    throw new Fault("fork", "refused", `the branch ${name} exists already`, {
      hint: `isconf migrate ${name}`,
    });
  }
  const author = personPair(host, actor);
  if (!may(policy, keyId(author.publicKey), "owner", branch)) {
    throw new Fault("fork", "denied", `${inert(actor.name)}@${hostName(host)} is no owner of ${branch}`, {
      hint: "isconf status: shows who is",
    });
  }
  const seq = host.history.applied();
  const id = host.journal.at(branch, seq)?.id;
  const from = id === undefined ? null : { branch, seq, id };
  const head = host.journal.head(CONTROL);
  extendControl(call, author, [{ op: "branch", name, from }], `fork ${name} from ${branch}@${seq}`, {
    domain: policy.domain,
    prev: head.id,
    seq: head.seq + 1,
  });
  host.db.write((tx) => setMeta(tx, "branch", name));
  return { branch: name, from: branch, seq };
}

/** Moves this host onto a branch whose journal extends what this host has really executed. */
export function migrate(call: Call, name: string): { branch: string; from: string; at: number; of: number } {
  const { host } = call;
  const before = branchOf(host, "migrate");
  const policy = host.journal.needPolicy("migrate");
  needCongruent(host, "migrate");
  needNoWip(call, "migrate");
  needSettledHistory(call, "migrate");
  if (!policy.branches.has(name)) {
    throw new Fault("migrate", "notFound", `there is no branch ${inert(name)}`, {
      hint: `isconf migrate ${[...policy.branches.keys()][0]}`,
    });
  }
  const held = host.keeper.holder(before);
  if (held?.held && held.host === hostId(host)) {
    throw new Fault("migrate", "refused", `${before} is locked from this host`, { hint: "isconf unlock" });
  }
  for (const row of host.history.range(1, host.history.applied())) {
    const theirs = host.journal.at(name, row.seq)?.id;
    if (theirs === undefined || toHex(theirs) !== toHex(row.id)) {
      throw new Fault(
        "migrate",
        "refused",
        `${name} does not hold entry ${row.seq}, which this host has applied`,
        {
          hint: `isconf log --branch ${name}`,
        },
      );
    }
  }
  host.db.write((tx) => setMeta(tx, "branch", name));
  return { branch: name, from: before, at: host.history.applied(), of: host.journal.head(name).seq };
}

function needSettledHistory(call: Call, op: string): void {
  const last = call.host.history.last();
  if (last === undefined || last.state === "done") return;
  throw new Fault(
    op,
    last.state === "intent" ? "uncertain" : "refused",
    `entry ${last.seq} is ${last.state} here`,
    {
      hint: "isconf up",
    },
  );
}

/** Signs, certifies as the one keeper, checks and keeps one entry of the control journal. Returns its id. */
function extendControl(
  call: Call,
  author: KeyPair,
  ops: Op[],
  message: string,
  place: { domain: Uint8Array; prev: Uint8Array; seq: number },
): Uint8Array {
  const { host } = call;
  const self = hostPair(host);
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
  const { id, entry: bytes, origin } = sealEntry(entry, author, self);
  const vote = sealVote({ epoch: 0, term: 0, seq: place.seq, id }, place.domain, CONTROL, self);
  const record = { entry: bytes, origin, cert: encode([vote]) };
  const checked = host.journal.check(record, host.journal.head(CONTROL));
  host.db.write((tx) => host.journal.append(tx, [checked]));
  return id;
}
