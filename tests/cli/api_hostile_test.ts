// api, hostile: requests made to break it. Each must be refused in bounded time and memory, and the agent must go on.
// Not what ordinary programs send (api_test.ts).
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as net from "node:net";
import * as path from "node:path";
import { test } from "node:test";
import { lacks } from "../programs.ts";
import { soon } from "../soon.ts";
import { type Box, ISCONF, makeBox, run, skipIf, until } from "./tools.ts";

/** Asserts that the agent still answers the same and has not grown by more than so many MiB. */
async function needAlive(box: Box, pid: number, rssBefore: number, mib: number): Promise<void> {
  assert.equal(box.agentPid(), pid, `another agent: ${box.log()}`);
  await box.ok(["status"]);
  const grown = box.rssMiB() - rssBefore;
  assert.ok(grown < mib, `the agent has grown by ${grown} MiB`);
}

const head = (target: string, more: string[]) =>
  `POST ${target} HTTP/1.1\r\nhost: isconf\r\n${more.map((l) => `${l}\r\n`).join("")}\r\n`;
const JSON_TYPE = "content-type: application/json";

test("bodies that are no arguments are refused with 400 and change nothing", async (t) => {
  const box = makeBox(t);
  await box.begin("bodies");
  const [pid, rss] = [box.agentPid(), box.rssMiB()];
  const deep = "[".repeat(10_000) + "]".repeat(10_000);
  const bodies = [
    "{",
    "nonsense",
    "null",
    "[]",
    '"text"',
    "1",
    "{}{}",
    '{"message":["x"]} trailing',
    '{"message":["x"],"message":["y"]}',
    "\ufeff{}",
    '{"message":"x"}',
    '{"message":[1]}',
    '{"message":["\\ud800"]}',
    '{"message":["\\u0000"]}',
    '{"unknown":1}',
    '{"message":["x"],"steal":"yes"}',
    '{"__proto__":{"steal":true},"message":["x"]}',
    '{"constructor":{"prototype":{"steal":true}},"message":["x"]}',
    '{"hasOwnProperty":1,"message":["x"]}',
    deep,
    `{"message":${deep}}`,
    `{"message":["x"],"a":${"[".repeat(100_000)}`,
  ];
  for (const body of bodies) {
    const { status, text, headers } = await box.http("POST", "/v1/lock", body);
    assert.equal(status, 400, `${body.slice(0, 60)}: ${text}`);
    assert.equal(headers["content-type"], "application/problem+json");
    assert.equal(JSON.parse(text).kind, "usage");
  }
  for (
    const body of [
      '{"last":9007199254740993}',
      '{"last":1e400}',
      '{"last":-1}',
      '{"last":1.5}',
      '{"last":"1"}',
    ]
  ) {
    assert.equal((await box.http("POST", "/v1/log", body)).status, 400, body);
  }
  for (
    const query of ["last=9007199254740993", "last=-1", "last=x", "nope=1", "last=1&last=x"]
  ) {
    const { status } = await box.http("GET", `/v1/log?${query}`);
    assert.ok(status === 400 || query.startsWith("last=1&"), `${query}: ${status}`);
  }
  const lock = JSON.parse(await box.ok(["--json", "status"])).lock;
  assert.equal(lock.message, "bodies");
  await needAlive(box, pid, rss, 100);
});

test("a body must be called application/json and be UTF-8", async (t) => {
  const box = makeBox(t);
  await box.begin("types");
  for (
    const type of [
      "text/plain",
      "application/x-www-form-urlencoded",
      "multipart/form-data; boundary=x",
      "",
      "application/jsonx",
    ]
  ) {
    const headers = { "content-type": type };
    const { status } = await box.http("POST", "/v1/unlock", "{}", { headers });
    assert.ok(status === 400 || status === 415, `${type}: ${status}`);
  }
  const latin = await box.raw(
    `${head("/v1/lock", [JSON_TYPE, "content-length: 17", "connection: close"])}`.replace("17", "16"),
    1,
  );
  assert.equal(latin.closed, false);
  const body = Buffer.concat([Buffer.from('{"message":["'), Buffer.from([0xff]), Buffer.from('"]}')]);
  const request = head("/v1/lock", [JSON_TYPE, `content-length: ${body.length}`, "connection: close"]);
  const { text } = await box.raw(Buffer.concat([Buffer.from(request), body]));
  assert.match(text, /^HTTP\/1\.1 400 /);
  assert.equal(JSON.parse(await box.ok(["--json", "status"])).lock.message, "types");
});

