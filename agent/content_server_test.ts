// content_server: who is served, who is not, and what a caller can do to the others.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import * as fs from "node:fs";
import * as net from "node:net";
import * as os from "node:os";
import * as path from "node:path";
import { type Duplex, duplexPair } from "node:stream";
import { test } from "node:test";
import { idOf } from "../fs/mod.ts";
import { type Cbor, encodeFrame, Fault, sendFiles, systemClock } from "../mq/mod.ts";
import type { CallerRequest, ContentMay, ContentRequest } from "./content.ts";
import { serveContent } from "./content_session.ts";
import { ContentServer } from "./content_server.ts";
import { contentHelloMs } from "./limits.ts";
import { openSeam, type Seam } from "./seam.ts";

type Test = { after(fn: () => Promise<void> | void): void };

/** A server in a new directory, and how to connect with it. */
async function makeServer(t: Test) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "isconf-content-"));
  fs.chmodSync(dir, 0o711);
  const socket = path.join(dir, "s");
  const logged: string[] = [];
  const server = new ContentServer({
    clock: systemClock,
    dir,
    socket,
    fetch: () => Promise.reject(new Fault("fetch", "notFound", "nobody has it", { hint: "isconf status" })),
    announce: () => {},
    log: (line) => void logged.push(line),
  });
  await server.listen();
  t.after(async () => {
    await server.close();
    fs.rmSync(dir, { recursive: true, force: true });
  });
  const dial = async (files: number[] | null = []): Promise<net.Socket> => {
    const client = net.connect(socket);
    await new Promise<void>((resolve, reject) => client.once("connect", resolve).once("error", reject));
    client.on("error", () => {}); // it may be cut off: that is what is looked at
    if (files !== null) sendFiles((client as unknown as { _handle: { fd: number } })._handle.fd, files);
    return client;
  };
  const open = async (files: number[] = []): Promise<Seam<ContentRequest>> =>
    openSeam<CallerRequest, ContentRequest>(
      await dial(files),
      systemClock,
      { progress: () => Promise.resolve(null), brought: () => Promise.resolve(null) },
      "the store",
    );
  return { dir, socket, server, logged, dial, open };
}

const ended = (socket: net.Socket) =>
  new Promise<void>((resolve) => {
    if (socket.destroyed) return resolve();
    socket.once("close", () => resolve());
    socket.resume();
  });
const kindOf = async (promise: Promise<unknown>) => {
  try {
    await promise;
    return "done";
  } catch (e) {
    return Fault.from("test", e).kind;
  }
};

test("a file goes in and out by its descriptor; nothing but what was handed over is read or written", async (t) => {
  const { dir, open } = await makeServer(t);
  const file = path.join(dir, "file"), copy = path.join(dir, "copy");
  fs.writeFileSync(file, "content\\n".repeat(10_000));
  const input = fs.openSync(file, "r"), output = fs.openSync(copy, "w+");
  const { id } = await (await open([input])).ask("putFile", false) as { id: string };
  const seam = await open([output]);
  assert.equal(await seam.ask("getFile", id), fs.statSync(file).size);
  assert.ok(fs.readFileSync(copy).equals(fs.readFileSync(file)));
  assert.equal(await kindOf((await open()).ask("putFile", false)), "corrupt", "no file was handed over");
  const closed = await open([fs.openSync(file, "r")]);
  assert.equal(await kindOf(closed.ask("getFile", id)), "environment", "open for reading only");
});

test("what has no end, or would be waited for, is neither read nor written: only regular files are", async (t) => {
  const { dir, open } = await makeServer(t);
  const file = path.join(dir, "file"), pipe = path.join(dir, "pipe");
  fs.writeFileSync(file, "content");
  const { id } = await (await open([fs.openSync(file, "r")])).ask("putFile", false) as { id: string };
  execFileSync("mkfifo", [pipe]);
  for (const other of [fs.openSync("/dev/zero", "r+"), fs.openSync(pipe, "r+"), fs.openSync(dir, "r")]) {
    t.after(() => fs.closeSync(other));
    const seam = await open([other]);
    assert.equal(await kindOf(seam.ask("putFile", false)), "refused");
    assert.equal(await kindOf(seam.ask("getFile", id)), "refused");
  }
});

test("requests that are none, and words of the wrong form, are refused, and the others are served on", async (t) => {
  const { open, dial } = await makeServer(t);
  const good = await open();
  const bad = await open();
  for (const request of ["exec", "constructor", "gc", "drop", ""]) {
    assert.equal(await kindOf(bad.ask(request as ContentRequest, null)), "usage", request);
  }
  for (const request of ["missing", "get", "getFile", "fetch"] as const) {
    for (const value of [7, "x", [1], ["x"], { a: 1 }]) {
      assert.equal(await kindOf(bad.ask(request, value)), "corrupt", request);
    }
  }
  assert.equal(await kindOf(bad.ask("put", [false, [7]])), "corrupt");
  for (const value of [null, {}, { id: "x", label: "y" }] as Cbor[]) {
    assert.notEqual(await kindOf(bad.ask("add", value)), "done");
  }
  const raw = await dial();
  raw.write(encodeFrame({ type: 1, channel: 0, body: Uint8Array.of(0xff, 0xff) }));
  raw.write(new Uint8Array(100_000).fill(0xee));
  await ended(raw);
  assert.deepEqual(await good.ask("missing", []), []);
});

test("nothing is put on the shelf that is not there, or not there as a whole", async (t) => {
  const { open } = await makeServer(t);
  const seam = await open();
  assert.equal(await kindOf(seam.ask("add", { id: "0".repeat(64), label: "nothing" })), "notFound");
  const [id] = await seam.ask("put", [false, [new TextEncoder().encode("no manifest")]]) as string[];
  assert.equal(await kindOf(seam.ask("add", { id: id!, label: "no file" })), "corrupt");
  assert.equal(await seam.ask("find", "no file"), null);
});

