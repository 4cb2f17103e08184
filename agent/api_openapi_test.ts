// api_openapi: the document is one of OpenAPI 3.1, has every route, and what verbs answer is what it says.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Validator } from "@seriousme/openapi-schema-validator";
import { Ajv2020 } from "ajv/dist/2020.js";
import { makeFirstHost, run, type TestHost } from "../tests/world.ts";
import { sender } from "./api_fixture.ts";
import { openapi } from "./api_openapi.ts";
import { ROUTES } from "./api_routes.ts";
import { schemaName } from "./verb.ts";
import { VERBS } from "./verbs/mod.ts";

type Doc = {
  paths: Record<string, Record<string, unknown>>;
  components: { schemas: Record<string, object> };
};

test("the document is valid, and has each route and each answer", async () => {
  const document = openapi() as unknown as Doc;
  const result = await new Validator().validate(JSON.parse(JSON.stringify(document)));
  assert.deepEqual(result.errors ?? [], []);
  assert.equal(result.valid, true);
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((m) => `${m.toUpperCase()} ${path}`)
  );
  const routes = ROUTES.map(({ method, path }) => `${method} ${path.replace("*", "{name}")}`);
  assert.deepEqual(operations.sort(), routes.sort());
  const refs = [...JSON.stringify(document).matchAll(/#\/components\/schemas\/(\w+)/g)].map(([, name]) =>
    name!
  );
  for (const name of refs) assert.ok(name in document.components.schemas, name);
  const without = VERBS.filter((v) =>
    v.run !== undefined && !(schemaName(v.name) in document.components.schemas)
  );
  assert.deepEqual(without.map(({ name }) => name), ["stop"]);
});

/** A host on which something of everything is. */
async function busyHost(t: Parameters<typeof makeFirstHost>[0]): Promise<TestHost> {
  const host = await makeFirstHost(t);
  await host.acts.locks.lock(host.call(), "why");
  await run(host, ["/bin/echo", "x"]);
  await host.acts.checkin.ci(host.call());
  await host.acts.locks.lock(host.call(), "more");
  await run(host, ["/bin/true"]);
  host.agent.host.tokens.make(host.call().actor, { roles: [] });
  return host;
}

test("what each verb that reads answers is as its schema says, and a fault is as the problem's", async (t) => {
  const host = await busyHost(t);
  const send = sender(host);
  const put = await (await send("PUT", "/v1/blob?label=x", {}, new TextEncoder().encode("x"))).json() as {
    id: string;
  };
  const { components } = openapi() as unknown as Doc;
  const ajv = new Ajv2020({ strict: false, allErrors: true, validateFormats: false });
  ajv.addSchema({ $id: "isconf", components });
  const check = (name: string, value: unknown) => {
    const validate = ajv.getSchema(`isconf#/components/schemas/${name}`)!;
    assert.ok(
      validate(value),
      `${name}: ${JSON.stringify(validate.errors)} ${JSON.stringify(value).slice(0, 500)}`,
    );
  };
  const query: Record<string, string> = {
    show: "?seq=1",
    stat: `?name=${put.id}`,
    copies: `?name=${put.id}`,
    tree: `?name=${put.id}`,
    policy: "?action=show",
  };
  let checked = 0;
  const missed: string[] = [];
  for (const { name, kind } of VERBS.filter((verb) => verb.kind === "reads")) {
    const answer = await send("GET", `/v1/${name}${query[name] ?? ""}`);
    const value = await answer.json();
    check(answer.ok ? schemaName(name) : "Problem", value);
    if (answer.ok) checked++;
    else missed.push(`${name} ${answer.status}`);
    assert.equal(kind, "reads");
  }
  assert.deepEqual(missed, ["tree 400"], `${checked}`); // a file is no tree;
  check("ShelfRow", put);
  check("Events", await (await send("GET", "/v1/events?after=0")).json());
  check("Problem", await (await send("GET", "/v1/nothing")).json());
  const lock = await send(
    "POST",
    "/v1/lock",
    { "content-type": "application/json" },
    new TextEncoder().encode('{"message":["x"]}'),
  );
  check("LockResult", await lock.json());
  assert.throws(() => check("LockResult", { term: "no number" }), /LockResult/);
});
