// The simulation's database beside SQLite: the agent's own statements, at random, give the same on both.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { test } from "node:test";
import { type Engine, makeEngine, type Mesh, openAgentDb, setMeta } from "../../agent/mod.ts";
import { Db } from "../../fs/mod.ts";
import { keyPairFromSecret, VirtualClock } from "../../mq/mod.ts";
import Database, { Disk, insert } from "./disk.ts";
import { Chance } from "./kernel.ts";
import { define } from "./table.ts";

const TABLES = [
  "meta",
  "promise",
  "wip",
  "history",
  "execution",
  "execution_link",
  "proof",
  "accepted",
  "signed",
];
const stepsMax = 600;

const nobody: Mesh = {
  peers: () => [],
  ask: () => Promise.reject(new Error("nobody is there")),
  publish: () => {},
  answer: () => {},
  onRumour: () => {},
  onPeer: () => {},
};

function engineOver(db: Db): Engine {
  const key = () => keyPairFromSecret(new Uint8Array(32).fill(1));
  return makeEngine({ db, key, clock: new VirtualClock(1), mesh: nobody, settleMs: 0, log: () => {} });
}

/** One step, the same on each database; what comes of it. */
function step({ keeper, wip, history, executions, journal }: Engine, db: Db, chance: Chance): unknown {
  const branch = chance.one(["main", "side"]);
  const id = chance.bytes(32);
  const seq = chance.from(1, 8);
  const who = chance.one(["a", "b"]);
  const claim = { holder: who, holderName: who, host: who, hostName: who, message: "why" };
  const at = { seq, id, boot: "b", startedMs: chance.below(1000) };
  const item = { branch, term: seq, baseSeq: seq, baseId: id, author: who, uid: 0, message: "why" };
  const asked = {
    verb: "up",
    user: who,
    source: null,
    person: who,
    as: who,
    file: "",
    argv: [who],
    cwd: "/",
    rule: "",
  };
  switch (chance.below(16)) {
    case 0:
      return db.write((tx) =>
        keeper.follow(tx, keeper.next(branch, claim, seq, { steal: chance.is(0.7), after: seq }))
      );
    case 1:
      return db.write((tx) => keeper.release(tx, branch, id));
    case 2:
      return db.write((tx) => keeper.settle(tx, branch, { seq, id }, seq));
    case 3:
      return db.write((tx) => keeper.keepSaid(tx, branch, id));
    case 4:
      return [keeper.holder(branch), keeper.said(branch), keeper.freed(branch), keeper.accepted(branch)];
    case 5:
      return db.write((tx) =>
        wip.add(tx, { ...item, op: { op: "reboot" }, state: "intent", boot: "b", startedMs: seq })
      );
    case 6:
      return db.write((tx) => wip.done(tx, seq, { endedMs: seq, status: 0 }));
    case 7:
      return [wip.items(), wip.count(), wip.heldBy(who, seq), wip.heldBy(who, undefined)];
    case 8:
      return db.write((tx) => history.intent(tx, at));
    case 9:
      return db.write((tx) => history.ended(tx, seq, { status: chance.below(2), endedMs: seq }));
    case 10:
      return db.write((tx) => executions.begin(tx, { ...asked, uid: 1 }, chance.is(0.5) ? at : undefined));
    case 11:
      return db.write((tx) => executions.ended(tx, seq, { status: seq % 2, endedMs: seq, output: id }));
    case 12:
      return db.write((tx) =>
        chance.is(0.5) ? executions.neverStarted(tx, seq, who) : executions.becameEntry(tx, seq, at)
      );
    case 13:
      for (let i = 0; i < 40; i++) executions.refused({ ...asked, uid: 2 }, who);
      return [executions.newest(9), executions.newest(9, 2), executions.at(seq), executions.outputOf(id)];
    case 14:
      return [
        history.last(),
        history.at(seq),
        history.range(2, 6),
        history.applied(),
        journal.forks.all(),
      ];
    default:
      return db.write((tx) => {
        setMeta(tx, "host_name", chance.is(0.5) ? who : undefined);
        if (chance.is(0.3)) wip.drop(tx, seq);
        if (chance.is(0.3)) history.neverStarted(tx, seq);
        if (chance.is(0.3)) throw new RangeError("taken back");
      });
  }
}

const outcomeOf = (fn: () => unknown): unknown => {
  try {
    return fn();
  } catch (e) {
    return (e as Error).message;
  }
};

test("the agent's statements give the same on SQLite and in the simulation", () => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "isconf-"));
  const real = openAgentDb(path.join(dir, "agent.db"));
  try {
    const disk = new Disk();
    const master = "SELECT sql FROM sqlite_master WHERE type = 'table' AND name <> 'sqlite_sequence'";
    for (const { sql } of real.read((r) => r.all<{ sql: string }>(master))) define(sql, disk.tables);
    insert(disk);
    const twin = new Db(new Database() as unknown as ConstructorParameters<typeof Db>[0], "twin");
    const engines = [real, twin].map(engineOver) as [Engine, Engine];
    for (let n = 0; n < stepsMax; n++) {
      const [a, b] = [real, twin].map((db, i) =>
        outcomeOf(() => step(engines[i] as Engine, db, new Chance(n, 1)))
      );
      assert.deepEqual(b, a, `step ${n}`);
    }
    for (const table of TABLES) {
      const rows = (db: Db) =>
        db.read((r) => r.all(`SELECT * FROM ${table}`)).map((row) => JSON.stringify(row)).sort();
      assert.deepEqual(rows(twin), rows(real), table);
    }
  } finally {
    real.close();
    fs.rmSync(dir, { recursive: true });
  }
});
