// fixture: hosts that exist only as keys in a test's hand, so that they can lie: what they sign, ask of a keeper and tell;
// and a mesh that does what the test says. Not part of the product.
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import {
  type Cbor,
  encode,
  fromHex,
  generateKeyPair,
  keyId,
  type KeyPair,
  sha256,
  systemClock,
  toHex,
  VirtualClock,
} from "../mq/mod.ts";
import { run, type TestHost } from "../tests/world.ts";
import { sealControl } from "./control.ts";
import {
  type Entry,
  ENTRY_LEVEL,
  type EntryRecord,
  type Op,
  readEntry,
  sealEntry,
  sealVote,
} from "./entry.ts";
import { hostId, hostPair, personPair } from "./host.ts";
import { readRecord, takeIn, writeRecord } from "./intake.ts";
import { Journal } from "./journal.ts";
import { certified as withVotes } from "./keeper.ts";
import { Replica } from "./replica.ts";
import { sealRoot } from "./roots.ts";
import { openAgentDb } from "./schema.ts";
import type { Policy } from "./trust.ts";
import { type ClaimWords, openReply, type RequestWords, sealClaim, sealRequest } from "./keeper_words.ts";
import type { Mesh } from "./mesh.ts";
import { CONTROL } from "./names.ts";

/** A host of the domain, and a person on it. */
export interface Other {
  id: string;
  name: string;
  host: KeyPair;
  net: KeyPair;
  person: KeyPair;
  author: string;
}

const newKey = () => generateKeyPair(systemClock);

/** Certifies a host that is nowhere, and a person on it with these roles. */
export async function addOther(
  first: TestHost,
  name: string,
  roles: [string, string][] = [],
): Promise<Other> {
  const [host, net, person] = [newKey(), newKey(), newKey()];
  const author = keyId(person.publicKey);
  await extend(first, [
    { op: "host", key: host.publicKey, net: net.publicKey, name },
    { op: "person", key: person.publicKey, name: `eve@${name}` },
    ...roles.map(([role, branch]): Op => ({ op: "grant", key: fromHex(author), role, branch })),
  ]);
  return { id: keyId(host.publicKey), name, host, net, person, author };
}

/**
 * Extends the control journal by an entry of the first owner's, with the vote of a keeper that does not look at it, and those
 * of others.
 */
export async function extend(
  { agent: { host }, call }: TestHost,
  ops: Op[],
  ...others: KeyPair[]
): Promise<void> {
  const { domain } = await Promise.resolve(host.journal.needPolicy("test"));
  const head = host.journal.head(CONTROL);
  const place = { domain, prev: head.id, epoch: head.epoch, seq: head.seq + 1, term: 0 };
  const sealed = sealControl(host, personPair(host, call().actor), ops, "test", place);
  const batch = [{ branch: CONTROL, epoch: head.epoch, seq: place.seq, ...sealed }];
  const vote = { epoch: head.epoch, term: 0, seq: place.seq, id: sealed.id };
  const votes = others.map((key) => [sealVote(vote, domain, CONTROL, key)]);
  const [record] = withVotes(batch, [host.keeper.votes(domain, 0, batch), ...votes]);
  host.journal.check(record as EntryRecord, head);
  host.db.write((tx) => {
    for (const what of ["entry", "vote"] as const) {
      host.own.sign(tx, what, CONTROL, { epoch: 0, seq: place.seq, term: 0 }); // it does sign it
    }
  });
  takeIn(host, [record as EntryRecord]);
}

/** An entry with the signatures of these root keys, over all that it says. */
export function bySignatures(policy: Policy, entry: Entry, ...keys: KeyPair[]): Entry {
  const { domain, author, origin, ops } = { ...entry, domain: policy.domain };
  const signatures = keys.map((key) => sealRoot({ domain, after: policy.rooted, author, origin, ops }, key));
  return { ...entry, domain, ops: [...ops, { op: "signed", after: policy.rooted, signatures }] };
}

/** Revokes a key beyond these places. */
export async function revokeKey(host: TestHost, key: string, cuts: Record<string, number>): Promise<void> {
  await extend(host, [{ op: "revoke", key: fromHex(key), cuts, reason: "left" }]);
}

