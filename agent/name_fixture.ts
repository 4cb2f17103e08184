// name fixture: records of names as a test wants them, right or wrong, and the words of people on real hosts. Not part of
// the product.
import { type Cbor, encode, fromHex, sha256, sign1, toHex } from "../mq/mod.ts";
import type { TestHost } from "../tests/world.ts";
import { context, TYPE } from "./entry.ts";
import type { Other } from "./fixture.ts";
import { personPair } from "./host.ts";
import type { NameWords } from "./name_records.ts";
import type { NameLine } from "./naming.ts";

/** The id of a content that is nowhere. */
export const idOf = (text: string): string => toHex(sha256(new TextEncoder().encode(text)));

/** What somebody says of main/app, right in everything unless changed. */
export function wordsOf(a: TestHost, by: Other, change: Partial<Record<string, Cbor>> = {}) {
  const words: NameWords = {
    v: 1,
    name: "main/app",
    seq: 1,
    id: fromHex(idOf("1")),
    kind: "file",
    size: 1,
    copies: 1,
    after: [],
    policy: a.agent.host.journal.needPolicy("test").seq,
    timeMs: 1,
    host: fromHex(by.id),
    author: fromHex(by.author),
  };
  return { ...words, ...change } as Record<string, Cbor>;
}

/** The same, signed by that person. */
export function recordOf(
  a: TestHost,
  by: Other,
  change: Partial<Record<string, Cbor>> = {},
  as: { signer?: Other["person"]; type?: string; domain?: Uint8Array; branch?: string } = {},
): Uint8Array {
  const { domain } = a.agent.host.journal.needPolicy("test");
  const where = context(as.type ?? TYPE.name, as.domain ?? domain, as.branch ?? "");
  return sign1(as.signer ?? by.person, where, encode(wordsOf(a, by, change)));
}

/** A host's own user names a content that is nowhere. */
export function say(host: TestHost, name: string, text: string, copies = 1): NameLine {
  const pair = personPair(host.agent.host, host.call().actor);
  return host.agent.host.names.set(pair, { name, id: idOf(text), kind: "file", size: 1, copies });
}

/** A host's own user withdraws a name. */
export function unsay(host: TestHost, name: string): NameLine {
  return host.agent.host.names.withdraw(personPair(host.agent.host, host.call().actor), name);
}

/** What is held of a name: who says what, in which version, and how that stands; the newest first. */
export function heldOf(host: TestHost, name: string): string[] {
  try {
    return host.agent.host.names.list(name).map((n) => `${n.seq} ${n.who} ${n.state}`);
  } catch {
    return [];
  }
}
