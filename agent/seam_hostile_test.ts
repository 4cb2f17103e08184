// seam, the half that answers is compromised: each request that root makes of it, answered in every wrong way. Root is given
// what is right or a fault that says what is wrong, nothing of it is kept, and it goes on. What net asks: seam_forged_test.ts.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Id, putFile } from "../fs/mod.ts";
import {
  type Cbor,
  concat,
  encode,
  encodeFrame,
  Fault,
  faultTextMax,
  KINDS,
  sha256,
  sleep,
  systemClock,
  toHex,
} from "../mq/mod.ts";
import { makeFirstHost, type TestHost, until } from "../tests/world.ts";
import { addOther, allOf } from "./fixture.ts";
import { NET_REQUESTS, type NetRequest, type ShelfRow } from "./seam.ts";
import { SeamCells } from "./seam_cells.ts";
import { filesBelow, type Half, Halves, type Lie, TYPE } from "./seam_fixture.ts";

const bytes = new TextEncoder().encode("an object");
const id: Id = toHex(sha256(bytes));
const absent: Id = "0".repeat(64);
const ESCAPES = "\x1b]0;owned\x07\x1b[2J\u202e\r\n\x9b31m";

interface World {
  a: TestHost;
  halves: Halves;
  /** A file of the store, and a host of the domain that is nowhere. */
  root: Id;
  other: string;
  cells: SeamCells;
}

async function makeWorld(t: Parameters<typeof makeFirstHost>[0]): Promise<World> {
  const halves = new Halves();
  const a = await makeFirstHost(t, { openSeam: halves.openSeam });
  const { store, shelf } = a.agent.host;
  const b = await addOther(a, "hostb");
  await a.agent.host.settleMesh();
  await store.put([bytes]);
  const { id: root } = await putFile(store, ReadableStream.from([new TextEncoder().encode("a file")]));
  await shelf.add({ id: root, label: "file", uid: 0, pinned: false });
  return { a, halves, root, other: b.id, cells: new SeamCells(halves.ask) };
}

const isRow = (row: ShelfRow | undefined) => {
  if (row === undefined) return;
  assert.match(row.id, /^[0-9a-f]{64}$/);
  assert.match(row.sha256, /^([0-9a-f]{64})?$/);
  assert.ok(["file", "tree"].includes(row.kind) && typeof row.label === "string");
  for (const n of [row.size, row.uid, row.addedMs]) assert.ok(Number.isSafeInteger(n) && n >= 0, `${n}`);
  assert.equal(new Date(row.addedMs).toISOString().length > 0, true);
};
const areCounts = (v: object) => Object.values(v).forEach(isCount);
const isCount = (n: unknown) => assert.ok(Number.isSafeInteger(n) && Number(n) >= 0, `${n}`);
const isNothing = (v: unknown) => assert.equal(v, undefined);
const isSubset = (some: Id[], of: Id[]) => assert.ok(some.every((one) => of.includes(one)), some.join());

