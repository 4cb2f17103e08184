// oci_hostile: archives made to hurt. Each is refused with a word about what is wrong, and leaves no root behind.
import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import fc from "fast-check";
import type { Kind } from "../mq/mod.ts";
import { decode, Fault } from "../mq/mod.ts";
import {
  ociIndexDepthMax,
  ociJsonBytesMax,
  ociLayersMax,
  ociManifestsMax,
  ociNamesMax,
  treeDepthMax,
} from "./limits.ts";
import type { Piece } from "./oci_fixture.ts";
import {
  archive,
  archiveOf,
  describe,
  imageOf,
  indexOf,
  json,
  plainLayer,
  sha256,
  streamOf,
  tarOf,
} from "./oci_fixture.ts";
import type { ImportOptions } from "./oci_import.ts";
import { importOci } from "./oci_import.ts";
import { MEDIA } from "./oci_json.ts";
import { MemoryStore } from "./store.ts";
import { fromLatin1, latin1 } from "./tar.ts";
import { TAR_END, tarHeader } from "./tar_write.ts";

/** Imports and must fail in that way, with no directory left in the store. */
async function refused(
  what: string,
  bytes: Uint8Array | AsyncIterable<Uint8Array>,
  kind: Kind,
  message: RegExp,
  options: ImportOptions = {},
): Promise<void> {
  const store = new MemoryStore();
  const source = bytes instanceof Uint8Array ? streamOf(bytes, 65_536) : bytes;
  await assert.rejects(importOci(store, source, options), (e: unknown) => {
    assert.ok(e instanceof Fault, `${what}: ${e}`);
    assert.deepEqual([e.kind, message.test(e.message)], [kind, true], `${what}: ${e.kind} ${e.message}`);
    assert.match(e.hint, /^(skopeo|isconf) /, what);
    assert.ok(!/[\n\x1b]/.test(e.message), what);
    return true;
  });
  for (const object of store.objects.values()) assert.ok(!isDir(object), `${what} left a directory`);
}

function isDir(object: Uint8Array): boolean {
  try {
    return (decode(object) as { kind?: string }).kind === "dir";
  } catch {
    return false; // a chunk of bytes
  }
}

const target = (text: string) => ({ target: fromLatin1(text) });
const dir = { kind: "dir" } as const;

