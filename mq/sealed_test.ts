// sealed.ts: there and back, hostile files, streams without end, and who can tell what of a sealed file.
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createDecipheriv, createHmac, diffieHellman, hkdfSync } from "node:crypto";
import { createPrivateKey, createPublicKey } from "node:crypto";
import { test } from "node:test";
import { bech32 } from "@scure/base";
import { concat, toHex } from "./bytes.ts";
import { pause, VirtualClock } from "./clock.ts";
import { generateKeyPair, type KeyPair } from "./ed25519.ts";
import { Fault, type Kind } from "./fault.ts";
import { sealHeaderBytesMax, sealPaddedBytesMin, sealRecipientsMax } from "./limits.ts";
import { identityOf, recipientOf, seal, unseal } from "./secret.ts";

const clock = new VirtualClock(7);
const hosts = Array.from({ length: 8 }, () => generateKeyPair(clock));
const [a, b] = hosts as [KeyPair, KeyPair];
const CHUNK = 65_536 + 16;

async function* pieces(bytes: Uint8Array, size = bytes.length || 1): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.slice(at, at + size);
}

async function whole(source: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of source) parts.push(part);
  return concat(...parts);
}

const sealed = (content: Uint8Array, to: KeyPair[] = [a]) =>
  whole(seal(pieces(content), to.map((pair) => recipientOf(pair.publicKey))));
const opened = (file: Uint8Array, pair = a, size?: number) =>
  whole(unseal(pieces(file, size), identityOf(pair)));

/** The fault that unsealing ends with; whatever came out before it is a beginning of `content`. */
async function faultOf(file: Uint8Array, content: Uint8Array, pair = a): Promise<Fault> {
  let at = 0;
  try {
    for await (const part of unseal(pieces(file), identityOf(pair))) {
      assert.equal(toHex(part), toHex(content.subarray(at, at + part.length)), "other plaintext");
      at += part.length;
    }
  } catch (e) {
    assert.ok(e instanceof Fault, `${e}`);
    assert.ok(e.hint.length > 0 && e.message.length < 200);
    return e;
  }
  return assert.fail("it was taken");
}

const isFault = (kind: Kind, message = /./) => (e: unknown) =>
  e instanceof Fault && e.kind === kind && message.test(e.message);

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString("latin1");
const headerBytes = (file: Uint8Array) => text(file).indexOf("\n", text(file).indexOf("\n---") + 1) + 1;

test("what is sealed comes back for every recipient, in pieces of any size", async () => {
  const sizes = [0, 1, 248, 249, 65_527, 65_528, 65_529, 131_064, 200_000];
  for (const size of sizes) {
    const content = clock.random(size), file = await sealed(content, [a, b]);
    assert.equal(toHex(await opened(file, a)), toHex(content), String(size));
    assert.equal(toHex(await opened(file, b, 997)), toHex(content), String(size));
  }
  const file = await sealed(Buffer.from("word"));
  assert.equal(text(await opened(file, a, 1)), "word");
});

test("the length of a sealed file is that of its padding, so that short secrets look alike", async () => {
  const lengths = new Set<number>();
  for (const size of [0, 1, 100, sealPaddedBytesMin - 8]) {
    lengths.add((await sealed(new Uint8Array(size))).length);
  }
  assert.equal(lengths.size, 1);
});

test("two seals of the same bytes have no chunk in common, and no two chunks of one are equal", async () => {
  const content = new Uint8Array(300_000);
  const [one, two] = [await sealed(content), await sealed(content)];
  const chunks = (file: Uint8Array) => {
    const start = headerBytes(file) + 16;
    const count = Math.ceil((file.length - start) / CHUNK);
    return Array.from(
      { length: count },
      (_, i) => toHex(file.slice(start + i * CHUNK, start + (i + 1) * CHUNK)),
    );
  };
  const all = [...chunks(one), ...chunks(two)];
  assert.equal(all.length, 10);
  assert.equal(new Set(all).size, all.length);
  assert.notEqual(toHex(one.slice(0, headerBytes(one))), toHex(two.slice(0, headerBytes(two))));
});

