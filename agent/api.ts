// API: the Hono app made from the list of verbs: POST /v1/VERB with JSON, GET for those that only read, bundles;
// contents are in api_blob.ts. It knows who calls (from the door), never decides what they may (the verbs do).
import { getRequestListener } from "@hono/node-server";
import { type Context, Hono } from "hono";
import type * as http from "node:http";
import { Fault } from "../mq/mod.ts";
import type { Acts } from "./acts.ts";
import { addBlobRoutes } from "./api_blob.ts";
import { answerBytes, bodyOf, type CallOf, type Env, rawPath } from "./api_body.ts";
import { problem } from "./api_problem.ts";
import { addSecretRoutes } from "./api_secret.ts";
import { CONTENT_MAY, type ContentMay } from "./content.ts";
import { actOf } from "./confirmations.ts";
import type { Actor, Call, Host, Progress } from "./host.ts";
import { readJson } from "./json.ts";
import { requestBytesMax, streamQueueBytesMax } from "./limits.ts";
import { inert, isPlainText } from "./names.ts";
import { contentSocketOf } from "./paths.ts";
import type { Rule } from "./rules.ts";
import { getMeta } from "./schema.ts";
import { nameIn } from "./upkeep.ts";
import { checkArgs, type Verb } from "./verb.ts";
import { VERBS } from "./verbs/mod.ts";

/** The header that names a confirmation. */
const CONFIRMED = "isconf-confirmed";

const NDJSON = "application/x-ndjson";

/** Which verb of the policy a route is, where it is not named like one, and whether it only reads. */
const ROUTES: Record<string, [verb: string, kind: "reads" | "changes"]> = {
  "GET blob": ["get", "reads"],
  "HEAD blob": ["get", "reads"],
  "PUT blob": ["put", "changes"],
  "GET secret": ["get", "reads"],
  "PUT secret": ["put", "changes"],
  "GET bundle": ["bundle", "reads"],
  "PUT bundle": ["bundle", "changes"],
};

/** The app over one host. `fetch(request, { actor })` is its one door. */
export function makeApi(host: Host, acts: Acts): Hono<Env> {
  const app = new Hono<Env>({ getPath: rawPath });
  const callOf: CallOf = (c, emit = () => {}) => {
    const confirmed = c.req.header(CONFIRMED);
    return { host, acts, actor: c.env.actor, emit, ...(confirmed !== undefined && { confirmed }) };
  };
  /** Throws unless the policy permits it; of what is on its way only the address can be confirmed. */
  const need = (c: Context<Env>, verb: string, reads: boolean) => {
    const act = () => actOf(verb, { method: c.req.method, path: rawPath(c.req.raw), query: c.req.query() });
    const ticket = { id: c.req.header(CONFIRMED), begins: true };
    host.rules.need(c.env.actor, { verb, reads, act, ...onBranch(host) }, ticket);
  };

  app.use(async (c, next) => {
    const [verb, reads] = ROUTES[`${c.req.method} ${c.req.path.split("/")[2]}`] ?? [];
    if (verb !== undefined) need(c, verb, reads === "reads");
    await next();
  });
  addBlobRoutes(app, host);
  addSecretRoutes(app, host, callOf);

  app.post("/v1/content", async (c) => {
    const { name, by, may = "put" } = readQuestion(await jsonBody(c, "content"));
    need(c, may, may === "get");
    const id = name === undefined ? null : nameIn(host, name, by)?.id ?? null;
    await host.store.open(c.env.actor.uid, may);
    return c.json({ socket: contentSocketOf(host.home), id }); // who is called there is for us to say
  });

  app.get("/v1/bundle", async (c) => {
    const chunks = acts.bundle.exportBundle(callOf(c), c.req.query("branch"));
    return await answerBytes(c, chunks, 200, { "content-type": "application/octet-stream" }, host.log);
  });

  app.put("/v1/bundle", async (c) => {
    const pin = {
      domain: c.req.query("domain"),
      branch: c.req.query("branch"),
      host: c.req.query("host") ?? "",
    };
    const call = callOf(c);
    return c.json(
      await host.turn.take("bundle import", () => acts.bundle.importBundle(call, bodyOf(c), pin)),
    );
  });

  for (const verb of VERBS) {
    if (verb.run === undefined) continue;
    app.post(`/v1/${verb.name}`, async (c) => answer(c, callOf, verb, await jsonBody(c, verb.name)));
    if (verb.kind === "reads") {
      app.get(`/v1/${verb.name}`, (c) => answer(c, callOf, verb, queryArgs(verb, c.req.query())));
    }
  }

  app.notFound((c) =>
    problem(
      c,
      new Fault("api", "notFound", `there is no ${c.req.method} ${inert(c.req.path)}`, {
        hint: "isconf help",
      }),
    )
  );
  app.onError((e, c) => {
    if (!(e instanceof Fault)) host.log(`unexpected in ${c.req.path}: ${inert(String(e.stack ?? e))}`);
    return problem(c, Fault.from("api", e));
  });
  return app;
}