test("names and links in a layer that lead out of it, or contradict each other", async () => {
  const traps: [string, Kind, RegExp, ...Piece[]][] = [
    ["..", "refused", /cannot be a name/, ["../x"]],
    [".. inside", "refused", /cannot be a name/, ["a/../../x"]],
    [".. and back", "refused", /cannot be a name/, ["a/../b"]],
    [".. at the end", "refused", /cannot be a name/, ["a/..", dir]],
    ["absolute", "refused", /cannot be a name/, ["/etc/passwd"]],
    ["the root itself, absolute", "refused", /cannot be a name/, ["/", dir]],
    ["a name too long", "refused", /cannot be a name/, ["x".repeat(256)]],
    ["no name", "refused", /cannot be a name/, [""]],
    ["too deep", "refused", /512 deep/, ["d/".repeat(treeDepthMax + 1) + "f"]],
    ["a directory too deep", "refused", /512 deep/, ["d/".repeat(treeDepthMax) + "d", dir]],
    ["a hard link out", "refused", /cannot be a name/, ["h", {
      kind: "hard",
      ...target("../../etc/shadow"),
    }]],
    ["an absolute hard link", "refused", /cannot be a name/, ["h", {
      kind: "hard",
      ...target("/etc/shadow"),
    }]],
    ["a hard link to nothing", "corrupt", /no file of the image/, ["h", { kind: "hard", ...target("x") }]],
    ["a hard link to itself", "corrupt", /no file of the image/, ["h", { kind: "hard", ...target("h") }]],
    ["a hard link to a directory", "corrupt", /no file/, ["d", dir], ["h", { kind: "hard", ...target("d") }]],
    ["through a symbolic link", "corrupt", /is no directory, and/, ["l", { kind: "link", ...target("/") }], [
      "l/x",
    ]],
    ["a hard link through a symbolic link", "corrupt", /no file/, ["d/x"], [
      "l",
      { kind: "link", ...target("d") },
    ], ["h", { kind: "hard", ...target("l/x") }]],
    ["below a file", "corrupt", /is no directory, and/, ["f"], ["f/x"]],
    ["a name twice", "corrupt", /twice/, ["f"], ["f"]],
    ["a name twice, spelt otherwise", "corrupt", /twice/, ["a/f"], ["./a//f"]],
    ["a directory twice", "corrupt", /twice/, ["d", dir], ["d", dir]],
    ["a file where a directory was", "corrupt", /twice/, ["d", dir], ["d"]],
    ["a file where an implied directory was", "corrupt", /twice/, ["d/x"], ["d"]],
    ["a directory where a file was", "corrupt", /twice/, ["d"], ["d", dir]],
    ["a root that is a file", "corrupt", /root of a layer/, ["."]],
    ["a root that is a link", "corrupt", /root of a layer/, [".", { kind: "link", ...target("/") }]],
    ["an empty link", "corrupt", /cannot be a path/, ["l", { kind: "link" }]],
    ["a link too long", "corrupt", /cannot be a path/, ["l", { kind: "link", ...target("x".repeat(4096)) }]],
    ["a deleted nothing", "corrupt", /cannot be a name/, [".wh."]],
    ["a deleted .", "corrupt", /cannot be a name/, [".wh.."]],
    ["a deleted ..", "corrupt", /cannot be a name/, ["a/.wh..."]],
    ["a reserved name", "corrupt", /cannot be a name/, [".wh..wh.plnk"]],
    ["below a deleted name", "corrupt", /below a deleted/, [".wh.a/b"]],
    ["an attribute that cannot be", "refused", /attribute/, ["f", {
      xattrs: [[fromLatin1("user.x"), new Uint8Array(65_537)]],
    }]],
    ["escape codes", "refused", /cannot be a name/, ["../\x1b[2J\n"]],
  ];
  for (const [what, kind, message, ...pieces] of traps) {
    await refused(what, archive(plainLayer(...pieces)), kind, message);
  }
  await refused(
    "below a file of the layer below",
    archive(plainLayer(["f"]), plainLayer(["f/x"])),
    "corrupt",
    /is no directory, and/,
  );
});

test("symbolic links say what they like and are not followed", async () => {
  const layer = plainLayer(["l", { kind: "link", ...target("../../../etc/shadow") }], ["m", {
    kind: "link",
    ...target("/"),
  }]);
  assert.equal((await importOci(new MemoryStore(), streamOf(archive(layer)))).files, 2);
});

test("blobs that do not match their names or their descriptors", async () => {
  const layer = plainLayer(["f", { data: "x" }]);
  const { blobs, manifest } = imageOf([layer]);
  const whole = archiveOf(indexOf(manifest), blobs);
  await importOci(new MemoryStore(), streamOf(whole));
  for (const [i, name] of ["config", "manifest", "layer"].entries()) {
    const at = Buffer.from(whole).indexOf(blobs[i]!) + 3;
    await refused(`${name} bent`, whole.map((b, k) => k === at ? b ^ 1 : b), "corrupt", /has the hash/);
    const rest = blobs.filter((_, k) => k !== i);
    const message = name === "manifest" ? /no image/ : /not in the archive/;
    await refused(`${name} missing`, archiveOf(indexOf(manifest), rest), "corrupt", message);
  }
  const longer = { ...manifest, size: manifest.size + 1 };
  await refused("a wrong size", archiveOf(indexOf(longer), blobs), "corrupt", /its descriptor says/);
  const other = { ...layer, plain: tarOf(["g"]) };
  await refused("a wrong diff_id", archive(other), "corrupt", /unpacks to the hash/);
  for (const cut of [100, 512, 1536, whole.length - 2048]) {
    await refused(`cut off at ${cut}`, whole.subarray(0, cut), "corrupt", /middle|no OCI archive/);
  }
  await refused("nothing", new Uint8Array(0), "corrupt", /no OCI archive/);
  await refused("noise", fromLatin1("q".repeat(5000)), "corrupt", /tar header|number/);
});

