// Openapi here: `isconf openapi`: the API's document, or of one verb what its --json prints. Asks the agent; does not make the document.
import { Fault } from "../mq/mod.ts";
import type { Cli } from "./cli.ts";
import { needOk, request, textOf } from "./client.ts";
import { inert } from "./names.ts";
import { schemaName } from "./verb.ts";

/** What is needed of the document. */
interface Doc {
  components: { schemas: Record<string, object> };
}

/** Prints one or the other. Throws notFound. */
export async function showOpenapi(cli: Cli, verb?: string): Promise<number> {
  const answer = await request(cli.where, "GET", "/v1/openapi.json");
  await needOk(answer);
  const document = JSON.parse(await textOf(answer)) as Doc;
  cli.term.line(JSON.stringify(verb === undefined ? document : schemaOf(document, verb), null, 2));
  return 0;
}

/** What a verb's --json is, as a JSON Schema of its own, with the version in its name. Throws notFound. */
export function schemaOf({ components: { schemas } }: Doc, verb: string): object {
  const name = verb === "" ? "" : schemaName(verb);
  if (!Object.hasOwn(schemas, name)) {
    throw new Fault("openapi", "notFound", `no verb ${inert(verb)} answers with a shape of its own`, {
      hint: "isconf help",
    });
  }
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    $id: `urn:isconf:v1:${verb}`,
    ...schemas[name],
  };
}