/** Runs one verb and answers with JSON, or, when asked for it, with JSON lines: progress, then result or fault. */
async function answer(
  c: Context<Env>,
  callOf: CallOf,
  verb: Verb,
  args: Record<string, unknown>,
): Promise<Response> {
  if (c.req.header("accept") !== NDJSON) {
    return c.json(await runVerb(callOf(c), verb, args) ?? null);
  }
  const text = new TextEncoder();
  let gone = false;
  const body = new ReadableStream<Uint8Array>({
    async start(out) {
      const say = (o: unknown) => {
        if (!gone) out.enqueue(text.encode(`${JSON.stringify(o)}\n`));
      };
      // Progress is a hint: a caller that does not read loses outputs, and one that has gone stops nothing.
      const emit = (event: Progress) => {
        if (event.event !== "output" || (out.desiredSize ?? 0) > 0) say(event);
      };
      try {
        say({ event: "result", result: await runVerb(callOf(c, emit), verb, args, () => gone) ?? null });
      } catch (e) {
        say({ event: "fault", fault: Fault.from(verb.name, e) });
      }
      if (!gone) out.close();
    },
    cancel() {
      gone = true;
    },
  }, new ByteLengthQueuingStrategy({ highWaterMark: streamQueueBytesMax }));
  return c.body(body, 200, { "content-type": NDJSON });
}

/** Runs one verb with arguments from outside: checked, and in the host's turn when it changes something. */
export async function runVerb(
  call: Call,
  verb: Verb,
  value: unknown,
  hasGone = () => false,
): Promise<unknown> {
  const args = checkArgs(verb, value);
  let rule = needPermission(call, verb, args);
  const run = async () => {
    if (verb.kind === "changes") rule = needPermission(call, verb, args, true); // the policy may have changed while it waited
    if (!hasGone()) return await verb.run?.({ ...call, hasGone, rule }, args);
    throw new Fault(verb.name, "gone", "the caller went away before its turn", {
      hint: `isconf ${verb.name} again`,
    });
  };
  if (verb.kind !== "changes") return await run();
  return await call.host.turn.take(
    verb.name,
    run,
    (what) => call.emit({ event: "waiting", text: `waiting until ${what} has ended` }),
  );
}

/**
 * Throws unless the policy of this host lets the caller have this done, with these arguments, now. When it begins, a confirmation
 * that it needs is used up. Returns the line that permits it.
 */
export function needPermission(
  call: Call,
  verb: Verb,
  args: Record<string, unknown>,
  begins = verb.kind !== "changes",
): Rule | undefined {
  const { host, actor, confirmed: id } = call;
  const command = verb.command?.(call, args);
  const like = verb.like?.(args);
  const network = verb.network?.(args);
  const want = {
    verb: verb.name,
    ...(like && { like }),
    reads: verb.kind === "reads" || verb.forAll === true,
    act: () => actOf(verb.name, args),
    ...onBranch(host),
    ...(network !== undefined && { network }),
    ...(command && { command }),
  };
  return host.rules.need(actor, want, { id, begins });
}

function onBranch({ db }: Host): { branch?: string } {
  const branch = getMeta(db, "branch");
  return branch === undefined ? {} : { branch };
}

/** For what a command line wants to reach the contents, and what it wants to know when it asks for the way to the contents: what a name means, perhaps by whose word. */
function readQuestion(
  { name, by, may }: Record<string, unknown>,
): { name?: string; by?: string; may?: ContentMay } {
  const isText = (v: unknown) => v === undefined || (typeof v === "string" && isPlainText(v));
  if (!isText(name) || !isText(by)) throw usage("get", "name and by are texts");
  if (may !== undefined && !CONTENT_MAY.some((one) => one === may)) throw usage("get", "may is get or put");
  return { name, by, may } as { name?: string; by?: string; may?: ContentMay };
}

async function jsonBody(c: Context, op: string): Promise<Record<string, unknown>> {
  const type = c.req.header("content-type") ?? "";
  if (!/^application\/json(;.*)?$/i.test(type)) throw usage(op, "the body must be application/json");
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of bodyOf(c)) {
    bytes += chunk.length;
    if (bytes <= requestBytesMax) chunks.push(chunk);
    else if (bytes > 4 * requestBytesMax) break; // read on for a while: who is cut off while sending misses the answer
  }
  if (bytes > requestBytesMax) throw usage(op, `the body is longer than ${requestBytesMax} bytes`);
  try {
    return bytes === 0 ? {} : readJson(Buffer.concat(chunks)) as Record<string, unknown>;
  } catch {
    throw usage(op, "the body is not JSON, or has a name twice"); // what the parser says of it helps nobody
  }
}

/** Query parameters as the JSON arguments they stand for. */
function queryArgs(verb: Verb, query: Record<string, string>): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(query)) {
    const kind = Object.hasOwn(verb.args, name) ? verb.args[name]?.kind : undefined;
    out[name] = kind === "count" && /^[0-9]{1,15}$/.test(value)
      ? Number(value)
      : kind === "flag"
      ? value === "" || value === "true" || value === "1"
      : kind === "texts"
      ? [value]
      : value;
  }
  return out;
}

function usage(op: string, message: string): Fault {
  return new Fault(op, "usage", message, { hint: `isconf help ${op}` });
}

/** The app as a handler of Node's HTTP server, for one caller. */
export function nodeHandler(
  app: Hono<Env>,
): (actor: Actor, req: http.IncomingMessage, res: http.ServerResponse) => void {
  return (actor, req, res) => {
    const listener = getRequestListener(
      (request) => app.fetch(request, { actor, outgoing: res }),
      {
        overrideGlobalObjects: false,
      },
    );
    void listener(req, res);
  };
}
