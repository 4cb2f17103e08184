// Properties of fs: what holds for any node, record, file, archive and list of roots, tried on many made by chance.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { bytesEqual, compareBytes, concat, decode, Fault, toHex } from "../mq/mod.ts";
import { Catalog, type CatalogRow } from "./catalog.ts";
import { type Hold, Holds } from "./holds.ts";
import { putBytes, readFile } from "./manifest.ts";
import { CODEC, readHead, recordHeadBytes, writeHead } from "./record.ts";
import { idOf, type KeyedStore, MemoryStore } from "./store.ts";
import { openStoreDatabase } from "./store_db.ts";
import { decodePax, encodePax, fromLatin1, type TarHead } from "./tar.ts";
import { readTar } from "./tar_read.ts";
import { TAR_END, tarHeader, tarPadding } from "./tar_write.ts";
import { encodeNode, isName, type Node, parseNode } from "./tree.ts";

const plain = { noNullPrototype: true };
const isCorrupt = (e: unknown) => e instanceof Fault && e.kind === "corrupt";
const hex = (bytes: number) => fc.uint8Array({ minLength: bytes, maxLength: bytes }).map(toHex);
const ID = "0".repeat(64);

const name = fc.uint8Array({ minLength: 1, maxLength: 12 }).filter(isName);
const xattrs = fc.uniqueArray(
  fc.tuple(
    fc.uint8Array({ minLength: 1, maxLength: 8, min: 0x61, max: 0x7a }),
    fc.uint8Array({ maxLength: 8 }),
  ),
  { minLength: 1, maxLength: 3, selector: ([name]) => toHex(name) },
).map((all) =>
  all.map(([n, v]) => [concat(new TextEncoder().encode("user."), n), v] as [Uint8Array, Uint8Array])
    .sort(([a], [b]) => compareBytes(a, b))
);
const meta = {
  mode: fc.nat(0o7777),
  uid: fc.nat(0xfffffffe),
  gid: fc.nat(0xfffffffe),
  mtime: fc.tuple(fc.integer({ min: -(2 ** 31), max: 2 ** 34 }), fc.nat(999_999_999)),
};
const fileNode = fc.record({
  kind: fc.constant("file" as const),
  ...meta,
  xattrs,
  size: fc.nat(),
  content: hex(32),
}, { ...plain, requiredKeys: ["kind", "mode", "uid", "gid", "mtime", "size", "content"] });
const linkNode = fc.record({
  kind: fc.constant("link" as const),
  ...meta,
  target: fc.uint8Array({ minLength: 1, maxLength: 20, min: 1 }),
}, plain);
const entries = fc.uniqueArray(fc.tuple(name, fc.oneof(fileNode, linkNode, hex(32))), {
  maxLength: 4,
  selector: ([n]) => toHex(n),
}).map((all) => all.sort(([a], [b]) => compareBytes(a, b)));
const node = fc.oneof(
  fileNode,
  linkNode,
  fc.record({ kind: fc.constant("dir" as const), ...meta, entries }, plain),
  fc.record({
    kind: fc.constant("dir" as const),
    ...meta,
    pages: fc.array(hex(32), { minLength: 1, maxLength: 3 }),
  }, plain),
) as fc.Arbitrary<Node>;

test("property: a node is read as it was written; changed anywhere, it is refused or is another, written the same", () => {
  let refused = 0;
  fc.assert(
    fc.property(node, fc.nat(), fc.nat(255), (one, at, byte) => {
      const bytes = encodeNode(one);
      assert.deepEqual(parseNode(ID, decode(bytes)), one);
      const other = bytes.slice();
      other[at % bytes.length] = byte;
      try {
        assert.deepEqual(encodeNode(parseNode(ID, decode(other))), other);
      } catch (e) {
        assert.ok(isCorrupt(e), String(e));
        refused++;
      }
    }),
    { numRuns: 1000, seed: 1 },
  );
  assert.ok(refused > 250, String(refused));
});

test("property: the head of a record is read as it was written, and no flipped bit is taken for another", () => {
  const head = fc.tuple(fc.nat(1_000_000), fc.nat(), hex(32)).map(([size, n, id]) =>
    size > 0 && n % 2 === 0
      ? { codec: CODEC.zstd, size, stored: n % size, id }
      : { codec: CODEC.raw, size, stored: size, id }
  );
  fc.assert(
    fc.property(head, fc.nat(8 * recordHeadBytes - 1), (one, bit) => {
      const bytes = new Uint8Array(recordHeadBytes);
      writeHead(one, bytes);
      assert.deepEqual(readHead(bytes), one);
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      assert.equal(readHead(bytes), undefined);
    }),
    { numRuns: 2000, seed: 2 },
  );
});

/** Bytes of a file, longer than a chunk at times, from a seed. */
function bytesOf(seed: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0, x = seed | 1; i < length; i++) bytes[i] = x = (x * 48271) % 0x7fffffff;
  return bytes;
}

async function whole(pieces: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const piece of pieces) parts.push(piece.slice());
  return concat(...parts);
}