test("who is no recipient is denied, and told what to do", async () => {
  const fault = await faultOf(await sealed(Buffer.from("word"), [b]), Buffer.from("word"));
  assert.equal(fault.kind, "denied");
  assert.match(fault.hint, /^isconf put --secret/);
});

test("every flipped bit of a small file is a fault, and never other plaintext", async () => {
  const content = Buffer.from("the quick brown fox"), file = await sealed(content);
  for (let at = 0; at < file.length; at++) {
    for (let bit = 0; bit < 8; bit++) {
      const flipped = file.slice();
      flipped[at]! ^= 1 << bit;
      const { kind } = await faultOf(flipped, content);
      assert.ok(kind === "corrupt" || kind === "denied", `${at}: ${kind}`);
    }
  }
});

test("every truncation of a small file is corrupt, and every addition", async () => {
  const content = Buffer.from("the quick brown fox"), file = await sealed(content);
  for (let length = 0; length < file.length; length++) {
    assert.equal((await faultOf(file.subarray(0, length), content)).kind, "corrupt", String(length));
  }
  assert.equal((await faultOf(concat(file, new Uint8Array(1)), content)).kind, "corrupt");
  assert.equal((await faultOf(concat(file, file), content)).kind, "corrupt");
});

test("of a long file nothing comes out of a chunk that is wrong, swapped, doubled or missing", async () => {
  const content = clock.random(250_000), file = await sealed(content);
  const start = headerBytes(file) + 16, head = file.subarray(0, start);
  const chunk = (i: number) => file.subarray(start + i * CHUNK, start + (i + 1) * CHUNK);
  const flipped = chunk(2).slice();
  flipped[CHUNK - 1]! ^= 1;
  const wrong = [
    [head, chunk(0), chunk(1), flipped, chunk(3)],
    [head, chunk(0), chunk(2), chunk(1), chunk(3)],
    [head, chunk(0), chunk(0), chunk(1), chunk(2), chunk(3)],
    [head, chunk(0), chunk(1), chunk(3)],
    [head, chunk(0), chunk(1), chunk(2)],
    [head, chunk(3)],
    [head],
  ];
  for (const parts of wrong) assert.equal((await faultOf(concat(...parts), content)).kind, "corrupt");
});

test("a header that does not end, has too many stanzas, or strange ones, is refused early", async () => {
  let read = 0;
  async function* endless(line: string): AsyncGenerator<Uint8Array> {
    yield Buffer.from("age-encryption.org/v1\n");
    for (;;) {
      read += line.length;
      yield Buffer.from(line);
    }
  }
  const share = Buffer.alloc(32, 9).toString("base64").replace("=", "");
  const stanza = `-> X25519 ${share}\n${share}\n`;
  for (const line of [stanza, "A", "-> x y\n\n", "\n", "-"]) {
    read = 0;
    const reading = whole(unseal(endless(line), identityOf(a)));
    await assert.rejects(reading, isFault("corrupt"));
    assert.ok(read <= sealHeaderBytesMax + line.length, line);
  }
  const mac = `--- ${share}\n`;
  const version = "age-encryption.org/v1\n";
  const many = Buffer.from(version + stanza.repeat(sealRecipientsMax + 1) + mac + "x".repeat(32));
  await assert.rejects(opened(many), isFault("corrupt", /more than 1000 hosts/));
  const most = Buffer.from(version + stanza.repeat(sealRecipientsMax) + mac + "x".repeat(32));
  await assert.rejects(opened(most), isFault("denied"));
  const low = Buffer.alloc(32).toString("base64").replace("=", "");
  const strange = [
    stanza.replace(share, low),
    stanza.replace(share, "AA"),
    "-> X25519\n\n",
    "-> scrypt A 40\n\n",
  ];
  for (const line of strange) {
    const file = Buffer.from(version + line + mac + "x".repeat(32));
    await assert.rejects(opened(file), (e) => isFault("corrupt")(e) || isFault("denied")(e), line);
  }
});

