// shapes: whether what a verb prints is what agent/schemas.json says of it. Not a test.
import assert from "node:assert/strict";
import { Ajv2020 } from "ajv/dist/2020.js";
import schemas from "../agent/schemas.json" with { type: "json" };

/** Throws unless `value` fits the schema of that title. */
export function needShape(title: keyof typeof schemas, value: unknown): void {
  const validate = new Ajv2020({ strict: false, validateFormats: false }).compile(schemas[title]);
  assert.ok(
    validate(value),
    `${title}: ${JSON.stringify(validate.errors)} ${JSON.stringify(value).slice(0, 500)}`,
  );
}
