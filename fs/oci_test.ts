// oci: a tree to an image and back: the same id, the same bytes, in constant memory; and which image is picked.
import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { capture } from "./capture.ts";
import { isRoot, sh, testIn, trySetXattr } from "./fixture.ts";
import { putFile } from "./manifest.ts";
import { exportOci } from "./oci_export.ts";
import type { Layer } from "./oci_fixture.ts";
import {
  archive,
  archiveOf,
  collect,
  describe,
  imageOf,
  indexOf,
  json,
  plainLayer,
  streamOf,
  tarOf,
} from "./oci_fixture.ts";
import { importOci } from "./oci_import.ts";
import { MEDIA, wrong } from "./oci_json.ts";
import { restore } from "./restore.ts";
import type { Store } from "./store.ts";
import { MemoryStore } from "./store.ts";
import { fromLatin1, latin1 } from "./tar.ts";
import { readTar } from "./tar_read.ts";
import type { FileNode } from "./tree.ts";
import { DirWriter, encodeNode, listTree } from "./tree.ts";

/** Paths of a tree with the sizes of files and the targets of links, in order. */
async function paths(store: Store, id: string): Promise<string[]> {
  const out = [];
  for await (const { path, node } of listTree(store, id)) {
    const more = node.kind === "file" ? node.size : node.kind === "link" ? latin1(node.target) : "";
    out.push(`${node.kind} ${latin1(path)} ${more}`.trim());
  }
  return out;
}

testIn(
  "a tree that went out as an image comes back as the same id; out again, the same bytes",
  async (dir) => {
    sh(
      dir,
      `mkdir -p a/empty a/deep/er a/$(printf 'n%.0s' $(seq 200))/$(printf 'm%.0s' $(seq 200)); cd a
    printf hello > hello; : > zero; printf x > $'new\\nline'; printf y > $'\\xff\\xfe bytes'; printf z > ' spaced '
    printf u > grö; printf s > setuid; chmod 4755 setuid; chmod 1777 deep; chmod 2750 deep/er
    head -c 3000000 /dev/urandom > big; head -c 4097 /dev/urandom > chunk; head -c 512 /dev/zero > block
    ln hello deep/hello2; ln hello zzz; ln big $(echo n*/m*)/big2; ln -s hello link; ln -s /../.. out; ln -s $'\\xff\\n' $'\\xfelink'
    touch -d '1969-12-31 23:59:58.25 UTC' zero; touch -h -d '2001-02-03 04:05:06.123456789 UTC' link
    touch -d '2400-01-01 UTC' chunk; if [ $(id -u) = 0 ]; then chown 3000000000:54321 hello; chown -h 7:8 link; fi
    find . -depth -type d -exec touch -d '2020-02-02 02:02:02.020202020 UTC' {} +`,
    );
    trySetXattr(`${dir}/a/hello`, "user.isconf", new Uint8Array([0, 255, 10, 61]));
    trySetXattr(`${dir}/a/deep`, "user.dir", new Uint8Array(3000).fill(7));
    if (isRoot) trySetXattr(`${dir}/a/link`, "trusted.link", new Uint8Array([1]));
    const [from, to] = [new MemoryStore(), new MemoryStore()];
    const kept = await capture(from, `${dir}/a`);
    const image = await collect(exportOci(from, kept.id, { ref: "web-1.2" }));
    const { skipped, ...got } = await importOci(to, streamOf(image, 65_536));
    assert.equal(skipped, 0);
    assert.deepEqual(await paths(to, got.id), await paths(from, kept.id));
    assert.deepEqual(got, kept);
    const again = await collect(exportOci(to, got.id, { ref: "web-1.2" }));
    assert.ok(Buffer.compare(again, image) === 0, "two exports differ");
  },
);

testIn("a sparse file goes out with zeros in its holes", async (dir) => {
  sh(
    dir,
    "mkdir a; cd a; truncate -s 3M s; printf d | dd of=s bs=1 seek=1000000 conv=notrunc status=none; truncate -s 1M h",
  );
  const store = new MemoryStore();
  const { id } = await capture(store, `${dir}/a`);
  const back = await importOci(store, exportOci(store, id));
  assert.equal(back.bytes, 4 << 20);
  await restore(store, back.id, `${dir}/b`);
  sh(dir, "diff -r a b");
});