/** What a keeper answers to a request of a host, however strange, as it arrives across the seam. */
export async function askKeeper(
  keeper: TestHost,
  other: Other,
  body: RequestWords,
  change: { branch?: string; from?: string; signer?: KeyPair; keeper?: string; sealed?: string } = {},
): Promise<Cbor> {
  const { host } = keeper.agent;
  const policy = host.journal.needPolicy("test");
  const branch = change.branch ?? "main";
  const nonce = systemClock.random(16);
  const to = {
    domain: policy.domain,
    branch: change.sealed ?? branch,
    keeper: fromHex(change.keeper ?? hostId(host)),
    nonce,
  };
  const request = sealRequest(body, to, change.signer ?? other.host);
  return openReply(
    await tell(keeper, other, [branch, request], change.from),
    nonce,
    policy,
    branch,
    hostId(host),
  );
}

/** Puts a question of the method `keeper` to a host as its net half would pass it on. */
export async function tell(keeper: TestHost, other: Other, value: Cbor, from = other.id): Promise<Cbor> {
  return await keeper.agent.host.mesh.answers.answer([from, "keeper", value]);
}

/** A claim of a person of `other`, right in everything unless changed. */
export function claimOf(keeper: TestHost, other: Other, change: Partial<ClaimWords> = {}, by = other.person) {
  const { journal, keeper: sole } = keeper.agent.host;
  const { seq, id } = journal.head("main");
  const words: ClaimWords = {
    what: "lock",
    host: fromHex(other.id),
    message: "why",
    after: sole.holder("main")?.term ?? 0,
    steal: false,
    seq,
    id,
    ...change,
  };
  const claim = sealClaim(words, journal.needPolicy("test").domain, "main", by);
  return { what: "claim" as const, claim };
}

/** `n` entries made by `other` on top of what the keeper has, each a deletion, as they are brought to the keeper. */
export function workOf(
  keeper: TestHost,
  other: Other,
  term: number,
  n = 1,
  change: Partial<Entry> = {},
): Uint8Array[][] {
  const { journal } = keeper.agent.host;
  const policy = journal.needPolicy("test");
  const branch = change.branch ?? "main";
  let { seq, id: prev, epoch } = journal.head(branch);
  return Array.from({ length: n }, () => {
    const entry: Entry = {
      level: ENTRY_LEVEL,
      domain: policy.domain,
      branch,
      epoch,
      seq: ++seq,
      prev,
      term,
      policy: branch === CONTROL ? prev : policy.head,
      timeMs: 1,
      author: fromHex(other.author),
      origin: fromHex(other.id),
      message: "why",
      ops: [{ op: "delete", path: `/nowhere/${seq}` }],
      ...change,
    };
    const sealed = sealEntry(entry, other.person, other.host);
    prev = sealed.id;
    return [sealed.entry, sealed.origin];
  });
}

/** A digest of each table of agent.db: of all that a host believes and remembers. */
export function allOf(host: TestHost): string {
  return host.agent.host.db.read((r) => {
    const tables = r.all<{ name: string }>(
      // Events are hints that come a moment later.
      "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'event%' ORDER BY name",
    );
    const digest = (name: string) => {
      // Its reports and words about heads are counted whenever it says something of itself.
      const which = name === "meta"
        ? "WHERE name NOT IN ('report', 'head')"
        : name === "sqlite_sequence"
        ? "WHERE name <> 'event'"
        : "";
      const what = name === "api_token" ? "id, hash, uid, roles, until_ms" : "*"; // not when it was used
      const rows = JSON.stringify(r.all(`SELECT ${what} FROM ${name} ${which} ORDER BY 1, 2`));
      return toHex(sha256(new TextEncoder().encode(rows))).slice(0, 16);
    };
    return tables.map(({ name }) => `${name} ${digest(name)}`).join("\n");
  });
}

/** The seq, author and origin of each entry of a branch that a host has. */
export function entriesOf(host: TestHost, branch = "main"): Entry[] {
  const { journal } = host.agent.host;
  return [...journal.range(branch, 1, journal.head(branch).seq)].map((row) => readEntry(row.entry).entry);
}

/** The keys of a real host, as if they had been stolen. */
export function stolen(host: TestHost): Other {
  const { host: h } = host.agent;
  const [pair, person] = [hostPair(h), personPair(h, host.call().actor)];
  return {
    id: hostId(h),
    name: "stolen",
    host: pair,
    net: pair,
    person,
    author: keyId(person.publicKey),
  };
}

/** A mesh that does what the test says, and counts. */
export class FakeMesh implements Mesh {
  /** What hosts answer; a host that is not here is not connected. */
  readonly hosts = new Map<string, (method: string, value: Cbor) => Promise<Cbor> | Cbor>();
  readonly asked: { host: string; method: string; value: Cbor }[] = [];
  readonly published: { topic: string; value: Cbor }[] = [];
  readonly answerers = new Map<string, (host: string, value: Cbor) => Promise<Cbor> | Cbor>();
  readonly #rumours = new Map<string, (host: string, value: Cbor) => void>();
  readonly #onPeer: ((host: string, up: boolean) => void)[] = [];

