// api_blob: contents over HTTP, called without a socket: names, headers, ranges, conditions, digests. Not connections
// (api_body_test.ts) and not real programs (tests/cli/api_test.ts).
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import { test } from "node:test";
import { api, bytesOf, type Headers, put, sha256, tree } from "./api_fixture.ts";

test("a name is an id, its beginning, a sha256, a label, a colon or slashes and a place in a tree; bytes stay bytes", async (t) => {
  const { host, send } = await api(t);
  await put(send, Buffer.from("without a label"), "");
  const row = await put(send, Buffer.from("whole"), "a/b 100%");
  const text = async (name: string) => {
    const answer = await send("GET", `/v1/blob/${name}`);
    return answer.status === 200 ? await answer.text() : answer.status;
  };
  for (
    const name of [row.id, row.id.slice(0, 8), row.sha256, "a%2Fb%20100%25", "a%2fb%20100%", `${row.id}/`]
  ) {
    assert.equal(await text(name), "whole", name);
  }
  const id = await tree(
    host,
    "t",
    `mkdir -p sub/deep; printf 1 >sub/deep/f; printf 2 >"sub/$(printf 'b\\374d')"; printf 3 >'new
line'; printf 4 >'50%2F'; printf 5 >ü; ln -s sub/deep/f link`,
  );
  for (const root of ["t", id]) {
    assert.equal(await text(`${root}/sub/deep/f`), "1");
    assert.equal(await text(`${root}//sub/./deep%2Ff`), "1");
    assert.equal(await text(`${root}:sub/deep/f`), "1");
    assert.equal(await text(`${root}:sub%2Fdeep/f`), "1");
    assert.equal(await text(`${root}/sub/b%FCd`), "2");
    assert.equal(await text(`${root}/new%0Aline`), "3");
    assert.equal(await text(`${root}/50%252F`), "4");
    assert.equal(await text(`${root}/%C3%BC`), "5");
    assert.equal(await text(`${root}/ü`), "5");
    assert.equal(await text(`${root}/sub/büd`), 404);
    assert.equal(await text(`${root}/nothing`), 404);
    assert.equal(await text(`${root}/link`), 400);
    assert.equal(await text(`${root}/link/x`), 404);
  }
  for (const name of ["", "nothing", "%FF", "%00", `${row.id}/x`, row.id.slice(0, 5), "0".repeat(64)]) {
    assert.equal(await text(name), 404, name);
  }
});

test("a directory is a JSON list of its entries; names that are no plain UTF-8 come in base64 too", async (t) => {
  const { host, send } = await api(t);
  await tree(
    host,
    "t",
    `mkdir d; printf abc >f; chmod 640 f; touch -d @1000.5 f; ln -s f l; >"$(printf 'b\\374d')"`,
  );
  const answer = await send("GET", "/v1/blob/t");
  assert.equal(answer.headers.get("content-type"), "application/json");
  const entries = await answer.json() as Record<string, unknown>[];
  assert.deepEqual(entries.map(({ name, kind, size }) => [name, kind, size]), [
    ["b\\xfcd", "file", 0],
    ["d", "dir", 0],
    ["f", "file", 3],
    ["l", "link", 1],
  ]);
  assert.deepEqual(entries.map(({ nameBase64 }) => nameBase64), ["Yvxk", undefined, undefined, undefined]);
  const { uid, gid } = fs.statSync(host.dir);
  assert.deepEqual(entries[2], {
    name: "f",
    kind: "file",
    size: 3,
    mode: 0o640,
    uid,
    gid,
    mtime: [1000, 500_000_000],
  });
  assert.equal(entries[3]?.target, "f");
  const etag = answer.headers.get("etag") as string;
  assert.equal((await send("GET", "/v1/blob/t", { "if-none-match": etag })).status, 304);
  assert.equal((await send("GET", "/v1/blob/t", { "if-match": '"0"' })).status, 412);
  assert.equal((await send("GET", "/v1/blob/t", { range: "bytes=0-1" })).status, 200);
  assert.equal(await (await send("HEAD", "/v1/blob/t")).text(), "");
  assert.deepEqual(await (await send("GET", "/v1/blob/t/d/")).json(), []);
});

