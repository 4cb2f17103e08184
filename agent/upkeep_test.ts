// upkeep: what of a store stays and what goes, as the half with the journal sees it, and mending from other hosts.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { openStoreDatabase, putFile, readManifest } from "../fs/mod.ts";
import { fromHex, toHex } from "../mq/mod.ts";
import { faultOf, makeDomain, makeHost, type TestHost, until } from "../tests/world.ts";
import { fsck, gc, pin, remove, stat, unpin } from "./upkeep.ts";

/** Puts bytes on a host's shelf; the id. */
async function put(host: TestHost, bytes: Uint8Array, label: string, uid = 0): Promise<string> {
  const { store, shelf } = host.agent.host;
  const { id } = await putFile(
    store,
    (async function* () {
      yield await Promise.resolve(bytes);
    })(),
  );
  await shelf.add({ id, label, uid, pinned: false });
  return id;
}

/** Flips a bit of an object where a host keeps it. */
function flip(host: TestHost, id: string): void {
  const dir = path.join(host.home.state, "store");
  const db = openStoreDatabase(path.join(dir, "store.db"));
  const sql = "SELECT pack, at FROM object WHERE id = ?";
  const { pack, at } = db.read((r) => r.get<{ pack: number; at: number }>(sql, fromHex(id)))!;
  db.close();
  const fd = fs.openSync(path.join(dir, `packs/${pack}.pack`), "r+");
  const byte = new Uint8Array(1);
  fs.readSync(fd, byte, 0, 1, at);
  fs.writeSync(fd, Uint8Array.of(byte[0]! ^ 1), 0, 1, at);
  fs.closeSync(fd);
}

const looked = { data: true, mend: false };

test("what is damaged here is brought from another host; what nobody has is named", async (t) => {
  const [a, b] = await makeDomain(t, ["hosta", "hostb"]) as [TestHost, TestHost];
  await until("they are connected", () => b.agent.host.mesh.peers().length === 1);
  const id = await put(a, randomBytes(1_000_000), "shared");
  const { store } = b.agent.host;
  await pin(b.call(), id);
  const own = await put(b, randomBytes(300_000), "own");
  const [[shared], [mine]] = [(await readManifest(store, id)).parts, (await readManifest(store, own)).parts];
  assert.deepEqual((await fsck(b.call(), looked)).damaged, []);
  flip(b, shared![0]);
  flip(b, mine![0]);
  const found = await fsck(b.call(), looked);
  assert.deepEqual(new Set(found.damaged), new Set([shared![0], mine![0]]));
  assert.deepEqual([found.mended, found.left.length], [0, 2]);
  const mended = await fsck(b.call(), { ...looked, mend: true });
  assert.deepEqual([mended.mended, mended.left.map(({ id }) => id)], [1, [mine![0]]]);
  assert.match(mended.left[0]!.why, /nobody has it/);
  assert.deepEqual((await fsck(b.call(), looked)).damaged, []);
  assert.equal((await store.get([shared![0]]))[0]!.length, shared![1]);
});

test("gc keeps what is on the shelf, in the journal and in work; what was taken off goes", async (t) => {
  const [a] = await makeDomain(t, ["hosta"]) as [TestHost];
  const { store } = a.agent.host;
  const [shelved, gone] = [
    await put(a, randomBytes(50_000), "shelved"),
    await put(a, randomBytes(50_000), "gone"),
  ];
  const file = path.join(a.dir, "file");
  const trees: string[] = [];
  for (const isChecked of [true, false]) {
    await a.acts.locks.lock(a.call(), "why");
    fs.writeFileSync(file, randomBytes(60_000));
    const op = await a.acts.work.snap(a.call(), file, false);
    assert.ok(op.op === "file");
    trees.push(toHex(op.tree));
    if (isChecked) await a.acts.checkin.ci(a.call());
  }
  await remove(a.call(), "gone");
  const trial = await gc(a.call(), { dryRun: true });
  assert.equal((await store.whole([gone], "us")).length, 1, "a trial drops nothing");
  const { dropped, droppedBytes } = await gc(a.call(), { dryRun: false });
  assert.deepEqual([dropped, droppedBytes], [trial.dropped, trial.droppedBytes]);
  assert.ok(dropped > 0);
  const ids = [shelved, gone, ...trees];
  assert.deepEqual(await store.whole(ids, "us"), [shelved, ...trees]);
});

test("one takes off what is his, root anything; a pinned content has to be unpinned first", async (t) => {
  const host = await makeHost(t);
  const id = await put(host, randomBytes(5000), "his", 1234);
  assert.equal((await faultOf(() => remove(host.call(4321, "eve"), "his"))).kind, "denied");
  assert.equal((await faultOf(() => remove(host.call(), "nothing"))).kind, "notFound");
  await pin(host.call(), "his");
  assert.equal((await faultOf(() => remove(host.call(1234, "he"), "his"))).kind, "refused");
  const { shelf, whole, kind, size } = await stat(host.call(), id.slice(0, 12));
  assert.deepEqual([whole, kind, size, shelf.map(({ pinned }) => pinned)], [true, "file", 5000, [true]]);
  await unpin(host.call(), "his");
  assert.deepEqual(await remove(host.call(1234, "he"), "his"), { id, lines: 1 });
});

test("what somebody pinned, only he and root unpin; it goes off his shelf when he has", async (t) => {
  const host = await makeHost(t);
  const [he, she] = [() => host.call(1234, "he"), () => host.call(4321, "she")];
  const id = await put(host, randomBytes(5000), "his", 1234);
  const pins = async () => {
    const rows = (await host.agent.host.shelf.list()).filter((row) => row.id === id);
    return Object.fromEntries(rows.map(({ uid, pinned }) => [uid, pinned]));
  };
  assert.equal((await faultOf(() => unpin(she(), id))).kind, "notFound");
  await pin(she(), "his");
  assert.deepEqual(await pins(), { 1234: false, 4321: true });
  assert.equal((await faultOf(() => unpin(host.call(5555, "eve"), id))).kind, "denied");
  assert.equal((await unpin(he(), id)).pinned, true, "he undid her pin");
  assert.deepEqual(await remove(he(), id), { id, lines: 1 });
  assert.equal((await faultOf(() => remove(he(), id))).kind, "denied");
  assert.equal((await faultOf(() => remove(she(), id))).kind, "refused");
  assert.equal((await unpin(she(), id)).pinned, false);
  assert.equal((await remove(she(), id)).lines, 1);
  await pin(he(), id);
  assert.equal((await unpin(host.call(), id)).pinned, false, "root undoes any");
});

test("parts of fsck are checked", async (t) => {
  const host = await makeHost(t);
  await put(host, randomBytes(5000), "x");
  for (const part of ["0/3", "4/3", "1", "1/0", "a/b", "-1/3", "1/3/5"]) {
    const fault = await faultOf(() => fsck(host.call(), { ...looked, part }));
    assert.equal(fault.kind, "usage", part);
  }
  let bytes = 0;
  for (const part of ["1/3", "2/3", "3/3"]) bytes += (await fsck(host.call(), { ...looked, part })).bytes;
  assert.equal(bytes, (await fsck(host.call(), looked)).bytes);
});
