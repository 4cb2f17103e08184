// Net HTTP: the API and the page over TCP, for programs and browsers on this machine: what is wrong with a request before anybody looks at what it
// asks, the page's files, contents from the store, and everything else passed on to root with the token that came. It decides nothing by itself.
import * as fs from "node:fs";
import * as http from "node:http";
import type { AddressInfo } from "node:net";
import { type Cbor, type Clock, Fault } from "../mq/mod.ts";
import { type BlobPlace, makeBlobApp } from "./api_blob.ts";
import { bytesWithin, pour } from "./api_body.ts";
import { wanted } from "./api_conditions.ts";
import { nodeHandler } from "./api_node.ts";
import { PROBLEM, problemOf } from "./api_problem.ts";
import { eventLines, LASTS, NDJSON, SSE, wantedOf } from "./api_streams.ts";
import type { EventPage } from "./event.ts";
import { wrongWith } from "./http_guard.ts";
import { requestBytesMax, requestHeadMs } from "./limits.ts";
import {
  eventWaitMsMax,
  httpAsksMax,
  httpConnectionsMax,
  httpHeadBytesMax,
  httpIdleMs,
  httpStreamsMax,
  momentMs,
  momentsMax,
} from "./limits_api.ts";
import { Moment } from "./moment.ts";
import type { Served } from "./page_files.ts";
import {
  type Answers,
  type Ask,
  HTTP_HEADERS,
  malformed,
  type NetRequest,
  type RootRequest,
} from "./seam.ts";

export interface NetHttpParts {
  clock: Clock;
  ask: Ask<RootRequest>;
  blobs: Omit<BlobPlace, "find">;
  /** What is on the shelf under a label, an id, the beginning of one. */
  find: BlobPlace["find"];
  /** The file of the page at this path, if there is one. */
  page(path: string): Served | undefined;
  log(line: string): void;
}

type Req = http.IncomingMessage;
type Res = http.ServerResponse;

/** An answer as root gives it. */
type Answer = [status: number, headers: [string, string][], body: Uint8Array];

/** On every answer that is not a file of the page: a browser is to do nothing with it. */
const INERT = {
  "x-content-type-options": "nosniff",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
};

/** What is answered instead of what was asked for. */
class Instead extends Error {
  readonly answer: Answer;

  constructor(answer: Answer) {
    super(`answered with ${answer[0]}`);
    this.answer = answer;
  }
}

export class NetHttp {
  readonly #o: NetHttpParts;
  readonly #blobs: ReturnType<typeof nodeHandler>;
  #server: http.Server | undefined;
  #wanted = "";
  #names: readonly string[] = [];
  /** Root's answers that may be given again. */
  readonly #moments: Moment<Cbor>;
  #asks = 0;
  #streams = 0;
  #isClosed = false;

  constructor(parts: NetHttpParts) {
    this.#o = parts;
    const { ask } = parts;
    this.#moments = new Moment(parts.clock, momentMs, momentsMax);
    const find: BlobPlace["find"] = async (text, by) => {
      const asked = [text, by ?? null];
      const id = await this.#moments.get(JSON.stringify(["name", asked]), () => ask("name", asked));
      if (typeof id === "string") return { id };
      return by === undefined ? await parts.find(text) : undefined;
    };
    this.#blobs = nodeHandler(makeBlobApp({ ...parts.blobs, find }));
  }

  /** Net's side of the seam's table. */
  readonly answers: Pick<Answers<NetRequest>, "http" | "stale"> = {
    stale: () => {
      this.#moments.clear();
      return Promise.resolve(null);
    },
    http: async (v) => {
      const [address, names] = v === null ? ["", []] : Array.isArray(v) ? v : [];
      const isSound = typeof address === "string" && Array.isArray(names) &&
        names.every((n) => typeof n === "string");
      if (!isSound) throw malformed();
      return await this.#settle(address, names as string[]);
    },
  };