test("HEAD tells what GET does: length, ETag, digest of the whole, and whether it may be kept for ever", async (t) => {
  const { host, send } = await api(t);
  const bytes = randomBytes(200_000);
  const row = await put(send, bytes, "big");
  await tree(host, "t", "printf abc >f");
  const asked: Headers[] = [{}, { range: "bytes=10-19" }, { range: "bytes=200000-" }, { "if-match": '"x"' }];
  for (const range of asked) {
    const get = await send("GET", "/v1/blob/big", range);
    const head = await send("HEAD", "/v1/blob/big", range);
    assert.equal(head.status, get.status);
    assert.deepEqual([...head.headers], [...get.headers]);
    assert.equal(await head.text(), "");
    await get.body?.cancel();
  }
  const told = async (name: string) => {
    const { headers } = await send("HEAD", `/v1/blob/${name}`);
    const names = ["etag", "content-length", "accept-ranges", "repr-digest", "cache-control", "content-type"];
    return names.map((n) => headers.get(n));
  };
  const digest = `sha-256=:${Buffer.from(row.sha256, "hex").toString("base64")}:`;
  const type = "application/octet-stream";
  const always = [`"${row.id}"`, "200000", "bytes", digest];
  assert.deepEqual(await told(row.id), [...always, "max-age=31536000, immutable", type]);
  for (const name of ["big", row.sha256, row.id.slice(0, 20)]) {
    assert.deepEqual(await told(name), [...always, "no-cache", type], name);
  }
  const abc = Buffer.from(sha256(Buffer.from("abc")), "hex").toString("base64");
  assert.equal((await told("t/f"))[3], `sha-256=:${abc}:`);
});

test("ranges: one is answered 206, none of the bytes 416, several or what is no range the whole", async (t) => {
  const { host, send } = await api(t);
  const bytes = randomBytes(1_000_000);
  await put(send, bytes, "big");
  await put(send, new Uint8Array(0), "empty");
  const ask = async (range: string, name = "big") => {
    const answer = await send("GET", `/v1/blob/${name}`, { range });
    return { answer, got: await bytesOf(answer) };
  };
  const parts: [string, number, number][] = [
    ["bytes=0-0", 0, 1],
    ["bytes=0-9", 0, 10],
    ["bytes=100000-900000", 100_000, 900_001],
    ["bytes=999999-", 999_999, 1_000_000],
    ["bytes=5-99999999999999999999", 5, 1_000_000],
    ["bytes=-1", 999_999, 1_000_000],
    ["bytes=-5000000", 0, 1_000_000],
    ["BYTES = 3-4 ,", 3, 5],
    [`bytes=-${"9".repeat(400)}`, 0, 1_000_000],
  ];
  for (const [range, from, to] of parts) {
    const { answer, got } = await ask(range);
    assert.equal(answer.status, 206, range);
    assert.equal(answer.headers.get("content-range"), `bytes ${from}-${to - 1}/1000000`);
    assert.equal(answer.headers.get("content-length"), String(to - from));
    assert.ok(got.equals(bytes.subarray(from, to)), range);
  }
  for (const range of ["bytes=1000000-", "bytes=-0", `bytes=${"9".repeat(400)}-`]) {
    const { answer } = await ask(range);
    assert.deepEqual([answer.status, answer.headers.get("content-range")], [416, "bytes */1000000"], range);
    assert.match(answer.headers.get("content-type") ?? "", /problem\+json/);
  }
  assert.equal((await ask("bytes=0-", "empty")).answer.status, 416);
  assert.equal((await ask("bytes=-5", "empty")).answer.status, 200);
  for (
    const range of [
      "bytes=0-1,4-5",
      "bytes=5-4",
      "bytes=-",
      "bytes=",
      "bytes=a-b",
      "lines=0-1",
      "bytes=0x0-1",
      "0-1",
    ]
  ) {
    const { answer, got } = await ask(range);
    assert.deepEqual([answer.status, got.length], [200, bytes.length], range);
  }
  await tree(host, "t", "printf head >s; truncate -s 3000000 s; printf tail >>s");
  const etags = new Set<string | null>();
  const sparse = { "bytes=0-5": "head\0\0", "bytes=2999998-": "\0\0tail", "bytes=9-9": "\0" };
  for (const [range, expected] of Object.entries(sparse)) {
    const { answer, got } = await ask(range, "t/s");
    assert.deepEqual([answer.status, got.toString()], [206, expected], range);
    etags.add(answer.headers.get("etag"));
  }
  assert.equal(etags.size, 1);
});

