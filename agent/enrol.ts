// Enrol: how a host comes into the domain, on the side of those who are in it: tokens, who waits, approval, and what is
// answered to hosts that are not let in yet. Not the joining host's side (join.ts), and not how many may wait (joiners.ts).
import type { Reader } from "../fs/mod.ts";
import { bytesEqual, type Cbor, decode, encode, Fault, keyId, open1, toHex, verify1 } from "../mq/mod.ts";
import type { TokenLine } from "./api_tokens.ts";
import { extendControl } from "./control.ts";
import { context, type Op, TYPE } from "./entry.ts";
import { branchOf, type Call, type Host, hostId, hostName, personPair } from "./host.ts";
import { readRecord, takeIn, writeRecord } from "./intake.ts";
import { endToken, type Joiner, joiners, keepJoiner } from "./joiners.ts";
import {
  introductionBytesMax,
  pageEntriesMax,
  tokenHoursDefault,
  tokenHoursMax,
  tokensMax,
} from "./limits.ts";
import { checkName, CONTROL, inert } from "./names.ts";
import { needFreeName, revocation } from "./roles.ts";
import { checkMac, isOpen, isToken, mac, readToken, writeToken } from "./token.ts";
import { isMember, may, members, type Policy } from "./trust.ts";

interface TokenRow {
  id: string;
  secret: Uint8Array;
  branch: string;
  hostName: string;
  auto: number;
  uid: number;
  userName: string;
  untilMs: number;
  /** Which host has used it; of an open token none. */
  host: string | null;
}

const HOUR_MS = 3_600_000;

/** What `isconf token` does: a token for a host, one for the API, or the end of one for the API. */
export async function tokens(
  call: Call,
  args: Parameters<typeof token>[1] & {
    action?: string;
    id?: string;
    role: string[];
    days?: number;
    note?: string;
  },
): Promise<
  | { what: "host" } & Awaited<ReturnType<typeof token>>
  | { what: "api" } & TokenLine & { token: string }
  | { what: "revoked" } & TokenLine
  | { what: "withdrawn" } & ReturnType<typeof withdraw>
> {
  const { host, actor } = call;
  const { action, id, role, days, note } = args;
  switch (action) {
    case undefined:
      return { what: "host", ...await token(call, args) };
    case "api":
      if (actor.token !== undefined) {
        throw new Fault("token", "denied", "a token makes no token for the API", {
          hint: "isconf token api, on the host itself",
        });
      }
      return {
        what: "api",
        ...host.tokens.make(actor, {
          roles: role,
          ...(days !== undefined && { days }),
          ...(note !== undefined && { note }),
        }),
      };
    case "revoke":
      if (id !== undefined && isToken(id)) return { what: "withdrawn", ...withdraw(call, id) };
      return { what: "revoked", ...host.tokens.revoke(actor, id ?? "") };
    default:
      throw new Fault("token", "usage", `${inert(action)} is neither api nor revoke`, {
        hint: "isconf help token",
      });
  }
}

/** Somebody's tokens of the API. */
export function listTokens({ host, actor }: Call): { tokens: TokenLine[] } {
  return { tokens: host.tokens.list(actor) };
}

/**
 * Makes a token to join a branch with: for one host, perhaps for a name, perhaps approved beforehand; or an open one, for any
 * host, each to be approved.
 */