test("an archive with names that lie, twice, or too many", async () => {
  const { blobs, manifest } = imageOf([plainLayer(["f"])]);
  const named = blobs.map((blob): Piece => [`blobs/sha256/${sha256(blob)}`, { data: blob }]);
  const layout: Piece = ["oci-layout", { data: json({ imageLayoutVersion: "1.0.0" }) }];
  const index: Piece = ["index.json", { data: indexOf(manifest) }];
  await importOci(
    new MemoryStore(),
    streamOf(tarOf(["./", dir], ...named, layout, index, ["manifest.json"])),
  );
  const wrong: [string, Kind, RegExp, Piece[]][] = [
    ["a blob twice", "corrupt", /twice/, [...named, named[0]!, layout, index]],
    ["an index twice", "corrupt", /twice/, [...named, index, layout, index]],
    ["out of the archive", "refused", /leads out/, [["../x"], ...named, layout, index]],
    ["absolute", "refused", /leads out/, [["/index.json"], ...named, layout, index]],
    ["an index that is a link", "refused", /is no file/, [["index.json", { kind: "link", ...target("x") }]]],
    ["a blob that is a hard link", "refused", /is no file/, [["blobs/x", { kind: "hard", ...target("x") }]]],
    ["no layout", "corrupt", /no OCI archive/, [...named, index]],
    ["another layout", "refused", /version/, [...named, index, ["oci-layout", { data: "{}" }]]],
  ];
  for (const [what, kind, message, pieces] of wrong) await refused(what, tarOf(...pieces), kind, message);
  const endless = async function* () {
    const block = tarHeader({
      kind: "file",
      path: fromLatin1("x"),
      target: fromLatin1(""),
      size: 0,
      mode: 0,
      uid: 0,
      gid: 0,
      mtime: [0, 0],
    });
    for (;;) yield await Promise.resolve(block);
  };
  await refused("names without end", endless(), "refused", new RegExp(`more than ${ociNamesMax} names`));
  await refused("bytes without end", endless(), "refused", /archive of more than 5000 bytes/, {
    bytesMax: 5000,
  });
});