test("property: a file is read as it was put, and any part of it is that part", async () => {
  const length = fc.oneof(fc.nat(300), fc.nat(20_000), fc.nat(700_000));
  const store = new MemoryStore();
  const keyed = Object.assign(store, {
    putKeyed: async (all: [string, Uint8Array][]) => void await store.put(all.map(([, bytes]) => bytes)),
  });
  await fc.assert(
    fc.asyncProperty(fc.nat(), length, fc.nat(), fc.nat(), async (seed, length, from, size) => {
      const bytes = bytesOf(seed, length);
      const ref = await putBytes(keyed as unknown as KeyedStore, bytes);
      assert.deepEqual([ref.size, ref.sha256], [length, idOf(bytes)]);
      assert.ok(bytesEqual(await whole(readFile(store, ref.id)), bytes));
      const range = { offset: from % (length + 1), length: size % (length + 1) };
      const part = bytes.subarray(range.offset, range.offset + range.length);
      assert.ok(bytesEqual(await whole(readFile(store, ref.id, range)), part));
    }),
    { numRuns: 120, seed: 3 },
  );
});

const complain = (kind: "corrupt" | "refused", what: string) =>
  new Fault("tar", kind, what, { hint: "isconf help" });

test("property: pax records are read as they were written; bytes of chance are refused or written the same", () => {
  const key = fc.string({ unit: fc.constantFrom(..."abcxyz.SCHILY"), minLength: 1, maxLength: 12 });
  const records = fc.uniqueArray(fc.tuple(key, fc.uint8Array({ maxLength: 120 })), {
    selector: ([k]) => k,
    maxLength: 4,
  })
    .map((all) => new Map(all));
  fc.assert(
    fc.property(records, fc.nat(), fc.nat(255), (one, at, byte) => {
      const bytes = encodePax(one);
      assert.deepEqual(decodePax(bytes, complain), one);
      if (bytes.length === 0) return;
      bytes[at % bytes.length] = byte;
      try {
        assert.deepEqual(encodePax(decodePax(bytes, complain)), bytes);
      } catch (e) {
        assert.ok(isCorrupt(e), String(e));
      }
    }),
    { numRuns: 2000, seed: 4 },
  );
});

const path = fc.array(name, { minLength: 1, maxLength: 12 }).map((parts) =>
  concat(...parts.flatMap((part, i) => i === 0 ? [part] : [fromLatin1("/"), part]))
);
const NONE = new Uint8Array(0);
const tarEntry = fc.record({
  kind: fc.constantFrom("file" as const, "link" as const, "dir" as const, "fifo" as const),
  path,
  target: path,
  ...meta,
  content: fc.uint8Array({ maxLength: 1500, size: "max" }),
}, plain).map(({ content, ...head }) => {
  const body = head.kind === "file" ? content : NONE;
  const target = head.kind === "link" ? head.target : NONE;
  return { head: { ...head, target, size: body.length } as TarHead, content: body };
});

test("property: an archive is read as it was written, in whatever pieces it comes", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(tarEntry, { maxLength: 4 }),
      fc.array(fc.integer({ min: 1, max: 900 }), { minLength: 1, maxLength: 5 }),
      async (all, lengths) => {
        const bytes = concat(
          ...all.flatMap((
            { head, content },
          ) => [tarHeader(head), content, new Uint8Array(tarPadding(content.length))]),
          TAR_END,
        );
        async function* source() {
          for (let at = 0, i = 0; at < bytes.length; i++) {
            const length = lengths[i % lengths.length] as number;
            yield await Promise.resolve(bytes.subarray(at, at + length));
            at += length;
          }
        }
        const read: { head: TarHead; content: Uint8Array }[] = [];
        for await (const { content, ...head } of readTar(source(), complain)) {
          read.push({ head, content: await whole(content) });
        }
        const listed = (xs: typeof read) =>
          xs.map(({ head: { xattrs = [], ...head }, content }) => [head, xattrs, toHex(content)]);
        assert.deepEqual(listed(read), listed(all));
      },
    ),
    { numRuns: 150, seed: 5 },
  );
});