export async function token(
  call: Call,
  args: { branch?: string; host?: string; approve: boolean; open?: boolean; hours?: number },
): Promise<{ token: string; branch: string; open: boolean; untilMs: number; addresses: string[] }> {
  const { host, actor } = call;
  const policy = host.journal.needPolicy("token");
  const branch = args.branch ?? branchOf(host, "token");
  const hours = args.hours ?? tokenHoursDefault;
  const open = args.open ?? false;
  if (!policy.branches.has(branch)) {
    throw new Fault("token", "notFound", `there is no branch ${inert(branch)}`, { hint: "isconf status" });
  }
  if (args.host !== undefined) checkName("token", "host", args.host);
  const own = args.approve ? "--approve" : args.host !== undefined ? `--host ${inert(args.host)}` : undefined;
  if (open && own !== undefined) {
    throw new Fault("token", "usage", `${own} is for one host, and an open token for any that asks`, {
      hint: `isconf token ${own}, a token of its own for each host`,
    });
  }
  if (hours < 1 || hours > tokenHoursMax) {
    throw new Fault("token", "usage", `a token is good for 1 to ${tokenHoursMax} hours`, {
      hint: "isconf help token",
    });
  }
  needEnrol(host, policy, "token", keyId(personPair(host, actor).publicKey), actor.name);
  const secret = open ? new Uint8Array(0) : host.clock.random(32);
  const id = toHex(host.clock.random(8));
  const untilMs = host.clock.wall() + hours * HOUR_MS;
  const { addresses: all, why } = await host.mesh.listening();
  const far = all.filter((address) => !/^(127\.|\[::1\])/.test(address));
  const addresses = far.length > 0 ? far : all; // on one machine alone its own addresses are all there is
  if (addresses.length === 0) {
    const text = why !== ""
      ? why
      : host.config.listen.length === 0
      ? "it listens nowhere"
      : "it has no address";
    throw new Fault("token", "refused", `this host cannot be reached by others: ${inert(text)}`, {
      hint: "isconf doctor; then, with another listen in isconf.conf, isconf restart",
    });
  }
  const net = await host.mesh.identity();
  host.db.write((tx) => {
    tx.run("DELETE FROM token WHERE until_ms < ?", host.clock.wall() - tokenHoursMax * HOUR_MS);
    const kept = tx.get<{ n: number }>("SELECT count(*) AS n FROM token")?.n ?? 0;
    if (kept >= tokensMax) {
      throw new Fault("token", "refused", `${kept} tokens are kept already`, { hint: "isconf hosts" });
    }
    const row = [id, secret, branch, args.host ?? "", args.approve ? 1 : 0, actor.uid, actor.name, untilMs];
    tx.run("INSERT INTO token VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL)", ...row);
  });
  return {
    token: writeToken({ domain: policy.domain, id, secret, addresses, net }),
    branch,
    open,
    untilMs,
    addresses,
  };
}

/** Ends a token for hosts before its time, with those who wait by it; how many these were. Throws notFound, denied. */
export function withdraw({ host, actor }: Call, word: string): { branch: string; waited: number } {
  const { id, secret } = readToken(word);
  needEnrol(
    host,
    host.journal.needPolicy("token"),
    "token",
    keyId(personPair(host, actor).publicKey),
    actor.name,
  );
  const row = tokenRow(host, id);
  if (row === undefined || !bytesEqual(row.secret, secret)) {
    throw new Fault("token", "notFound", "this host has not made that token, or it has ended", {
      hint: "isconf token revoke TOKEN, on the host that made it",
    });
  }
  return { branch: row.branch, waited: host.db.write((tx) => endToken(tx, id)) };
}

/** Lets a host in that waits: by its name or the beginning of its fingerprint. `replace`: in the place of its namesake. */
export async function approve(
  call: Call,
  args: { host: string; replace: boolean },
): Promise<{ host: string; fingerprint: string }> {
  const { host, actor } = call;
  // What looks like a fingerprint is one: no host gets in by taking another's for its name.
  const wanted = args.host.replaceAll("-", "").toLowerCase();
  const isFingerprint = /^[0-9a-f]{8,64}$/.test(wanted);
  const found = joiners(host.db).filter((j) =>
    isFingerprint ? j.host.startsWith(wanted) : j.name === args.host
  );
  const [joiner] = found;
  if (joiner === undefined || found.length > 1) {
    const why = joiner === undefined ? "no host that waits" : `${found.length} hosts that wait`;
    throw new Fault("approve", "notFound", `${why} can be called ${inert(args.host)}`, {
      hint: "isconf hosts",
    });
  }
  if (joiner.open === 1 && !isFingerprint) {
    throw new Fault("approve", "refused", `any stranger may say that it is ${inert(args.host)}`, {
      hint: `compare what it shows, then isconf approve ${fingerprint(joiner.host)}`,
    });
  }
  await admit(host, personPair(host, actor), joiner, args.replace);
  return { host: joiner.name, fingerprint: fingerprint(joiner.host) };
}

