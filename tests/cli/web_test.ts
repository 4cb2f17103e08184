// web: the API over TCP as the executable serves it: tokens, contents, events; and what is sent to break it: other names, other origins, two
// meanings of one request, slow ones, many. Not the page (tests/page).
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import * as fs from "node:fs";
import * as http from "node:http";
import * as net from "node:net";
import { test } from "node:test";
import { freePort } from "../ports.ts";
import { type Box, makeBox, until } from "./tools.ts";

interface Place {
  box: Box;
  port: number;
  token: string;
}

async function makePlace(
  t: Parameters<typeof makeBox>[0],
  roles: string[] = [],
  more = "",
  wrap: string[] = [],
): Promise<Place> {
  const box = makeBox(t);
  const port = await freePort();
  box.conf(`http = 127.0.0.1:${port}\nlisten = none\n${more}`);
  await box.start(wrap);
  await box.ok(["init", "--host", "hosta"]);
  const token = (await box.ok(["token", "api", ...roles.flatMap((role) => ["--role", role])])).trim();
  return { box, port, token };
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const get = ({ port, token }: Place, path: string, headers: Record<string, string> = {}) =>
  fetch(`http://127.0.0.1:${port}${path}`, { headers: { ...bearer(token), ...headers } });

/** Sends bytes as they are; what comes back until the other side closes, or for so long. */
function raw(port: number, bytes: string, ms = 3_000): Promise<string> {
  return new Promise((resolve) => {
    const socket = net.connect(port, "127.0.0.1");
    let text = "";
    const end = () => {
      clearTimeout(late);
      socket.destroy();
      resolve(text);
    };
    const late = setTimeout(end, ms);
    socket.on("data", (b) => text += b.toString("latin1"));
    socket.on("error", end);
    socket.on("close", end);
    socket.write(bytes);
  });
}
const statusOf = (text: string) => Number(/^HTTP\/1\.1 ([0-9]{3})/.exec(text)?.[1] ?? 0);

/** How many requests root has answered, as it counts them itself. */
async function answered(box: Box): Promise<number> {
  const { text } = await box.http("GET", "/metrics");
  return [...text.matchAll(/^isconf_http_requests_total\{([^}]*)\} ([0-9]+)$/gm)]
    .filter(([, labels]) => !labels!.includes("/metrics"))
    .reduce((n, [, , count]) => n + Number(count), 0);
}

test("a token opens what it is for, until it is revoked; it is in no log and no process list", async (t) => {
  const place = await makePlace(t, ["operate"]);
  const { box, port, token } = place;
  assert.equal((await get(place, "/v1/status")).status, 200);
  assert.equal((await fetch(`http://127.0.0.1:${port}/v1/status`)).status, 401);
  for (const wrong of ["", "x", token.slice(0, -1), token.toUpperCase()]) {
    const answer = await get({ ...place, token: wrong }, "/v1/status");
    assert.equal(answer.status, 401, wrong);
    assert.match(answer.headers.get("www-authenticate") ?? "", /^Bearer/);
    assert.equal(answer.headers.get("content-type"), "application/problem+json");
  }
  assert.equal(
    (await get(place, `/v1/status?token=${token}`, { authorization: "" })).status,
    401,
    "not in an address",
  );
  const post = (verb: string, body: unknown) =>
    fetch(`http://127.0.0.1:${port}/v1/${verb}`, {
      method: "POST",
      headers: { ...bearer(token), "content-type": "application/json" },
      body: JSON.stringify(body),
    });
  assert.equal((await post("up", {})).status, 200);
  for (
    const [verb, body] of [["exec", { command: ["true"] }], ["lock", { message: ["x"] }], ["token", {}], [
      "pin",
      { name: "x" },
    ], ["stop", {}]] as const
  ) {
    assert.equal((await post(verb, body)).status, 403, verb);
  }
  const { tokens } = JSON.parse(await box.ok(["--json", "tokens"])) as { tokens: { id: string }[] };
  await box.ok(["token", "revoke", tokens[0]!.id.slice(0, 8)]);
  assert.equal((await get(place, "/v1/status")).status, 401);
  assert.equal(box.log().includes(token.slice(-43)), false);
  const file = `${box.dir}/token`;
  await box.ok(["token", "api", "--file", file]);
  assert.equal(fs.statSync(file).mode & 0o777, 0o600);
  assert.notEqual(
    (await box.isconf(["token", "api", "--file", file])).status,
    0,
    "a file that is there is not written over",
  );
});