/** Runs `fn` with a database of a store in a directory of its own. */
function withDb<T>(fn: (db: ReturnType<typeof openStoreDatabase>, dir: string) => T): T {
  const dir = mkdtempSync(join(tmpdir(), "isconf-properties-"));
  const db = openStoreDatabase(join(dir, "store.db"));
  try {
    return fn(db, dir);
  } finally {
    db.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

/** The catalog as a list, the oldest first. */
type Rows = CatalogRow[];
const IDS = [1, 2, 3].map((n) => idOf(Uint8Array.of(n)));

const same = (a: Rows, b: Rows) => assert.deepEqual(a.map((row) => ({ ...row })), b);

class Add implements fc.Command<{ rows: Rows }, Catalog> {
  readonly row: CatalogRow;
  constructor(row: CatalogRow) {
    this.row = row;
  }
  check = () => true;
  run(model: { rows: Rows }, catalog: Catalog): void {
    const { atMs, ...root } = this.row;
    catalog.add(root, atMs);
    const newest = model.rows.findLast(({ label, uid }) => label === root.label && uid === root.uid);
    if (newest?.id === root.id && newest.pinned === root.pinned) return;
    model.rows.push(this.row);
  }
  toString = () => `add ${JSON.stringify(this.row)}`;
}

class Remove implements fc.Command<{ rows: Rows }, Catalog> {
  readonly id: string;
  readonly uid: number | undefined;
  constructor(id: string, uid: number | undefined) {
    [this.id, this.uid] = [id, uid];
  }
  check = () => true;
  run(model: { rows: Rows }, catalog: Catalog): void {
    const isIt = ({ id, uid }: CatalogRow) => id === this.id && (this.uid === undefined || uid === this.uid);
    assert.equal(catalog.remove(this.id, this.uid), model.rows.filter(isIt).length);
    model.rows = model.rows.filter((row) => !isIt(row));
  }
  toString = () => `remove ${this.id} ${this.uid}`;
}

class Pin implements fc.Command<{ rows: Rows }, Catalog> {
  readonly id: string;
  readonly pinned: boolean;
  constructor(id: string, pinned: boolean) {
    [this.id, this.pinned] = [id, pinned];
  }
  check = () => true;
  run(model: { rows: Rows }, catalog: Catalog): void {
    assert.equal(catalog.pin(this.id, this.pinned), model.rows.filter(({ id }) => id === this.id).length);
    model.rows = model.rows.map((row) => row.id === this.id ? { ...row, pinned: this.pinned } : row);
  }
  toString = () => `pin ${this.id} ${this.pinned}`;
}

class Find implements fc.Command<{ rows: Rows }, Catalog> {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
  check = () => true;
  run({ rows }: { rows: Rows }, catalog: Catalog): void {
    same(catalog.list(), rows.toReversed());
    const found = rows.findLast(({ id }) => id === this.text) ??
      rows.findLast(({ label }) => label === this.text);
    assert.deepEqual(catalog.resolve(this.text), found);
  }
  toString = () => `find ${this.text}`;
}

test("property: the catalog lists and finds what a list would", () => {
  const id = fc.constantFrom(...IDS), uid = fc.nat(2), label = fc.constantFrom("", "a", "b");
  const row = fc.record({
    id,
    kind: fc.constantFrom("file" as const, "tree" as const),
    size: fc.nat(),
    label,
    uid,
    pinned: fc.boolean(),
    atMs: fc.nat(),
  }, plain);
  withDb((db) => {
    fc.assert(
      fc.property(
        fc.commands([
          row.map((row) => new Add(row)),
          row.map((row) => new Add(row)),
          fc.tuple(id, fc.option(uid, { nil: undefined })).map(([id, uid]) => new Remove(id, uid)),
          fc.tuple(id, fc.boolean()).map(([id, pinned]) => new Pin(id, pinned)),
          fc.oneof(id, fc.constantFrom("a", "b", "c")).map((text) => new Find(text)),
        ], { size: "+1" }),
        (commands) => {
          db.write((tx) => tx.run("DELETE FROM root"));
          fc.modelRun(() => ({ model: { rows: [] as Rows }, real: new Catalog(db) }), commands);
        },
      ),
      { numRuns: 25, seed: 6 },
    );
  });
});

test("property: of the turns before one, as many are held as have a hold that was not released", async () => {
  await withDbAsync(async (db, dir) => {
    const step = fc.oneof(
      fc.constant({ what: "hold" as const, n: 0 }),
      fc.constant({ what: "hold" as const, n: 0 }),
      fc.constant({ what: "turn" as const, n: 0 }),
      fc.constant({ what: "sweep" as const, n: 0 }),
      fc.record({ what: fc.constant("release" as const), n: fc.nat(5) }, plain),
    );
    let run = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        const holds = new Holds(db, join(dir, `holds-${++run}`));
        db.write((tx) => tx.run("UPDATE gc SET turn = 1"));
        let turn = 1;
        const active: { turn: number; hold: Hold }[] = [];
        for (const { what, n } of steps) {
          if (what === "hold") active.push({ turn, hold: await holds.hold() });
          else if (what === "turn") {
            turn++;
            db.write((tx) => tx.run("UPDATE gc SET turn = ?", turn));
          } else if (what === "sweep") holds.sweepBefore(turn);
          else for (const { hold } of active.splice(n, 1)) hold.release();
          for (let before = 1; before <= turn + 1; before++) {
            const held = new Set(active.filter((one) => one.turn < before).map((one) => one.turn));
            assert.equal(holds.heldBefore(before), held.size);
          }
        }
        for (const { hold } of active) hold.release();
        assert.equal(holds.heldBefore(turn + 1), 0);
      }),
      { numRuns: 60, seed: 7 },
    );
  });
});

/** The same as {@link withDb} for what takes time. */
async function withDbAsync(
  fn: (db: ReturnType<typeof openStoreDatabase>, dir: string) => Promise<void>,
): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), "isconf-properties-"));
  const db = openStoreDatabase(join(dir, "store.db"));
  try {
    await fn(db, dir);
  } finally {
    db.close();
    rmSync(dir, { recursive: true, force: true });
  }
}