test("5 MB of body are refused by their announced length, and by what really comes", async (t) => {
  const box = makeBox(t);
  await box.begin("long");
  const [pid, rss] = [box.agentPid(), box.rssMiB()];
  const long = JSON.stringify({ message: ["x".repeat(5_000_000)] });
  const announced = await box.http("POST", "/v1/lock", long).catch(() => ({ status: 413 })); // cut off while sending
  assert.ok(announced.status === 413 || announced.status === 400);
  const chunk = `${(65_536).toString(16)}\r\n${"x".repeat(65_536)}\r\n`;
  const began = performance.now();
  const chunked = await box.raw(
    `${head("/v1/lock", [JSON_TYPE, "transfer-encoding: chunked", "connection: close"])}${
      chunk.repeat(80)
    }0\r\n\r\n`,
    10_000,
  );
  assert.match(chunked.text, /^HTTP\/1\.1 4(00|13) /);
  assert.ok(performance.now() - began < 5_000);
  assert.equal(JSON.parse(await box.ok(["--json", "status"])).lock.message, "long");
  await needAlive(box, pid, rss, 150);
});

test("heads that could be read in two ways are refused, and what hides behind them never runs", async (t) => {
  const box = makeBox(t);
  await box.begin("smuggled");
  const inner = `${head("/v1/unlock", [JSON_TYPE, "content-length: 2"])}{}`;
  const heads = [
    head("/v1/status", [JSON_TYPE, "content-length: 2", "transfer-encoding: chunked"]) + `0\r\n\r\n${inner}`,
    head("/v1/status", [JSON_TYPE, "content-length: 2", "content-length: 5"]) + `{}${inner}`,
    head("/v1/status", [JSON_TYPE, "transfer-encoding: chunked, identity"]) + `0\r\n\r\n${inner}`,
    head("/v1/status", [JSON_TYPE, "transfer-encoding: xchunked"]) + `0\r\n\r\n${inner}`,
    head("/v1/status", [JSON_TYPE, "transfer-encoding : chunked"]) + `0\r\n\r\n${inner}`,
    head("/v1/status", [JSON_TYPE, "content-length: +2"]) + `{}${inner}`,
    head("/v1/status", [JSON_TYPE, "content-length: 0x2"]) + `{}${inner}`,
    head("/v1/status", [JSON_TYPE, " folded: x", "content-length: 2"]) + `{}${inner}`,
    head("/v1/status", [JSON_TYPE, "transfer-encoding: chunked"]) + `2;x\n{}\r\n0\r\n\r\n${inner}`,
    `POST /v1/status HTTP/1.1\nhost: x\n${JSON_TYPE}\ncontent-length: 2\n\n{}${inner}`,
    `POST /v1/status HTTP/3.7\r\nhost: x\r\n\r\n${inner}`,
    `\0POST /v1/status HTTP/1.1\r\nhost: x\r\n\r\n${inner}`,
    `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${inner}`,
    head("/v1/status", [`x: ${"y".repeat(100_000)}`]) + inner,
    head("/v1/status", Array(3_000).fill("x: y") as string[]) + inner,
    head("/v1/status", ["x: a\rb"]) + inner,
    head("/v1/stat us", [JSON_TYPE]) + inner,
    head("/v1/..%2funlock", [JSON_TYPE, "content-length: 2", "connection: close"]) + "{}" + inner,
    head("/v1/%75nlock", [JSON_TYPE, "content-length: 2", "connection: close"]) + "{}",
    head("/v1/x%2f..%2funlock", [JSON_TYPE, "content-length: 2", "connection: close"]) + "{}",
    head("/v1/unlock%00", [JSON_TYPE, "content-length: 2", "connection: close"]) + "{}",
    head("/v1/status", [
      JSON_TYPE,
      "x-http-method-override: DELETE",
      "x-original-url: /v1/unlock",
      "connection: close",
    ])
      .replace("POST", "PATCH"),
  ];
  for (const bytes of heads) {
    const { text, closed } = await box.raw(bytes, 4_000);
    const statuses = [...text.matchAll(/^HTTP\/1\.1 ([0-9]{3})/gm)].map((m) => Number(m[1]));
    assert.ok(closed || statuses.length > 0, `no answer to ${JSON.stringify(bytes.slice(0, 120))}`);
    assert.ok(statuses.every((s) => s >= 400), `${statuses} to ${JSON.stringify(bytes.slice(0, 120))}`);
  }
  assert.equal(JSON.parse(await box.ok(["--json", "status"])).lock?.message, "smuggled");
});

