// chain: of the record of commands no byte is changed, no row put in and none taken away without log --verify saying so; what the agent
// itself takes away because it is old is no fault.
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import * as fs from "node:fs";
import { test } from "node:test";
import type { Param, Reader } from "../fs/mod.ts";
import { faultOf, makeFirstHost, run, type TestHost } from "../tests/world.ts";
import { runVerb } from "./api_verbs.ts";
import { auditFile } from "./audit.ts";
import { executionsPerUidMax, executionsPruneEach } from "./limits.ts";
import { VERBS } from "./verbs/mod.ts";

type Cells = Record<string, Param>;
type Test = Parameters<typeof makeFirstHost>[0];

const verb = (name: string) => VERBS.find((one) => one.name === name)!;
const wrongOf = (host: TestHost, uid?: number) => host.agent.host.executions.check(uid).wrong;
const rowsOf = (host: TestHost, table: string): Cells[] =>
  host.agent.host.db.read((r: Reader) => r.all<Cells>(`SELECT * FROM ${table} ORDER BY 1`));
const edit = (host: TestHost, sql: string, ...params: Param[]) =>
  host.agent.host.db.write((tx) => tx.run(sql, ...params).changes);

/** A host with a bit of everything on record: done, failed, refused, an entry, something replayed, something uncertain. */
async function makeRecorded(t: Test): Promise<TestHost> {
  const host = await makeFirstHost(t, { policy: "permit root\n" });
  await host.acts.locks.lock(host.call(), "why");
  await run(host, ["/bin/sh", "-c", "echo said"]);
  await run(host, ["/bin/sh", "-c", "exit 3"]);
  await faultOf(() =>
    runVerb(host.call(4321, "eve"), verb("exec"), { command: ["id"], callerEnv: {}, env: [] })
  );
  await host.acts.checkin.ci(host.call());
  const { executions, db } = host.agent.host;
  const asked = executions.newest(1)[0]!;
  db.write((tx) => {
    const n = executions.begin(tx, asked, { seq: 9, id: new Uint8Array(32) });
    executions.ended(tx, n, { status: 0, endedMs: 7, output: Buffer.from("out") });
    executions.begin(tx, { ...asked, uid: 1001, user: "alice" });
  });
  return host;
}

/** Every value that differs from this one in a byte; of nothing, something. */
function* changed(value: Param): Generator<Param> {
  if (typeof value === "number") yield value + 1;
  else if (value === null) yield* [1, "x", new Uint8Array(1)];
  else if (typeof value === "string") {
    for (let i = 0; i < value.length; i++) {
      yield value.slice(0, i) + (value[i] === "x" ? "y" : "x") + value.slice(i + 1);
    }
    yield `${value}x`;
  } else {
    const bytes = value as Uint8Array;
    for (let i = 0; i < bytes.length; i++) yield bytes.map((byte, at) => at === i ? byte ^ 1 : byte);
    yield new Uint8Array([...bytes, 0]);
  }
}

test("log --verify finds each single-byte change, in any column of any row of the record or of its chain", async (t) => {
  const host = await makeRecorded(t);
  assert.deepEqual(wrongOf(host), []);
  let tried = 0;
  for (const table of ["execution", "execution_link"]) {
    const [key] = Object.keys(rowsOf(host, table)[0]!) as [string];
    for (const row of rowsOf(host, table)) {
      for (const [column, value] of Object.entries(row)) {
        for (const other of changed(value)) {
          const where = column === key ? other : row[key]!;
          try {
            edit(host, `UPDATE ${table} SET ${column} = ? WHERE ${key} = ?`, other, row[key]!);
          } catch {
            continue; // a value that the table does not take
          }
          tried++;
          assert.notDeepEqual(
            wrongOf(host),
            [],
            `${table}.${column} of ${row[key]}: ${value} became ${other}`,
          );
          edit(host, `UPDATE ${table} SET ${column} = ? WHERE ${key} = ?`, value, where);
        }
      }
    }
  }
  assert.ok(tried > 1_000, `${tried}`);
  assert.deepEqual(wrongOf(host), []);
});

test("a row put in, taken away, or taken away with all its links; the newest cut off", async (t) => {
  const host = await makeRecorded(t);
  const ns = rowsOf(host, "execution").map(({ n }) => n as number);
  const tables = ["execution", "execution_link"].map((table) => [table, rowsOf(host, table)] as const);
  const back = () => {
    for (const [table, rows] of tables) {
      edit(host, `DELETE FROM ${table}`);
      for (const row of rows) {
        const marks = Object.keys(row).map(() => "?").join(", ");
        edit(host, `INSERT INTO ${table} VALUES (${marks})`, ...Object.values(row));
      }
    }
    assert.deepEqual(wrongOf(host), []);
  };
  for (const n of ns) {
    edit(host, "DELETE FROM execution WHERE n = ?", n);
    assert.match(wrongOf(host).join(), new RegExp(`command ${n} was taken away`));
    edit(host, "DELETE FROM execution_link WHERE n = ?", n);
    const isAlone = tables[1]![1].filter((link) => link.n !== n).every((link) =>
      link.line !== tables[1]![1].find((one) => one.n === n)!.line
    );
    if (!isAlone || n === ns.at(-1)) assert.notDeepEqual(wrongOf(host), [], `${n} with its links`);
    back();
  }
  edit(
    host,
    "INSERT INTO execution SELECT 99, " + Object.keys(tables[0]![1][0]!).slice(1).join(", ") +
      " FROM execution WHERE n = 1",
  );
  assert.match(wrongOf(host).join(), /command 99 was put in/);
  back();
  const last = Math.max(...tables[1]![1].map(({ i }) => i as number));
  edit(host, "DELETE FROM execution_link WHERE i = ?", last);
  assert.match(wrongOf(host).join(), /the newest of what was recorded was taken away/);
});

