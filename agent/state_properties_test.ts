// Properties of what an agent keeps: locks, history and work, in any order of what is done to them, beside simple models.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import type { Db } from "../fs/mod.ts";
import { bytesEqual, type Cbor, decode, encode, generateKeyPair, sha256, VirtualClock } from "../mq/mod.ts";
import { History } from "./history.ts";
import { type Claim, type Held, Keeper } from "./keeper.ts";
import { op, plain } from "./ops_fixture.ts";
import { openAgentDb } from "./schema.ts";
import { opsOf, Wip } from "./wip.ts";

const HOST = generateKeyPair(new VirtualClock(11));
const DOMAIN = sha256(Uint8Array.of(1));

/** Runs `fn` with an agent's database of its own. */
async function withDb(fn: (db: Db) => Promise<void> | void): Promise<void> {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "isconf-properties-"));
  const db = openAgentDb(path.join(dir, "agent.db"));
  try {
    await fn(db);
  } finally {
    db.close();
    fs.rmSync(dir, { recursive: true, force: true });
  }
}

/** What a keeper has promised, and voted for, as simply as can be. */
interface Promised {
  term: number;
  who: string;
  held: boolean;
  accepted: { term: number; seq: number } | undefined;
}

const claimOf = (who: string): Claim => ({
  holder: who,
  holderName: who,
  host: "h",
  hostName: "h",
  message: who,
});

interface Real {
  db: Db;
  keeper: Keeper;
}
type Do = fc.Command<Promised, Real>;

/** After each: what the keeper says is what the model says, and its term has not fallen. */
function compare(model: Promised, { keeper }: Real, before: number): void {
  const now = keeper.holder("main");
  assert.equal(now?.term ?? 0, model.term);
  assert.equal(now?.held ?? false, model.held);
  if (now?.held) assert.equal(now.holder, model.who);
  assert.ok(model.term >= before);
  const accepted = keeper.accepted("main");
  assert.deepEqual(accepted && { term: accepted.term, seq: accepted.seq }, model.accepted);
}

function command(text: string, run: (model: Promised, real: Real) => void): Do {
  return {
    check: () => true,
    run(model, real) {
      const before = model.term;
      run(model, real);
      compare(model, real, before);
    },
    toString: () => text,
  };
}

const promise = (who: string, steal: boolean, after: number | undefined): Do =>
  command(`promise ${who} ${steal} ${after}`, (model, { db, keeper }) => {
    const ask = () =>
      db.write((tx) => keeper.follow(tx, keeper.next("main", claimOf(who), 1, { steal, after })));
    const own = model.held && model.who === who;
    if (model.held && !own && !steal) return assert.throws(ask, { kind: "locked" });
    const told = ask();
    if (!own || (after !== undefined && after >= model.term)) {
      model.term = Math.max(model.term, after ?? 0) + 1;
    }
    Object.assign(model, { who, held: true });
    assert.equal(told.term, model.term);
  });

const accept = (term: number, seq: number): Do =>
  command(`accept ${term} ${seq}`, (model, { db, keeper }) => {
    const proposal = {
      branch: "main",
      epoch: 0,
      seq,
      id: sha256(Uint8Array.of(seq)),
      entry: new Uint8Array(1),
      origin: new Uint8Array(1),
    };
    db.write((tx) => keeper.accept(tx, "main", term, [proposal], { promises: [], past: [] }));
    model.accepted = { term, seq };
    assert.ok(bytesEqual(keeper.accepted("main")!.records[0]![0]!, proposal.entry));
  });

const settle = (seq: number, term: number): Do =>
  command(`settle ${seq} ${term}`, (model, { db, keeper }) => {
    db.write((tx) => keeper.settle(tx, "main", { seq, id: DOMAIN }, term));
    if ((model.accepted?.seq ?? Infinity) <= seq) model.accepted = undefined;
    if (model.term <= term) model.held = false;
  });

const learn = (term: number, who: string, held: boolean): Do =>
  command(`learn ${term} ${who} ${held}`, (model, { db, keeper }) => {
    const heard: Held = { ...claimOf(who), branch: "main", term, held, sinceMs: 1, change: false };
    const isKnown = keeper.holder("main") !== undefined;
    db.write((tx) => keeper.learn(tx, heard));
    if (!isKnown || model.term < term) Object.assign(model, { term, who, held });
    else if (model.term === term) Object.assign(model, { who, held: held && model.held });
  });

const release: Do = command("release", (model, { db, keeper }) => {
  db.write((tx) => keeper.release(tx, "main"));
  model.held = false;
});

const restart: Do = command("restart", (_, real) => {
  real.keeper = new Keeper(real.db, () => HOST);
});

test("property: a keeper's terms never fall, one claim holds it, what it voted for stays known, in any order of all that is asked", async () => {
  const who = fc.constantFrom("alice", "bob", "carol"), term = fc.nat(12);
  await withDb((db) => {
    fc.assert(
      fc.property(
        fc.commands([
          fc.tuple(who, fc.boolean(), fc.option(term, { nil: undefined })).map((args) => promise(...args)),
          fc.tuple(who, fc.boolean(), fc.option(term, { nil: undefined })).map((args) => promise(...args)),
          fc.tuple(term, fc.integer({ min: 1, max: 4 })).map((args) => accept(...args)),
          fc.tuple(fc.nat(4), term).map((args) => settle(...args)),
          fc.tuple(term, who, fc.boolean()).map((args) => learn(...args)),
          fc.constant(release),
          fc.constant(restart),
        ], { size: "+1" }),
        (commands) => {
          db.write((tx) => ["promise", "accepted"].forEach((table) => tx.run(`DELETE FROM ${table}`)));
          const model: Promised = { term: 0, who: "", held: false, accepted: undefined };
          fc.modelRun(() => ({ model, real: { db, keeper: new Keeper(db, () => HOST) } }), commands);
        },
      ),
      { numRuns: 40, seed: 8 },
    );
  });
});