/** Certifies a host that waits. */
async function admit(
  host: Host,
  author: ReturnType<typeof personPair>,
  joiner: Joiner,
  replace: boolean,
): Promise<void> {
  await extendControl(host, "approve", author, `host ${joiner.name}`, (policy, ends) => {
    if (isMember(policy, joiner.host)) return [];
    const namesake = needFreeName(policy, "approve", joiner.name, joiner.host);
    if (namesake !== undefined && !replace) {
      throw new Fault("approve", "refused", `another host is called ${inert(joiner.name)}`, {
        hint: `isconf approve --replace ${inert(joiner.name)}, which evicts that one`,
      });
    }
    const before = namesake === undefined
      ? []
      : [revocation(ends, namesake, "replaced by a host of that name")];
    const op: Op = { op: "host", key: joiner.key, net: joiner.net, name: joiner.name };
    return [...before, op];
  });
  host.db.write((tx) => void tx.run("DELETE FROM joiner WHERE host = ?", joiner.host));
}

/** Hosts of the domain and hosts that wait to be let in. */
export function hosts(call: Call) {
  const { host } = call;
  const policy = host.journal.needPolicy("hosts");
  const connected = new Set(host.mesh.peers());
  const belongs = members(policy);
  const isRotated = (id: string, net: Uint8Array) =>
    !belongs.has(id) && [...belongs.values()].some((h) => bytesEqual(h.net, net));
  const rows = [...policy.hosts].filter(([id, h]) => !isRotated(id, h.net)).map(([id, h]) => ({
    name: h.name,
    id,
    fingerprint: fingerprint(id),
    state: policy.revoked.has(id)
      ? "evicted"
      : id === hostId(host)
      ? "this host"
      : connected.has(id)
      ? "connected"
      : "not connected",
    keeper: policy.keepers.hosts.includes(id),
  }));
  const waiting = joiners(host.db).map((j) => ({
    name: j.name,
    id: j.host,
    fingerprint: fingerprint(j.host),
    branch: j.branch,
    open: j.open === 1,
    askedMs: j.askedMs,
  }));
  // Of one name, those that were evicted come before the one that was not.
  const place = (row: typeof rows[number]) => [row.name, row.state === "evicted" ? 0 : 1, row.id].join("\n");
  return { hosts: rows.sort((a, b) => place(a) < place(b) ? -1 : 1), waiting };
}

/** The beginning of a host's id as people compare it. */
export function fingerprint(host: string): string {
  return (host.slice(0, 16).match(/.{4}/g) as string[]).join("-");
}

/** What is answered to a host that is connected and not let in, or that does not let us in yet. Throws to refuse. */
export async function answerStranger(host: Host, net: Uint8Array, question: Uint8Array): Promise<Uint8Array> {
  const words = decode(question) as { what?: Cbor; after?: Cbor } | null;
  if (words?.what === "join") return encode(await join(host, net, words as Record<string, Cbor>));
  if (words?.what === "control" && typeof words.after === "number" && words.after >= 0) {
    const policy = host.journal.needPolicy("join");
    const known = [...policy.hosts].filter(([, h]) => bytesEqual(h.net, net)).map(([id]) => id);
    if (known.some((id) => !policy.revoked.has(id))) return encode(controlAfter(host, words.after));
    // Who was evicted may know that, and nothing that came later.
    const until = Math.max(0, ...known.map((id) => policy.revoked.get(id)?.[CONTROL] ?? 0));
    if (until > words.after) return encode(controlAfter(host, words.after, until));
  }
  throw new Fault("join", "denied", "a stranger is not answered", { hint: "isconf join TOKEN" });
}

function controlAfter(host: Host, after: number, until = after + pageEntriesMax): Cbor {
  const page: Uint8Array[][] = [];
  let bytes = 0;
  for (const row of host.journal.range(CONTROL, after + 1, Math.min(until, after + pageEntriesMax))) {
    const record = writeRecord(row);
    bytes += record.reduce((sum, part) => sum + part.length + 8, 0);
    if (page.length > 0 && bytes > introductionBytesMax) break;
    page.push(record);
  }
  return page;
}