test("documents that are garbage, huge, deep or endless", async () => {
  const { blobs, manifest } = imageOf([plainLayer(["f"])]);
  const layer = describe(MEDIA.layer, blobs[2]!);
  const config = describe(MEDIA.config, blobs[0]!);
  const indexes: [string, Uint8Array, Kind, RegExp][] = [
    ["no JSON", fromLatin1("{"), "corrupt", /no JSON/],
    ["no UTF-8", fromLatin1('{"schemaVersion":2,"x":"\xff"}'), "corrupt", /no JSON/],
    ["a list", json([]), "corrupt", /no JSON object/],
    ["null", json(null), "corrupt", /no JSON object/],
    ["version 1", json({ schemaVersion: 1, manifests: [] }), "refused", /version/],
    ["no list", json({ schemaVersion: 2, manifests: {} }), "corrupt", /no list/],
    ["nothing in it", indexOf(), "corrupt", /no image/],
    ["deep", fromLatin1("[".repeat(1e6)), "corrupt", /no JSON/],
    ["huge", new Uint8Array(ociJsonBytesMax + 1).fill(0x20), "refused", /at most/],
    ["too many", indexOf(...Array(ociManifestsMax + 1).fill(manifest)), "refused", /at most/],
    ["a descriptor that is none", json({ schemaVersion: 2, manifests: [7] }), "corrupt", /no JSON object/],
    ["another hash", indexOf({ ...manifest, digest: "sha512:" + "0".repeat(128) }), "refused", /sha256/],
    ["a path as digest", indexOf({ ...manifest, digest: "sha256:../../x" }), "refused", /sha256/],
    ["a negative size", indexOf({ ...manifest, size: -1 }), "corrupt", /no size/],
    ["half a byte", indexOf({ ...manifest, size: 0.5 }), "corrupt", /no size/],
    ["a prototype", fromLatin1('{"__proto__":{"schemaVersion":2,"manifests":[]}}'), "refused", /version/],
  ];
  for (const [what, index, kind, message] of indexes) {
    await refused(what, archiveOf(index, blobs), kind, message);
  }
  const manifests: [string, unknown, Kind, RegExp][] = [
    ["no configuration", { layers: [layer] }, "corrupt", /no JSON object/],
    ["fewer layers than hashes", { config, layers: [] }, "corrupt", /0 layers/],
    ["more layers than hashes", { config, layers: [layer, layer] }, "corrupt", /2 layers/],
    ["too many layers", { config, layers: Array(ociLayersMax + 1).fill(layer) }, "refused", /at most/],
    [
      "a layer of another kind",
      { config, layers: [{ ...layer, mediaType: "text/x" }] },
      "refused",
      /text\/x/,
    ],
    ["a layer as configuration", { config: layer, layers: [layer] }, "corrupt", /no JSON/],
    [
      "a huge configuration",
      { config: { ...config, size: 2 ** 52 }, layers: [layer] },
      "corrupt",
      /descriptor says/,
    ],
  ];
  for (const [what, fields, kind, message] of manifests) {
    const bytes = json({ schemaVersion: 2, ...fields as object });
    await refused(
      what,
      archiveOf(indexOf(describe(MEDIA.manifest, bytes)), [...blobs, bytes]),
      kind,
      message,
    );
  }
  const nested: Uint8Array[] = [indexOf(manifest)];
  for (let i = 0; i < ociIndexDepthMax; i++) nested.push(indexOf(describe(MEDIA.index, nested.at(-1)!)));
  await importOci(new MemoryStore(), streamOf(archiveOf(nested.at(-1)!, [...blobs, ...nested])));
  nested.push(indexOf(describe(MEDIA.index, nested.at(-1)!)));
  await refused("deep indexes", archiveOf(nested.at(-1)!, [...blobs, ...nested]), "refused", /nested/);
  const wide: Uint8Array[] = [indexOf(manifest)];
  for (let i = 0; i < 3; i++) wide.push(indexOf(...Array(300).fill(describe(MEDIA.index, wide.at(-1)!))));
  await importOci(new MemoryStore(), streamOf(archiveOf(wide[2]!, [...blobs, ...wide])));
  const refs = Array.from({ length: 600 }, (_, i) => ({
    ...describe(MEDIA.index, wide[1]!),
    annotations: { "org.opencontainers.image.ref.name": `r${i}` },
  }));
  await refused(
    "a thousand times a thousand",
    archiveOf(indexOf(...refs), [...blobs, ...wide]),
    "refused",
    /manifests/,
  );
});

test("layers that unpack to far more than they are, or not at all", async () => {
  const bomb = tarOf(["f", { data: new Uint8Array(50_000_000) }]);
  const layer = (mediaType: string, packed: Uint8Array, plain: Uint8Array) => ({ mediaType, packed, plain });
  const gzip = "application/vnd.oci.image.layer.v1.tar+gzip";
  const zstd = "application/vnd.oci.image.layer.v1.tar+zstd";
  for (const [kind, packed] of [[gzip, gzipSync(bomb)], [zstd, zstdCompressSync(bomb)]] as const) {
    const max = { bytesMax: 10_000_000 };
    await refused(
      "a bomb",
      archive(layer(kind, packed, bomb)),
      "refused",
      /unpack to more than 10000000 bytes/,
      max,
    );
  }
  const half = tarOf(["f", { data: new Uint8Array(6_000_000) }]), other = tarOf(["g", { data: half }]);
  await refused(
    "two halves of a bomb",
    archive(layer(gzip, gzipSync(half), half), layer(gzip, gzipSync(other), other)),
    "refused",
    /more than 10000000 bytes/,
    { bytesMax: 10_000_000 },
  );
  const small = tarOf(["f", { data: "x".repeat(10_000) }]);
  for (const [kind, packed] of [[gzip, gzipSync(small)], [zstd, zstdCompressSync(small)]] as const) {
    const message = /cannot be unpacked|unpacks to the hash|middle of an entry|tar header/;
    for (const length of [0, 5, packed.length >> 1, packed.length - 9]) {
      await refused(
        `cut at ${length}`,
        archive(layer(kind, packed.subarray(0, length), small)),
        "corrupt",
        message,
      );
    }
    await refused("not packed", archive(layer(kind, small, small)), "corrupt", message);
    await refused(
      "bent",
      archive(layer(kind, packed.map((b, i) => i === 40 ? b ^ 255 : b), small)),
      "corrupt",
      message,
    );
  }
  await refused(
    "packed, but not said",
    archive(layer(MEDIA.layer, gzipSync(small), small)),
    "corrupt",
    /to the hash/,
  );
});

