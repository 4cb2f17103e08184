// Join: how this host comes into a domain with a token: knocks, waits for approval, takes the control journal in.
// Not the side of those who let it in (enrol.ts).
import { type Cbor, decode, encode, Fault, keyId, sign1, sleep, toHex } from "../mq/mod.ts";
import { beginAt, imageOf } from "./base.ts";
import { fingerprint } from "./enrol.ts";
import { context, TYPE } from "./entry.ts";
import { type Call, type Host, hostId, hostPair } from "./host.ts";
import { readRecord, takeIn } from "./intake.ts";
import { joinPollMs, joinWaitMs, settleInMs } from "./limits.ts";
import { checkName, CONTROL, inert } from "./names.ts";
import { getMeta, setMeta } from "./schema.ts";
import { checkMac, mac, readToken, type Token } from "./token.ts";
import { isMember } from "./trust.ts";

export interface Joined {
  domain: string;
  branch: string;
  host: string;
  entries: number;
}

/**
 * Joins the domain that the token names, under the name `host`. Waits until somebody approves, at most `joinWaitMs`; after
 * that, or after a crash, the same token goes on.
 * @throws {Fault} refused, with the reason; gone, when nobody of the token's addresses answers
 */
export async function join(call: Call, args: { token: string; host: string }): Promise<Joined> {
  const { host } = call;
  const token = readToken(args.token);
  checkName("join", "host", args.host);
  const domain = toHex(token.domain);
  if (getMeta(host.db, "branch") !== undefined) {
    throw new Fault("join", "refused", `this host already belongs to the domain ${host.journal.domain()}`, {
      hint: "isconf status",
    });
  }
  const image = imageOf("join", host.home.config, domain);
  // A join that never came to its end is no bond: what it brought of another domain goes.
  if (host.journal.domain() !== domain) host.db.write((tx) => host.journal.forget(tx));
  const net = await host.mesh.identity();
  await host.mesh.settle({
    network: domain.slice(0, 32),
    members: [],
    self: hostId(host),
    listen: [],
    peers: [],
    discover: false,
  });
  const branch = await untilAdmitted(call, token, { name: args.host, net });
  await takeControl(host, token);
  const policy = host.journal.needPolicy("join");
  if (!isMember(policy, hostId(host)) || !policy.branches.has(branch)) {
    throw new Fault("join", "corrupt", "the control journal that was sent does not name this host", {
      hint: "isconf join again",
    });
  }
  const name = policy.hosts.get(hostId(host))?.name as string;
  host.db.write((tx) => {
    setMeta(tx, "host_name", name);
    setMeta(tx, "branch", branch);
    setMeta(tx, "joining", token.addresses.join(" "));
    if (image !== undefined) beginAt(tx, host, image);
  });
  await host.settleMesh();
  for (const since = host.clock.now(); host.clock.now() - since < settleInMs;) {
    if (host.mesh.peers().length > 0) break;
    await sleep(host.clock, 20);
  }
  await host.replica.sync();
  return { domain, branch, host: name, entries: host.journal.head(branch).seq };
}

/** Knocks until this host is let in; returns the branch that it is to be on. */
async function untilAdmitted(
  call: Call,
  token: Token,
  self: { name: string; net: Uint8Array },
): Promise<string> {
  const { host } = call;
  const pair = hostPair(host);
  const until = host.clock.now() + joinWaitMs;
  const mark = fingerprint(keyId(pair.publicKey));
  for (let told = ""; host.clock.now() < until;) {
    const nonce = host.clock.random(16);
    const words = { token: token.id, key: pair.publicKey, net: self.net, name: self.name, nonce };
    const request = sign1(pair, context(TYPE.join, token.domain, ""), encode(words));
    const question = encode({ what: "join", request, proof: mac(token.secret, "join", request) });
    const said = await askAny(host, token, question).catch((e) => {
      if (!told || Fault.from("join", e).kind !== "gone") throw e;
      return undefined; // it has answered before: perhaps it is just being restarted
    });
    if (said === undefined) {
      await sleep(host.clock, joinPollMs);
      continue;
    }
    const answer = decode(said) as Record<string, Cbor> | null;
    const { state, why, branch, proof } = answer ?? {};
    const isTheirs = checkMac(proof, token.secret, "joined", [
      nonce,
      state ?? null,
      why ?? null,
      branch ?? null,
    ]);
    if (!isTheirs || typeof branch !== "string") {
      throw new Fault("join", "denied", "who answered does not know the token's secret", {
        hint: "isconf token, on a host that you trust",
      });
    }
    if (state === "admitted") return branch;
    if (state !== "waiting") throw new Fault("join", "refused", inert(String(why)), { hint: "isconf token" });
    const reason = `waiting for approval${why === "" ? "" : `: ${String(why)}`}`;
    if (told !== reason) {
      call.emit({ event: "fingerprint", text: `this host's fingerprint is ${mark}`, fingerprint: mark });
      call.emit({ event: "waiting", text: reason });
      call.emit({ event: "hint", text: `  on the host that made the token: isconf approve ${mark}` });
      told = reason;
    }
    await sleep(host.clock, joinPollMs);
    if (call.hasGone?.() || host.turn.isWaiting("stop")) {
      throw new Fault("join", "gone", "nobody waits for the approval any more", {
        hint: "isconf join again, with the same token",
      });
    }
  }
  throw new Fault("join", "refused", "nobody has approved this host yet", {
    hint: `isconf approve ${mark} there, then isconf join with the same token`,
  });
}

/** Takes the whole control journal in, each entry checked; the token pins the first. */
async function takeControl(host: Host, token: Token): Promise<void> {
  for (;;) {
    const after = host.journal.head(CONTROL).seq;
    const records = decode(await askAny(host, token, encode({ what: "control", after })));
    if (!Array.isArray(records) || records.length === 0) return;
    const must = { domain: toHex(token.domain), branch: CONTROL };
    for (const record of records) {
      takeIn(host, [readRecord(record)], must);
      if (host.journal.head(CONTROL).seq === after) {
        throw new Fault(
          "join",
          "corrupt",
          "the control journal that was sent has no end and goes no further",
          {
            hint: "isconf token again, on another host of the domain",
          },
        );
      }
    }
  }
}

/** Puts a question to the first of the token's addresses that answers as who made the token. */
async function askAny(host: Host, token: Token, question: Uint8Array): Promise<Uint8Array> {
  let last: Fault | undefined;
  for (const address of token.addresses) {
    try {
      const { net, answer } = await host.mesh.introduce(address, question);
      if (net === toHex(token.net)) return answer;
      last = new Fault("join", "denied", `somebody else answers at ${address}`, {
        hint: "isconf token again",
      });
    } catch (e) {
      last = Fault.from("join", e);
    }
  }
  throw new Fault(
    "join",
    last?.kind === "denied" ? "denied" : "gone",
    `${token.addresses.map(inert).join(", ")}: ${last?.message ?? "no address in the token"}`,
    { hint: "isconf status there, then isconf join again" },
  );
}
