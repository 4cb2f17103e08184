// Net HTTP: the API and the page over TCP, for programs and browsers on this machine: what is wrong with a request before anybody looks at what it
// asks, the page's files, contents from the store, and everything else passed on to root with the token that came. It decides nothing by itself.
import * as fs from "node:fs";
import * as http from "node:http";
import type { AddressInfo } from "node:net";
import { type Cbor, type Clock, Fault } from "../mq/mod.ts";
import { type BlobPlace, makeBlobApp } from "./api_blob.ts";
import { nodeHandler } from "./api_node.ts";
import { PROBLEM, problemOf } from "./api_problem.ts";
import { eventLines, LASTS, NDJSON, SSE } from "./api_streams.ts";
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
import { type Answers, type Ask, malformed, type NetRequest, type RootRequest } from "./seam.ts";

/** One file of the page. */
export interface PageFile {
  body: Uint8Array;
  headers: Record<string, string>;
}

export interface NetHttpParts {
  clock: Clock;
  ask: Ask<RootRequest>;
  blobs: Omit<BlobPlace, "find">;
  /** What is on the shelf under a label, an id, the beginning of one. */
  find: BlobPlace["find"];
  /** The file of the page at this path, if there is one. */
  page(path: string): PageFile | undefined;
  log(line: string): void;
}

type Req = http.IncomingMessage;
type Res = http.ServerResponse;

/** Headers that are passed on to root; it knows no others (api_remote.ts). */
const PASSED = [
  "accept",
  "content-type",
  "idempotency-key",
  "if-match",
  "if-none-match",
  "isconf-confirmed",
  "last-event-id",
];

/** On every answer that is not a file of the page: a browser is to do nothing with it. */
const INERT = {
  "x-content-type-options": "nosniff",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
};

/** Root knows no such token. */
const NO_TOKEN = new Fault("api", "denied", "that token is none, or is over", { hint: "isconf token api" });

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
      if (wrong !== undefined) return say(res, wrong.fault, wrong.status, { connection: "close" });
      await this.#answer(req, res);
    } catch (e) {
      if (!(e instanceof Fault)) {
        this.#o.log(`unexpected in a request over TCP: ${String((e as Error).stack ?? e)}`);
      }
      if (res.headersSent) res.destroy();
      else say(res, Fault.from("api", e));
    }
  }

  async #answer(req: Req, res: Res): Promise<void> {
    const [path = ""] = req.url!.split("?", 1);
    if (req.method === "GET" || req.method === "HEAD") {
      const file = this.#o.page(path);
      if (file !== undefined) return give(req, res, file);
    }
    if (path === "/healthz" || path === "/readyz") return await this.#pass(req, res, null);
    if (path !== "/metrics" && !path.startsWith("/v1/")) {
      throw new Fault("api", "notFound", "there is nothing at that place", { hint: "GET /v1/openapi.json" });
    }
    const token = /^Bearer ([A-Za-z0-9_-]{1,128})$/i.exec(req.headers.authorization ?? "")?.[1];
    if (token === undefined) return refuse(res, "a token is needed: Authorization: Bearer TOKEN");
    const accept = (req.headers.accept ?? "").split(",").map((part) =>
      part.split(";")[0]!.trim().toLowerCase()
    );
    const stream = [SSE, NDJSON].find((type) => accept.includes(type));
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
      : await this.#moments.get(momentOf("admit", req, token), admit);
    if (uid === null) return refuse(res, "that token is none, or is over");
    if (typeof uid !== "number") throw malformed();
    res.setHeader("content-disposition", "attachment");
    this.#blobs({ uid, name: "" }, req, res);
  }

  async #pass(req: Req, res: Res, token: string | null): Promise<void> {
    const [status, headers, bytes] = readAnswer(await this.#answerOf(req, token));
    if (status === 401) res.setHeader("www-authenticate", 'Bearer realm="isconf"');
    res.writeHead(status, {
      ...Object.fromEntries(headers),
      ...(status !== 304 && { "content-length": bytes.length }),
    });
    res.end(req.method === "HEAD" ? undefined : bytes);
  }

  /** Root's answer to a request, or the one that it gave a moment ago. */
  async #answerOf(req: Req, token: string | null): Promise<Cbor> {
    if (req.method !== "GET") {
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
      const [status, , bytes] = readAnswer(await this.#o.ask("http", asked, Infinity));
      const said = JSON.parse(new TextDecoder().decode(bytes));
      if (status === 401) throw NO_TOKEN;
      if (status !== 200) throw Fault.fromJSON(said);
      return said;
    };
    this.#streams++;
    const hasEnded = () => this.#isClosed || res.destroyed;
    const lines = eventLines(type, start as string | undefined, next, hasEnded, () => void this.#streams--);
    const first = await lines.next().catch((e) => { // what is wrong with the question is an answer of its own
      if (e !== NO_TOKEN) throw e;
    });
    if (first === undefined) return refuse(res, "that token is none, or is over");
    res.writeHead(200, { "content-type": type, "cache-control": "no-store" });
    for (let { value, done } = first; !done; { value, done } = await lines.next()) {
      if (!res.write(value)) {
        await new Promise<void>((resolve) => res.once("drain", resolve).once("close", resolve));
      }
    }
    res.end();
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
  const headers = PASSED.flatMap((name): Cbor[] => {
    const value = req.headers[name];
    return typeof value === "string" && /^[\x20-\x7e]*$/.test(value) ? [[name, value]] : [];
  });
  return [token, req.method!, req.url!, headers, body];
}

/** What an answer is made of: whose, to what. */
function momentOf(what: string, req: Req, token: string | null): string {
  return JSON.stringify([what, token, req.url, ...PASSED.map((name) => req.headers[name] ?? null)]);
}

function readAnswer(v: Cbor): [status: number, headers: [string, string][], body: Uint8Array] {
  const [status, headers, body] = Array.isArray(v) ? v : [];
  if (typeof status !== "number" || !Array.isArray(headers) || !(body instanceof Uint8Array)) {
    throw malformed();
  }
  return [status, headers as [string, string][], body];
}

async function bodyOf(req: Req): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of req) {
    bytes += chunk.length;
    if (bytes > requestBytesMax) {
      throw new Fault("api", "usage", `the body is longer than ${requestBytesMax} bytes`, {
        hint: "isconf put, or PUT /v1/blob",
      });
    }
    chunks.push(chunk);
  }
  return new Uint8Array(Buffer.concat(chunks));
}

function give(req: Req, res: Res, { body, headers }: PageFile): void {
  const { etag } = headers;
  const isKnown = etag !== undefined && req.headers["if-none-match"] === etag;
  res.writeHead(isKnown ? 304 : 200, { ...headers, ...(!isKnown && { "content-length": body.length }) });
  res.end(isKnown || req.method === "HEAD" ? undefined : body);
}

function say(
  res: Res,
  fault: Fault,
  status: number = fault.http,
  headers: Record<string, string> = {},
): void {
  const body = JSON.stringify(problemOf(fault, status));
  res.writeHead(status, {
    "content-type": PROBLEM,
    "content-length": Buffer.byteLength(body),
    "cache-control": "no-store",
    ...headers,
  });
  res.end(body);
}

/** Who shows no token that is one. */
function refuse(res: Res, why: string): void {
  const fault = new Fault("api", "denied", why, { hint: "isconf token api" });
  say(res, fault, 401, { "www-authenticate": 'Bearer realm="isconf"' });
}

const busy = () =>
  new Fault("api", "environment", "too many requests at the same time", {
    hint: "the same again in a moment",
  });