test("a tree is told of, shared when it is on the shelf and not before, and comes in the order of a walk", async (t) => {
  const { open, server } = await makeServer(t);
  const { plain } = server.parts.stores;
  const meta: Cbor[] = [0o755, 0, 0, [1, 2], null];
  const name = (text: string) => new TextEncoder().encode(text);
  const seam = await open();
  const whole: string[] = [];
  for (const bytes of ["one", "two"]) {
    await seam.ask("tree", [false, [[1, name(""), ...meta]], new Uint8Array(0)]);
    await seam.ask("tree", [false, [[2, name("f"), ...meta, 3, null], [0]], name(bytes)]);
    whole.push(await seam.ask("treeEnd", null) as string);
  }
  assert.ok(whole.every((id) => !plain.isWhole(id)));
  for (const id of whole) await seam.ask("add", { id, label: "told" });
  assert.ok(whole.every((id) => plain.isWhole(id)), "also the one that was told of first");
  await seam.ask("walk", whole[1]!);
  const [lengths, bytes] = await seam.ask("walked", null) as [number[], Uint8Array];
  assert.equal(lengths.length, 2);
  assert.equal(idOf(bytes.subarray(0, lengths[0])), whole[1]);
  assert.deepEqual(await seam.ask("walked", null), [[], new Uint8Array(0)]);
  assert.deepEqual(await (await open()).ask("walked", null), [[], new Uint8Array(0)], "no walk was begun");
});

test("what is told wrongly of a tree spoils that tree and nothing else", async (t) => {
  const { open } = await makeServer(t);
  const seam = await open();
  assert.equal(await kindOf(seam.ask("treeEnd", null)), "corrupt");
  for (const value of [null, 7, {}] as Cbor[]) assert.equal(await kindOf(seam.ask("tree", value)), "corrupt");
  for (const value of [[], [false, 7, 7], [false, [[2]], new Uint8Array(0)]] as Cbor[]) {
    const bad = await open();
    assert.notEqual(await kindOf(bad.ask("tree", value)), "done", JSON.stringify(value));
    assert.notEqual(await kindOf(bad.ask("tree", [false, [], new Uint8Array(0)])), "done", "from then on");
    assert.notEqual(await kindOf(bad.ask("treeEnd", null)), "done");
  }
  assert.equal(await kindOf(seam.ask("treeEnd", null)), "corrupt");
  assert.equal(await kindOf(seam.ask("walk", "x")), "corrupt");
  assert.deepEqual(await seam.ask("missing", []), []);
});

test("who says nothing is not waited for, and who goes away leaves nothing open", async (t) => {
  const { dial, open, server } = await makeServer(t);
  const silent = await dial(null);
  const begin = systemClock.now();
  await ended(silent);
  assert.ok(systemClock.now() - begin < contentHelloMs + 3_000);
  const before = fs.readdirSync("/proc/self/fd").length;
  for (let i = 0; i < 20; i++) {
    const socket = await dial([0, 1]);
    if (i % 2 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    socket.destroy();
  }
  for (let i = 0; i < 100 && server.sessions > 0; i++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.equal(server.sessions, 0);
  await (await open()).ask("missing", []);
  const after = fs.readdirSync("/proc/self/fd").length;
  assert.ok(after <= before + 6, `${before} descriptors before, ${after} after`);
});

test("a user who was not let in is cut off, until he is let in", {
  skip: process.getuid?.() === 0 ? false : "needs root to become someone else",
}, async (t) => {
  const { socket, server } = await makeServer(t);
  const call = () =>
    new Promise<number>((resolve) => {
      const script = `const s = require("node:net").connect(${JSON.stringify(socket)});
        s.on("connect", () => s.write(Buffer.from([0]))); s.on("close", () => process.exit(7)); s.on("error", () => {});
        setTimeout(() => process.exit(0), 1000)`;
      const ids = ["--reuid", "65534", "--regid", "65534", "--clear-groups"];
      spawn("setpriv", [...ids, "node", "-e", script], { stdio: "ignore" }).once("exit", (code) =>
        resolve(code ?? -1));
    });
  assert.equal(await call(), 7);
  server.admit(65534, "get");
  assert.equal(await call(), 0);
});

test("who was let in to get puts nothing, and who was let in to put gets nothing", async (t) => {
  const { server } = await makeServer(t);
  const pipes: Duplex[] = [];
  const serve = (may: ContentMay) => {
    const [ours, theirs] = duplexPair();
    pipes.push(ours);
    void serveContent(theirs, { uid: 65534, file: undefined, may: new Set([may]) }, server.parts);
    const answers = { progress: () => Promise.resolve(null), brought: () => Promise.resolve(null) };
    return openSeam<CallerRequest, ContentRequest>(ours, systemClock, answers, "the store");
  };
  const [getter, putter] = [serve("get"), serve("put")];
  const object = new Uint8Array(9);
  const id = idOf(object);
  assert.equal(await kindOf(getter.ask("put", [false, [object]])), "denied");
  assert.equal(await kindOf(getter.ask("add", { id, label: "x" })), "denied");
  assert.deepEqual(await getter.ask("missing", [id]), [id]);
  assert.deepEqual(await putter.ask("put", [false, [object]]), [id]);
  assert.equal(await kindOf(putter.ask("get", [id])), "denied");
  assert.deepEqual(await getter.ask("get", [id]), [object]);
  for (const pipe of pipes) pipe.destroy();
});