  peers(): string[] {
    return [...this.hosts.keys()];
  }

  async ask(host: string, method: string, value: Cbor): Promise<Cbor> {
    this.asked.push({ host, method, value });
    return await this.hosts.get(host)?.(method, value) as Cbor;
  }

  publish(topic: string, value: Cbor): void {
    this.published.push({ topic, value });
  }

  answer(method: string, fn: (host: string, value: Cbor) => Promise<Cbor> | Cbor): void {
    this.answerers.set(method, fn);
  }

  onRumour(topic: string, fn: (host: string, value: Cbor) => void): void {
    this.#rumours.set(topic, fn);
  }

  onPeer(fn: (host: string, up: boolean) => void): void {
    this.#onPeer.push(fn);
  }

  /** A host tells something. */
  rumour(host: string, topic: string, value: Cbor): void {
    this.#rumours.get(topic)?.(host, value);
  }

  /** A host is connected, or goes. */
  peer(host: string, up: boolean): void {
    for (const fn of this.#onPeer) fn(host, up);
  }
}

type Ctx = { after(fn: () => Promise<void>): void };

/** Checks `n` commands in. */
export async function checkIn(a: TestHost, n: number): Promise<void> {
  await a.acts.locks.lock(a.call(), "why");
  for (let i = 0; i < n; i++) await run(a, ["/bin/true"]);
  await a.acts.checkin.ci(a.call());
}

/** A host that follows main, has the control journal, and `held` entries of main. It has been running for a while, or for none. */
export function follower(t: Ctx, a: TestHost, held = 0, clock = new VirtualClock(1), settleMs = 0) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "isconf-"));
  const db = openAgentDb(path.join(dir, "agent.db"));
  t.after(() => {
    replica.stop();
    db.close();
    return Promise.resolve(fs.rmSync(dir, { recursive: true }));
  });
  const journal = new Journal(db);
  const mesh = new FakeMesh();
  const log: string[] = [];
  for (const record of recordsOf(a, CONTROL)) {
    takeIn({ db, journal, clock }, [record], { domain: a.agent.host.journal.domain() as string });
  }
  takeIn({ db, journal, clock }, recordsOf(a).slice(0, held));
  const replica = new Replica({
    db,
    journal,
    clock,
    mesh,
    branch: () => "main",
    self: () => "me",
    settleMs,
    log: (line) => void log.push(line),
  });
  const seq = () => journal.head("main").seq;
  return { journal, db, mesh, log, replica, clock, seq };
}

/** The entries of a branch as they travel. */
export function recordsOf(a: TestHost, branch = "main"): EntryRecord[] {
  const { journal } = a.agent.host;
  return [...journal.range(branch, 1, journal.head(branch).seq)].map((row) => readRecord(writeRecord(row)));
}

/** What an honest host answers. */
export const honest = (a: TestHost) => (method: string, value: Cbor): Cbor => {
  const { journal } = a.agent.host;
  const branches = [CONTROL, "main"];
  if (method === "heads") return [branches.map((b) => [b, journal.head(b).seq, journal.head(b).id]), null];
  const [branch, after] = value as [string, number];
  return recordsOf(a, branch).slice(after).map(writeRecord);
};

/** An honest host but for what it says of main. */
export const lying =
  (a: TestHost, say: (after: number) => Cbor | Promise<Cbor>) => (method: string, value: Cbor) => {
    if (method === "entries" && (value as Cbor[])[0] === "main") return say((value as number[])[1] as number);
    return honest(a)(method, value);
  };

/** An entry on top of what `a` has, certified by its keeper, that is right in everything but for `change`. */
export function forged(a: TestHost, by: Other, change: Partial<Entry>): EntryRecord {
  return certified(a, workOf(a, by, 1, 1, change))[0] as EntryRecord;
}

/** Entries with the votes of a keeper that votes for everything. */
export function certified(a: TestHost, work: Uint8Array[][]): EntryRecord[] {
  return (work as [Uint8Array, Uint8Array][]).map(([entry, origin]) => {
    const { entry: { domain, branch, epoch, term, seq }, id } = readEntry(entry);
    const vote = sealVote({ epoch, term, seq, id }, domain, branch, hostPair(a.agent.host));
    return { entry, origin, cert: encode([vote]) };
  });
}
