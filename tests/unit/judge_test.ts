// judge: what the judges of tests/judge accept and refuse: histories made from a run of the model, and the same broken on
// purpose. Where there is no Z3 and no Porcupine nothing is judged, and that is said.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type History, type Operation, takenBack } from "../judge/history.ts";
import { judgeByPorcupine, lacksPorcupine } from "../judge/porcupine.ts";
import { judge, lacksSolver } from "../judge/solver.ts";

const judges = [
  { name: "Z3", lacks: lacksSolver(), judge },
  { name: "Porcupine", lacks: lacksPorcupine(), judge: judgeByPorcupine },
];

/** A test for each judge; skipped, with the reason printed, where it is not. */
function judged(name: string, fn: (judge: (history: History) => Promise<boolean>) => Promise<void>): void {
  for (const one of judges) {
    const title = `${one.name}: ${name}`;
    if (one.lacks) console.log(`skipped: ${title}: ${one.lacks}`);
    test(title, { skip: one.lacks }, () => fn(async (h) => (await one.judge(h)).isLinearizable));
  }
}

/** Times in a row: each operation is over before the next begins, unless it says otherwise. */
function history(
  final: string[],
  ...operations: (Partial<Operation> & Pick<Operation, "client" | "op">)[]
): History {
  return { final, operations: operations.map((o, i) => ({ callUs: 10 * i, returnUs: 10 * i + 5, ...o })) };
}
const lock = (client: string, term: number, length: number, last: string, more: Partial<Operation> = {}) => ({
  client,
  op: "lock" as const,
  term,
  length,
  last,
  ...more,
});
const ci = (client: string, from: number, ids: string[], more: Partial<Operation> = {}) => ({
  client,
  op: "ci" as const,
  from,
  ids,
  ...more,
});
const never = { returnUs: null };

const SOUND: Record<string, History> = {
  "nothing happened": history([]),
  "two take turns": history(
    ["a", "b", "c"],
    lock("x", 1, 0, ""),
    ci("x", 1, ["a", "b"]),
    lock("y", 2, 2, "b"),
    ci("y", 3, ["c"]),
  ),
  "given back, taken, dropped": history(
    [],
    lock("x", 1, 0, ""),
    { client: "x", op: "unlock" },
    lock("y", 5, 0, ""),
    lock("y", 5, 0, ""),
    { client: "y", op: "drop" },
    { client: "x", op: "drop" },
    lock("x", 6, 0, ""),
  ),
  "stolen, and the first never checks in": history(
    ["b"],
    lock("x", 1, 0, ""),
    { client: "x", op: "ci", ids: ["a"], ...never },
    lock("y", 2, 0, "", { steal: true }),
    ci("y", 1, ["b"]),
  ),
  "an unknown check-in that the next one finds": history(
    ["a", "b"],
    lock("x", 1, 0, ""),
    { client: "x", op: "ci", ids: ["a"], ...never },
    lock("y", 2, 1, "a"),
    ci("y", 2, ["b"]),
  ),
  "an unknown check-in that nobody saw who locked next, and that whoever locked then had to finish": history(
    ["a", "b"],
    lock("x", 1, 0, ""),
    { client: "x", op: "ci", ids: ["a"], ...never },
    lock("y", 2, 0, "", { steal: true }),
    lock("z", 3, 1, "a", { steal: true }),
    ci("z", 2, ["b"]),
  ),
  "a check-in asked for again, and finished by somebody else": history(
    ["a"],
    lock("x", 1, 0, ""),
    ci("x", 1, ["a"], { callUs: 10, returnUs: 100, again: true }),
    lock("y", 2, 0, "", { steal: true }),
    lock("z", 3, 1, "a", { steal: true }),
  ),
  "an unknown lock that was one": history([], { client: "x", op: "lock", ...never }, {
    client: "x",
    op: "unlock",
  }),
  "an unknown lock that was none": history([], { client: "x", op: "lock", ...never }, lock("y", 1, 0, ""), {
    client: "y",
    op: "unlock",
  }),
  "a try to steal that freed the lock, and was given back": {
    final: [],
    operations: [
      ...history(
        [],
        lock("x", 1, 0, ""),
        lock("y", 4, 0, "", { steal: true, callUs: 10, returnUs: 50 }),
        lock("z", 3, 0, "", { callUs: 20, returnUs: 40 }),
      ).operations,
      ...takenBack("y~1", 10),
    ],
  },
  "an unknown unlock that came late": history(
    [],
    lock("x", 1, 0, ""),
    { client: "x", op: "unlock", ...never },
    lock("x", 1, 0, ""),
    lock("y", 2, 0, ""),
  ),
  "at the same time, in the other order": history(
    ["a"],
    lock("y", 2, 1, "a", { callUs: 0, returnUs: 100 }),
    lock("x", 1, 0, "", { callUs: 10, returnUs: 20 }),
    ci("x", 1, ["a"], { callUs: 30, returnUs: 40 }),
  ),
};