/** How root makes each request, and what it may take for an answer, whatever net says. A new row needs a line here. */
const ROWS: Record<NetRequest, (w: World) => Promise<unknown>> = {
  missing: async ({ a }) => isSubset(await a.agent.host.store.missing([id]), [id]),
  put: async ({ a }) => assert.deepEqual(await a.agent.host.store.put([bytes]), [id]),
  get: async ({ a }) => assert.deepEqual(await a.agent.host.store.get([id]), [bytes]),
  take: async ({ a }) => assert.deepEqual(await a.agent.host.store.coming.get([id]), [bytes]),
  share: async ({ a, root }) => isNothing(await a.agent.host.store.share(root)),
  fetch: async ({ a, root }) => isNothing(await a.agent.host.store.fetch([root])),
  room: async ({ a }) => isNothing(await a.agent.host.store.limit(a.agent.host.config)),
  hold: async ({ a }) =>
    assert.equal(await a.agent.host.store.holding(() => Promise.resolve("held")), "held"),
  release: async ({ a }) =>
    assert.equal(await a.agent.host.store.holding(() => Promise.resolve("held")), "held"),
  content: async ({ a }) => isNothing(await a.agent.host.store.open(65_534, "get")),
  shelfAdd: async ({ a, root }) =>
    isRow(await a.agent.host.shelf.add({ id: root, label: "x", uid: 0, pinned: false })),
  shelfList: async ({ a }) => (await a.agent.host.shelf.list()).forEach(isRow),
  shelfFind: async ({ a }) => isRow(await a.agent.host.shelf.find("file")),
  shelfRemove: async ({ a }) => isCount(await a.agent.host.shelf.remove(absent)),
  shelfPin: async ({ a, root }) => isCount(await a.agent.host.shelf.pin(root, false)),
  gc: async ({ a }) => areCounts(await a.agent.host.store.gc(true)),
  fsck: async ({ a }) => {
    const { objects, bytes, damaged, missing, database } = await a.agent.host.store.fsck("structure");
    areCounts({ objects, bytes });
    for (const one of [...damaged, ...missing.flatMap(({ id, root }) => [id, root])]) {
      assert.match(one, /^[0-9a-f]{64}$/);
    }
    assert.ok(database.every((line) => typeof line === "string"));
  },
  drop: async ({ a }) => isNothing(await a.agent.host.store.drop([absent])),
  rebuild: async ({ a, halves }) => isNothing(await a.agent.host.store.rebuild(halves.clock)),
  whole: async ({ a, root }) => isSubset(await a.agent.host.store.whole([root], "us"), [root]),
  identity: async ({ a }) => assert.equal((await a.agent.host.mesh.identity()).length, 32),
  mesh: async ({ a }) => isNothing(await a.agent.host.settleMesh()),
  listening: async ({ a }) => {
    const { addresses, why, isDhtSuspect } = await a.agent.host.mesh.listening();
    assert.ok(addresses.length <= 64 && addresses.every((one) => /^[\x21-\x7e]{1,128}$/.test(one)));
    assert.ok(why.length <= faultTextMax && typeof isDhtSuspect === "boolean");
  },
  ask: async ({ a, other }) => await a.agent.host.mesh.ask(other, "heads", null, 500), // who asks looks at it
  publish: async ({ a, halves: { now } }) => {
    const before = now.asked.get("publish") ?? 0;
    a.agent.host.mesh.publish("head", ["main", 1]); // who does not wait for an answer
    await until("it has come over", () => (now.asked.get("publish") ?? 0) > before);
    await sleep(systemClock, 5);
  },
  etcd: async ({ cells }) => isNothing(await cells.settle(null)),
  etcdRead: async ({ cells }) => {
    for (const { name, bytes, revision } of await cells.read(["a"])) {
      assert.ok(typeof name === "string" && bytes instanceof Uint8Array && revision > 0);
    }
  },
  etcdSwap: async ({ cells }) => assert.equal(typeof await cells.swap([], [], []), "boolean"),
  http: async ({ a: { agent: { host: { web, config } } } }) => {
    await web.settle(config);
    assert.match(web.place, /^([0-9.:[\]]{7,21})?$/);
    assert.ok(web.why.length <= faultTextMax && !/[\x00-\x1f\x7f-\x9f]/.test(web.why));
  },
  netboot: async ({ a: { agent: { host: { netboot } } } }) => {
    isNothing(await netboot.settle({ places: [], profiles: [], loaders: "/nowhere", up: [] }));
    assert.deepEqual(netboot.places, []);
  },
  bootNotes: async ({ a: { agent: { host: { netboot } } } }) => {
    const { last, notes } = await netboot.notes(0);
    isCount(last);
    for (const { mac, step, text } of notes) {
      assert.match(`${mac} ${step}`, /^[0-9a-f:]{17} [a-z]{1,16}$/);
      assert.ok(text.length <= faultTextMax && !/[\x00-\x1f\x7f-\x9f]/.test(text));
    }
  },
  stale: async ({ a: { agent: { host: { web } } }, halves: { now } }) => {
    const before = now.asked.get("stale") ?? 0;
    web.given();
    web.changed(); // who does not wait for an answer
    await until("it has come over", () => (now.asked.get("stale") ?? 0) > before);
  },
  introduce: async ({ a }) => {
    const { net, answer } = await a.agent.host.mesh.introduce("127.0.0.1:1", bytes);
    assert.match(net, /^[0-9a-f]{64}$/);
    assert.ok(answer instanceof Uint8Array);
  },
};

