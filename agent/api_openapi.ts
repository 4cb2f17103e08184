// API OpenAPI: this API as a document of OpenAPI 3.1, made from the list of verbs, the table of routes and the table of faults; what answers look
// like is taken from the types of the verbs (schemas.json, made by scripts/schemas.ts). Nothing of it is typed twice.
import { KINDS } from "../mq/mod.ts";
import { type Route, ROUTES } from "./api_routes.ts";
import { NDJSON, SSE } from "./api_streams.ts";
import { EVENT_TYPES } from "./event.ts";
import { VERSION } from "./release.ts";
import schemas from "./schemas.json" with { type: "json" };
import { type Arg, schemaName, type Verb } from "./verb.ts";

type Schema = Record<string, unknown>;

const ARG_SCHEMAS: Record<Arg["kind"], Schema> = {
  text: { type: "string" },
  count: { type: "integer", minimum: 0, maximum: Number.MAX_SAFE_INTEGER },
  flag: { type: "boolean", default: false },
  texts: { type: "array", items: { type: "string" }, default: [] },
  map: { type: "object", additionalProperties: { type: "string" }, default: {} },
};

/** The document. */
export function openapi(): Schema {
  const paths: Record<string, Schema> = {};
  for (const route of ROUTES) {
    const path = route.path.replace("/v1/blob/*", "/v1/blob/{name}").replace(
      "/v1/secret/*",
      "/v1/secret/{name}",
    );
    (paths[path] ??= {})[route.method.toLowerCase()] = operation(route);
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "isconf",
      version: VERSION,
      summary: "The local API of one isconf agent.",
      description:
        "On the caller's own socket, /run/isconf/UID.sock, where the kernel says who calls; over TCP on this machine when isconf.conf says so, with a token. Within v1 answers only gain fields.",
      license: { name: "see LICENCES.txt beside the executable", url: "https://spdx.org/licenses/" },
    },
    servers: [{ url: "http://localhost", description: "curl --unix-socket /run/isconf/$(id -u).sock" }],
    security: [{}, { token: [] }],
    paths,
    components: {
      securitySchemes: { token: { type: "http", scheme: "bearer", description: "made by isconf token api" } },
      schemas: { ...schemas, Problem: PROBLEM_SCHEMA, Event: EVENT_SCHEMA, Events: EVENTS_SCHEMA },
      responses: {
        Problem: {
          description: "what is wrong, and the next command (RFC 9457)",
          content: { "application/problem+json": { schema: ref("Problem") } },
        },
      },
    },
  };
}

const ref = (name: string) => ({ $ref: `#/components/schemas/${name}` });
const json = (schema: Schema): Schema => ({ "application/json": { schema } });

/** What is wrong with a request, as every route says it. */
const PROBLEM_SCHEMA: Schema = {
  type: "object",
  required: ["type", "title", "status", "detail", "op", "kind", "message", "hint", "exit"],
  properties: {
    type: { const: "about:blank" },
    title: { type: "string" },
    status: { type: "integer" },
    detail: { type: "string" },
    op: { type: "string", description: "the verb" },
    kind: { enum: Object.keys(KINDS) },
    message: { type: "string" },
    hint: { type: "string", description: "the next command to type" },
    exit: { type: "integer", description: "what the command line ends with" },
  },
};

const EVENT_SCHEMA: Schema = {
  type: "object",
  description: "CloudEvents 1.0",
  required: [
    "specversion",
    "id",
    "source",
    "type",
    "subject",
    "time",
    "branch",
    "host",
    "datacontenttype",
    "data",
  ],
  properties: {
    specversion: { const: "1.0" },
    id: { type: "string", description: "the cursor behind it" },
    source: { type: "string", format: "uri-reference" },
    type: { enum: [...EVENT_TYPES] },
    subject: { type: "string" },
    time: { type: "string", format: "date-time" },
    branch: { type: "string" },
    host: { type: "string" },
    datacontenttype: { const: "application/json" },
    data: { type: "object" },
  },
};

const EVENTS_SCHEMA: Schema = {
  type: "object",
  required: ["events", "cursor", "missed"],
  properties: {
    events: { type: "array", items: ref("Event") },
    cursor: { type: "string", description: "after= of the next question" },
    missed: {
      type: "boolean",
      description: "whether events after the cursor that was given are not kept any more",
    },
  },
};

function operation(route: Route): Schema {
  const { method, path, role, summary, runs, kind } = route;
  const needs = role === "local"
    ? "Not by a token."
    : role === "anyone"
    ? "Without a token, too."
    : `By a token with the role ${role}.`;
  const own = runs === undefined ? other(route) : ofVerb(runs, method);
  return {
    operationId: `${method.toLowerCase()}${path.replace(/\W+/g, "_")}`.replace(/_$/, ""),
    summary,
    tags: [runs === undefined ? "contents and health" : kind],
    ...own,
    description: [runs?.about.replaceAll("\n", " "), needs].filter(Boolean).join("\n\n"),
    responses: { ...own.responses as Schema, default: { $ref: "#/components/responses/Problem" } },
    ...(role === "anyone" ? { security: [{}] } : role === "local" ? { security: [{}] } : {}),
  };
}