test("what comes after the end of a layer is hashed too", async () => {
  const plain = new Uint8Array(Buffer.concat([tarOf(["f"]), TAR_END, fromLatin1("more")]));
  await importOci(new MemoryStore(), streamOf(archive({ mediaType: MEDIA.layer, packed: plain, plain })));
  await refused(
    "another end",
    archive({ mediaType: MEDIA.layer, packed: plain, plain: plain.subarray(0, -1) }),
    "corrupt",
    /unpacks to the hash/,
  );
});

test("a source that breaks is passed on as it is, and one that is left is closed", async () => {
  const broken = async function* () {
    yield await Promise.resolve(archive(plainLayer(["f"])).subarray(0, 700));
    throw new Error("the line is down");
  };
  await assert.rejects(importOci(new MemoryStore(), broken()), /the line is down/);
  let isClosed = false;
  const left = async function* () {
    try {
      for (;;) yield await Promise.resolve(new Uint8Array(512).fill(7));
    } finally {
      isClosed = true;
    }
  };
  await refused("noise without end", left(), "corrupt", /header|number/);
  assert.ok(isClosed);
});

test("a layer bent anywhere comes in or is refused, and never breaks anything else", async () => {
  const good = tarOf(
    ["d", { kind: "dir", mtime: [-5, 5] }],
    ["d/\xff", { data: "x".repeat(600), xattrs: [[fromLatin1("user.x"), fromLatin1("1")]] }],
    ["d/h", { kind: "hard", ...target("d/\xff") }],
    ["l", { kind: "link", ...target("x".repeat(150)) }],
    [".wh.old"],
  );
  const counts = { in: 0, refused: 0 };
  const bend = fc.tuple(fc.nat(good.length - 1), fc.integer({ min: 0, max: 255 }));
  await fc.assert(
    fc.asyncProperty(fc.array(bend, { minLength: 1, maxLength: 4 }), fc.boolean(), async (bends, hasSums) => {
      const plain = good.slice();
      for (const [at, byte] of bends) plain[at] = byte;
      if (hasSums) {
        for (let at = 0; at < plain.length; at += 512) if (isHeader(good, at)) mendSum(plain, at);
      }
      try {
        await importOci(
          new MemoryStore(),
          streamOf(archive({ mediaType: MEDIA.layer, packed: plain, plain })),
        );
        counts.in++;
      } catch (e) {
        assert.ok(e instanceof Fault, `${e}`);
        counts.refused++;
      }
    }),
    { numRuns: 500, seed: 1 },
  );
  assert.ok(counts.in > 50 && counts.refused > 50, JSON.stringify(counts));
});

const isHeader = (tar: Uint8Array, at: number) => latin1(tar.subarray(at + 257, at + 262)) === "ustar";

/** Makes the sum of the header at `at` right again. */
function mendSum(tar: Uint8Array, at: number): void {
  const block = tar.subarray(at, at + 512);
  block.fill(0x20, 148, 156);
  const sum = block.reduce((a, b) => a + b, 0);
  block.set(fromLatin1(sum.toString(8).padStart(6, "0") + "\0"), 148);
}
