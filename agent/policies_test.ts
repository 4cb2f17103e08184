// journal, trust: what thousands of hosts and persons cost whoever keeps what the control journal has said.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { test } from "node:test";
import { encode, fromHex, generateKeyPair, keyId, systemClock } from "../mq/mod.ts";
import { type Entry, ENTRY_LEVEL, type Op, sealEntry } from "./entry.ts";
import { Journal } from "./journal.ts";
import { CONTROL } from "./names.ts";
import { openAgentDb } from "./schema.ts";

const MIB = 1024 * 1024;
const newKey = () => generateKeyPair(systemClock);

/** A database with a control journal of `n` entries: the first, and then in turns a host and a person on it. */
function controlOf(t: { after(fn: () => void): void }, n: number) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "isconf-"));
  const db = openAgentDb(path.join(dir, "agent.db"));
  t.after(() => {
    db.close();
    fs.rmSync(dir, { recursive: true });
  });
  const [root, self] = [newKey(), newKey()];
  const none = new Uint8Array(0);
  const ids: Uint8Array[] = [];
  const opsOf = (seq: number): Op[] => {
    if (seq === 1) {
      return [
        { op: "roots", keys: [root.publicKey], threshold: 1 },
        { op: "host", key: self.publicKey, net: newKey().publicKey, name: "host1" },
        { op: "keepers", hosts: [fromHex(keyId(self.publicKey))], quorum: 1, cuts: {}, terms: {} },
        { op: "grant", key: fromHex(keyId(root.publicKey)), role: "owner", branch: "*" },
        { op: "branch", name: "main", from: null },
      ];
    }
    const key = newKey().publicKey;
    if (seq % 2 === 0) return [{ op: "host", key, net: newKey().publicKey, name: `host${seq}` }];
    const grant: Op = { op: "grant", key: fromHex(keyId(key)), role: "append", branch: "main" };
    return [{ op: "person", key, name: `eve@host${seq - 1}` }, grant];
  };
  db.write((tx) => {
    for (let seq = 1; seq <= n; seq++) {
      const prev = ids.at(-1) ?? none;
      const entry: Entry = {
        level: ENTRY_LEVEL,
        domain: ids[0] ?? none,
        branch: CONTROL,
        epoch: 0,
        seq,
        prev,
        term: 0,
        policy: prev,
        timeMs: 1,
        author: fromHex(keyId(root.publicKey)),
        origin: fromHex(keyId(self.publicKey)),
        message: "more",
        ops: opsOf(seq),
      };
      const { id, entry: bytes, origin } = sealEntry(entry, root, self);
      tx.run("INSERT INTO entry VALUES (?, ?, 0, ?, ?, ?, ?)", CONTROL, seq, id, bytes, origin, encode([]));
      ids.push(id);
    }
  });
  return { db, ids };
}

/** Follows the journal; returns it, the milliseconds that took, and the bytes that it made the heap grow by. */
function followed(db: ConstructorParameters<typeof Journal>[0]) {
  const [beforeBytes, beforeMs] = [process.memoryUsage().heapUsed, systemClock.now()];
  const journal = new Journal(db);
  const ms = systemClock.now() - beforeMs;
  return { journal, ms, bytes: process.memoryUsage().heapUsed - beforeBytes };
}

test("2,000 control entries are followed in bounded time and memory, and each policy is still there", (t) => {
  const { db, ids } = controlOf(t, 2000);
  const { journal, ms, bytes } = followed(db);
  console.log(`2,000 control entries: ${Math.round(ms)} ms, ${(bytes / MIB).toFixed(1)} MiB`);
  assert.ok(bytes < 50 * MIB, `the heap grew by ${(bytes / MIB).toFixed(1)} MiB`);
  assert.ok(ms < 5000, `${ms} ms`);
  const beforeMs = systemClock.now();
  for (const [i, id] of ids.entries()) {
    const policy = journal.policyAt(id);
    assert.equal(policy?.seq, i + 1);
    assert.equal(policy?.hosts.size, 1 + Math.floor((i + 1) / 2));
    assert.equal(policy?.persons.size, Math.floor(i / 2));
  }
  assert.ok(systemClock.now() - beforeMs < 1000, "none is looked for in all of them");
  assert.equal([...journal.needPolicy("test").hosts].length, 1001);
});

test("four times the control entries take no sixteen times the time", (t) => {
  const [few, many] = [controlOf(t, 1000), controlOf(t, 4000)];
  followed(few.db); // once, so that neither is the first
  const [one, four] = [followed(few.db), followed(many.db)];
  console.log(`1,000: ${Math.round(one.ms)} ms; 4,000: ${Math.round(four.ms)} ms`);
  assert.ok(four.ms < 8 * one.ms, `${four.ms / one.ms} times`);
});
