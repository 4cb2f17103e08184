// Messages: golden bytes, what is no message, and what a stranger's fault may say.
import { test } from "node:test";
import assert from "node:assert/strict";
import { toHex } from "./bytes.ts";
import type { Cbor } from "./cbor.ts";
import { encode } from "./cbor.ts";
import { VirtualClock } from "./clock.ts";
import { Fault } from "./fault.ts";
import { faultTextMax, messageIdBytes, methodBytesMax, topicBytesMax } from "./limits.ts";
import type { Message } from "./message.ts";
import { readMessage, writeMessage } from "./message.ts";

const id = new Uint8Array(messageIdBytes).fill(0xab);
const idHex = "50" + "ab".repeat(16);
const fault = new Fault("lock", "locked", "taken", { hint: "isconf status" });

test("golden bytes: the form of each kind does not change", () => {
  const golden: [Message, string][] = [
    [{ kind: "event", id, topic: "t", value: 1 }, `850100${idHex}617401`],
    [{ kind: "ask", id, method: "m", value: null }, `850101${idHex}616df6`],
    [{ kind: "reply", id, value: [] }, `840102${idHex}80`],
    [
      { kind: "fault", id, fault },
      `840103${idHex}a4626f70646c6f636b6468696e746d6973636f6e6620737461747573646b696e64666c6f636b6564676d657373616765657461` +
      "6b656e",
    ],
  ];
  for (const [message, hex] of golden) {
    assert.equal(toHex(writeMessage(message)), hex);
    assert.deepEqual(readMessage(writeMessage(message)), message);
  }
});

test("other versions and kinds are told from garbage", () => {
  const read = (value: Cbor) => readMessage(encode(value));
  assert.equal(read([2, 0, id, 1]), "version");
  assert.equal(read([2, 99]), "version");
  assert.equal(read([1, 4, "any", "shape"]), "kind");
  const garbage: Cbor[] = [
    null,
    "text",
    {},
    [],
    [1],
    [1, 0],
    [1, 0, id],
    [1, 0, id, "t"],
    [1, 0, id, 1, 2],
    [1, 0, id, "", 2],
    [1, 0, id, "t".repeat(topicBytesMax + 1), 2],
    [1, 0, id.subarray(1), "t", 1],
    [1, 0, "id", "t", 1],
    ["1", 0, id, "t", 1],
    [1, 1, id, "method"],
    [1, 1, id, 7, 1],
    [1, 1, id, "", 1],
    [1, 1, id, "m".repeat(methodBytesMax + 1), 1],
  ];
  for (const value of garbage) assert.equal(read(value), "garbage", JSON.stringify(value));
});

test("no bytes make the reader throw", () => {
  const clock = new VirtualClock(3);
  const good = writeMessage({ kind: "fault", id, fault });
  for (let i = 0; i < 20_000; i++) {
    readMessage(clock.random(clock.u32() % 40));
    const bent = good.slice();
    bent[clock.u32() % bent.length] = clock.u32();
    readMessage(bent);
  }
});

test("a method without a name or with too long a one is not written", () => {
  for (const method of ["", "m".repeat(methodBytesMax + 1), "é".repeat(methodBytesMax)]) {
    assert.throws(
      () => writeMessage({ kind: "ask", id, method, value: 1 }),
      (e) => e instanceof Fault && e.kind === "usage",
    );
  }
});

test("a fault is cut to size on both sides, never inside a character", () => {
  const long = new Fault("op", "refused", "x" + "😀".repeat(faultTextMax), { hint: "isconf status" });
  const back = readMessage(writeMessage({ kind: "fault", id, fault: long })) as Message & { kind: "fault" };
  assert.ok(back.fault.message.length <= faultTextMax);
  assert.ok(back.fault.message.isWellFormed());
  const raw = { op: "op", kind: "refused", message: "y".repeat(9999), hint: "isconf status" };
  const forged = readMessage(encode([1, 3, id, raw])) as Message & { kind: "fault" };
  assert.equal(forged.fault.message.length, faultTextMax);
});

test("a hint from a stranger is passed on only when it is a command of isconf", () => {
  const hintOf = (hint: string) => {
    const read = readMessage(encode([1, 3, id, { op: "o", kind: "refused", message: "m", hint }]));
    return (read as Message & { kind: "fault" }).fault.hint;
  };
  assert.equal(hintOf("isconf unlock --steal"), "isconf unlock --steal");
  for (const bad of ["rm -rf /", "isconf up\nrm -rf /", "isconf \x1b[2J", "isconfx", ""]) {
    assert.equal(hintOf(bad), "isconf status");
  }
  for (const value of [null, 7, {}, { op: "o", kind: "toString", message: "m", hint: "h" }] as Cbor[]) {
    const read = readMessage(encode([1, 3, id, value])) as Message & { kind: "fault" };
    assert.equal(read.fault.kind, "gone");
  }
});