function ofVerb(verb: Verb, method: string): Schema {
  const args = Object.entries(verb.args as Record<string, Arg>).filter(([, { own }]) => !own);
  const name = schemaName(verb.name);
  const result: Schema = name in schemas ? ref(name) : { type: "object" };
  const said = { type: "string", description: "events progress…, then result or fault" };
  const content = { ...json(result), [NDJSON]: { schema: said }, [SSE]: { schema: said } };
  const responses = { 200: { description: "done", content } };
  if (method === "GET") {
    const parameters = args.filter(([, { kind }]) => kind !== "map").map(([name, arg]) => ({
      name,
      in: "query",
      description: arg.about,
      required: arg.required === true,
      schema: arg.kind === "texts" ? { type: "string" } : ARG_SCHEMAS[arg.kind],
    }));
    return { parameters, responses };
  }
  const required = args.filter(([, arg]) => arg.required).map(([name]) => name);
  const schema = {
    type: "object",
    additionalProperties: false,
    properties: Object.fromEntries(
      args.map(([name, arg]) => [name, { ...ARG_SCHEMAS[arg.kind], description: arg.about }]),
    ),
    ...(required.length > 0 && { required }),
  };
  const headers = verb.kind === "reads" ? [] : CHANGE_HEADERS;
  return { parameters: headers, requestBody: { required: true, content: json(schema) }, responses };
}

const header = (name: string, description: string): Schema => ({
  name,
  in: "header",
  description,
  schema: { type: "string" },
});
const query = (name: string, description: string, type = "string"): Schema => ({
  name,
  in: "query",
  description,
  schema: { type },
});

/** What a request that changes something may say beside its arguments. */
const CHANGE_HEADERS = [
  header("Idempotency-Key", "the same request with the same key is done once, and answered again for a day"),
  header("If-Match", "the id of the entry with which the branch has to end; else 412"),
  header("Isconf-Confirmed", "a confirmation that the policy asks for"),
];

const NAME: Schema = {
  name: "name",
  in: "path",
  required: true,
  description: "an id, the beginning of one, a SHA-256, a label, a name",
  schema: { type: "string" },
};
const BYTES: Schema = { "application/octet-stream": { schema: { type: "string", format: "binary" } } };
const LABEL = query("label", "what it is called in ls");

/** Routes beside those of verbs. */
function other({ method, path }: Route): Schema {
  const ok = (content: Schema | undefined, description = "done") => ({
    responses: { 200: { description, ...(content && { content }) } },
  });
  switch (`${method} ${path}`) {
    case "PUT /v1/blob":
      return {
        parameters: [LABEL, header("Content-Digest", "RFC 9530: sha-256 of the body, which is compared")],
        requestBody: { required: true, content: BYTES },
        responses: {
          200: { description: "it was here", content: json(ref("ShelfRow")) },
          201: { description: "it is new", content: json(ref("ShelfRow")) },
        },
      };
    case "GET /v1/blob/*":
      return {
        parameters: [
          NAME,
          query("by", "whose word counts"),
          header("Range", "one range of bytes"),
          header("If-None-Match", "an ETag: 304 when it is that"),
        ],
        responses: {
          200: {
            description: "all of it; a directory as JSON",
            content: { ...BYTES, ...json({ type: "array" }) },
          },
          206: { description: "the range", content: BYTES },
          304: { description: "not changed" },
          416: { $ref: "#/components/responses/Problem" },
        },
      };
    case "PUT /v1/secret":
      return {
        parameters: [LABEL, query("branch", "whose hosts can read it")],
        requestBody: { required: true, content: BYTES },
        responses: { 201: { description: "sealed" } },
      };
    case "GET /v1/secret/*":
      return { parameters: [NAME], ...ok(BYTES) };
    case "POST /v1/content":
      return { requestBody: { content: json({ type: "object" }) }, ...ok(json({ type: "object" })) };
    case "GET /v1/bundle":
      return { parameters: [query("branch", "which journal")], ...ok(BYTES) };
    case "PUT /v1/bundle":
      return {
        parameters: ["domain", "branch", "host"].map((name) => query(name, `what it has to be: the ${name}`)),
        requestBody: { content: BYTES },
        ...ok(json({ type: "object" })),
      };
    case "GET /v1/events":
      return {
        parameters: [
          query("after", "a cursor: the id of an event, or 0 for all that are kept; else from now on"),
          query("type", "types of events, with commas between them"),
          query("branch", "only of this branch"),
          query("host", "only of this host"),
          query("limit", "how many at the most", "integer"),
          query("wait", "seconds for which one may be waited for", "integer"),
          header("Last-Event-ID", "as after"),
        ],
        ...ok({
          ...json(ref("Events")),
          [SSE]: { schema: { type: "string" } },
          [NDJSON]: { schema: { type: "string" } },
        }),
      };
    case "GET /metrics":
      return ok({ "text/plain": { schema: { type: "string" } } });
    case "GET /readyz":
      return {
        responses: {
          200: { description: "ready" },
          503: { description: "not ready", content: json({ type: "object" }) },
        },
      };
    default:
      return ok(json({ type: "object" }));
  }
}
