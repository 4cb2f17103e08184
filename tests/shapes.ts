// shapes: whether what a verb prints is what agent/schemas.json says of it. Not a test.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import { Ajv2020 } from "ajv/dist/2020.js";

const schemas: Record<string, object> = JSON.parse(
  fs.readFileSync(new URL("../agent/schemas.json", import.meta.url), "utf8"),
);

/** Throws unless `value` fits the schema of that title. */
export function needShape(title: string, value: unknown): void {
  assert.ok(Object.hasOwn(schemas, title), `there is no schema ${title}`);
  const validate = new Ajv2020({ strict: false, validateFormats: false }).compile(schemas[title]!);
  assert.ok(
    validate(value),
    `${title}: ${JSON.stringify(validate.errors)} ${JSON.stringify(value).slice(0, 500)}`,
  );
}