testIn("a single file or link is an image of one name", async (dir) => {
  sh(dir, "printf hi > f; ln -s f l");
  const store = new MemoryStore();
  for (const [name, shown] of [["f", "file n\xff 2"], ["l", "link n\xff f"]] as const) {
    const { id } = await capture(store, `${dir}/${name}`);
    const back = await importOci(store, exportOci(store, id, { name: fromLatin1("n\xff") }));
    assert.deepEqual(await paths(store, back.id), ["dir", shown]);
    for (const bad of [undefined, "a/b", "..", ""]) {
      await assert.rejects(
        collect(exportOci(store, id, bad === undefined ? {} : { name: bad })),
        { kind: "usage" },
        `${bad}`,
      );
    }
  }
});

test("names that are not UTF-8 are marked as bytes, others are not", async () => {
  const store = new MemoryStore();
  const meta = { mode: 0o644, uid: 0, gid: 0, mtime: [0, 0] as [number, number] };
  for (const [name, isMarked] of [["\xff", true], ["\xc3\xb6", false], ["a", false]] as const) {
    const writer = new DirWriter(store);
    await writer.add(fromLatin1(name), { kind: "link", ...meta, target: fromLatin1("x") });
    const [id] = await store.put([encodeNode(await writer.finish(meta))]);
    const text = latin1(await collect(exportOci(store, id!)));
    assert.equal(text.includes("21 hdrcharset=BINARY\n"), isMarked, name);
    assert.equal(text.includes(` path=${name}\n`), name !== "a", name);
  }
});

test("what a layer cannot say is refused by name: .wh. and contents that are not as long as said", async () => {
  const store = new MemoryStore();
  const meta = { mode: 0o644, uid: 0, gid: 0, mtime: [0, 0] as [number, number] };
  const { id: content } = await putFile(store, streamOf(fromLatin1("ab")));
  const tree = async (name: string, file: Partial<FileNode>) => {
    const writer = new DirWriter(store);
    await writer.add(fromLatin1(name), { kind: "file", ...meta, size: 2, content, ...file });
    return (await store.put([encodeNode(await writer.finish(meta))]))[0]!;
  };
  await collect(exportOci(store, await tree("x", {})));
  await assert.rejects(collect(exportOci(store, await tree(".wh.x", {}))), {
    kind: "refused",
    message: /\.wh\.x/,
  });
  for (
    const lie of [{ size: 1 }, { size: 3 }, { size: 0 }, { size: 9, runs: [[0, 3]] }, { size: 9, runs: [] }]
  ) {
    const id = await tree("x", lie as Partial<FileNode>);
    await assert.rejects(collect(exportOci(store, id)), { kind: "corrupt" }, JSON.stringify(lie));
  }
});

test("options of an export that cannot be are told", async () => {
  const store = new MemoryStore();
  const { id } = await importOci(store, streamOf(archive(plainLayer(["f"]))));
  for (const ref of ["", "a b", "-a", "a//b", "a\n", "x".repeat(256), "é"]) {
    await assert.rejects(collect(exportOci(store, id, { ref })), { kind: "usage" }, ref);
  }
  for (const architecture of ["", "AMD 64", "x".repeat(33)]) {
    await assert.rejects(collect(exportOci(store, id, { architecture })), { kind: "usage" });
  }
  await collect(exportOci(store, id, { ref: "reg.example:5000/a/b--c@1+2_3", architecture: "ppc64le" }));
});

test("a file of 64 MiB goes out and in a few windows at a time", async () => {
  const MiB = 1024 * 1024;
  const memory = new MemoryStore();
  let [got, put] = [0, 0];
  const store: Store = {
    missing: (ids) => memory.missing(ids),
    put(list) {
      put += list.reduce((n, o) => n + o.length, 0);
      return memory.put(list);
    },
    async get(ids) {
      const list = await memory.get(ids);
      got += list.reduce((n, o) => n + o.length, 0);
      return list;
    },
  };
  let state = 1;
  const source = async function* () {
    for (let i = 0; i < 64; i++) {
      const words = new Uint32Array(MiB / 4).map(() => state = (Math.imul(state, 1664525) + 1013904223) | 0);
      yield await Promise.resolve(new Uint8Array(words.buffer));
    }
  };
  const { id: content, size } = await putFile(store, source());
  const meta = { mode: 0o755, uid: 0, gid: 0, mtime: [0, 0] as [number, number] };
  const writer = new DirWriter(store);
  await writer.add(fromLatin1("big"), { kind: "file", ...meta, size, content });
  const [id] = await store.put([encodeNode(await writer.finish(meta))]);
  const image = exportOci(store, id!);
  let [yielded, ahead, largest] = [0, 0, 0];
  for (let before = 0;; before = got) {
    const { value, done } = await image.next();
    if (done) break;
    if (before > 0) ahead = Math.max(ahead, got - before); // before the first piece the layer was hashed
    yielded += value.length;
    largest = Math.max(largest, value.length);
  }
  assert.ok(yielded > size && largest <= MiB && ahead <= 8 * MiB, `${yielded} ${largest} ${ahead}`);
  const other = new MemoryStore();
  let [given, kept, behind] = [0, 0, 0];
  const target: Store = {
    missing: (ids) => other.missing(ids),
    get: (ids) => other.get(ids),
    put(list) {
      kept += list.reduce((n, o) => n + o.length, 0);
      return other.put(list);
    },
  };
  const watched = async function* () {
    for await (const piece of exportOci(store, id!)) {
      given += piece.length;
      behind = Math.max(behind, given - kept);
      yield piece;
    }
  };
  assert.equal((await importOci(target, watched())).id, id);
  assert.ok(behind <= 16 * MiB, `${behind}`);
});