test("a thousand hosts and not one more; nobody and who is none are refused", async () => {
  const many = Array.from({ length: sealRecipientsMax + 1 }, () => generateKeyPair(clock));
  const file = await sealed(Buffer.from("word"), many.slice(1));
  assert.ok(headerBytes(file) <= sealHeaderBytesMax);
  for (const pair of [many[1]!, many.at(-1)!]) assert.equal(text(await opened(file, pair)), "word");
  await assert.rejects(opened(file, many[0]), isFault("denied"));
  await assert.rejects(sealed(new Uint8Array(1), many), isFault("usage", /1 to 1000 hosts, not for 1001/));
  await assert.rejects(sealed(new Uint8Array(1), []), isFault("usage"));
  const good = recipientOf(a.publicKey);
  const low = bech32.encodeFromBytes("age", new Uint8Array(32));
  for (const word of ["", "age1", "age1pq1abc", good.toUpperCase(), good.slice(0, -1) + "b", low]) {
    await assert.rejects(whole(seal(pieces(new Uint8Array(1)), [good, word])), isFault("corrupt"), word);
  }
  for (const word of ["", "AGE-SECRET-KEY-1", "AGE-SECRET-KEY-PQ-1ABC", identityOf(a).slice(0, -1) + "B"]) {
    const fault = await whole(unseal(pieces(file), word)).catch((e) => e);
    assert.ok(isFault("corrupt")(fault), word);
    assert.equal(fault.cause, undefined, "the cause could quote the key");
  }
});

test("who is named twice counts once, and the order of stanzas is by chance", async () => {
  assert.equal((await stanzas(await sealed(new Uint8Array(1), [a, b, a]))).length, 2);
  const orders = new Set<string>();
  for (let i = 0; i < 12; i++) {
    const found = stanzas(await sealed(new Uint8Array(1), hosts));
    const places = hosts.map((pair) => found.findIndex((stanza) => fileKeyOf(stanza, pair)));
    assert.deepEqual(places.toSorted(), [0, 1, 2, 3, 4, 5, 6, 7]);
    orders.add(places.join());
  }
  assert.ok(orders.size > 9, [...orders].join(" "));
});

test("a file is what the format says, read with nothing but node:crypto", async () => {
  const file = await sealed(Buffer.from("word"), [b, a]);
  const key = stanzas(file).map((stanza) => fileKeyOf(stanza, a)).find((found) => found)!;
  const header = headerBytes(file);
  const macKey = Buffer.from(hkdfSync("sha256", key, "", "header", 32));
  const mac = text(file).slice(0, header).match(/--- (.*)\n$/)![1]!;
  const signed = file.subarray(0, header - mac.length - 2);
  assert.equal(createHmac("sha256", macKey).update(signed).digest("base64"), `${mac}=`);
  const nonce = file.subarray(header, header + 16);
  const streamKey = Buffer.from(hkdfSync("sha256", key, nonce, "payload", 32));
  const padded = decipher(streamKey, Buffer.from("00".repeat(11) + "01", "hex"), file.subarray(header + 16))!;
  assert.equal(padded.length, sealPaddedBytesMin);
  assert.equal(toHex(padded), toHex(Buffer.from("word")) + "00".repeat(244) + "0000000000000004");
});

test("streams of any length: a few pieces are on their way, and the event loop turns", async () => {
  const length = 24 << 20;
  let made = 0, taken = 0, ahead = 0, turns = 0, running = true;
  async function* source() {
    for (; made < length; made += 65_536) yield new Uint8Array(65_536).fill(made >> 16 | 1);
  }
  const turn = () => void (running && (turns++, setImmediate(turn)));
  setImmediate(turn);
  for await (const part of unseal(seal(source(), [recipientOf(a.publicKey)]), identityOf(a))) {
    taken += part.length;
    ahead = Math.max(ahead, made - taken);
  }
  running = false;
  assert.equal(taken, length);
  assert.ok(ahead <= 2 << 20, `${ahead} bytes ahead`);
  assert.ok(turns > 20, `${turns} turns`);
});

