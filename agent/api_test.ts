// api: the app by itself, called without a socket: routes from the list of verbs, faults as problems, bodies checked.
import assert from "node:assert/strict";
import { test } from "node:test";
import { makeFirstHost, makeSecondHost, type TestHost } from "../tests/world.ts";
import { makeApi } from "./api.ts";
import { VERBS } from "./verbs/mod.ts";

type Made = {
  host: TestHost;
  send(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Response>;
};

async function api(t: Parameters<typeof makeFirstHost>[0]): Promise<Made> {
  const host = await makeFirstHost(t);
  const app = makeApi(host.agent.host, host.acts);
  return {
    host,
    send: async (method, path, body, headers = {}) => {
      const json = body === undefined || typeof body === "string"
        ? body as string | undefined
        : JSON.stringify(body);
      const type: Record<string, string> = body === undefined ? {} : { "content-type": "application/json" };
      const init = {
        method,
        headers: { ...type, ...headers },
        ...(json === undefined ? {} : { body: json }),
      };
      return await app.fetch(new Request(`http://isconf${path}`, init), { actor: host.call().actor });
    },
  };
}

test("every verb that runs in the agent has a route; only those that read answer GET, and GET changes nothing", async (t) => {
  const { host, send } = await api(t);
  for (const verb of VERBS) {
    if (verb.run === undefined || verb.name === "stop") continue;
    assert.notEqual((await send("POST", `/v1/${verb.name}`, {})).status, 404, verb.name);
    const got = await send("GET", `/v1/${verb.name}`);
    if (verb.kind !== "reads") assert.equal(got.status, 404, `GET ${verb.name}`);
  }
  assert.equal(host.agent.host.keeper.holder("main"), undefined);
});

test("each endpoint times each role: what no line permits is denied at every route that there is, also at one that is made tomorrow", async (t) => {
  const host = await makeFirstHost(t, { policy: "permit root\npermit nobody do pin\n" });
  const app = makeApi(host.agent.host, host.acts);
  const id = "nothing-of-that-name";
  const routes = [
    ...new Set(app.routes.filter(({ path }) => path !== "/*").map(({ method, path }) => `${method} ${path}`)),
  ];
  assert.ok(routes.length > VERBS.filter((verb) => verb.run).length, routes.join());
  const ask = async (route: string, actor: { uid: number; name: string }) => {
    const [method, path] = route.split(" ") as [string, string];
    const place = path.replaceAll(/:[a-z]+(\{[^/]*\})?/gi, id).replace("*", id).replace(/\/$/, "");
    const init = method === "GET" ? {} : { body: "{}", headers: { "content-type": "application/json" } };
    const answer = await app.fetch(new Request(`http://isconf${place}`, { method, ...init }), { actor });
    return { status: answer.status, text: await answer.text() };
  };
  /** What everybody who has a way in may, because it is the way to answer a confirmation. */
  const forAll = VERBS.filter((verb) => verb.forAll).map(({ name }) => `POST /v1/${name}`);
  const stranger = { uid: 4321, name: "stranger" }, guest = { uid: 65534, name: "nobody" };
  const reads = new Set(VERBS.filter((verb) => verb.kind === "reads").map(({ name }) => name));
  const anyone = ["GET /healthz", "GET /readyz"];
  for (const route of routes) {
    const name = /^[A-Z]+ \/v1\/([a-z]+)/.exec(route)?.[1] ?? "";
    const { status, text } = await ask(route, stranger);
    if (anyone.includes(route)) continue;
    // Arguments are checked before: what is no request at all is denied by nobody.
    assert.ok(status === 403 || status === 400, `${route}: ${status} ${text}`);
    if (status === 400) assert.equal(JSON.parse(text).kind, "usage", route);
    const again = await ask(route, guest);
    const isOpen = reads.has(name) || name === "pin" || forAll.includes(route) ||
      [
        "GET /v1/blob",
        "GET /v1/bundle",
        "GET /v1/secret",
        "GET /v1/events",
        "GET /v1/me",
        "GET /v1/openapi.json",
        "GET /metrics",
      ].some((open) => route.startsWith(open));
    assert.equal(
      isOpen || [400, 403].includes(again.status),
      true,
      `${route}: ${again.status} ${again.text}`,
    );
  }
  assert.equal(host.agent.host.keeper.holder("main"), undefined);
});

test("a fault is a problem with kind, hint and exit code", async (t) => {
  const { send } = await api(t);
  const answer = await send("POST", "/v1/ci", {});
  assert.equal(answer.status, 428);
  assert.match(answer.headers.get("content-type") ?? "", /application\/problem\+json/);
  const { title, status, kind, exit, hint, op } = await answer.json();
  assert.deepEqual([title, status, kind, exit, op], ["notLocked", 428, "notLocked", 221, "ci"]);
  assert.match(hint, /^isconf lock/);
});

test("bodies that are no JSON object, of another type, or too deep are refused and nothing happens", async (t) => {
  const { host, send } = await api(t);
  const bad = [
    "",
    "null",
    "[]",
    "7",
    "{",
    '{"message":["x"]} trailing',
    "\ufeff{}",
    "[".repeat(10_000),
    '{"message":["\\ud800"]}',
    '{"message":{"a":1}}',
    '{"__proto__":{"message":["x"]}}',
    '{"message":["x"],"message":["y"]}',
    '{"message":["x"],"mess\\u0061ge":["y"]}',
    `{"message":["x"],"more":${"9".repeat(400)}}`,
  ];
  for (const body of bad) {
    const answer = await send("POST", "/v1/lock", body);
    assert.ok([400, 422].includes(answer.status), `${body.slice(0, 40)}: ${answer.status}`);
  }
  assert.equal(
    (await send("POST", "/v1/lock", '{"message":["x"]}', { "content-type": "text/plain" })).status,
    400,
  );
  assert.equal((await send("POST", "/v1/lock", { message: ["x".repeat(5_000_000)] })).status, 400);
  assert.equal(host.agent.host.keeper.holder("main"), undefined);
  assert.equal(({} as Record<string, unknown>).message, undefined);
});

test("lines of progress end with the result or the fault", async (t) => {
  const { send } = await api(t);
  const lines = async (path: string, body: unknown) => {
    const text = await (await send("POST", path, body, { accept: "application/x-ndjson" })).text();
    return text.trim().split("\n").map((l) => JSON.parse(l));
  };
  assert.equal((await lines("/v1/lock", { message: ["why"] })).at(-1).result.term, 1);
  const ran = await lines("/v1/exec", { command: ["/bin/echo", "hi"] });
  assert.deepEqual(ran.map((e) => e.event), ["output", "result"]);
  assert.equal((await lines("/v1/exec", { command: ["no-such-command"] })).at(-1).fault.kind, "noCommand");
});

test("a caller that goes away in the middle of progress stops nothing", async (t) => {
  const { host, send } = await api(t);
  await send("POST", "/v1/lock", { message: ["why"] });
  for (let i = 0; i < 3; i++) await send("POST", "/v1/exec", { command: ["/bin/sh", "-c", "sleep 0.1"] });
  await send("POST", "/v1/ci", {});
  const second = await makeSecondHost(t, host);
  const app = makeApi(second.agent.host, second.acts);
  const headers = { accept: "application/x-ndjson", "content-type": "application/json" };
  const request = new Request("http://isconf/v1/up", { method: "POST", headers, body: "{}" });
  const answer = await app.fetch(request, { actor: second.call().actor });
  await answer.body?.cancel();
  await second.agent.host.turn.take("test", () => Promise.resolve());
  assert.equal(second.agent.host.history.applied(), 3);
});

test("a blob comes back byte for byte under id, label and sha256; If-None-Match is answered 304", async (t) => {
  const { send } = await api(t);
  const bytes = "x".repeat(3_000_000);
  const row = await (await send("PUT", "/v1/blob?label=big", bytes)).json();
  for (const name of [row.id, row.id.slice(0, 10), "big", row.sha256]) {
    const answer = await send("GET", `/v1/blob/${name}`);
    assert.equal(answer.headers.get("etag"), `"${row.id}"`);
    assert.equal(await answer.text(), bytes);
  }
  assert.equal(
    (await send("GET", "/v1/blob/big", undefined, { "if-none-match": `"${row.id}"` })).status,
    304,
  );
  assert.equal((await send("HEAD", "/v1/blob/big")).headers.get("content-length"), "3000000");
  assert.equal((await send("GET", "/v1/blob/nothing")).status, 404);
  assert.equal(
    (await send("GET", "/v1/bundle?branch=nowhere")).status,
    404,
    "told before anything is streamed",
  );
});

test("a branch that is not there is not found, whatever is asked of it", async (t) => {
  const { send } = await api(t);
  for (
    const path of ["log?branch=nope", "verify?branch=nope", "show?branch=nope&seq=1", "verify?branch=%1B[31m"]
  ) {
    const answer = await send("GET", `/v1/${path}`);
    assert.deepEqual([answer.status, (await answer.json()).kind], [404, "notFound"], path);
  }
  assert.equal((await send("GET", "/v1/verify?branch=@domain")).status, 200);
});
