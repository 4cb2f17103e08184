// API remote: requests that came over TCP to the net half, answered by the same app as on the users' own sockets, for who shows a token. Net has
// read them, and is not believed: what it passes on counts as much as the token in it, and is checked again here.
import type { Hono } from "hono";
import { type Cbor, Fault } from "../mq/mod.ts";
import { admit } from "./api.ts";
import { type Env, rawPath } from "./api_body.ts";
import { PROBLEM, problemOf } from "./api_problem.ts";
import type { Actor, Host } from "./host.ts";
import { requestBytesMax } from "./limits.ts";
import { httpAnswerBytesMax, httpTargetBytesMax } from "./limits_api.ts";
import type { Remote } from "./mesh.ts";
import { isPlainText } from "./names.ts";
import { HTTP_HEADERS, HTTP_METHODS, malformed } from "./seam.ts";
import { nameIn } from "./upkeep.ts";

/** What net passes on: the token or null, and the request; the target is path and query. */
export type RemoteRequest = [
  token: string | null,
  method: string,
  target: string,
  headers: [string, string][],
  body: Uint8Array,
];

/** Who comes without a token: nobody of this host. */
const NOBODY: Actor = { uid: -1, name: "" };

/** Root's answers to what comes over TCP. */
export function remoteAnswers(app: Hono<Env>, host: Host): Remote {
  /** Who comes with this token, or what is answered to who shows none that is one. */
  const actorOf = (token: string | null): Actor | Cbor[] => {
    if (token === null) return NOBODY;
    try {
      const { id, uid, name, roles } = host.tokens.bearer(token);
      return { uid, name, token: { id, roles } };
    } catch (e) {
      const fault = Fault.from("api", e);
      const status = fault.kind === "denied" ? 401 : fault.kind === "refused" ? 429 : fault.http;
      const body = new TextEncoder().encode(JSON.stringify(problemOf(fault, status)));
      return [status, [["content-type", PROBLEM]], body];
    }
  };
  return {
    http: async (v) => {
      const [token, method, target, headers, body] = readRemote(v);
      const actor = actorOf(token);
      if (Array.isArray(actor)) return actor;
      const isRead = method === "GET" || method === "HEAD";
      const init = { method, headers, ...(!isRead && { body: body as Uint8Array<ArrayBuffer> }) };
      host.web.given();
      const answer = await app.fetch(new Request(`http://isconf${target}`, init), { actor });
      const said = [...answer.headers].map(([name, value]) => [name, value]);
      return [answer.status, said, await bounded(answer)];
    },
    admit: (v) => {
      const [token, method, target, headers] = readRemote(v);
      const actor = actorOf(token);
      if (Array.isArray(actor)) return Promise.resolve(actor);
      const request = new Request(`http://isconf${target}`);
      const query = Object.fromEntries(new URL(request.url).searchParams);
      const confirmed = headers.find(([name]) => name === "isconf-confirmed")?.[1];
      const route = admit(host, actor, { method, path: rawPath(request), query, confirmed });
      if (route === undefined || !/^(get|put)$/.test(route.verb)) throw malformed();
      host.web.given();
      return Promise.resolve(actor.uid);
    },
    name: (v) => {
      const [text, by] = Array.isArray(v) ? v : [];
      if (typeof text !== "string" || !(by === null || typeof by === "string")) throw malformed();
      host.web.given();
      return Promise.resolve(nameIn(host, text, by ?? undefined)?.id ?? null);
    },
  };
}

/** A request out of a message of the seam, or a corrupt fault. */
function readRemote(v: Cbor): RemoteRequest {
  const [token, method, target, headers, body] = Array.isArray(v) && v.length === 5 ? v : [];
  const isText = (x: unknown): x is string => typeof x === "string" && isPlainText(x);
  const isHead = (pair: unknown) =>
    Array.isArray(pair) && pair.length === 2 && HTTP_HEADERS.some((name) => name === pair[0]) &&
    isText(pair[1]) &&
    /^[\x20-\x7e]*$/.test(pair[1]);
  const isSound = (token === null || isText(token)) && isText(method) && HTTP_METHODS.includes(method) &&
    isText(target) &&
    /^\/[\x21-\x7e]*$/.test(target) && !target.startsWith("//") && target.length <= httpTargetBytesMax &&
    Array.isArray(headers) && headers.length <= HTTP_HEADERS.length && headers.every(isHead) &&
    body instanceof Uint8Array && body.length <= requestBytesMax;
  if (!isSound) throw malformed();
  return [token, method, target, headers, body] as RemoteRequest;
}

/** All of an answer. Throws refused for one that is too long to go over at once. */
async function bounded(answer: Response): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of answer.body ?? []) {
    bytes += chunk.length;
    if (bytes > httpAnswerBytesMax) {
      throw new Fault("api", "refused", `the answer is longer than ${httpAnswerBytesMax} bytes`, {
        hint: "curl --unix-socket /run/isconf/$(id -u).sock http://isconf/…",
      });
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
