// fault: one table, there and back over JSON, and no stack for any thrown thing.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Fault, KINDS } from "./mod.ts";

test("exit codes are those of the command line's contract, and no two kinds share one", () => {
  const exits = Object.values(KINDS).map((k) => k.exit);
  assert.equal(new Set(exits).size, exits.length);
  const contract = {
    refused: 1,
    notFound: 2,
    usage: 22,
    denied: 77,
    gone: 104,
    notRunning: 111,
    locked: 220,
    notLocked: 221,
    needMessage: 222,
    noQuorum: 223,
    diverged: 224,
    forked: 225,
    corrupt: 226,
    uncertain: 227,
  };
  for (const [kind, exit] of Object.entries(contract)) {
    assert.equal(KINDS[kind as keyof typeof KINDS].exit, exit, kind);
  }
});

test("a fault goes over JSON and comes back; what is none becomes gone", () => {
  const fault = new Fault("lock", "locked", "by somebody", { hint: "isconf status" });
  const back = Fault.fromJSON(JSON.parse(JSON.stringify(fault)));
  assert.deepEqual([back.op, back.kind, back.message, back.hint, back.exit, back.http], [
    "lock",
    "locked",
    "by somebody",
    "isconf status",
    220,
    423,
  ]);
  for (
    const none of [
      null,
      7,
      "x",
      [],
      {},
      { op: 1 },
      { op: "a", kind: "constructor", message: "m", hint: "h" },
      { op: "a", kind: "nope", message: "m", hint: "h" },
    ]
  ) {
    assert.equal(Fault.fromJSON(none).kind, "gone");
  }
});

test("system errors name the path, bugs keep their message, nothing keeps its stack", () => {
  const system = Fault.from(
    "op",
    Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC", path: "/x" }),
  );
  assert.deepEqual([system.kind, system.message.includes("/x")], ["environment", true]);
  for (const thrown of [new Error("a bug"), "text", undefined, null, 7, { code: 5 }, Object.create(null)]) {
    const fault = Fault.from("op", thrown);
    assert.equal(fault.kind, "environment");
    assert.doesNotMatch(fault.message, /\n\s+at /);
  }
  const same = new Fault("a", "usage", "m", { hint: "h" });
  assert.equal(Fault.from("b", same), same);
});

test("a quota that is used up was called a bug: Node has no name for EDQUOT", () => {
  const said = "Unknown system error -122: Unknown system error -122, write";
  const fault = Fault.from(
    "put",
    Object.assign(new Error(said), { code: "Unknown system error -122", path: "/x" }),
  );
  assert.deepEqual([fault.kind, fault.message], ["environment", "EDQUOT: quota exceeded, write (/x)"]);
});