/** Requests that are waited for as long as they take. */
const ENDLESS: readonly NetRequest[] = ["take", "fetch", "gc", "fsck", "rebuild"];

const row = { id, kind: "file", size: 1, sha256: "", label: "x", uid: 0, pinned: false, addedMs: 1 };
const report = { kept: 1, dropped: 1, droppedBytes: 1, freedBytes: 1, waiting: 0, waitingFor: 0 };
const found = { objects: 1, bytes: 1, damaged: [], missing: [], database: [] };
const deep = Array.from({ length: 12 }).reduce<Cbor>((v) => [v], 1);

/** Answers that are right for no row, or for another than the one that they are given to. */
const WRONG: Cbor[] = [
  ...[null, true, 0, 1, -1, 2 ** 53 - 1, 2n ** 64n - 1n, -(2n ** 64n)],
  ...["", "x", ESCAPES, absent, id, "x".repeat(1_000_000), ESCAPES.repeat(50_000)],
  ...[0, 31, 32, 33, 5_000_000].map((n) => new Uint8Array(n)),
  ...[[], [null], [[]], [1], [ESCAPES], [absent], [id, id], [bytes], [bytes, bytes], [new Uint8Array(32)]],
  ...[[new Uint8Array(32), bytes], [new Uint8Array(31), bytes], [new Uint8Array(32), null], deep],
  Array.from({ length: 20_000 }, (_, i) => i.toString(16).padStart(64, "0")),
  [["127.0.0.1:1"], ESCAPES.repeat(1000), true],
  ...[ESCAPES, "x:1", "127.0.0.1", `127.0.0.1:1${ESCAPES}`, "1.1.1.1:1 2.2.2.2:2", `${"1".repeat(1000)}:1`]
    .map(
      (place): Cbor => [[place], "", false],
    ),
  [Array.from({ length: 10_000 }, () => "127.0.0.1:1"), "", false],
  [["a", bytes, 1]],
  [["a", bytes, 0], ["a", bytes, -1]],
  [[ESCAPES, bytes, 2 ** 53 - 1], ["a", "no bytes", 1]],
  {},
  new Map<number | string, Cbor>([[1, id], [2, "file"]]),
  new Map<number | string, Cbor>([["__proto__", { id }], ["constructor", 1], ["toString", 1]]),
  row,
  [row, row],
  ...[
    { id: "x" },
    { id: [id] },
    { kind: 7 },
    { kind: ESCAPES },
    { sha256: ESCAPES },
    { sha256: null },
    { label: 1 },
    { size: -1 },
    { size: "1" },
    { uid: null },
    { uid: 2n ** 63n },
    { addedMs: 2 ** 53 - 1 },
    { pinned: ESCAPES },
  ].flatMap((change): Cbor[] => [{ ...row, ...change } as Cbor, [{ ...row, ...change } as Cbor]]),
  report,
  ...[{ kept: -1 }, { dropped: ESCAPES }, { freedBytes: null }].map((change) => ({ ...report, ...change })),
  found,
  ...[
    { objects: ESCAPES },
    { damaged: [ESCAPES] },
    { damaged: null },
    { missing: [null] },
    { missing: [{ id, root: ESCAPES }] },
    { database: [1] },
    { database: ESCAPES },
  ].map((change) => ({ ...found, ...change }) as Cbor),
];