const BROKEN: Record<string, History> = {
  "two holders": history([], lock("x", 1, 0, ""), lock("y", 2, 0, "")),
  "two holders at the same time": history(
    [],
    lock("x", 1, 0, "", { callUs: 0, returnUs: 20 }),
    lock("y", 2, 0, "", { callUs: 10, returnUs: 30 }),
  ),
  "two holders, and the try to steal comes too late to be why": {
    final: [],
    operations: [
      ...history([], lock("x", 1, 0, ""), lock("z", 3, 0, "")).operations,
      ...takenBack("y~1", 20),
    ],
  },
  "two holders, and the try to steal was of an earlier lock": {
    final: [],
    operations: [
      ...history(
        [],
        lock("w", 1, 0, ""),
        lock("x", 3, 0, "", { steal: true, callUs: 20, returnUs: 25 }),
        lock("y", 4, 0, "", { steal: true, callUs: 30, returnUs: 35 }),
        lock("z", 5, 0, "", { callUs: 40, returnUs: 45 }),
      ).operations,
      { client: "v~1", op: "drop", callUs: 10, returnUs: null },
    ],
  },
  "a lost check-in": history(
    ["b"],
    lock("x", 1, 0, ""),
    ci("x", 1, ["a"]),
    lock("y", 2, 0, ""),
    ci("y", 1, ["b"]),
  ),
  "a check-in that the next one does not see": history(
    ["a"],
    lock("x", 1, 0, ""),
    ci("x", 1, ["a"]),
    lock("y", 2, 0, ""),
    { client: "y", op: "unlock" },
  ),
  "a stale read": history(["a"], lock("x", 1, 0, ""), ci("x", 1, ["a"]), {
    client: "y",
    op: "read",
    length: 0,
    last: "",
  }),
  "an entry that appears and vanishes": history(
    ["b"],
    lock("x", 1, 0, ""),
    { client: "x", op: "ci", ids: ["a"], ...never },
    lock("y", 2, 1, "a", { steal: true }),
    { client: "y", op: "unlock" },
    lock("z", 3, 0, ""),
    ci("z", 1, ["b"]),
  ),
  "a check-in without the lock": history(["a"], ci("x", 1, ["a"])),
  "a check-in under a stolen lock": history(
    ["a"],
    lock("x", 1, 0, ""),
    lock("y", 2, 0, "", { steal: true }),
    ci("x", 1, ["a"]),
    { client: "y", op: "unlock" },
  ),
  "an entry that appears when its time is over": history(
    ["b", "a"],
    lock("x", 1, 0, ""),
    { client: "x", op: "ci", from: 1, ids: ["a"], ...never },
    lock("y", 2, 0, "", { steal: true }),
    ci("y", 1, ["b"]),
    lock("z", 3, 2, "a"),
  ),
  "a check-in without an answer beside that of who has the lock": history(
    ["a", "b"],
    lock("x", 1, 0, ""),
    { client: "x", op: "ci", ids: ["a"], ...never },
    lock("y", 2, 0, "", { steal: true }),
    ci("y", 2, ["b"]),
  ),
  "a term again": history([], lock("x", 1, 0, ""), { client: "x", op: "unlock" }, lock("y", 1, 0, "")),
  "a term that falls": history([], lock("x", 2, 0, ""), { client: "x", op: "unlock" }, lock("x", 1, 0, "")),
  "half a check-in": history(["a"], lock("x", 1, 0, ""), ci("x", 1, ["a", "b"])),
  "another order than was told": history(["b", "a"], lock("x", 1, 0, ""), ci("x", 1, ["a", "b"])),
  "an unlock of nothing": history([], { client: "x", op: "unlock" }),
  "an entry of nobody": history(["a"], lock("x", 1, 0, "")),
};

judged("every sound history is accepted, with unknown outcomes either way", async (isLinearizable) => {
  for (const [name, one] of Object.entries(SOUND)) assert.equal(await isLinearizable(one), true, name);
});

judged(
  "two holders, a lost check-in, a stale read, a ghost and their like are refused",
  async (isLinearizable) => {
    for (const [name, one] of Object.entries(BROKEN)) assert.equal(await isLinearizable(one), false, name);
  },
);

/** A random number generator whose numbers are all in an array. */
type Draw = (n: number) => number;

