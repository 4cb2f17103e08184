// API: the Hono app made from the list of verbs: POST /v1/VERB with JSON, GET for those that only read, bundles;
// contents are in api_blob.ts. It knows who calls (from the door), never decides what they may (the verbs do).
import { type Context, Hono } from "hono";
import { Fault } from "../mq/mod.ts";
import type { Acts } from "./acts.ts";
import { addBlobRoutes, type BlobPlace } from "./api_blob.ts";
import { answerBytes, bodyOf, bytesWithin, type CallOf, type Env, rawPath } from "./api_body.ts";
import { addEventRoute } from "./api_events.ts";
import { addHealthRoutes, Requests } from "./api_health.ts";
import { openapi } from "./api_openapi.ts";
import { problem } from "./api_problem.ts";
import { opens, type Route, routeOf, ROUTES } from "./api_routes.ts";
import { addSecretRoutes } from "./api_secret.ts";
import { answerVerb, type Moments, onBranch } from "./api_verbs.ts";
import { BlobMemory } from "./blob_memory.ts";
import { CONTENT_MAY, type ContentMay } from "./content.ts";
import { actOf } from "./confirmations.ts";
import { type Actor, type Host, hostName } from "./host.ts";
import { readJson } from "./json.ts";
import { requestBytesMax } from "./limits.ts";
import { momentMs, momentsMax } from "./limits_api.ts";
import { Moment } from "./moment.ts";
import { inert, isPlainText } from "./names.ts";
import { contentSocketOf } from "./paths.ts";
import { findContent, nameIn } from "./upkeep.ts";
import type { Verb } from "./verb.ts";

/** The header that names a confirmation. */
const CONFIRMED = "isconf-confirmed";

/** The app over one host. `fetch(request, { actor })` is its one door; what has no row in ROUTES has no way in. */
export function makeApi(host: Host, acts: Acts): Hono<Env> {
  const app = new Hono<Env>({ getPath: rawPath });
  const requests = new Requests();
  const moments: Moments = new Moment(host.clock, momentMs, momentsMax);
  const changed = () => {
    moments.clear();
    host.web.changed();
  };
  host.db.onChange(changed);
  host.mesh.onPeer(changed);
  const callOf: CallOf = (c, emit = () => {}) => {
    const confirmed = c.req.header(CONFIRMED), head = c.req.header("if-match");
    const more = { ...(confirmed !== undefined && { confirmed }), ...(head !== undefined && { head }) };
    return { host, acts, actor: c.env.actor, emit, ...more };
  };
  app.use(async (c, next) => {
    const begun = host.clock.now();
    await next(); // what is refused is an answer, too
    const { path } = routeOf(c.req.method, c.req.path) ?? {};
    if (path !== undefined) {
      requests.note(c.req.method, path, c.res.status, (host.clock.now() - begun) / 1000);
    }
  });
  app.use(async (c, next) => {
    if (admit(host, c.env.actor, askedIn(c)) === undefined) return c.notFound();
    await next();
  });
  addBlobRoutes(app, blobsOf(host));
  addSecretRoutes(app, host, callOf);
  addEventRoute(app, host);
  addHealthRoutes(app, host, requests);
  app.get("/v1/openapi.json", (c) => c.json(openapi()));
  app.get("/v1/me", (c) => c.json(me(host, c.env.actor)));

  app.post("/v1/content", async (c) => {
    const { name, by, may = "put" } = readQuestion(await jsonBody(c, "content"));
    needVerb(host, c.env.actor, askedIn(c), may, may === "get");
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

  for (const { method, path, runs: verb } of ROUTES) {
    if (verb === undefined) continue;
    app.on(method, path, async (c) => {
      const args = method === "GET" ? queryArgs(verb, c.req.query()) : await jsonBody(c, verb.name);
      return await answerVerb(c, callOf, verb, args, moments);
    });
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

/** What is known of a request before its body is. */
export interface Asking {
  method: string;
  path: string;
  query: Record<string, string>;
  confirmed: string | undefined;
}

const askedIn = (c: Context): Asking => ({
  method: c.req.method,
  path: rawPath(c.req.raw),
  query: c.req.query(),
  confirmed: c.req.header(CONFIRMED),
});

/**
 * The route of a request, if there is one; a verb is judged later, with its arguments.
 * @throws {Fault} denied, unless the token that somebody came by is for it, and the policy permits it
 */
export function admit(host: Host, actor: Actor, asking: Asking): Route | undefined {
  const route = routeOf(asking.method, asking.path);
  if (route === undefined) return undefined;
  needRole(actor, route);
  if (route.verb !== "" && route.runs === undefined) {
    needVerb(host, actor, asking, route.verb, route.kind === "reads");
  }
  return route;
}

/** Throws unless the policy permits it; of what is on its way only the address can be confirmed. */
function needVerb(host: Host, actor: Actor, asking: Asking, verb: string, reads: boolean): void {
  const { confirmed: id, ...address } = asking;
  const act = () => actOf(verb, address);
  host.rules.need(actor, { verb, reads, act, ...onBranch(host) }, { id, begins: true });
}

/** Throws unless the token that somebody came by, if by one, is for this. */
function needRole(actor: Actor, route: Route): void {
  if (
    route.role === "anyone" || (actor.token === undefined ? actor.uid >= 0 : opens(actor.token.roles, route))
  ) return;
  const { method, path, role } = route;
  const why = role === "local" ? "no token is for that" : `that needs a token with the role ${role}`;
  throw new Fault("api", "denied", `${method} ${path}: ${why}`, {
    hint: role === "local" ? "isconf, on the host itself" : `isconf token api --role ${role}`,
  });
}

/** Who is asking, and what that may have: each verb, as far as it can be said without its arguments. */
function me(host: Host, actor: Actor) {
  const { uid, name, token } = actor;
  const may = ROUTES.filter((route) =>
    route.runs !== undefined && (token === undefined || opens(token.roles, route))
  )
    .filter(({ verb, kind }) =>
      host.rules.judge(actor, { verb, reads: kind === "reads", ...onBranch(host) }).permit
    );
  return {
    host: hostName(host),
    uid,
    user: name,
    web: host.web.place,
    webWhy: host.web.why,
    token: token ?? null,
    verbs: [...new Set(may.map(({ verb }) => verb))].sort(),
  };
}

/** Contents as the root half reaches them. */
function blobsOf(host: Host): BlobPlace {
  const { store, shelf, log } = host;
  return {
    store,
    holding: (fn) => store.holding(fn),
    fetch: (id) => store.fetch([id]),
    find: (text, by) => findContent(host, text, by),
    has: async (id) => (await shelf.find(id))?.id === id,
    add: (row) => shelf.add(row),
    memory: new BlobMemory(host.clock),
    log,
  };
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
  const body = await bytesWithin(bodyOf(c), requestBytesMax);
  if (body === undefined) throw usage(op, `the body is longer than ${requestBytesMax} bytes`);
  try {
    return body.length === 0 ? {} : readJson(body) as Record<string, unknown>;
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