  /** Listens there from now on, or nowhere; where, and what is wrong with that. */
  async #settle(address: string, names: string[]): Promise<Cbor> {
    const key = JSON.stringify([address, names]);
    if (this.#wanted !== key) {
      await this.#shut();
      this.#wanted = key;
    }
    if (address === "" || this.#isClosed) return ["", ""];
    try {
      const { address: ip, port, family } = (this.#server ??= await this.#listen(address))
        .address() as AddressInfo;
      const place = family === "IPv6" ? `[${ip}]:${port}` : `${ip}:${port}`;
      this.#names = [place, `localhost:${port}`, ...names];
      return [place, ""];
    } catch (e) {
      this.#server = undefined;
      return ["", Fault.from("http", e).message];
    }
  }

  async #listen(address: string): Promise<http.Server> {
    const [, host = "", port = ""] = /^\[?([^\]]+?)\]?:([0-9]+)$/.exec(address) ?? [];
    const server = http.createServer({
      headersTimeout: requestHeadMs,
      connectionsCheckingInterval: 1_000,
      requestTimeout: 0, // contents take as long as they take; who stands still is cut off
      keepAliveTimeout: 5_000,
      maxHeaderSize: httpHeadBytesMax,
      insecureHTTPParser: false,
      requireHostHeader: false, // what is wrong with it is said below
    });
    server.maxConnections = Math.min(httpConnectionsMax, Math.floor(filesMax() / 4));
    server.timeout = httpIdleMs;
    server.on("request", (req, res) => void this.#serve(req, res));
    server.on("clientError", (_e, socket) => socket.destroy());
    server.on("upgrade", (_req, socket) => socket.destroy()); // there is nothing to upgrade to
    server.on("connect", (_req, socket) => socket.destroy());
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ host, port: Number(port) }, resolve);
    });
    server.on("error", (e) => this.#o.log(`http: ${e.message}`));
    return server;
  }

  async #serve(req: Req, res: Res): Promise<void> {
    for (const [name, value] of Object.entries(INERT)) res.setHeader(name, value);
    try {
      const wrong = wrongWith(req, this.#names);
      if (wrong !== undefined) throw instead(wrong.fault, wrong.status, ["connection", "close"]);
      await this.#answer(req, res);
    } catch (e) {
      if (!(e instanceof Fault || e instanceof Instead)) {
        this.#o.log(`unexpected in a request over TCP: ${String((e as Error).stack ?? e)}`);
      }
      if (res.headersSent) res.destroy();
      else write(req, res, (e instanceof Instead ? e : instead(Fault.from("api", e))).answer);
    }
  }

  async #answer(req: Req, res: Res): Promise<void> {
    const [path = ""] = req.url!.split("?", 1);
    if (isRead(req)) {
      const file = this.#o.page(path);
      if (file !== undefined) return give(req, res, file);
    }
    if (path === "/healthz" || path === "/readyz") return await this.#pass(req, res, null);
    if (path !== "/metrics" && !path.startsWith("/v1/")) {
      throw new Fault("api", "notFound", "there is nothing at that place", { hint: "GET /v1/openapi.json" });
    }
    const token = /^Bearer ([A-Za-z0-9_-]{1,128})$/i.exec(req.headers.authorization ?? "")?.[1];
    if (token === undefined) {
      const hint = "isconf token api";
      throw instead(
        new Fault("api", "denied", "a token is needed: Authorization: Bearer TOKEN", { hint }),
        401,
      );
    }
    const stream = wantedOf(req.headers.accept, SSE, NDJSON);
    if (path === "/v1/events" && stream !== undefined) return await this.#stream(req, res, token, stream);
    if (path === "/v1/blob" || path.startsWith("/v1/blob/")) return await this.#blob(req, res, token);
    await this.#pass(req, res, token);
  }

  /** Contents are here: root is asked whether, not for what. */
  async #blob(req: Req, res: Res, token: string): Promise<void> {
    const asked = remote(req, token);
    const admit = () => this.#ask(() => this.#o.ask("admit", asked));
    const uid = req.method === "PUT"
      ? await admit()
      : await this.#moments.get(momentOf("admit", req, token), admit, (said) => typeof said === "number");
    if (typeof uid !== "number") throw new Instead(readAnswer(uid));
    res.setHeader("content-disposition", "attachment");
    this.#blobs({ uid, name: "" }, req, res);
  }

  async #pass(req: Req, res: Res, token: string | null): Promise<void> {
    write(req, res, readAnswer(await this.#answerOf(req, token)));
  }

  /** Root's answer to a request, or the one that it gave a moment ago. */
  async #answerOf(req: Req, token: string | null): Promise<Cbor> {
    if (!isRead(req)) {
      const body = await bodyOf(req);
      this.#moments.clear();
      const answer = await this.#ask(() => this.#o.ask("http", remote(req, token, body), Infinity));
      this.#moments.clear();
      return answer;
    }
    const key = momentOf("http", req, token);
    const make = () => this.#ask(() => this.#o.ask("http", remote(req, token), Infinity));
    return await this.#moments.get(key, make, (made) => readAnswer(made)[1].some(([name]) => name === LASTS));
  }

  /** Events are asked for page by page: the seam has questions and answers and no streams. */
  async #stream(req: Req, res: Res, token: string, type: string): Promise<void> {
    if (this.#streams >= httpStreamsMax) throw busy();
    const query = new URLSearchParams(req.url!.split("?")[1] ?? "");
    const start = query.get("after") ?? req.headers["last-event-id"];
    const next = async (after: string | undefined, waitMs: number): Promise<EventPage> => {
      if (after !== undefined) query.set("after", String(after));
      query.set("wait", String(Math.round(Math.min(waitMs, eventWaitMsMax) / 1000)));
      const asked: Cbor = [token, "GET", `/v1/events?${query}`, [], new Uint8Array(0)];
      const answer = readAnswer(await this.#o.ask("http", asked, Infinity));
      if (answer[0] !== 200) throw new Instead(answer);
      return JSON.parse(new TextDecoder().decode(answer[2]));
    };
    this.#streams++;
    const hasEnded = () => this.#isClosed || res.destroyed;
    const lines = eventLines(type, start as string | undefined, next, hasEnded, () => void this.#streams--);
    const first = await lines.next(); // what is wrong with the question is an answer of its own
    res.writeHead(200, { "content-type": type, "cache-control": "no-store" });
    await pour(lines, first, res);
  }

  /** So many questions at the same time, and no more. */
  async #ask(question: () => Promise<Cbor>): Promise<Cbor> {
    if (this.#asks >= httpAsksMax) throw busy();
    this.#asks++;
    try {
      return await question();
    } finally {
      this.#asks--;
    }
  }

  async #shut(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    this.#wanted = "";
    if (server === undefined) return;
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    server.closeAllConnections();
    await closed;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#shut();
  }
}

