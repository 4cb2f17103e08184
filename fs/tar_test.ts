// tar: what is written is read again, here and by tar(1); what tar(1) writes is read; what is no tar is refused.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { test } from "node:test";
import { Fault } from "../mq/mod.ts";
import { sh, testIn } from "./fixture.ts";
import { tarPaxBytesMax } from "./limits.ts";
import { collect, streamOf, tarOf } from "./oci_fixture.ts";
import type { Complain, TarHead } from "./tar.ts";
import { decodePax, encodePax, fromLatin1, latin1, parsePaxTime, paxTime } from "./tar.ts";
import { readTar } from "./tar_read.ts";
import { TAR_END, tarHeader } from "./tar_write.ts";

const complain: Complain = (kind, what) => new Fault("test", kind, what, { hint: "isconf" });

/** Every entry with its content. */
async function entries(bytes: Uint8Array, length = 4096): Promise<(TarHead & { data: string })[]> {
  const out = [];
  for await (const { content, ...head } of readTar(streamOf(bytes, length), complain)) {
    out.push({ ...head, data: latin1(await collect(content)) });
  }
  return out;
}

const head = (over: Partial<TarHead>): TarHead => ({
  kind: "file",
  path: fromLatin1("f"),
  target: fromLatin1(""),
  size: 0,
  mode: 0o644,
  uid: 0,
  gid: 0,
  mtime: [1, 0],
  ...over,
});

test("every field at its edges comes back", async () => {
  const all = Array.from({ length: 255 }, (_, i) => String.fromCharCode(i + 1)).join("").replace("/", "");
  const heads = [
    head({}),
    head({ kind: "dir", path: fromLatin1(".") }),
    head({ path: fromLatin1("x".repeat(100)) }),
    head({ path: fromLatin1("x".repeat(101)) }),
    head({ path: fromLatin1(`${"d/".repeat(2500)}${"y".repeat(255)}`) }),
    head({ path: fromLatin1(all), kind: "dir" }),
    head({ kind: "link", target: fromLatin1(`/${all}/../x`) }),
    head({ kind: "link", target: fromLatin1("trailing/") }),
    head({ kind: "hard", target: fromLatin1("z".repeat(300)) }),
    head({ kind: "fifo" }),
    head({ kind: "char" }),
    head({ kind: "block" }),
    head({ mode: 0o7777, uid: 0o7777777, gid: 0o10000000 }),
    head({ uid: 0xfffffffe, gid: 3_000_000_000 }),
    ...[[0, 1], [-1, 0], [-1, 5e8], [-2, 999_999_999], [2 ** 33, 0], [2 ** 40, 10], [-62e9, 1]].map((
      [s, n],
    ) => head({ mtime: [s!, n!] })),
    head({
      xattrs: [[fromLatin1("security.x"), fromLatin1(all)], [fromLatin1("user.\xff"), fromLatin1("a\n=\0")]],
    }),
    head({ xattrs: [[fromLatin1("user.empty"), fromLatin1("")]] }),
  ];
  const bytes = Buffer.concat([...heads.map(tarHeader), TAR_END]);
  for (const length of [1 << 20, 512, 7]) {
    assert.deepEqual(await entries(bytes, length), heads.map((h) => ({ ...h, data: "" })));
  }
});

test("content comes whole however it is cut, and what is not read is passed over", async () => {
  const sizes = [0, 1, 511, 512, 513, 5000];
  const tar = tarOf(
    ...sizes.map((size): [string, { data: string }] => [`f${size}`, { data: "q".repeat(size) }]),
  );
  for (const length of [1, 511, 4096]) {
    assert.deepEqual((await entries(tar, length)).map(({ data }) => data.length), sizes);
  }
  const names = [];
  for await (const { path, content } of readTar(streamOf(tar, 100), complain)) {
    names.push(latin1(path));
    for await (const _ of content) break;
  }
  assert.deepEqual(names, sizes.map((size) => `f${size}`));
});

test("a huge file is a large size and no memory", async () => {
  const size = 2 ** 50;
  const bytes = tarHeader(head({ size }));
  for await (const entry of readTar(streamOf(Buffer.concat([bytes, new Uint8Array(10)])), complain)) {
    assert.equal(entry.size, size);
    await assert.rejects(collect(entry.content), { kind: "corrupt", message: /ends in the middle/ });
    break;
  }
});