const saying = (type: number, body: (id: number) => Cbor): Lie => (half, id) => half.say(type, body(id));
const writing = (bytes: Uint8Array): Lie => (half) => half.write(bytes);
const framed = (body: Uint8Array, type: number = TYPE.answer) =>
  encodeFrame({ type, channel: 0, body }, { bodyBytesMax: 64 * 1024 * 1024 });
/** What the honest half would write, given to `fn` instead. */
const instead =
  (fn: (half: Half, bytes: Uint8Array) => unknown, request: NetRequest): Lie => async (half, id, value) =>
    fn(half, await half.answerTo(id, request, value));

/** What is done instead of an answer. `cut`: such a half is cut off, and another one comes. */
const LIES = (request: NetRequest): { [what: string]: { lie: Lie; cut?: true; brief?: true } } => ({
  ...Object.fromEntries(
    WRONG.map((value, i) => [`answer ${i}`, { lie: saying(TYPE.answer, (id) => [id, value]) }]),
  ),
  ...Object.fromEntries([...Object.keys(KINDS), ESCAPES, "", "constructor"].map((kind) => [
    `fault ${kind}`,
    {
      lie: saying(
        TYPE.fault,
        (id) => [id, kind, ESCAPES.repeat(kind === "environment" ? 100_000 : 100), `isconf ${ESCAPES}`],
      ),
    },
  ])),
  ...Object.fromEntries(([[null, 1, []], [bytes, {}, true]] as Cbor[][]).map((parts, i) => [
    `no fault ${i}`,
    { lie: saying(TYPE.fault, (id) => [id, ...parts]) },
  ])),
  "a fault and an answer": {
    lie: (half, id) => {
      half.say(TYPE.fault, [id, "refused", "no", ""]);
      half.say(TYPE.answer, [id, [id]]);
    },
  },
  twice: {
    async lie(half, id, value) {
      for (let i = 0; i < 2; i++) await half.honest(id, request, value);
      half.say(TYPE.answer, [id, absent]);
    },
  },
  early: {
    async lie(half, id, value) {
      for (let i = 1; i < 100; i++) half.say(TYPE.answer, [id + i, [absent]]);
      await half.honest(id, request, value);
    },
  },
  "numbers that nobody asked under": {
    async lie(half, id, value) {
      for (const n of [0, -1, -id, 2 ** 53 - 1]) {
        half.say(TYPE.answer, [n, null]);
        half.say(TYPE.fault, [n, "refused", "", ""]);
      }
      await half.honest(id, request, value);
    },
  },
  "a question under the same number": {
    async lie(half, id, value) {
      half.say(TYPE.ask, [id, request, value]);
      await half.honest(id, request, value);
    },
  },
  late: {
    brief: true,
    async lie(half, id) {
      await sleep(systemClock, 120);
      half.say(TYPE.answer, [id, [absent]]);
    },
  },
  never: { lie: () => {}, brief: true },
  "in single bytes": {
    lie: instead((half, bytes) => bytes.forEach((_, i) => half.write(bytes.subarray(i, i + 1))), request),
  },
  "cut off in the head": {
    lie: instead((half, bytes) => half.write(bytes.subarray(0, 5)), request),
    cut: true,
    brief: true,
  },
  "cut off in the body": {
    lie: instead((half, bytes) => half.write(bytes.subarray(0, -1)), request),
    cut: true,
    brief: true,
  },
  "4 GiB": { lie: writing(Uint8Array.from([1, 2, 0, 0, 255, 255, 255, 255])), cut: true },
  "a byte too much": { lie: writing(Uint8Array.from([1, 2, 0, 0, 0, 0xa0, 0, 1])), cut: true },
  "another version": { lie: writing(Uint8Array.from([9, 2, 0, 0, 0, 0, 0, 1, 0x80])), cut: true },
  "another type": { lie: saying(77, (id) => [id, null]), cut: true },
  "no CBOR": { lie: writing(framed(Uint8Array.from([0xff]))), cut: true },
  "CBOR and more": { lie: (half, id) => half.write(framed(concat(encode([id, null]), bytes))), cut: true },
  "CBOR with a tag": { lie: writing(framed(Uint8Array.from([0xc2, 0x41, 1]))), cut: true },
  "nothing": { lie: writing(framed(new Uint8Array(0))), cut: true },
  "no list": { lie: saying(TYPE.answer, () => ({ id })), cut: true },
  "no number": { lie: saying(TYPE.answer, () => [id, null]), cut: true },
  "a number of megabytes": { lie: saying(TYPE.answer, () => [new Uint8Array(9_000_000), null]), cut: true },
  "too short": { lie: saying(TYPE.answer, (id) => [id]), cut: true },
  "too long": { lie: saying(TYPE.answer, (id) => [id, null, null]), cut: true },
  "a fault of two parts": { lie: saying(TYPE.fault, (id) => [id, "refused"]), cut: true },
  "the end": { lie: (half) => half.end(), cut: true },
});