/** Files that this process may have open: other hosts and contents need theirs, too (getrlimit(2), by way of /proc). */
function filesMax(): number {
  const [, soft] = /^Max open files +([0-9]+)/m.exec(fs.readFileSync("/proc/self/limits", "utf8")) ?? [];
  return soft === undefined ? Infinity : Number(soft); // "unlimited"
}

/** A request as root reads it. */
function remote(req: Req, token: string | null, body = new Uint8Array(0)): Cbor {
  const headers = HTTP_HEADERS.flatMap((name): Cbor[] => {
    const value = req.headers[name];
    return typeof value === "string" && /^[\x20-\x7e]*$/.test(value) ? [[name, value]] : [];
  });
  return [token, isRead(req) ? "GET" : req.method!, req.url!, headers, body];
}

/** What an answer is made of: whose, to what. */
function momentOf(what: string, req: Req, token: string | null): string {
  return JSON.stringify([what, token, req.url, ...HTTP_HEADERS.map((name) => req.headers[name] ?? null)]);
}

function readAnswer(v: Cbor): Answer {
  const [status, headers, body] = Array.isArray(v) ? v : [];
  if (typeof status !== "number" || !Array.isArray(headers) || !(body instanceof Uint8Array)) {
    throw malformed();
  }
  return [status, headers as [string, string][], body];
}

async function bodyOf(req: Req): Promise<Uint8Array<ArrayBuffer>> {
  const body = await bytesWithin(req, requestBytesMax);
  if (body !== undefined) return body;
  const why = `the body is longer than ${requestBytesMax} bytes`;
  const fault = new Fault("api", "usage", why, { hint: "isconf put, or PUT /v1/blob" });
  throw instead(fault, 413, ["connection", "close"]);
}

/** HEAD is answered as GET would be, without the body. */
const isRead = (req: Req) => req.method === "GET" || req.method === "HEAD";

function give(req: Req, res: Res, { body, headers }: Served): void {
  const known = (name: string) => name === "if-none-match" ? req.headers[name] : undefined;
  const isKnown = wanted(known, headers.etag ?? "", body.length).status === 304;
  res.writeHead(isKnown ? 304 : 200, { ...headers, ...(!isKnown && { "content-length": body.length }) });
  res.end(isKnown || req.method === "HEAD" ? undefined : body);
}

function write(req: Req, res: Res, [status, headers, body]: Answer): void {
  if (status === 401) res.setHeader("www-authenticate", 'Bearer realm="isconf"');
  const length = status !== 304 && { "content-length": body.length };
  res.writeHead(status, { ...Object.fromEntries(headers), ...length });
  res.end(req.method === "HEAD" ? undefined : body);
}

/** A fault as what is answered instead. */
function instead(fault: Fault, status: number = fault.http, ...more: [string, string][]): Instead {
  const body = new TextEncoder().encode(JSON.stringify(problemOf(fault, status)));
  return new Instead([status, [["content-type", PROBLEM], ["cache-control", "no-store"], ...more], body]);
}

function busy(): Instead {
  const hint = "the same again in a moment";
  const fault = new Fault("api", "environment", "too many requests at the same time", { hint });
  return instead(fault, 503, ["retry-after", "1"]);
}
