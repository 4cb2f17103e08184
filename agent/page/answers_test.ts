// answers: the shapes that the page asks for are those of a real host's answers. Not the browser (tests/page/).
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { makeFirstHost } from "../../tests/world.ts";
import { makeApi } from "../api.ts";
import * as answers from "./answers.ts";
import { Misshapen, type Shape } from "./shape.ts";

test("each shape is that of what a host answers", async (t) => {
  const host = await makeFirstHost(t);
  const app = makeApi(host.agent.host, host.acts);
  const ask = async (method: string, path: string, body?: unknown, isFine = true) => {
    const init = body === undefined
      ? { method }
      : { method, headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
    const env = { actor: host.call().actor };
    const answer = await app.fetch(new Request(`http://isconf${path}`, init), env);
    assert.equal(answer.ok, isFine, await answer.clone().text());
    return await answer.json();
  };
  const file = join(host.dir, "motd");
  writeFileSync(file, "welcome\n");
  await ask("POST", "/v1/lock", { message: ["a greeting"] });
  await ask("POST", "/v1/snap", { path: [file] });
  await ask("POST", "/v1/ci", {});
  await ask("POST", "/v1/lock", { message: ["more"] });
  const asked: [path: string, shape: Shape<unknown>][] = [
    ["/v1/status", answers.status],
    ["/v1/hosts", answers.hosts],
    ["/v1/log", answers.log],
    ["/v1/log?branch=%40domain", answers.log],
    ["/v1/log?here=true", answers.executions],
    ["/v1/show?seq=1", answers.shown],
    ["/v1/show?seq=1&effects=true", answers.effects],
    ["/v1/verify?files=true", answers.filesVerified],
    ["/v1/ls", answers.shelf],
    ["/v1/names", answers.names],
    ["/v1/me", answers.me],
    ["/v1/boot", answers.boot],
  ];
  for (const [path, shape] of asked) shape(await ask("GET", path), path);
  const log = answers.log(await ask("GET", "/v1/log"), "log");
  assert.deepEqual(log.entries.map(({ message, ops }) => [message, ops.length]), [["a greeting", 1]]);
  assert.equal(answers.status(await ask("GET", "/v1/status"), "status").lock?.message, "more");
  const problem = answers.problemShape(await ask("GET", "/v1/show?seq=77", undefined, false), "problem");
  assert.deepEqual([problem.kind, problem.hint, problem.exit], ["notFound", "isconf log", 2]);
  assert.throws(() => answers.status({}, "the answer"), Misshapen);
});
