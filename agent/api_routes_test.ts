// api_routes: each route times each role of a token: what has no rule has no way in; and what each role comes to, by name.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Fault } from "../mq/mod.ts";
import { makeFirstHost } from "../tests/world.ts";
import { admit, makeApi } from "./api.ts";
import { type Role, ROLES } from "./api_roles.ts";
import { opens, routeOf, ROUTES, unsaidVerbs } from "./api_routes.ts";

const roles = Object.keys(ROLES) as Role[];

test("every route that the app has stands in the table, and every verb that changes something has a role there", async (t) => {
  const host = await makeFirstHost(t);
  const app = makeApi(host.agent.host, host.acts);
  assert.deepEqual(unsaidVerbs(), []);
  const rows = app.routes.filter(({ path }) => path !== "/*");
  assert.ok(rows.length > 60, `${rows.length}`);
  for (const { method, path } of rows) {
    const place = path.replace(":name", "x").replace("*", "x");
    assert.notEqual(routeOf(method, place), undefined, `${method} ${path} has no row in ROUTES`);
  }
  assert.equal(new Set(ROUTES.map(({ method, path }) => `${method} ${path}`)).size, ROUTES.length);
});

test("each route times each role: a token opens what its role is for, and nothing that runs commands or changes the journal", async (t) => {
  const host = await makeFirstHost(t);
  const { host: inner } = host.agent;
  const { uid, name } = host.call().actor;
  for (const role of [[], ...roles.map((one) => [one]), roles] as Role[][]) {
    const actor = { uid, name, token: { id: "t", roles: role } };
    for (const route of ROUTES) {
      const { method } = route, path = route.path.replace("*", "x");
      let isOpen = true, why = "";
      try {
        admit(inner, actor, { method, path, query: {}, confirmed: undefined });
      } catch (e) {
        [isOpen, why] = [false, Fault.from("api", e).message];
      }
      assert.equal(isOpen, opens(role, route), `${method} ${path} by [${role}]: ${why}`);
      if (route.role === "local") assert.equal(isOpen, false, `${method} ${path}`);
    }
  }
  const open = (role: Role[]) =>
    ROUTES.filter((r) => opens(role, r)).map(({ method, path }) => `${method} ${path}`);
  const more = (role: Role) => open(["read", role]).filter((r) => !open(["read"]).includes(r)).sort();
  assert.deepEqual(
    open(["read"]).filter((r) => r.startsWith("POST") && !open(["read"]).includes(r.replace("POST", "GET"))),
    [],
  );
  assert.deepEqual(more("publish"), [
    "POST /v1/name",
    "POST /v1/pin",
    "POST /v1/rm",
    "POST /v1/unpin",
    "PUT /v1/blob",
  ]);
  assert.deepEqual(more("enrol"), ["POST /v1/approve", "POST /v1/token"]);
  assert.deepEqual(more("operate"), ["POST /v1/fsck", "POST /v1/gc", "POST /v1/resolve", "POST /v1/up"]);
});

test("nobody, who has no token, gets the two that say whether it works, and nothing more", async (t) => {
  const host = await makeFirstHost(t);
  const app = makeApi(host.agent.host, host.acts);
  const open: string[] = [];
  for (const { method, path } of ROUTES) {
    const init = method === "GET" ? {} : { body: "{}", headers: { "content-type": "application/json" } };
    const request = new Request(`http://isconf${path.replace("*", "x")}`, { method, ...init });
    const { status } = await app.fetch(request, { actor: { uid: -1, name: "" } });
    if (status !== 403) open.push(`${method} ${path} ${status}`);
  }
  assert.deepEqual(open, ["GET /healthz 200", "GET /readyz 200"]);
  const ready = await app.fetch(new Request("http://isconf/readyz"), { actor: { uid: -1, name: "" } });
  assert.deepEqual(await ready.json(), { status: "ready" });
});
