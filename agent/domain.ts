// Domain: how a domain begins (init), how branches part (fork) and how a host changes branch (migrate).
// Not the daily work on a branch (work.ts) and not trust itself (trust.ts).
import { Fault, fromHex, generateKeyPair, keyId, toHex } from "../mq/mod.ts";
import { extendControl, sealControl } from "./control.ts";
import type { EntryRecord, Op } from "./entry.ts";
import { branchOf, type Call, hostId, hostName, hostPair, needCongruent, personPair } from "./host.ts";
import { certified } from "./keeper.ts";
import { branchesMax } from "./limits.ts";
import { checkName, CONTROL, inert } from "./names.ts";
import { getMeta, setMeta } from "./schema.ts";
import { may } from "./trust.ts";
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
export async function init(call: Call, args: { host: string; branch: string }): Promise<Initialised> {
  const { host, actor } = call;
  checkName("init", "host", args.host);
  checkName("init", "branch", args.branch);
  if (getMeta(host.db, "branch") !== undefined) {
    throw new Fault("init", "refused", `this host already belongs to the domain ${host.journal.domain()}`, {
      hint: "isconf status",
    });
  }
  const net = await host.mesh.identity();
  host.db.write((tx) => host.journal.forget(tx)); // what a join that was given up has left
  const root = generateKeyPair(host.clock);
  const self = hostPair(host);
  const person = personPair(host, actor);
  const owner = `${actor.name}@${args.host}`;
  const personId = fromHex(keyId(person.publicKey));
  const ops: Op[] = [
    { op: "roots", keys: [root.publicKey], threshold: 1 },
    { op: "host", key: self.publicKey, net, name: args.host },
    { op: "keepers", hosts: [fromHex(keyId(self.publicKey))], quorum: 1, cuts: {}, terms: {} },
    { op: "person", key: person.publicKey, name: owner },
    { op: "grant", key: personId, role: "owner", branch: "*" },
    { op: "branch", name: args.branch, from: null },
  ];
  const none = new Uint8Array(0);
  const message = `domain begun on ${args.host}`;
  const { id, ...sealed } = sealControl(host, root, ops, message, {
    domain: none,
    prev: none,
    epoch: 0,
    seq: 1,
    term: 0,
  });
  const batch = [{ branch: CONTROL, epoch: 0, seq: 1, id, ...sealed }];
  const [record] = certified(batch, [host.keeper.votes(none, 0, batch)]);
  const checked = host.journal.check(record as EntryRecord, host.journal.head(CONTROL));
  host.db.write((tx) => {
    for (const what of ["entry", "vote"] as const) {
      host.own.sign(tx, what, CONTROL, { epoch: 0, seq: 1, term: 0 });
    }
    host.journal.append(tx, [checked]);
    setMeta(tx, "host_name", args.host);
    setMeta(tx, "branch", args.branch);
  });
  return { domain: toHex(id), branch: args.branch, host: args.host, owner, recovery: toHex(root.secretKey) };
}

/** Makes a branch that begins where this host is, and moves this host onto it. */
export async function fork(call: Call, name: string): Promise<{ branch: string; from: string; seq: number }> {
  const { host, actor } = call;
  checkName("fork", "branch", name);
  const branch = branchOf(host, "fork");
  needCongruent(host, "fork");
  needNoWip(call, "fork");
  needSettledHistory(call, "fork");
  await host.replica.sync();
  const policy = host.journal.needPolicy("fork");
  host.keepers.reach("fork", policy);
  if (policy.branches.has(name)) {
    throw new Fault("fork", "refused", `the branch ${name} exists already`, {
      hint: `isconf migrate ${name}`,
    });
  }
  if (policy.branches.size >= branchesMax) {
    throw new Fault("fork", "refused", `a domain has at most ${branchesMax} branches`, {
      hint: "isconf migrate BRANCH, see isconf status",
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
  await extendControl(
    host,
    "fork",
    author,
    `fork ${name} from ${branch}@${seq}`,
    () => [{ op: "branch", name, from }],
  );
  host.db.write((tx) => setMeta(tx, "branch", name));
  return { branch: name, from: branch, seq };
}

/** Moves this host onto a branch whose journal extends what this host has really executed. */
export async function migrate(
  call: Call,
  name: string,
): Promise<{ branch: string; from: string; at: number; of: number }> {
  const { host } = call;
  const before = branchOf(host, "migrate");
  await host.replica.sync(name);
  const policy = host.journal.needPolicy("migrate");
  needCongruent(host, "migrate");
  needNoWip(call, "migrate");
  needSettledHistory(call, "migrate");
  if (!policy.branches.has(name)) {
    throw new Fault("migrate", "notFound", `there is no branch ${inert(name)}`, {
      hint: `isconf migrate ${[...policy.branches.keys()][0]}`,
    });
  }
  const held = await host.keepers.refresh(before);
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
