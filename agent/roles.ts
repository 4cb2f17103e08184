// Roles: who may do what in the domain: grant, revoke, evict and the rotation of keys, as entries of the control journal.
// Not what such entries mean (trust.ts) and not how hosts come in (enrol.ts).
import { type Cbor, decode, encode, Fault, fromHex, keyId, sign1, verify1 } from "../mq/mod.ts";
import { type Ends, extendControl } from "./control.ts";
import { context, type Op, TYPE } from "./entry.ts";
import { branchOf, type Call, type Host, hostId, hostName, hostPair, personPair } from "./host.ts";
import { needNoWip } from "./locks.ts";
import { checkName, checkReason, CONTROL, inert } from "./names.ts";
import { hostKey, isCut, may, members, nameOf, type Policy, type Role, ROLES } from "./trust.ts";
import { hasSocket, userByName } from "./users.ts";

/** Gives a person a role on a branch (`*`: on every one): a user of this host, or `user@host` of another. */
export async function grant(
  call: Call,
  args: { person: string; role: string; branch: string },
): Promise<{ person: string; role: string; branch: string }> {
  const policy = call.host.journal.needPolicy("grant");
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
  // Before anybody is asked and any key made.
  if (!may(policy, keyId(personPair(call.host, call.actor).publicKey), "owner", CONTROL)) {
    throw new Fault(
      "grant",
      "denied",
      `${inert(call.actor.name)}@${hostName(call.host)} is no owner of the domain`,
      {
        hint: "isconf status: shows who is",
      },
    );
  }
  if (args.role === "secret") { // what is sealed for a branch is sealed for hosts
    const id = memberNamed(policy, args.person, "grant");
    const give: Op = { op: "grant", key: fromHex(id), role: args.role, branch: args.branch };
    const message = `grant secret on ${args.branch} to the host ${args.person}`;
    await extendControl(call.host, "grant", personPair(call.host, call.actor), message, () => [give]);
    return { person: args.person, role: args.role, branch: args.branch };
  }
  const { name, key } = await keyOf(call, args.person);
  await giveRole(call, { ...args, name, key });
  return { person: name, role: args.role, branch: args.branch };
}

/** Gives a role to the owner of a key, who is made known by that name if nobody knows them. */
export async function giveRole(
  { host, actor }: Call,
  args: { name: string; key: Uint8Array; role: string; branch: string },
): Promise<void> {
  const { name, key } = args;
  const give: Op = { op: "grant", key: fromHex(keyId(key)), role: args.role, branch: args.branch };
  const message = `grant ${args.role} on ${args.branch} to ${name}`;
  await extendControl(
    host,
    "grant",
    personPair(host, actor),
    message,
    (now) => now.persons.has(keyId(key)) ? [give] : [{ op: "person", key, name }, give],
  );
}

/** The public key of a person: known already, a user of this host, or a user of a host that can be asked. */
export async function keyOf(
  { host }: Pick<Call, "host">,
  person: string,
): Promise<{ name: string; key: Uint8Array }> {
  const [user, at] = person.split("@") as [string, string | undefined];
  const name = `${user}@${at ?? hostName(host)}`;
  const policy = host.journal.needPolicy("grant");
  const known = [...policy.persons].find(([id, p]) => p.name === name && !policy.revoked.has(id));
  if (known !== undefined) return { name, key: known[1].key };
  if (at === undefined || at === hostName(host)) {
    return { name, key: personPair(host, userByName("grant", user)).publicKey };
  }
  const there = memberNamed(policy, at, "grant");
  const said = await askThere(host, there, user, at);
  if (!(said instanceof Uint8Array)) throw untrue(at);
  const words = decode(verify1(said, context(TYPE.person, policy.domain, ""), hostKey(policy, there)));
  const [who, key] = Array.isArray(words) ? words : [];
  if (who !== name || !(key instanceof Uint8Array) || key.length !== 32) throw untrue(at);
  // A key that somebody else is known by is not that user's, whatever the host says.
  if (policy.persons.has(keyId(key)) || policy.hosts.has(keyId(key))) throw untrue(at);
  return { name, key };
}

async function askThere(host: Host, there: string, user: string, at: string): Promise<Cbor> {
  try {
    return await host.mesh.ask(there, "person", user);
  } catch (e) {
    const { kind } = Fault.from("grant", e);
    const [who, where] = [inert(user), inert(at)];
    if (kind === "notFound") {
      throw new Fault("grant", kind, `no user ${who} is permitted on ${where}`, {
        hint: `isconf restart, on ${where}, after a line permit = ${who} in its isconf.conf`,
      });
    }
    if (kind !== "gone") throw e;
    throw new Fault("grant", kind, `${where} cannot be asked who ${who} is: it is not connected`, {
      hint: "isconf hosts",
    });
  }
}

/**
 * What this host answers to who asks for the key of one of its users. Any host of the domain may ask, so it makes no key
 * but for who has a socket here: nobody else could ever use it.
 */
export function vouch(host: Host, value: Cbor): Uint8Array {
  if (typeof value !== "string" || !hasSocket(host.config.permit, value)) {
    throw new Fault("person", "notFound", "no user of that name is permitted on this host", {
      hint: "isconf restart, after a line permit = NAME in isconf.conf",
    });
  }
  const user = userByName("person", value);
  const words = [`${user.name}@${hostName(host)}`, personPair(host, user).publicKey];
  return sign1(
    hostPair(host),
    context(TYPE.person, host.journal.needPolicy("person").domain, ""),
    encode(words),
  );
}