test("property: the history is the rows that were begun, ended and taken back, and what is applied never overtakes", async () => {
  const states: Record<string, string> = {};
  const step = fc.oneof(
    fc.record({ what: fc.constantFrom("intent", "reboot"), seq: fc.integer({ min: 1, max: 6 }) }, plain),
    fc.record(
      { what: fc.constantFrom("done", "failed", "never"), seq: fc.integer({ min: 1, max: 6 }) },
      plain,
    ),
  );
  await withDb((db) => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        db.write((tx) => tx.run("DELETE FROM history"));
        for (const seq of Object.keys(states)) delete states[seq];
        const history = new History(db);
        for (const { what, seq } of steps) {
          db.write((tx) => {
            if (what === "intent" || what === "reboot") {
              history.intent(tx, {
                seq,
                id: sha256(Uint8Array.of(seq)),
                boot: "b",
                startedMs: 1,
                state: what,
              });
              states[seq] = what;
            } else if (what === "never") {
              history.neverStarted(tx, seq);
              if (["intent", "reboot"].includes(states[seq] ?? "")) delete states[seq];
            } else {
              history.ended(tx, seq, { status: what === "done" ? 0 : 3, endedMs: 2 });
              if (states[seq] !== undefined) states[seq] = what;
            }
          });
          const rows = Object.entries(states).map(([seq, state]) => [Number(seq), state]);
          assert.deepEqual(history.range(1, 6).map((row) => [row.seq, row.state]), rows);
          const [last, state] = (rows.at(-1) ?? [0, "done"]) as [number, string];
          assert.equal(history.applied(), state === "done" ? last : last - 1);
          assert.equal(history.last()?.seq ?? 0, last);
          assert.equal(history.at(seq)?.state, states[seq]);
        }
      }),
      { numRuns: 40, seed: 9 },
    );
  });
});

test("property: work is the list of what was added and not dropped, each as it was, in order", async () => {
  const step = fc.record({
    what: fc.constantFrom("add", "add", "done", "change", "drop", "rebase", "move", "dropAll"),
    n: fc.nat(5),
    op,
    author: fc.constantFrom("alice", "bob"),
    value: fc.nat(9),
  }, plain);
  await withDb((db) => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
        const wip = new Wip(db);
        db.write((tx) => wip.dropAll(tx));
        type Item = ReturnType<Wip["items"]>[number];
        let items: Item[] = [];
        for (const { what, n, op, author, value } of steps) {
          const at = items[n % (items.length || 1)];
          db.write((tx) => {
            if (what === "add") {
              const base = {
                branch: "main",
                term: 1,
                baseSeq: 0,
                baseId: DOMAIN,
                uid: 0,
                message: "m",
                boot: "b",
                startedMs: 1,
              };
              const item = { ...base, author, op, state: "intent" as const };
              items.push({
                ...{ ...item, n: wip.add(tx, item) },
                ...{ endedMs: null, status: null, execution: null, effects: null },
              });
            } else if (what === "rebase") {
              wip.rebase(tx, value, sha256(Uint8Array.of(value)));
              items = items.map((one) => ({ ...one, baseSeq: value, baseId: sha256(Uint8Array.of(value)) }));
            } else if (what === "move") {
              wip.moveTo(tx, value);
              items = items.map((one) => ({ ...one, term: value }));
            } else if (what === "dropAll") {
              if (value > 0) return;
              wip.dropAll(tx);
              items = [];
            } else if (at === undefined) return;
            else if (what === "done") {
              wip.done(tx, at.n, { endedMs: 2, status: value });
              Object.assign(at, { state: "done", endedMs: 2, status: value });
            } else if (what === "change") {
              const effects = value % 2 === 0 ? null : { op: "effects" as const, list: DOMAIN, paths: value };
              wip.complete(tx, at.n, op, effects);
              Object.assign(at, { op, effects });
            } else {
              wip.drop(tx, at.n);
              items = items.filter((one) => one !== at);
            }
          });
          const bared = (all: Item[]) =>
            all.map((one) => ({
              ...one,
              ops: decode(encode(opsOf(one) as unknown as Cbor)),
              op: 0,
              effects: 0,
            }));
          assert.deepEqual(bared(wip.items().map((one) => ({ ...one }))), bared(items));
          assert.equal(wip.count(), items.length);
          for (const who of ["alice", "bob"]) {
            const own = items.filter((one) => one.author === who);
            const lost = own.find((one) => one.term !== value);
            const told = wip.heldBy(who, value);
            assert.equal(told.count, own.length);
            assert.deepEqual(
              told.lost && { ...told.lost },
              lost && { term: lost.term, baseSeq: lost.baseSeq },
            );
          }
        }
      }),
      { numRuns: 40, seed: 10 },
    );
  });
});
