// effects: the list as bytes, and how a disk differs from it; real files. Not the way through the journal (drift_test.ts).
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { MemoryStore, putFile } from "../fs/mod.ts";
import { type Cbor, encode, Fault, toHex } from "../mq/mod.ts";
import {
  compareAfter,
  compareEffects,
  type Effects,
  effectsOf,
  getEffects,
  putEffects,
  readEffects,
} from "./effects.ts";
import { differencesKeptMax, effectsBytesMax, effectsHashedMax } from "./limits.ts";

function tempDir(t: { after(fn: () => void): void }): string {
  const dir = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "isconf-effects-")));
  fs.chmodSync(dir, 0o755);
  t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** With hexadecimal text for bytes, of whatever class they are. */
const plain = ({ paths, unseen }: Effects) => ({
  paths: paths.map((one) => ({ ...one, path: toHex(one.path), sha256: toHex(one.sha256) })),
  unseen,
});
const bytesOf = (...names: string[]) => names.map((name) => Buffer.from(name));

test("effects go into a store and come out as they were, and the same disk does not differ from them", async (t) => {
  const dir = tempDir(t);
  fs.writeFileSync(`${dir}/file`, "x");
  fs.symlinkSync("file", `${dir}/link`);
  fs.mkdirSync(`${dir}/dir`, { mode: 0o700 });
  fs.writeFileSync(`${dir}/dir/hidden`, "x");
  fs.writeFileSync(`${dir}/secret`, "1234", { mode: 0o600 });
  const names = ["link", "file", "dir", "dir/hidden", "gone", "secret"].map((name) => `${dir}/${name}`);
  const effects = await effectsOf(bytesOf(...names), ["/mnt"]);
  const store = new MemoryStore();
  const got = await getEffects(store, (await putEffects(store, effects))!);
  assert.deepEqual(plain(got), plain(effects));
  const said = Object.fromEntries(
    effects.paths.map((
      { path, kind, sha256 },
    ) => [Buffer.from(path).toString().slice(dir.length + 1), [kind, sha256.length]]),
  );
  assert.deepEqual(said, {
    dir: ["dir", 0],
    "dir/hidden": ["file", 0], // nobody else gets there
    file: ["file", 32],
    gone: ["absent", 0],
    link: ["link", 32],
    secret: ["file", 0],
  });
  assert.deepEqual(await compareEffects(7, effects), { seq: 7, differs: 0, first: [] });
  fs.writeFileSync(`${dir}/file`, "y");
  fs.unlinkSync(`${dir}/link`);
  fs.symlinkSync("elsewhere", `${dir}/link`);
  fs.chmodSync(`${dir}/dir`, 0o711);
  fs.writeFileSync(`${dir}/secret`, "4321");
  fs.mkdirSync(`${dir}/gone`);
  fs.unlinkSync(`${dir}/dir/hidden`);
  const { differs, first } = await compareEffects(7, effects);
  assert.deepEqual([differs, first.map(({ path, what }) => [path.slice(dir.length + 1), ...what])], [5, [
    ["dir", "mode"],
    ["dir/hidden", "missing"],
    ["file", "content"],
    ["gone", "not removed"],
    ["link", "content"],
  ]]);
});

test("a list that is none stops no replay, and nothing is said to be congruent", async () => {
  const store = new MemoryStore();
  const logged: string[] = [];
  const call = { host: { log: (line: string) => void logged.push(line) }, emit: assert.fail } as never;
  const { id } = await putFile(
    store,
    (async function* () {
      yield encode({ v: 3 });
    })(),
  );
  assert.deepEqual(await compareAfter(call, store, 7, id), []);
  assert.match(logged[0]!, /^entry 7: what a command changed is said in a way/);
});

test("a path that others can bend, a fifo and a device are looked at without being opened", async (t) => {
  const dir = tempDir(t);
  fs.mkdirSync(`${dir}/shared`);
  fs.chmodSync(`${dir}/shared`, 0o777);
  fs.mkdirSync(`${dir}/shared/in`);
  const effects = await effectsOf(bytesOf(`${dir}/shared/in/x`), []);
  fs.rmdirSync(`${dir}/shared/in`);
  fs.symlinkSync("/etc", `${dir}/shared/in`);
  assert.deepEqual((await compareEffects(7, effects)).first.map(({ what }) => what), [["unreadable"]]);
  const { paths } = await effectsOf(bytesOf("/dev/null"), []);
  assert.equal(paths[0]?.kind, "other");
});

test("only so many differences are kept by name; a list that is too long is not made", async () => {
  const absent = { mode: 0, uid: 0, gid: 0, size: 0, sha256: new Uint8Array(0) };
  const paths = Array.from({ length: differencesKeptMax + 7 }, (_, n) => ({
    path: Buffer.from(`/nowhere/${n}`),
    ...absent,
    kind: "dir" as const,
  }));
  const compared = await compareEffects(7, { paths, unseen: [] });
  assert.deepEqual([compared.differs, compared.first.length], [differencesKeptMax + 7, differencesKeptMax]);
  const long = { ...paths[0]!, path: Buffer.alloc(effectsBytesMax + 1, 0x2f) };
  assert.equal(await putEffects(new MemoryStore(), { paths: [long], unseen: [] }), undefined);
});

test("of very much only the first is hashed, and the rest is compared without", async (t) => {
  const dir = tempDir(t);
  for (const name of ["a", "b", "c"]) {
    fs.writeFileSync(`${dir}/${name}`, "");
    if (name !== "c") fs.truncateSync(`${dir}/${name}`, name === "a" ? 1000 : effectsHashedMax);
  }
  const effects = await effectsOf(bytesOf(...["a", "b", "c"].map((name) => `${dir}/${name}`)), []);
  assert.deepEqual(effects.paths.map(({ sha256, size }) => [sha256.length, size]), [[32, 1000], [0, 0], [
    32,
    0,
  ]]);
  assert.deepEqual(await compareEffects(7, effects), { seq: 7, differs: 0, first: [] });
});

test("what is no list of effects is refused, whatever it is", () => {
  const good = [Buffer.from("/x"), "file", 0o644, 0, 0, 1, new Uint8Array(32)];
  const list = (line: unknown[]) => encode({ v: 1, paths: [line as Cbor], unseen: [] });
  assert.equal(readEffects(list(good)).paths.length, 1);
  const wrong: [number, unknown][] = [
    [0, "/x"],
    [0, Buffer.from("x")],
    [0, Buffer.from("/x\0y")],
    [0, Buffer.alloc(5000, 0x2f)],
    [1, "socket"],
    [2, 0o10000],
    [3, -1],
    [5, -1],
    [6, new Uint8Array(31)],
  ];
  const isCorrupt = { kind: "corrupt" };
  for (const [at, value] of wrong) {
    assert.throws(() => readEffects(list(good.with(at, value as never))), isCorrupt);
  }
  assert.throws(() => readEffects(list([...good, 1])), isCorrupt);
  for (const value of [null, 1, [], { v: 2, paths: [], unseen: [] }, { v: 1, paths: 1, unseen: [] }]) {
    assert.throws(() => readEffects(encode(value)), isCorrupt);
  }
  for (const unseen of [1, [1], ["x".repeat(5000)]]) {
    assert.throws(() => readEffects(encode({ v: 1, paths: [], unseen })), isCorrupt);
  }
  fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
    try {
      readEffects(bytes);
    } catch (e) {
      assert.ok(e instanceof Fault && e.kind === "corrupt", String(e));
    }
  }));
});