test("times are written as pax wants them", () => {
  for (
    const [time, text] of [[[0, 0], "0"], [[1, 5e8], "1.5"], [[-1, 0], "-1"], [[-1, 5e8], "-0.5"], [
      [-2, 75e7],
      "-1.25",
    ], [[1e10, 1], "10000000000.000000001"]] as [[number, number], string][]
  ) {
    assert.equal(paxTime(time), text);
    assert.deepEqual(parsePaxTime(text), time);
  }
  assert.deepEqual(parsePaxTime("1.1234567899"), [1, 123456789]);
  for (const bad of ["", "x", "1.x", "--1", "1e5", "9".repeat(16), "9".repeat(30)]) {
    assert.equal(parsePaxTime(bad), undefined, bad);
  }
});

test("pax records around every length of the length", () => {
  for (let size = 0; size < 1100; size++) {
    const records = new Map([["k", new Uint8Array(size).fill(65)]]);
    const bytes = encodePax(records);
    assert.equal(Number(latin1(bytes).split(" ")[0]), bytes.length);
    assert.deepEqual(decodePax(bytes, complain), records);
  }
});

/** `block`, its sum made right again. */
function sum(block: Uint8Array): Uint8Array {
  block.fill(0x20, 148, 156);
  const total = block.subarray(0, 512).reduce((a, b) => a + b, 0);
  block.set(fromLatin1(total.toString(8).padStart(6, "0") + "\0"), 148);
  return block;
}

/** A header with `text` at an offset. */
function bent(at: number, text: string, over: Partial<TarHead> = {}): Uint8Array {
  const bytes = tarHeader(head(over));
  bytes.set(fromLatin1(text), at);
  return sum(bytes);
}

const record = (key: string, value: string) => latin1(encodePax(new Map([[key, fromLatin1(value)]])));

/** A pax header with this body before an ordinary entry. */
function pax(body: string, flag = "x"): Uint8Array {
  const own = bent(156, flag, { size: body.length });
  const padded = new Uint8Array(Math.ceil(body.length / 512) * 512);
  padded.set(fromLatin1(body));
  return new Uint8Array(Buffer.concat([own, padded, tarHeader(head({})), TAR_END]));
}

test("what is no tar, or a strange one, is refused with a word", async () => {
  const wrong: [string, Uint8Array, RegExp][] = [
    ["text", fromLatin1("x".repeat(1024)), /no tar header|number/],
    ["a wrong sum", tarHeader(head({})).map((b, i) => i === 0 ? b ^ 1 : b), /no tar header/],
    ["half a block", tarHeader(head({})).subarray(0, 300), /ends in the middle/],
    ["content cut off", tarOf(["f", { data: "x".repeat(1000) }]).subarray(0, 1200), /ends in the middle/],
    ["padding cut off", tarOf(["f", { data: "x" }]).subarray(0, 600), /ends in the middle/],
    ["a size that is no number", bent(124, "0000000000z"), /number/],
    ["a negative size", bent(124, "\xff".repeat(12)), /size/],
    ["a size past all numbers", bent(124, "\x80" + "\xff".repeat(11)), /number/],
    ["a directory with content", bent(124, "00000000010", { kind: "dir" }), /no file/],
    ["uid -1", bent(108, "\xff".repeat(8)), /uid/],
    ["a kind nobody knows", bent(156, "Z"), /kind/],
    ["a sparse file of GNU tar", bent(156, "S"), /sparse/],
    ["pax: no length", pax("path=x\n"), /length/],
    ["pax: length 0", pax("0 path=x\n"), /length/],
    ["pax: length too long", pax("99 path=x\n"), /length/],
    ["pax: length too short", pax("9 path=xyz\n"), /length/],
    ["pax: a huge length", pax("999999999999999999999 a=b\n"), /length/],
    ["pax: no key", pax("5 =x\n"), /key/],
    ["pax: no equals sign", pax("7 path\n"), /length|key/],
    ["pax: a key twice", pax(record("path", "x") + record("path", "y")), /twice/],
    ["pax: zero in a name", pax(record("path", "a\0b")), /zero/],
    ["pax: a size that is no number", pax(record("size", "0x9")), /size/],
    ["pax: a time that is none", pax(record("mtime", "1e9")), /time/],
    ["pax: uid -1", pax(record("uid", "4294967295")), /uid/],
    ["pax: names in another alphabet", pax(record("hdrcharset", "KOI8-R")), /KOI8/],
    ["pax: sparse", pax(record("GNU.sparse.major", "1")), /sparse/],
    ["pax: a path for everything", pax(record("path", "xy"), "g"), /global/],
    [
      "two pax headers",
      new Uint8Array(Buffer.concat([pax(record("path", "x")).subarray(0, 1024), pax(record("path", "y"))])),
      /two/,
    ],
    [
      "a pax header and nothing",
      new Uint8Array(Buffer.concat([pax(record("path", "x")).subarray(0, 1024), TAR_END])),
      /middle/,
    ],
    ["a pax header too long", bent(156, "x", { size: tarPaxBytesMax + 1 }), /at most/],
  ];
  for (const [what, bytes, message] of wrong) {
    await assert.rejects(entries(bytes), (e: Fault) => e.name === "Fault" && message.test(e.message), what);
  }
});