test("contents over TCP: put, get, ranges, ETags, trees' names; nothing that a browser would run", async (t) => {
  const place = await makePlace(t, ["publish"]);
  const bytes = randomBytes(20 * 1024 * 1024);
  const url = `http://127.0.0.1:${place.port}/v1/blob?label=x`;
  const put = await fetch(url, { method: "PUT", headers: bearer(place.token), body: bytes });
  assert.equal(put.status, 201);
  const { id, sha256 } = await put.json() as { id: string; sha256: string };
  assert.equal(sha256, createHash("sha256").update(bytes).digest("hex"));
  for (const name of [id, "x", sha256, id.slice(0, 12)]) {
    const answer = await get(place, `/v1/blob/${name}`);
    assert.deepEqual([answer.status, answer.headers.get("etag")], [200, `"${id}"`], name);
    assert.ok(bytes.equals(Buffer.from(await answer.arrayBuffer())), name);
    assert.equal(answer.headers.get("content-disposition"), "attachment");
    assert.match(answer.headers.get("content-security-policy") ?? "", /default-src 'none'.*sandbox/);
    assert.equal(answer.headers.get("x-content-type-options"), "nosniff");
  }
  const part = await get(place, `/v1/blob/${id}`, { range: "bytes=5-9" });
  assert.deepEqual([part.status, Buffer.from(await part.arrayBuffer())], [206, bytes.subarray(5, 10)]);
  assert.equal((await get(place, `/v1/blob/${id}`, { "if-none-match": `"${id}"` })).status, 304);
  await place.box.ok(["name", "main/x", id]);
  assert.equal((await get(place, "/v1/blob/main%2Fx")).status, 200);
  for (const name of ["nothing", "..%2f..%2fetc%2fpasswd", "%00", "%252e%252e", "%FF"]) {
    assert.equal((await get(place, `/v1/blob/${name}`)).status, 404, name);
  }
  const reader = (await place.box.ok(["token", "api"])).trim();
  assert.equal((await fetch(url, { method: "PUT", headers: bearer(reader), body: "y" })).status, 403);
});

test("another name, another origin, another site, no path: refused before anything looks at it", async (t) => {
  const place = await makePlace(t, ["operate"], "http_names = isconf.example:8443\n");
  const { box, port, token } = place;
  const before = await answered(box);
  const auth = `authorization: Bearer ${token}`;
  const own = `host: 127.0.0.1:${port}`;
  const heads: [status: number, lines: string[]][] = [
    ...[
      "evil.example",
      `evil.example:${port}`,
      "localhost6",
      `127.0.0.1.nip.io:${port}`,
      "127.0.0.1",
      `127.0.0.1:${port}.evil`,
      `127.0.0.1:${port + 1}`,
      "",
      "[::1]",
      "0.0.0.0",
    ]
      .map((name): [number, string[]] => [421, [`host: ${name}`]]),
    [421, []],
    [400, [own, own]],
    [400, [own, "host: evil.example"]],
    [403, [own, "origin: http://evil.example"]],
    [403, [own, "origin: null"]],
    [403, [own, `origin: http://127.0.0.1:${port + 1}`]],
    [400, [own, `origin: http://127.0.0.1:${port}`, "origin: http://evil.example"]],
    [403, [own, "referer: http://evil.example/"]],
    [403, [own, `referer: http://127.0.0.1:${port}.evil.example/`]],
    [403, [own, "sec-fetch-site: cross-site"]],
    [403, [own, "sec-fetch-site: same-site"]],
    [400, [own, "x-http-method-override: DELETE"]],
  ];
  for (const [status, lines] of heads) {
    for (const target of ["/v1/status", "/", "/healthz", "/v1/blob/x", "/v1/events"]) {
      const text = await raw(
        port,
        `GET ${target} HTTP/1.1\r\n${[...lines, auth, "connection: close"].join("\r\n")}\r\n\r\n`,
      );
      assert.equal(statusOf(text), status, `${target} ${lines.join()}: ${text.slice(0, 200)}`);
    }
  }
  for (
    const target of [
      "http://evil.example/v1/status",
      `http://127.0.0.1:${port}/v1/status`,
      "//evil.example/",
      "*",
      "v1/status",
      `/${"x".repeat(9000)}`,
    ]
  ) {
    const text = await raw(port, `GET ${target} HTTP/1.1\r\n${own}\r\n${auth}\r\nconnection: close\r\n\r\n`);
    assert.ok([0, 400, 414].includes(statusOf(text)), `${target.slice(0, 40)}: ${text.slice(0, 100)}`);
  }
  // What a page elsewhere can have a browser send without being asked.
  for (const type of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]) {
    const text = await raw(
      port,
      `POST /v1/up HTTP/1.1\r\n${own}\r\n${auth}\r\ncontent-type: ${type}\r\nsec-fetch-site: none\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}`,
    );
    assert.equal(statusOf(text), 403, type);
  }
  for (const method of ["OPTIONS", "TRACE", "PATCH", "CONNECT", "PROPFIND"]) {
    const text = await raw(
      port,
      `${method} /v1/status HTTP/1.1\r\n${own}\r\n${auth}\r\nconnection: close\r\n\r\n`,
    );
    assert.ok([0, 405].includes(statusOf(text)), `${method}: ${text.slice(0, 100)}`);
  }
  assert.equal(await answered(box), before, "no handler ran");
  for (const name of [`localhost:${port}`, "isconf.example:8443", `127.0.0.1:${port}`, `LOCALHOST:${port}`]) {
    const lines = [
      `host: ${name}`,
      `origin: http://${name.toLowerCase()}`,
      auth,
      "sec-fetch-site: same-origin",
      "connection: close",
    ];
    assert.equal(
      statusOf(await raw(port, `GET /v1/status HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`)),
      200,
      name,
    );
  }
});