/** Takes every right from a person's key: nothing it authors from now on counts, what it did stays. */
export async function revoke(
  call: Call,
  args: { person: string; reason: string },
): Promise<{ name: string }> {
  const { host, actor } = call;
  checkReason("revoke", args.reason);
  const message = `revoke ${args.person}`;
  await extendControl(host, "revoke", personPair(host, actor), message, (policy, ends) => {
    const found = [...policy.persons].find(([id, p]) =>
      !policy.revoked.has(id) && (p.name === args.person || id === args.person)
    );
    if (found === undefined) {
      throw new Fault("revoke", "notFound", `nobody is called ${inert(args.person)} in this domain`, {
        hint: "isconf hosts",
      });
    }
    return [revocation(ends, found[0], args.reason)];
  });
  return { name: args.person };
}

/** Takes a host out of the domain, and with it the persons whose keys live there. Others cut it off as they hear. */
export async function evict(call: Call, args: { host: string; reason: string }): Promise<{ host: string }> {
  const { host, actor } = call;
  checkReason("evict", args.reason);
  await extendControl(host, "evict", personPair(host, actor), `evict ${args.host}`, (policy, ends) => {
    const id = memberNamed(policy, args.host, "evict");
    if (id === hostId(host) || policy.keepers.hosts.includes(id)) {
      const which = id === hostId(host) ? "this host itself" : "a keeper";
      throw new Fault("evict", "refused", `${inert(args.host)} is ${which}`, { hint: "isconf hosts" });
    }
    return [revocation(ends, id, args.reason)];
  });
  await host.settleMesh().catch((e) => host.log(`mesh: ${Fault.from("evict", e).message}`)); // it is cut off by now
  return { host: args.host };
}

/** What the key did up to where every chain ends now stays; so it is for the persons on a host, if it is a host's. */
export function revocation(ends: Ends, key: string, reason: string): Op {
  return { op: "revoke", key: fromHex(key), cuts: { ...ends }, reason };
}

/** Puts a new key in the place of the caller's own, or of this host's, which then counts for what it signed and no more. */
export async function rotate(call: Call, whose: "person" | "host"): Promise<{ name: string; key: string }> {
  const { host, actor } = call;
  needNoWip(call, "rotate");
  await needNoLock(call, "rotate");
  const name = whose === "host" ? "host" : `user-${actor.uid}`;
  const author = personPair(host, actor);
  const old = whose === "host" ? hostPair(host) : author;
  const next = host.keys.prepare(name);
  await extendControl(
    host,
    "rotate",
    author,
    `rotate the key of ${whose} ${keyId(old.publicKey).slice(0, 12)}`,
    (policy, ends) => {
      const id = keyId(old.publicKey);
      const known = whose === "host" ? policy.hosts.has(id) : policy.persons.has(id);
      if (!known || isCut(policy, id, CONTROL, host.journal.head(CONTROL).seq + 1)) {
        throw new Fault("rotate", "denied", `your ${whose} key has no place in this domain`, {
          hint: "isconf hosts",
        });
      }
      return [{
        op: "rotate",
        old: fromHex(id),
        key: next.publicKey,
        net: policy.hosts.get(id)?.net ?? null,
        cuts: { ...ends },
      }];
    },
  );
  settleRotations(host);
  const policy = host.journal.needPolicy("rotate");
  return { name: nameOf(policy, keyId(next.publicKey)), key: keyId(next.publicKey) };
}

/** A lock is held by a key: under a new one nobody could give it back. */
async function needNoLock({ host, actor }: Call, op: string): Promise<void> {
  const held = await host.keepers.refresh(branchOf(host, op));
  const isOurs = held?.held === true &&
    (held.host === hostId(host) || held.holder === keyId(personPair(host, actor).publicKey));
  if (!isOurs) return;
  throw new Fault(op, "refused", `${held.branch} is locked by ${inert(held.holderName)} from this host`, {
    hint: "isconf unlock",
  });
}

/** The new key is used as soon as the journal says so, also when this host crashed in between. */
export function settleRotations(host: Pick<Host, "keys" | "journal" | "names">): void {
  const policy = host.journal.policy();
  for (const name of host.keys.prepared()) {
    const id = keyId(host.keys.prepare(name).publicKey);
    if (!policy?.hosts.has(id) && !policy?.persons.has(id)) continue;
    if (policy.persons.has(id)) {
      host.names.renew(keyId(host.keys.obtain(name).publicKey), host.keys.prepare(name));
    }
    host.keys.promote(name, name === "host"); // what was sealed for this host stays readable for it
  }
}

/** The id of a host of the domain, by its name or id. */
export function memberNamed(policy: Policy, name: string, op: string): string {
  const found = [...members(policy)].find(([id, h]) => h.name === name || id === name);
  if (found !== undefined) return found[0];
  throw new Fault(op, "notFound", `no host is called ${inert(name)} in this domain`, {
    hint: "isconf hosts",
  });
}

/** Throws unless a name can be a host's, and says so when another host has it. */
export function needFreeName(policy: Policy, op: string, name: string, key: string): string | undefined {
  checkName(op, "host", name);
  return [...members(policy)].find(([id, h]) => h.name === name && id !== key)?.[0];
}

function untrue(host: string): Fault {
  return new Fault("grant", "corrupt", `${inert(host)} did not say whose key that is`, {
    hint: "isconf status",
  });
}
