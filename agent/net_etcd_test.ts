// net_etcd: what comes back from something that is not a good etcd. A real one: tests/etcd.
import assert from "node:assert/strict";
import * as http from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { systemClock } from "../mq/mod.ts";
import { faultOf } from "../tests/world.ts";
import { etcdAnswerBytesMax, etcdAskMs } from "./limits.ts";
import { EtcdCells } from "./net_etcd.ts";

type Ctx = { after(fn: () => Promise<void>): void };
type Answer = (response: http.ServerResponse, body: string) => void;

/** Cells behind servers that answer so. */
async function cellsBehind(t: Ctx, ...answers: Answer[]): Promise<EtcdCells> {
  const members = await Promise.all(answers.map(async (answer) => {
    const server = http.createServer(async (request, response) => {
      let body = "";
      for await (const piece of request) body += piece;
      answer(response, body);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    t.after(() => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    });
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }));
  const cells = new EtcdCells({ members, ca: "", cert: "", key: "", user: "", password: "" }, systemClock);
  t.after(() => Promise.resolve(cells.close()));
  return cells;
}

const says = (v: unknown, status = 200): Answer => (response) =>
  void response.writeHead(status).end(typeof v === "string" ? v : JSON.stringify(v));
const base64 = (text: string) => Buffer.from(text).toString("base64");
const ranges = (...kvs: unknown[]) => ({ header: {}, responses: [{ response_range: { kvs } }] });
const good = { key: base64("a"), value: base64("x"), mod_revision: "7" };

test("what is no answer of an etcd is refused in bounded time and room, whoever sends it", async (t) => {
  const wrong: [string, Answer, string][] = [
    ["a page", says("<html>"), "noQuorum"],
    ["nothing", says(""), "noQuorum"],
    ["a list", says([]), "noQuorum"],
    ["no UTF-8", (response) => void response.end(new Uint8Array([0x22, 0xff, 0x22])), "noQuorum"],
    ["no header", says({ responses: [] }), "corrupt"],
    ["no ranges", says({ header: {} }), "corrupt"],
    ["too many ranges", says({ header: {}, responses: [{}, {}] }), "corrupt"],
    ["ranges of something else", says({ header: {}, responses: [7] }), "corrupt"],
    [
      "half a range",
      says({ header: {}, responses: [{ response_range: { kvs: [], more: true } }] }),
      "corrupt",
    ],
    ["no list", says({ header: {}, responses: [{ response_range: { kvs: {} } }] }), "corrupt"],
    ["another name", says(ranges({ ...good, key: base64("b") })), "corrupt"],
    ["no base64", says(ranges({ ...good, value: "x" })), "corrupt"],
    ["a value that is no text", says(ranges({ ...good, value: 7 })), "corrupt"],
    ["no revision", says(ranges({ ...good, mod_revision: undefined })), "corrupt"],
    ["a revision that is none", says(ranges({ ...good, mod_revision: "7e3" })), "corrupt"],
    ["a revision beyond numbers", says(ranges({ ...good, mod_revision: "9223372036854775807" })), "corrupt"],
    ["a revision as a number", says(ranges({ ...good, mod_revision: 7 })), "corrupt"],
    ["an error", says({ error: "etcdserver: no leader", code: 14 }, 503), "noQuorum"],
    ["denied", says({ error: "etcdserver: permission denied", code: 7 }, 403), "denied"],
    ["cut off", (response) => {
      response.writeHead(200, { "content-length": "1000" }).write("{");
      setTimeout(() => response.destroy(), 50);
    }, "noQuorum"],
  ];
  for (const [what, answer, kind] of wrong) {
    const fault = await faultOf(async () => await (await cellsBehind(t, answer)).read(["a"]));
    assert.equal(fault.kind, kind, `${what}: ${fault.message}`);
    assert.match(fault.hint, /^(isconf|etcdctl) /);
    assert.doesNotMatch(fault.message, /[^\x20-\x7e]/, what);
  }
  const endless: Answer = (response) => {
    const piece = Buffer.alloc(65_536, 0x20);
    const more = () => {
      while (!response.destroyed && response.write(piece));
    };
    response.on("drain", more);
    more();
  };
  const began = performance.now();
  assert.match(
    (await faultOf(async () => await (await cellsBehind(t, endless)).read(["a"]))).message,
    new RegExp(`more than ${etcdAnswerBytesMax}`),
  );
  assert.ok(performance.now() - began < etcdAskMs);
  for (const yes of ["yes", 1, {}]) {
    const cells = await cellsBehind(t, says({ header: {}, succeeded: yes }));
    assert.equal((await faultOf(() => cells.swap([], [], []))).kind, "corrupt");
  }
});

test("a member that is silent, or none, is followed by the next, which is asked first from then on", async (t) => {
  let asked = 0;
  const silent: Answer = () => void asked++;
  const cells = await cellsBehind(t, silent, says("none"), says(ranges(good)));
  const began = performance.now();
  const [cell] = await cells.read(["a"]);
  assert.deepEqual([cell!.name, [...cell!.bytes], cell!.revision], ["a", [0x78], 7]);
  assert.ok(performance.now() - began >= etcdAskMs - 50);
  for (let i = 0; i < 10; i++) await cells.read(["a"]);
  assert.equal(asked, 1);
});