test("a request that could be read in two ways, is too long, or is no HTTP at all, ends the connection; the next is answered", async (t) => {
  const place = await makePlace(t, ["operate"]);
  const { box, port, token } = place;
  const head = (method: string, lines: string[]) =>
    `${method} /v1/up HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\nauthorization: Bearer ${token}\r\ncontent-type: application/json\r\n${
      lines.map((l) => `${l}\r\n`).join("")
    }\r\n`;
  const smuggled =
    `GET /v1/status HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\nauthorization: Bearer ${token}\r\n\r\n`;
  const before = await answered(box);
  for (
    const [what, bytes] of [
      [
        "both lengths",
        head("POST", ["content-length: 2", "transfer-encoding: chunked"]) + `0\r\n\r\n${smuggled}`,
      ],
      ["two lengths", head("POST", ["content-length: 2", "content-length: 200"]) + `{}${smuggled}`],
      ["a length that is none", head("POST", ["content-length: +2"]) + "{}"],
      ["another coding", head("POST", ["transfer-encoding: xchunked"]) + smuggled],
      [
        "two codings",
        head("POST", ["transfer-encoding: chunked", "transfer-encoding: identity"]) + `0\r\n\r\n${smuggled}`,
      ],
      ["a folded header", head("POST", ["x: a\r\n b", "content-length: 2"]) + "{}"],
      ["a space before the colon", head("POST", ["content-length : 2"]) + "{}"],
      ["lines of \\n", head("POST", ["content-length: 2"]).replaceAll("\r\n", "\n") + "{}"],
      ["HTTP/2 without asking", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
      ["TLS", "\x16\x03\x01\x02\x00\x01\x00"],
      [
        "a long head",
        head("POST", Array.from({ length: 40 }, (_, i) => `x-${i}: ${"y".repeat(1000)}`)) + "{}",
      ],
      ["NUL", head("POST", ["x: a\0b"]) + "{}"],
    ] as const
  ) {
    const text = await raw(port, bytes, 2_000);
    const statuses = [...text.matchAll(/HTTP\/1\.1 ([0-9]{3})/g)].map(([, s]) => s);
    assert.ok(statuses.length <= 1 && statuses.every((s) => Number(s) >= 400), `${what}: ${statuses.join()}`);
  }
  assert.equal(await answered(box), before, "nothing of it was asked of root");
  // A head that never ends is cut off, not kept.
  const endless = net.connect(port, "127.0.0.1");
  let sent = 0;
  const closed = new Promise<void>((resolve) =>
    endless.on("close", () => resolve()).on("error", () => resolve())
  );
  endless.write(`GET / HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\nx: `);
  while (!endless.destroyed && sent < 4 * 1024 * 1024) {
    endless.write("y".repeat(64 * 1024));
    sent += 64 * 1024;
    await new Promise((r) => setTimeout(r, 1));
  }
  await closed;
  assert.ok(sent < 4 * 1024 * 1024, `${sent} bytes of a head were taken`);
  assert.equal((await get(place, "/v1/status")).status, 200);
});

test("slow heads, slow bodies and slow readers by the hundred, also where few files may be open: the command line and the socket go on", async (t) => {
  const place = await makePlace(t, ["publish"], "", ["prlimit", "--nofile=256:256"]);
  const { box, port, token } = place;
  const big = randomBytes(8 * 1024 * 1024);
  await fetch(`http://127.0.0.1:${port}/v1/blob?label=big`, {
    method: "PUT",
    headers: bearer(token),
    body: big,
  });
  const sockets: net.Socket[] = [];
  const open = (bytes: string) => {
    const socket = net.connect(port, "127.0.0.1");
    socket.on("error", () => {});
    socket.pause();
    socket.write(bytes);
    sockets.push(socket);
  };
  t.after(() => sockets.forEach((socket) => socket.destroy()));
  const auth = `host: 127.0.0.1:${port}\r\nauthorization: Bearer ${token}\r\n`;
  for (let i = 0; i < 140; i++) {
    open("GET / HTTP/1.1\r\nho");
    open(`POST /v1/up HTTP/1.1\r\n${auth}content-type: application/json\r\ncontent-length: 10\r\n\r\n{`);
    open(`GET /v1/blob/big HTTP/1.1\r\n${auth}\r\n`);
  }
  for (let i = 0; i < 5; i++) {
    assert.match(await box.ok(["status"]), /hosta/);
    assert.equal((await box.http("GET", "/v1/log")).status, 200);
    assert.match(
      await box.ok(["put", "--label", `l${i}`, "-"], { stdin: `x${i}` }),
      /^[0-9a-f]{64}/,
      "contents go on",
    );
  }
  for (const socket of sockets) socket.destroy();
  await until("TCP answers again", async () => {
    try {
      return (await get(place, "/v1/status")).status === 200;
    } catch {
      return false;
    }
  });
});

test("events over TCP come as they happen, and a stream goes on behind the last one; it ends with the agent", async (t) => {
  const place = await makePlace(t);
  const { box, port, token } = place;
  const stream = (after: string) =>
    new Promise<{ res: http.IncomingMessage; text: () => string }>((resolve, reject) => {
      const headers = { ...bearer(token), accept: "text/event-stream" };
      http.get({
        host: "127.0.0.1",
        port,
        path: `/v1/events?after=${after}&type=isconf.lock`,
        headers,
        agent: false,
      }, (res) => {
        let text = "";
        res.setEncoding("utf8").on("data", (s: string) => text += s).on("error", () => {});
        resolve({ res, text: () => text });
      }).on("error", reject);
    });
  const first = await stream("0");
  assert.equal(first.res.headers["content-type"], "text/event-stream");
  await box.ok(["lock", "<img src=x onerror=alert(1)>"]);
  await until("the lock is told", () => first.text().includes("onerror"));
  const id = /^id: (.*)$/m.exec(first.text())![1]!;
  first.res.destroy();
  const second = await stream(id);
  await box.ok(["unlock"]);
  await box.ok(["lock", "again"]);
  await until("the next is told, and no other", () => second.text().includes("again"));
  assert.equal([...second.text().matchAll(/^event: /gm)].length, 1, second.text());
  assert.equal((await get(place, "/v1/events?after=nonsense", { accept: "text/event-stream" })).status, 400);
  assert.equal(
    (await get({ ...place, token: "x" }, "/v1/events", { accept: "text/event-stream" })).status,
    401,
  );
  const ended = new Promise<void>((resolve) => second.res.on("close", () => resolve()));
  await box.ok(["stop"]);
  await ended;
});

test("a net half that was killed is followed by one that listens at the same place", async (t) => {
  const place = await makePlace(t);
  const net = () =>
    place.box.pids().filter((pid) =>
      fs.readFileSync(`/proc/${pid}/cmdline`, "utf8").startsWith("isconf: net")
    );
  const [before] = net();
  process.kill(before!, "SIGKILL");
  await until("the next one answers", async () => {
    try {
      return (await get(place, "/v1/status")).status === 200;
    } catch {
      return false;
    }
  });
  assert.notEqual(net()[0], before);
});

test("a place that is taken is said to be, and the agent goes on without it", async (t) => {
  const taken = net.createServer();
  await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
  t.after(() => new Promise<void>((resolve) => taken.close(() => resolve())));
  const box = makeBox(t);
  const page = async () => (await box.isconf(["page"])).err;
  box.conf(`http = 127.0.0.1:${(taken.address() as net.AddressInfo).port}\nlisten = none\n`);
  await box.begin();
  assert.match(await page(), /served nowhere on this host: .*\n {2}another http in isconf\.conf/);
  box.conf("listen = none\n");
  await box.ok(["restart"]);
  assert.match(await page(), /served nowhere on this host\n {2}http = 127/);
});