/**
 * A host knocks with a token: it waits from then on, or is let in if the token says so. Only this host may use it, unless it
 * is open: then the host has proven its two keys, and nothing else.
 */
async function join(host: Host, net: Uint8Array, words: Record<string, Cbor>): Promise<Cbor> {
  const denied = () => new Fault("join", "denied", "that token is not good here", { hint: "isconf token" });
  const { request, proof } = words;
  if (!(request instanceof Uint8Array)) throw denied();
  const said = decode(open1(request).payload) as Record<string, Cbor> | null;
  const { key, name, nonce } = said ?? {};
  const row = typeof said?.token === "string" ? tokenRow(host, said.token) : undefined;
  const policy = host.journal.needPolicy("join");
  const isProven = row !== undefined && checkMac(proof, row.secret, "join", request);
  if (
    !isProven || !(key instanceof Uint8Array) || typeof name !== "string" || !(nonce instanceof Uint8Array)
  ) {
    throw denied();
  }
  const answer = (state: string, why = "") => {
    const reply = { state, why, branch: row.branch };
    return { ...reply, proof: mac(row.secret, "joined", [nonce, state, why, row.branch]) };
  };
  try {
    verify1(request, context(TYPE.join, policy.domain, ""), key);
  } catch {
    throw denied(); // a key that is none, or that is not its own
  }
  const id = keyId(key);
  if (!(said?.net instanceof Uint8Array) || !bytesEqual(said.net, net)) throw denied();
  if (row.host !== null && row.host !== id) {
    return answer("refused", "that token has been used by another host");
  }
  if (isMember(policy, id)) return answer("admitted");
  if (policy.revoked.has(id)) return answer("refused", "this host's key was evicted: it needs a new one");
  if (row.untilMs < host.clock.wall()) return answer("refused", "that token is too old");
  if (row.hostName !== "" && row.hostName !== name) {
    return answer("refused", `that token is for a host called ${row.hostName}`);
  }
  checkName("join", "host", name);
  const { branch, id: token } = row;
  const joiner = { host: id, key, net, name, branch, token, open: +isOpen(row), askedMs: host.clock.wall() };
  const full = keepJoiner(host.db, joiner);
  if (full !== "" || row.auto !== 1) return answer("waiting", full);
  try {
    await admit(host, personPair(host, { uid: row.uid, name: row.userName }), joiner, false);
    return answer("admitted");
  } catch (e) {
    const fault = Fault.from("join", e);
    host.log(`${name} (${fingerprint(id)}) waits for approval: ${fault.message}`);
    return answer("waiting", fault.message);
  }
}

/** What a stranger that is connected is asked: its control entries beyond ours, which may say that it was let in. */
export function meetStranger(host: Host, answer: Uint8Array | null): Uint8Array | null {
  if (host.journal.policy() === undefined) return null;
  if (answer !== null) {
    const records = decode(answer);
    if (!Array.isArray(records) || records.length === 0) return null;
    for (const record of records) takeIn(host, [readRecord(record)], { branch: CONTROL });
  }
  return encode({ what: "control", after: host.journal.head(CONTROL).seq });
}

function tokenRow(host: Host, id: string): TokenRow | undefined {
  return host.db.read((r: Reader) =>
    r.get<TokenRow>(
      `SELECT id, secret, branch, host_name AS hostName, auto, uid, user_name AS userName, until_ms AS untilMs, host
       FROM token WHERE id = ?`,
      id,
    )
  );
}

function needEnrol(host: Host, policy: Policy, op: string, key: string, name: string): void {
  if (may(policy, key, "enrol", CONTROL) && !policy.revoked.has(key)) return;
  throw new Fault(op, "denied", `${inert(name)}@${hostName(host)} has no enrol role`, {
    hint: `isconf grant ${inert(name)}@${hostName(host)} enrol ${CONTROL}, by an owner`,
  });
}