/** A run of the model by four clients, and what each was told; times overlap, and some are told nothing. */
function sound(draw: Draw, length: number): History {
  const clients = ["w", "x", "y", "z"];
  const free = clients.map(() => 0);
  const operations: Operation[] = [];
  const final: string[] = [];
  let holder = "", term = 0, nowUs = 0;
  for (let i = 0; i < length; i++) {
    const k = holder !== "" && draw(3) > 0 ? clients.indexOf(holder) : draw(clients.length);
    const client = clients[k] as string;
    nowUs = Math.max(nowUs + 1, free[k]! + 1) + draw(5);
    const callUs = Math.max(free[k]! + 1, nowUs - draw(30));
    const returnUs = draw(8) === 0 ? null : nowUs + draw(30);
    free[k] = returnUs ?? nowUs;
    const at = { client, callUs, returnUs };
    if (holder === client && draw(3) > 0) {
      const ids = Array.from({ length: 1 + draw(3) }, (_, n) => `${client}${i}.${n}`);
      operations.push({ ...at, op: "ci", ids, ...(returnUs === null ? {} : { from: final.length + 1 }) });
      final.push(...ids);
      holder = "";
    } else if (holder === client) {
      operations.push({ ...at, op: draw(2) === 0 ? "unlock" : "drop" });
      holder = "";
    } else {
      const steal = holder !== "";
      term += 1 + draw(3);
      holder = client;
      const told = { term, length: final.length, last: final.at(-1) ?? "" };
      operations.push({ ...at, op: "lock", steal, ...(returnUs === null ? {} : told) });
    }
  }
  return { operations, final };
}

/** Breaks one answer of a history. */
const BREAKS: ((operations: Operation[], final: string[], draw: Draw) => boolean)[] = [
  (operations, _, draw) => { // a check-in is told another place
    const told = operations.filter((o) => o.op === "ci" && o.returnUs !== null);
    const one = told[draw(told.length || 1)];
    return one !== undefined && (one.from! += 1, true);
  },
  (operations, final, draw) => { // a lock has not seen the last entry, or one too many
    const seen = operations.filter((o) => o.op === "lock" && (o.length ?? 0) > 0);
    const one = seen[draw(seen.length || 1)];
    if (one === undefined) return false;
    // What was seen before the last check-in began to be made is stale for sure only if that was over by then.
    const before = operations.find((o) =>
      o.op === "ci" && o.returnUs !== null && o.returnUs < one.callUs &&
      o.from! + o.ids!.length - 1 === one.length
    );
    if (before === undefined) return false;
    one.length = before.from! - 1;
    one.last = final[one.length - 1] ?? "";
    return true;
  },
  (operations, final) => { // an entry has vanished from the end
    const last = operations.findLast((o) => o.op === "ci");
    return last !== undefined && last.returnUs !== null && (final.splice(-last.ids!.length), true);
  },
];

judged(
  "histories of a run of the model are accepted, and refused with one answer broken",
  async (isLinearizable) => {
    let broken = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.infiniteStream(fc.nat(1_000_000)),
        fc.nat(40),
        fc.nat(),
        async (stream, length, which) => {
          const draw: Draw = (n) => (stream.next().value as number) % n;
          const made = sound(draw, length);
          assert.equal(await isLinearizable(made), true);
          const { operations, final } = structuredClone(made);
          if (!BREAKS[which % BREAKS.length]!(operations, final, draw)) return;
          broken++;
          assert.equal(await isLinearizable({ operations, final }), false);
        },
      ),
      { numRuns: 25, seed: 1993 },
    );
    assert.ok(broken > 8, `only ${broken} were broken`);
  },
);

const both = lacksSolver() || lacksPorcupine();
if (both) console.log(`skipped: the judges agree about histories of chance: ${both}`);
test("the judges agree about histories of chance", { skip: both }, async () => {
  const said = { yes: 0, no: 0 };
  await fc.assert(
    fc.asyncProperty(fc.infiniteStream(fc.nat(1_000_000)), fc.nat(12), async (stream, length) => {
      const draw: Draw = (n) => (stream.next().value as number) % n;
      const { operations, final } = sound(draw, length + 2);
      const one = operations[draw(operations.length)] as Operation;
      const change = draw(5);
      if (change === 0) one.client = ["w", "x", "y", "z"][draw(4)] as string;
      if (change === 1) one.callUs -= draw(40);
      if (change === 2 && one.returnUs !== null) {
        one.returnUs = Math.max(one.callUs + 1, one.returnUs - draw(30));
      }
      if (change === 3) one.steal = !one.steal;
      if (change === 4) operations.splice(operations.indexOf(one), 1);
      const [a, b] = [await judge({ operations, final }), await judgeByPorcupine({ operations, final })];
      assert.equal(a.isLinearizable, b.isLinearizable, JSON.stringify({ operations, final }));
      said[a.isLinearizable ? "yes" : "no"]++;
    }),
    { numRuns: 100, seed: 2017 },
  );
  assert.ok(said.yes > 20 && said.no > 20, JSON.stringify(said));
});