test("files with the same data and other holes have other ETags", async (t) => {
  const { host, send } = await api(t);
  await tree(
    host,
    "t",
    "printf x >a; truncate -s 1M a; printf x >b; truncate -s 2M b; cp --sparse=always a c",
  );
  const etag = async (name: string) => (await send("HEAD", `/v1/blob/t/${name}`)).headers.get("etag");
  assert.notEqual(await etag("a"), await etag("b"));
  assert.equal(await etag("a"), await etag("c"));
});

test("conditions: If-Match 412, If-None-Match 304, If-Range a part or the whole, in the order of RFC 9110", async (t) => {
  const { send } = await api(t);
  const { id } = await put(send, randomBytes(10_000), "big");
  const tag = `"${id}"`;
  const cases: [Headers, number][] = [
    [{ "if-match": tag }, 200],
    [{ "if-match": `"x", ${tag}` }, 200],
    [{ "if-match": "*" }, 200],
    [{ "if-match": '"x"' }, 412],
    [{ "if-match": `W/${tag}` }, 412],
    [{ "if-match": "nonsense" }, 412],
    [{ "if-match": '"x"', "if-none-match": tag }, 412],
    [{ "if-none-match": tag }, 304],
    [{ "if-none-match": "*" }, 304],
    [{ "if-none-match": `"a,b", W/${tag} , "c"` }, 304],
    [{ "if-none-match": '"x"' }, 200],
    [{ "if-none-match": id }, 200],
    [{ "if-none-match": `"x${tag}"` }, 200],
    [{ "if-match": tag, "if-none-match": tag }, 304],
    [{ "if-none-match": tag, range: "bytes=0-1" }, 304],
    [{ range: "bytes=0-1", "if-range": tag }, 206],
    [{ range: "bytes=0-1", "if-range": `W/${tag}` }, 200],
    [{ range: "bytes=0-1", "if-range": '"x"' }, 200],
    [{ range: "bytes=0-1", "if-range": "Sat, 21 Nov 2026 21:21:21 GMT" }, 200],
    [{ range: "bytes=99999-", "if-range": '"x"' }, 200],
    [{ range: "bytes=99999-", "if-match": '"x"' }, 412],
  ];
  for (const [headers, status] of cases) {
    const answer = await send("GET", "/v1/blob/big", headers);
    assert.equal(answer.status, status, JSON.stringify(headers));
    assert.equal(answer.headers.get("etag"), tag);
    if (status === 304) assert.equal(await answer.text(), "");
    else await answer.body?.cancel();
  }
});

test("a put is 201 when it is new, names its place and is checked against its digests; what is wrong is not on the shelf", async (t) => {
  const { host, send } = await api(t);
  const bytes = randomBytes(100_000);
  const field = (b: Uint8Array) => `sha-256=:${Buffer.from(sha256(b), "hex").toString("base64")}:`;
  const right = field(bytes), wrong = field(Buffer.from("x"));
  const refused: Headers[] = [
    { "content-digest": wrong },
    { "repr-digest": wrong },
    { "content-digest": right, "repr-digest": wrong },
    { "content-digest": `${right}, ${wrong}` },
    { "content-digest": "sha-256=:AAAA:" },
    { "content-digest": `sha-256=${sha256(bytes)}` },
    { "content-range": "bytes 0-99999/200000" },
    { "content-encoding": "gzip" },
  ];
  for (const headers of refused) {
    const answer = await send("PUT", "/v1/blob?label=x", headers, bytes);
    assert.equal(answer.status, 400, JSON.stringify(headers));
    assert.equal((await answer.json()).kind, "usage");
  }
  assert.deepEqual(await host.agent.host.shelf.list(), []);
  const taken: [Headers, number][] = [
    [{ "content-digest": right }, 201],
    [{ "repr-digest": `sha-512=:AAAA:, ${right};q=1` }, 200],
    [{ "content-digest": "md5=:AAAA:, sha-256-x=:AAAA:" }, 200],
    [{}, 200],
  ];
  for (const [headers, status] of taken) {
    const answer = await send("PUT", "/v1/blob?label=x", headers, bytes);
    const row = await answer.json();
    assert.equal(answer.status, status, JSON.stringify(headers));
    assert.equal(answer.headers.get("etag"), `"${row.id}"`);
    assert.equal(answer.headers.get("location"), `/v1/blob/${row.id}`);
    assert.ok((await bytesOf(await send("GET", `/v1/blob/${row.id}`))).equals(bytes));
  }
});