test("what the source throws is thrown on, as it is", async () => {
  const gone = new Fault("fetch", "gone", "the peer went away", { hint: "isconf up" });
  const file = await sealed(new Uint8Array(200_000).fill(1));
  async function* breaks(length: number) {
    yield file.subarray(0, length);
    throw gone;
  }
  for (const length of [0, 10, 150, headerBytes(file) + 3, 100_000, file.length]) {
    await assert.rejects(whole(unseal(breaks(length), identityOf(a))), (e) => e === gone, String(length));
    await assert.rejects(whole(seal(breaks(length), [recipientOf(a.publicKey)])), (e) => e === gone);
  }
});

test("the source is closed when the reader stops, at a fault, and at the end", async () => {
  const file = await sealed(new Uint8Array(900_000).fill(1));
  let closed = 0;
  async function* watched(bytes: Uint8Array) {
    try {
      yield* pieces(bytes, 65_536);
    } finally {
      closed++;
    }
  }
  const isClosed = async (times: number) => {
    await pause(); // the piece that was just asked for comes first
    assert.equal(closed, times);
  };
  for await (const _ of unseal(watched(file), identityOf(a))) break;
  await isClosed(1);
  for await (const _ of seal(watched(file), [recipientOf(a.publicKey)])) break;
  await isClosed(2);
  await assert.rejects(whole(unseal(watched(file), identityOf(b))));
  await isClosed(3);
  await assert.rejects(whole(unseal(watched(concat(file.subarray(0, 200_000), file)), identityOf(a))));
  await isClosed(4);
  await whole(unseal(watched(file), identityOf(a)));
  await isClosed(5);
});

test("a source that never goes on keeps no fault back", { timeout: 60_000 }, async () => {
  const file = await sealed(new Uint8Array(400_000).fill(1));
  file[headerBytes(file) + 16]! ^= 1;
  async function* stalls(): AsyncGenerator<Uint8Array> {
    yield file.subarray(0, 100_000); // the wrong chunk, and not the next
    await new Promise(() => {});
  }
  await assert.rejects(whole(unseal(stalls(), identityOf(a))), isFault("corrupt"));
});

interface Line {
  share: Buffer;
  body: Buffer;
}

/** The X25519 stanzas of a file. */
function stanzas(file: Uint8Array): Line[] {
  return [...text(file).slice(0, headerBytes(file)).matchAll(/^-> X25519 (.*)\n(.*)\n/gm)].map((match) => ({
    share: Buffer.from(match[1]!, "base64"),
    body: Buffer.from(match[2]!, "base64"),
  }));
}

/** The file key in a stanza, when it is for `pair`: the format once more, with node:crypto alone. */
function fileKeyOf({ share, body }: Line, pair: KeyPair): Buffer | undefined {
  const own = Buffer.from(bech32.decodeToBytes(recipientOf(pair.publicKey)).bytes);
  const scalar = Buffer.from(bech32.decodeToBytes(identityOf(pair)).bytes);
  const der = (prefix: string, key: Buffer) => Buffer.concat([Buffer.from(prefix, "hex"), key]);
  const secret = diffieHellman({
    privateKey: createPrivateKey({
      key: der("302e020100300506032b656e04220420", scalar),
      format: "der",
      type: "pkcs8",
    }),
    publicKey: createPublicKey({ key: der("302a300506032b656e032100", share), format: "der", type: "spki" }),
  });
  const salt = Buffer.concat([share, own]);
  const key = Buffer.from(hkdfSync("sha256", secret, salt, "age-encryption.org/v1/X25519", 32));
  return decipher(key, Buffer.alloc(12), body);
}

function decipher(key: Buffer, nonce: Buffer, sealedBytes: Uint8Array): Buffer | undefined {
  const cipher = createDecipheriv("chacha20-poly1305", key, nonce, { authTagLength: 16 });
  cipher.setAuthTag(sealedBytes.subarray(-16));
  const plain = cipher.update(sealedBytes.subarray(0, -16));
  try {
    return Buffer.concat([plain, cipher.final()]);
  } catch {
    return undefined; // for somebody else
  }
}