test("root rewrites all of it: the value that journald, or the file, was told is not in it any more", async (t) => {
  const host = await makeRecorded(t);
  const told = fs.readFileSync(auditFile(host.home), "utf8").trim().split("\n").map((line) =>
    JSON.parse(line).ISCONF_CHAIN
  );
  assert.ok(told.length >= 5);
  const check = (chain?: string) =>
    runVerb(host.call(), verb("log"), { verify: true, ...(chain && { chain }) });
  for (const chain of told) {
    assert.match(chain, /^[0-9a-f]{64}$/);
    await check(chain);
  }
  const { executions, db } = host.agent.host;
  const rows = executions.newest(100);
  edit(host, "DELETE FROM execution");
  edit(host, "DELETE FROM execution_link");
  edit(host, "DELETE FROM sqlite_sequence WHERE name LIKE 'execution%'");
  db.write((tx) => {
    for (const row of rows) executions.begin(tx, { ...row, argv: ["/bin/true"] });
  });
  await check();
  for (const chain of told) {
    const fault = await faultOf(() => check(chain));
    assert.deepEqual([fault.kind, fault.exit], ["corrupt", 226]);
    assert.match(fault.message, /nothing that was recorded has the value/);
  }
  for (const bad of ["", "x", told[0].slice(1), `${told[0]}0`, "../../etc/passwd"]) {
    if (bad !== "") assert.equal((await faultOf(() => check(bad))).kind, "usage", bad);
  }
});

test("each checks their own; what is old enough to go is no fault, and what a slow command says late is none", async (t) => {
  const host = await makeRecorded(t);
  const { executions, db } = host.agent.host;
  const asked = { ...executions.newest(1)[0]!, uid: 1002, user: "bob", argv: ["/bin/true"] };
  const end = { status: 0, endedMs: 1, output: new Uint8Array(0) };
  const slow = db.write((tx) => executions.begin(tx, asked));
  let entry = 0;
  const count = executionsPerUidMax + 3 * executionsPruneEach;
  for (let from = 0; from < count; from += executionsPruneEach) {
    db.write((tx) => {
      for (let i = from; i < from + executionsPruneEach; i++) {
        const n = executions.begin(tx, asked);
        if (i % 2 > 0) executions.ended(tx, n, end);
        if (i % 500 === 0) {
          executions.becameEntry(tx, n, { seq: ++entry, id: new Uint8Array(32).fill(entry) });
        }
        if (i === executionsPerUidMax) executions.ended(tx, slow, end);
      }
    });
  }
  assert.ok(executions.newest(10_000, 1002).length < executionsPerUidMax + 2 * executionsPruneEach);
  assert.deepEqual(wrongOf(host), []);
  const newest = executions.newest(1, 1002)[0]!.n;
  edit(host, "UPDATE execution SET cwd = 'x' WHERE n = ?", newest);
  assert.deepEqual(wrongOf(host), [`command ${newest} was changed`]);
  assert.deepEqual([wrongOf(host, 1002).length, wrongOf(host, 1001)], [1, []]);
  await runVerb(host.call(1001, "alice"), verb("log"), { verify: true }).catch((e) =>
    assert.equal(e.kind, "denied")
  );
  const middle = executions.newest(100, 1002)[0]!.n;
  edit(host, "DELETE FROM execution WHERE n = ?", middle);
  edit(host, "DELETE FROM execution_link WHERE n = ?", middle);
  assert.match(wrongOf(host).join(), /something before command \d+ was taken away/);
});

test("what was on record before there was a chain is counted apart, and goes on without links", async (t) => {
  const host = await makeRecorded(t);
  const newest = rowsOf(host, "execution").at(-1)!.n as number;
  edit(host, "DELETE FROM execution_link");
  edit(host, "DELETE FROM sqlite_sequence WHERE name = 'execution_link'");
  edit(host, "INSERT INTO meta VALUES ('record', ?)", String(newest));
  const { executions, db } = host.agent.host;
  db.write((tx) => executions.ended(tx, newest, { status: 1, endedMs: 1, output: new Uint8Array(0) }));
  await host.acts.locks.lock(host.call(), "again");
  await run(host, ["/bin/true"]);
  const { count, older, wrong } = executions.check();
  assert.deepEqual([count - older, wrong], [1, []]);
});