const pack: [string, (plain: Uint8Array) => Uint8Array][] = [
  ["application/vnd.oci.image.layer.v1.tar+gzip", (b) => gzipSync(b)],
  ["application/vnd.oci.image.layer.v1.tar+zstd", (b) => zstdCompressSync(b)],
  ["application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", (b) => gzipSync(b)],
  ["application/vnd.docker.image.rootfs.diff.tar.gzip", (b) => gzipSync(b)],
  [
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    (b) => Buffer.concat([gzipSync(b.subarray(0, 700)), gzipSync(b.subarray(700))]),
  ],
];

test("layers of every packing, also of several gzip members, are unpacked", async () => {
  const plain = tarOf(["a/b", { data: "x".repeat(100_000) }]);
  for (const [mediaType, how] of pack) {
    const store = new MemoryStore();
    const got = await importOci(store, streamOf(archive({ mediaType, packed: how(plain), plain }), 999));
    assert.deepEqual(await paths(store, got.id), ["dir", "dir a", "file a/b 100000"], mediaType);
  }
});

test("layers lie one over the other: whiteouts, opaque directories, replaced and linked names", async () => {
  const d = { kind: "dir" } as const;
  const below = plainLayer(
    ["gone", { data: "1" }],
    ["dir", { ...d, mode: 0o700 }],
    ["dir/gone", { data: "1" }],
    ["dir/stays", { data: "22" }],
    ["opaque/old/x"],
    ["opaque/y"],
    ["tree/x/y"],
    ["was-dir/x"],
    ["was-file", { data: "1" }],
    ["linked", { data: "333" }],
    ["hidden/old"],
    ["again", { data: "1" }],
    ["late/old"],
    ["l", { kind: "link", target: fromLatin1("gone") }],
  );
  const above = plainLayer(
    [".wh.gone"],
    ["dir/.wh.gone"],
    ["dir", { ...d, mode: 0o755 }],
    ["opaque/new"],
    ["opaque/.wh..wh..opq"],
    [".wh.tree"],
    ["was-dir", { data: "4444" }],
    ["was-file", d],
    ["was-file/x"],
    ["name2", { kind: "hard", target: fromLatin1("./linked") }],
    ["name3", { kind: "hard", target: fromLatin1("l") }],
    [".wh.linked"],
    [".wh.hidden"],
    ["hidden/new"],
    [".wh.again"],
    ["again", { data: "55555" }],
    ["late/new"],
    [".wh.late"],
    [".wh.never-was"],
    ["no/such/.wh.dir"],
    ["no/such/.wh..wh..opq"],
  );
  const store = new MemoryStore();
  const got = await importOci(store, streamOf(archive(below, above)));
  assert.deepEqual(await paths(store, got.id), [
    "dir",
    "file again 5",
    "dir dir",
    "file dir/stays 2",
    "dir hidden",
    "file hidden/new 0",
    "link l gone",
    "dir late",
    "file late/new 0",
    "file name2 3",
    "link name3 gone",
    "dir opaque",
    "file opaque/new 0",
    "file was-dir 4",
    "dir was-file",
    "file was-file/x 0",
  ]);
  assert.equal(got.files, 10);
  assert.equal(got.bytes, 14);
  for await (const { path, node } of listTree(store, got.id)) {
    if (latin1(path) === "dir") assert.equal(node.mode, 0o755);
    if (latin1(path) === "name2") assert.equal((node as FileNode).hard, undefined, "its other name is gone");
  }
});