test("what stands behind the end of an archive is nothing", async () => {
  assert.deepEqual((await entries(Buffer.concat([tarOf(["f"]), fromLatin1("garbage")]))).length, 1);
  assert.deepEqual(await entries(new Uint8Array(0)), []);
});

test("attributes that pax cannot say are refused by name", () => {
  const named = (name: string, size: number) =>
    tarHeader(head({ xattrs: [[fromLatin1(name), new Uint8Array(size)]] }));
  assert.throws(() => named("user.a=b", 1), { kind: "refused", message: /user\.a=b/ });
  assert.throws(() => named("user.a", tarPaxBytesMax), { kind: "refused" });
});

testIn("tar(1) reads what is written here", (dir) => {
  writeFileSync(
    `${dir}/t.tar`,
    tarOf(
      ["d", { kind: "dir", mode: 0o2750, mtime: [1_000_000_000, 123456789] }],
      ["d/\xff\xfe", { data: "bytes" }],
      ["d/größe".replace("ö", "\xc3\xb6").replace("ß", "\xc3\x9f"), { data: "utf8" }],
      [`d/${"n".repeat(200)}`, { data: "long", mtime: [-2, 5e8] }],
      ["d/l", { kind: "link", target: fromLatin1("\xff/away") }],
      ["d/h", { kind: "hard", target: fromLatin1("d/\xff\xfe") }],
    ),
  );
  sh(dir, "tar --warning=no-unknown-keyword -xpf t.tar");
  assert.equal(sh(dir, "cat $'d/\\xff\\xfe' d/größe d/nnn*; stat -c %h d/h"), "bytesutf8long2\n");
  assert.equal(sh(dir, "readlink d/l"), "\xff/away\n");
  assert.equal(sh(dir, "stat -c '%a %.9Y' d d/nnn*"), "2750 1000000000.123456789\n644 -1.500000000\n");
});

testIn("what tar(1) writes in each of its formats is read", async (dir) => {
  sh(
    dir,
    "mkdir -p d/$(printf 'x%.0s' $(seq 90)); cd d/xxx*; printf long > $(printf 'y%.0s' $(seq 90)); " +
      "ln -s $(printf 'z%.0s' $(seq 150)) link; ln y* hard; touch -h -d '2001-02-03 04:05:06.5 UTC' y* link .",
  );
  for (const format of ["gnu", "oldgnu", "posix", "ustar", "v7"]) {
    const isSmall = format === "v7" || format === "ustar";
    const what = isSmall ? "--exclude=link --exclude=hard --exclude=yyy*" : "";
    const tar = execFileSync("tar", `--sort=name --format=${format} ${what} -cf - d`.split(/ +/), {
      cwd: dir,
    });
    const got = (await entries(tar)).map(({ kind, path, target }) =>
      `${kind} ${path.length} ${target.length}`
    );
    const long = isSmall ? [] : ["file 97 0", "link 97 150", "hard 183 97"];
    assert.deepEqual(got, ["dir 1 0", "dir 92 0", ...long], format);
  }
});