test("every request of root's, answered in every wrong way: what is right or a fault comes of it, and nothing changes", async (t) => {
  const world = await makeWorld(t);
  const { a, halves } = world;
  assert.deepEqual(Object.keys(ROWS).sort(), [...NET_REQUESTS].sort());
  const state = () =>
    [allOf(a), filesBelow(a.dir), JSON.stringify(a.acts.status.standing(a.agent.host))].join("\n");
  for (const request of NET_REQUESTS) {
    await ROWS[request](world).catch((e) =>
      assert.ok(e instanceof Fault, `${request}, answered honestly: ${e}`)
    );
    assert.ok(halves.now.asked.has(request) || request === "rebuild", `root does not ask ${request}`);
    const before = state();
    for (const [what, { lie, cut, brief }] of Object.entries(LIES(request))) {
      const name = `${request}: ${what}`;
      const { now } = halves;
      halves.lies.set(request, lie);
      if (brief) halves.clock.waitMs = 60;
      const done = ROWS[request](world).catch((e) => e);
      const isEnded = cut || (brief && ENDLESS.includes(request));
      if (isEnded && !cut) {
        await until(`${name}: it is asked`, () => now.asked.has(request));
        assert.deepEqual(
          await a.agent.host.store.missing([absent]),
          [absent],
          `${name}: others are not answered`,
        );
        await sleep(systemClock, 150);
        now.end();
      }
      const outcome = await Promise.race([done, sleep(systemClock, 20_000).then(() => "nothing")]);
      halves.lies.delete(request);
      assert.notEqual(outcome, "nothing", `${name}: no end`);
      if (outcome instanceof assert.AssertionError) throw new Error(`${name}: ${outcome.message}`);
      if (outcome instanceof Error) {
        assert.ok(outcome instanceof Fault, `${name}: ${outcome.stack}`);
        assert.doesNotMatch(outcome.message, /^unexpected/, name);
        assert.ok(
          outcome.message.length <= faultTextMax && outcome.hint.length <= faultTextMax,
          `${name}: too long`,
        );
      }
      if (isEnded) await until(`${name}: the half is cut off`, () => now.root.destroyed);
      if (now.root.destroyed || request === "rebuild") {
        await until(
          `${name}: another half comes`,
          async () =>
            !halves.now.root.destroyed && await a.agent.host.store.missing([]).then(() => true, () => false),
        );
      }
      halves.clock.waitMs = 10_000;
      assert.deepEqual(await a.agent.host.store.missing([id, absent]), [absent], `${name}: afterwards`);
    }
    assert.equal(state(), before, `${request}: something has changed; which answer did it?`);
  }
});