test("several names of one file across layers are one file, numbered as capture does", async () => {
  const store = new MemoryStore();
  const hard = (path: string, target: string): [string, { kind: "hard"; target: Uint8Array }] => [
    path,
    { kind: "hard", target: fromLatin1(target) },
  ];
  const layers = [
    plainLayer(["z", { data: "z" }], ["y", { data: "y" }], hard("a", "z")),
    plainLayer(hard("b", "y")),
  ];
  const { id, bytes } = await importOci(store, streamOf(archive(...layers)));
  const numbers = [];
  for await (const { path, node } of listTree(store, id)) {
    if (node.kind === "file") numbers.push([latin1(path), node.hard]);
  }
  assert.deepEqual(numbers, [["a", 0], ["b", 1], ["y", 1], ["z", 0]]);
  assert.equal(bytes, 2);
});

test("devices and fifos are refused by name, or left out and counted", async () => {
  const layers = [
    plainLayer(["was", { data: "1" }]),
    plainLayer(["dev/null", { kind: "char" }], ["p", { kind: "fifo" }], ["was", { kind: "block" }], [
      "p2",
      { kind: "hard", target: fromLatin1("p") },
    ]),
  ];
  const store = new MemoryStore();
  await assert.rejects(importOci(store, streamOf(archive(...layers))), {
    kind: "refused",
    message: /dev\/null is a device/,
  });
  const got = await importOci(store, streamOf(archive(...layers)), { skipSpecial: true });
  assert.deepEqual([got.skipped, await paths(store, got.id)], [4, ["dir", "dir dev"]]);
});

test("of several images one is picked, or all are named; indexes may lie in indexes", async () => {
  const layer = (name: string): Layer => plainLayer([name]);
  const images = [
    imageOf([layer("web-amd64")], { ref: "web", architecture: "amd64" }),
    imageOf([layer("web-arm64")], { ref: "web", architecture: "arm64" }),
    imageOf([layer("db-amd64")], { ref: "db", architecture: "amd64" }),
  ];
  const arm = { ...images[1]!.manifest, annotations: {} };
  const inner = indexOf(arm, describe(MEDIA.manifest, json({ left: "out" })));
  const nested = { ...describe(MEDIA.index, inner), annotations: images[1]!.manifest.annotations! };
  const remark = imageOf([layer("remark")]);
  const unknown = { ...remark.manifest, platform: { architecture: "unknown", os: "unknown" } };
  const index = indexOf(
    images[0]!.manifest,
    nested,
    images[2]!.manifest,
    unknown,
    describe("text/x", json({})),
  );
  const bytes = archiveOf(index, [...images.flatMap(({ blobs }) => blobs), inner, ...remark.blobs]);
  const store = new MemoryStore();
  const pick = async (options: { ref?: string; architecture?: string }) =>
    (await paths(store, (await importOci(store, streamOf(bytes), options)).id))[1];
  assert.equal(await pick({ ref: "db" }), "file db-amd64 0");
  assert.equal(await pick({ ref: "web", architecture: "arm64" }), "file web-arm64 0");
  assert.equal(await pick({ architecture: "arm64" }), "file web-arm64 0");
  for (const none of [{}, { ref: "web" }, { ref: "no" }, { architecture: "s390x" }]) {
    await assert.rejects(pick(none), {
      kind: "usage",
      message: /"web" linux\/amd64 sha256:[0-9a-f]{12}, "web" linux\/arm64 [^,]*, "db" linux\/amd64 [^,]*$/,
    });
  }
});

test("the image says what it is: configuration, platform, name and time", async () => {
  const store = new MemoryStore();
  const meta = { mode: 0o755, uid: 0, gid: 0 };
  const documents = async (mtime: [number, number]) => {
    const [id] = await store.put([encodeNode({ kind: "dir", ...meta, mtime, entries: [] })]);
    const out: Record<string, unknown>[] = [];
    const tar = exportOci(store, id!, { ref: "r", architecture: "arm64" });
    for await (const { kind, size, content } of readTar(tar, wrong)) {
      if (kind === "file" && size < 1000) out.push(JSON.parse(latin1(await collect(content))));
    }
    return out;
  };
  const [layout, index, config] = await documents([981173106, 5]);
  assert.deepEqual(layout, { imageLayoutVersion: "1.0.0" });
  const [image] = index!.manifests as Record<string, unknown>[];
  assert.deepEqual(image!.platform, { architecture: "arm64", os: "linux" });
  assert.deepEqual(image!.annotations, { "org.opencontainers.image.ref.name": "r" });
  assert.equal(config!.created, "2001-02-03T04:05:06.000000005Z");
  assert.equal((await documents([1e12, 0]))[2]!.created, undefined);
});