test("an upgrade that is none, or that speaks garbage, is refused and runs nothing", async (t) => {
  const box = makeBox(t);
  await box.begin("upgrades");
  const [pid, rss] = [box.agentPid(), box.rssMiB()];
  const file = path.join(box.dir, "ran");
  const up = (target: string, to: string) => head(target, ["connection: upgrade", `upgrade: ${to}`]);
  for (
    const [target, to] of [["/v1/exec", "websocket"], ["/v1/exec", "h2c"], ["/v1/status", "isconf-stream"], [
      "/",
      "isconf-stream",
    ]] as const
  ) {
    const { text, closed } = await box.raw(up(target, to), 8_000);
    assert.ok(closed && /^HTTP\/1\.1 4/.test(text), `${target} ${to}: ${text}`);
  }
  const frame = (type: number, body: string | Uint8Array, length?: number) => {
    const bytes = Buffer.from(body as string);
    const header = Buffer.alloc(8);
    header[0] = 1;
    header[1] = type;
    header.writeUInt32BE(length ?? bytes.length, 4);
    return Buffer.concat([header, bytes]);
  };
  const start = (o: unknown) => frame(1, JSON.stringify(o));
  const touch = { command: ["touch", file], cwd: box.dir };
  const bad: Uint8Array[] = [
    Buffer.from("garbage ".repeat(100)),
    Buffer.alloc(4096),
    frame(1, "", 0xffff_ffff),
    frame(1, "{"),
    frame(1, "null"),
    frame(1, '{"command":["touch"'),
    frame(2, JSON.stringify(touch)),
    frame(9, JSON.stringify(touch)),
    start({ ...touch, unknown: 1 }),
    start({ ...touch, stdin: "yes" }),
    start({ command: [] }),
    frame(1, `{"command":["true"],"cwd":"${box.dir}","command":["touch","${file}"]}`),
    frame(1, `\ufeff${JSON.stringify(touch)}`),
    frame(
      1,
      Buffer.concat([
        Buffer.from(`{"cwd":"${box.dir}","command":["touch","${file}","`),
        Buffer.from([0xff]),
        Buffer.from('"]}'),
      ]),
    ),
    crypto.getRandomValues(new Uint8Array(60_000)),
  ];
  for (const bytes of bad) {
    const { text, closed } = await box.raw(
      Buffer.concat([Buffer.from(up("/v1/exec", "isconf-stream")), bytes]),
      8_000,
    );
    const what = Buffer.from(bytes.subarray(0, 60)).toString("latin1");
    assert.ok(closed, `the connection stays open after ${JSON.stringify(what)}`);
    assert.doesNotMatch(text, /"status":0/, what);
    assert.doesNotMatch(text, /unexpected:|TypeError|SyntaxError/, what);
  }
  assert.equal(fs.existsSync(file), false);
  await needAlive(box, pid, rss, 100);
});

test(
  "300 idle connections of one user do not keep another user out",
  skipIf("idle connections", lacks({ root: true, programs: ["setpriv"] })),
  async (t) => {
    const box = makeBox(t);
    box.policy("permit nobody\n");
    await box.begin();
    const [pid, rss] = [box.agentPid(), box.rssMiB()];
    const sockets = await Promise.all(Array.from({ length: 300 }, () => {
      const socket = net.connect(path.join(box.home, "run/65534.sock"));
      socket.on("error", () => {});
      return new Promise<net.Socket>((resolve) => socket.once("connect", () => resolve(socket)));
    }));
    try {
      await soon("status beside 300 connections", 1_000, () => box.ok(["status"]));
      await needAlive(box, pid, rss, 100);
    } finally {
      for (const socket of sockets) socket.destroy();
    }
    const words = ["--reuid=65534", "--regid=65534", "--clear-groups", ISCONF, "status"];
    const env = { ISCONF_HOME: box.home };
    await until(
      "nobody to be served again",
      async () => (await run("setpriv", words, { env })).status === 0,
      5_000,
    );
  },
);

test("heads that come slowly or never are cut off when their time is over; till then others are served", async (t) => {
  const [idle, slow] = [makeBox(t), makeBox(t)];
  await Promise.all([idle.begin(), slow.begin()]);
  const sockets = Array.from({ length: 300 }, () => net.connect(idle.socket).on("error", () => {}));
  try {
    const heads = Array.from({ length: 50 }, () => slow.raw("GET /v1/status HTTP/1.1\r\nhost: ", 14_000));
    await soon("status beside slow heads", 1_000, () => slow.ok(["status"]));
    const served = async () => (await idle.isconf(["status"])).status === 0;
    const again = until("a user with 300 idle connections to be served again", served, 14_000);
    const ends = await Promise.all(heads);
    await again;
    assert.ok(
      ends.every((e) => e.closed),
      `a head that may take 10 s is waited for ${ends[0]?.ms} ms and longer`,
    );
  } finally {
    for (const socket of sockets) socket.destroy();
  }
});
