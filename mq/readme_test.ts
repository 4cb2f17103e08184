// README.md: its tables say what the code does, and every name in backticks exists.
import { test } from "node:test";
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { toHex } from "./bytes.ts";
import { encodeFrame, FRAME_HEADER_BYTES, FRAME_VERSION } from "./frame.ts";
import { messageIdBytes, sealPaddedBytesMin } from "./limits.ts";
import { MESSAGE_KINDS, MESSAGE_VERSION } from "./message.ts";
import { LINE_FRAMES } from "./transport_libp2p_line.ts";
import { keyId, keyPairFromSecret, SIGNATURE_BYTES } from "./ed25519.ts";
import { pad, TRAILER_BYTES } from "./sealed_padding.ts";
import { PROTECTED_PREFIX, sign1 } from "./sign.ts";
import { readmeBeside, readmeTable } from "../tests/contract/readme.ts";

const here = new URL("./", import.meta.url);
const readme = new URL("README.md", here);
const text = readFileSync(readme, "utf8");
const unquoted = (cell: string | undefined) => cell?.replaceAll("`", "") ?? "";

test("the map of the files has each file, and nothing else", readmeBeside(import.meta.url).needFiles);

test("the frame table is what encodeFrame writes", () => {
  const rows = readmeTable(readme, "Frame").map((row) => row.map(unquoted));
  const frame = encodeFrame({ type: 0xaa, channel: 0xbbcc, body: new Uint8Array(5).fill(0xee) });
  const field = (name: string) => {
    const row = rows.find((r) => r[2] === name);
    assert.ok(row, `no row for ${name}`);
    const [offset, size] = row.map(Number) as [number, number];
    return toHex(frame.subarray(offset, offset + (size || 5)));
  };
  assert.deepEqual(["version", "type", "channel", "length", "body"].map(field), [
    "01",
    "aa",
    "bbcc",
    "00000005",
    "eeeeeeeeee",
  ]);
  assert.equal(rows.find((r) => r[2] === "version")?.[3], String(FRAME_VERSION));
  assert.equal(rows.find((r) => r[2] === "body")?.[0], String(FRAME_HEADER_BYTES));
});

test("the COSE_Sign1 table is what sign1 writes", () => {
  const pair = keyPairFromSecret(new Uint8Array(32).fill(1));
  const payload = new Uint8Array(10).fill(0xee);
  const message = sign1(pair, { type: "t", domain: new Uint8Array(32), branch: "" }, payload);
  const rows = readmeTable(readme, "COSE_Sign1").map((row) => row.map(unquoted));
  const parts: string[] = [];
  let at = 0;
  for (const [offset, size, bytes, field] of rows as [string, string, string, string][]) {
    if (offset !== "then") assert.equal(Number(offset), at, field);
    const length = size === "any" ? payload.length : parseInt(size);
    const actual = toHex(message.subarray(at, at + length));
    if (bytes !== "") assert.equal(actual, bytes, field);
    parts.push(actual);
    at += length;
  }
  assert.equal(at, message.length);
  assert.equal(parts[2], PROTECTED_PREFIX);
  assert.equal(parts[3], keyId(pair.publicKey));
  assert.equal(parts[6], toHex(payload));
  assert.equal(parts[8]?.length, 2 * SIGNATURE_BYTES);
});

test("the table of what is sealed is what pad writes", async () => {
  const rows = readmeTable(readme, "Sealed files").map((row) => row.map(unquoted));
  async function* content() {
    yield new Uint8Array(5).fill(0xee);
  }
  let padded = "";
  for await (const piece of pad(content())) padded += toHex(piece);
  const zeros = "00".repeat(sealPaddedBytesMin - 5 - TRAILER_BYTES);
  assert.deepEqual(rows.map((row) => row[2]), ["content", "zeros", "length"]);
  assert.equal(rows[2]?.[1], String(TRAILER_BYTES));
  assert.equal(padded, "ee".repeat(5) + zeros + "0000000000000005");
  assert.ok(text.includes(`\`sealPaddedBytesMin\` (${sealPaddedBytesMin})`));
});

test("the message table is MESSAGE_KINDS", () => {
  const rows = readmeTable(readme, "Messages").map((row) => row.map(unquoted));
  assert.deepEqual(Object.fromEntries(rows.map(([kind, name]) => [name, Number(kind)])), MESSAGE_KINDS);
  assert.ok(text.includes(`the version (${MESSAGE_VERSION})`));
  assert.ok(text.includes(`an id of ${messageIdBytes} random bytes`));
});

test("the table of the network's frames is LINE_FRAMES", () => {
  const rows = readmeTable(readme, "The network").map((row) => row.map(unquoted));
  assert.deepEqual(Object.fromEntries(rows.map(([type, name]) => [name, Number(type)])), LINE_FRAMES);
});

test("every name in backticks exists in the code", () => {
  const code = readdirSync(here).filter((name) => name.endsWith(".ts") && !name.endsWith("_test.ts"))
    .map((name) => readFileSync(new URL(name, here), "utf8")).join("\n");
  const names = [...text.matchAll(/(?<!`)`([A-Za-z_][\w]*)`/g)].map((match) => match[1]!);
  assert.ok(names.length > 40);
  const missing = names.filter((name) =>
    !/^[0-9a-f]+$/.test(name) && !new RegExp(`\\b${name}\\b`).test(code)
  );
  assert.deepEqual(missing, []);
});
