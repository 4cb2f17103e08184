// openapi_here: of each verb that reads there is a schema by itself, with the version in its name.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Ajv2020 } from "ajv/dist/2020.js";
import { faultOf } from "../tests/world.ts";
import { openapi } from "./api_openapi.ts";
import { schemaOf } from "./openapi_here.ts";
import { VERBS } from "./verbs/mod.ts";

const document = openapi() as unknown as Parameters<typeof schemaOf>[0];

test("each verb that reads has a schema that stands alone and says its version", () => {
  const reading = VERBS.filter(({ kind }) => kind === "reads");
  assert.ok(reading.length > 10);
  for (const name of [...reading.map(({ name }) => name), "image", "install", "vm"]) {
    const schema = schemaOf(document, name) as { $id: string; type?: string };
    assert.equal(schema.$id, `urn:isconf:v1:${name}`);
    const validate = new Ajv2020({ strict: false, validateFormats: false }).compile(schema);
    assert.equal(validate("no answer"), false, name);
  }
});

test("a verb that is none, or answers nothing of its own, has none", async () => {
  for (const name of ["", "nope", "constructor", "watch"]) {
    const { kind, hint } = await faultOf(() => Promise.resolve().then(() => schemaOf(document, name)));
    assert.deepEqual([kind, hint], ["notFound", "isconf help"], name);
  }
});
