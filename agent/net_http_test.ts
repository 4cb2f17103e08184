// net_http: what comes over TCP, with a root half in the test's hand: readers that leave, questions that are too many, answers that are passed on as
// they are. With the executable: tests/cli/web_test.ts.
import assert from "node:assert/strict";
import * as net from "node:net";
import { test } from "node:test";
import { type Cbor, systemClock } from "../mq/mod.ts";
import { makeHost, until } from "../tests/world.ts";
import { BlobMemory } from "./blob_memory.ts";
import { requestBytesMax } from "./limits.ts";
import { httpAsksMax, httpStreamsMax } from "./limits_api.ts";
import { NetHttp } from "./net_http.ts";
import type { Ask, RootRequest } from "./seam.ts";

const bytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
const TOKEN = { authorization: "Bearer x" };

/** A listener whose questions `root` answers; returns its port. */
async function listen(
  t: Parameters<typeof makeHost>[0],
  root: (request: RootRequest, value: Cbor[]) => Cbor | Promise<Cbor>,
): Promise<number> {
  const { store } = (await makeHost(t)).agent.host;
  const ask: Ask<RootRequest> = async (request, value) => await root(request, value as Cbor[]);
  const nowhere = () => Promise.reject(new Error("no contents are asked for"));
  const blobs = {
    store,
    holding: nowhere,
    fetch: nowhere,
    has: nowhere,
    add: nowhere,
    memory: new BlobMemory(systemClock),
    log: () => {},
  };
  const server = new NetHttp({
    clock: systemClock,
    ask,
    blobs,
    find: nowhere,
    page: () => undefined,
    log: () => {},
  });
  t.after(() => server.close());
  const [place, why] = await server.answers.http(["127.0.0.1:0", []]) as [string, string];
  assert.equal(why, "");
  return Number(place.split(":")[1]);
}

/** Begins a stream of events: its status, and how to leave it. Of what comes only the beginning is read. */
function stream(port: number): Promise<{ status: number; leave(): void }> {
  return new Promise((resolve) => {
    const socket = net.connect(port, "127.0.0.1");
    const end = (status: number) => resolve({ status, leave: () => socket.destroy() });
    socket.once("data", (head) => {
      socket.pause();
      end(Number(String(head).slice(9, 12)));
    });
    socket.on("error", () => end(0));
    const head = ["host: 127.0.0.1:" + port, "authorization: Bearer x", "accept: text/event-stream"];
    socket.write(`GET /v1/events?after=0 HTTP/1.1\r\n${head.join("\r\n")}\r\n\r\n`);
  });
}

test("who leaves in the middle of a stream frees its place, however much was still to be told", async (t) => {
  const data = { text: "x".repeat(100_000) };
  const events = Array.from({ length: 20 }, (_, i) => ({ id: `00000000-${i}`, type: "isconf.entry", data }));
  const page = bytes({ events, cursor: "00000000-20", missed: false });
  const port = await listen(t, () => [200, [], page]);
  const all = () => Promise.all(Array.from({ length: httpStreamsMax }, () => stream(port)));
  const left: { leave(): void }[] = [];
  t.after(() => left.forEach((one) => one.leave()));
  for (let round = 0; round < 3; round++) {
    let open: Awaited<ReturnType<typeof all>> = [];
    await until(`round ${round}: there is room for all`, async () => {
      open.forEach((one) => one.leave());
      open = await all();
      return open.every(({ status }) => status === 200);
    });
    left.push(...open);
    const more = await stream(port);
    assert.equal(more.status, 503, "there are so many and no more");
    more.leave();
    open.forEach((one) => one.leave());
  }
});

test("root's refusals are passed on as they are, for verbs, contents and streams; HEAD is answered as GET, without the body", async (t) => {
  const said = (
    status: number,
  ) => [status, [["content-type", "application/problem+json"]], bytes({ status })];
  let status = 401;
  const asked: Cbor[][] = [];
  const port = await listen(t, (_, value) => {
    asked.push(value);
    return said(status);
  });
  const at = (path: string) => `http://127.0.0.1:${port}${path}`;
  for (status of [401, 429]) {
    for (
      const [path, accept] of [["/v1/status", "*/*"], ["/v1/blob/x", "*/*"], [
        "/v1/events",
        "text/event-stream",
      ]] as const
    ) {
      const answer = await fetch(at(path), { headers: { ...TOKEN, accept } });
      assert.deepEqual([answer.status, await answer.json()], [status, { status }], path);
      assert.equal(answer.headers.has("www-authenticate"), status === 401, path);
    }
  }
  status = 200;
  const [got, head] = [
    await fetch(at("/v1/log"), { headers: TOKEN }),
    await fetch(at("/v1/log"), { method: "HEAD", headers: TOKEN }),
  ];
  const length = String((await got.arrayBuffer()).byteLength);
  assert.deepEqual([head.headers.get("content-length"), (await head.arrayBuffer()).byteLength], [length, 0]);
  assert.equal(asked.at(-1)![1], "GET", "which of both it was is not root's to know");
  const long = await fetch(at("/v1/up"), {
    method: "POST",
    headers: TOKEN,
    body: new Uint8Array(requestBytesMax + 1),
  });
  assert.equal(long.status, 413);
});

test("more questions at the same time than there may be are told to come again; those before are answered", async (t) => {
  let release = () => {};
  const held = new Promise<void>((resolve) => release = resolve);
  let asked = 0;
  const port = await listen(t, async () => {
    asked++;
    await held;
    return [200, [], bytes({})];
  });
  const ask = (i: number) => fetch(`http://127.0.0.1:${port}/v1/show?seq=${i}`, { headers: TOKEN });
  const before = Array.from({ length: httpAsksMax }, (_, i) => ask(i));
  await until("all are asked", () => asked === httpAsksMax);
  const late = await ask(httpAsksMax);
  assert.deepEqual([late.status, late.headers.get("retry-after")], [503, "1"]);
  release();
  for (const answer of await Promise.all(before)) assert.equal(answer.status, 200);
});

test("a path that parsers of addresses would change is none", async (t) => {
  let asked = 0;
  const port = await listen(t, () => {
    asked++;
    return [200, [], bytes({})];
  });
  const raw = (target: string) =>
    new Promise<string>((resolve) => {
      const socket = net.connect(port, "127.0.0.1");
      let text = "";
      socket.on("data", (b) => text += b).on("close", () => resolve(text)).on("error", () => resolve(text));
      socket.write(
        `GET ${target} HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\nauthorization: Bearer x\r\nconnection: close\r\n\r\n`,
      );
    });
  for (
    const path of [
      "/v1/blob/../status",
      "/v1/blob/./x",
      "/v1/blob/x/..",
      "/v1/blob/%2e%2E/x",
      "/v1/.%2e",
      "/v1\\status",
      "/v1/blob/..\\x",
    ]
  ) {
    assert.match(await raw(path), /^HTTP\/1\.1 400 /, path);
  }
  assert.equal(asked, 0);
  for (const path of ["/v1/show?branch=../x", "/v1/...", "/v1/a..b"]) {
    assert.match(await raw(path), /^HTTP\/1\.1 200 /, path);
  }
});
