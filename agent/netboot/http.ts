// HTTP: kernels, initrds, images, loaders and scripts by GET and HEAD, whole or one range of them (RFC 9110), and by POST what a machine says of its own
// way. Who asks is known by the path and proves nothing by it; nothing secret may stand behind it. Not the API (net_http.ts).
import * as http from "node:http";
import type { AddressInfo } from "node:net";
import { Fault } from "../../mq/mod.ts";
import { wanted } from "../api_conditions.ts";
import { ARCHES, type Booter, type BootFile, piecesOf } from "./booter.ts";
import {
  httpConnectionsMax,
  httpConnectionsPerAddressMax,
  httpHeadBytesMax,
  httpHeadMs,
  httpIdleMs,
  httpKeepAliveMs,
  httpSaidBytesMax,
  httpTellBytes,
  scriptBytesMax,
} from "./limits.ts";
import { type Place, placeOfTarget } from "./place.ts";
import type { End } from "./proxy.ts";
import { memoryFile } from "./memory_booter.ts";
import type { Bind } from "./udp.ts";

/** What a machine has been given so far. */
export interface Given {
  place: Place;
  /** Where it is. */
  address: string;
  step: "script" | NonNullable<BootFile["step"]> | undefined;
  /** How much of the file it has when this piece is with it, from the file's beginning, and how long the file is. */
  bytes: number;
  of: number;
}

export interface HttpParts {
  booter: Booter;
  bind: Bind;
  gave(given: Given): void;
  /** What a machine says of itself; whether it is anything. */
  said(place: Place, text: string): boolean;
  log(line: string): void;
}

type Req = http.IncomingMessage;
type Res = http.ServerResponse;

/** A file that was asked for. */
interface Found {
  file: BootFile;
  step: Given["step"];
  type: string;
}

/** Names are written as people write them: GRUB knows Content-Length in no other way, and waits for ever without it. */
const HEADERS = {
  "X-Content-Type-Options": "nosniff",
  "Content-Security-Policy": "default-src 'none'; sandbox",
};
/** What a machine says of its way goes there, below its own address. */
export const SAY = "log";

const BYTES = "application/octet-stream", TEXT = "text/plain; charset=utf-8";

export class BootHttp {
  readonly #p: HttpParts;
  readonly #server: http.Server;
  readonly #byAddress = new Map<string, number>();

  private constructor(parts: HttpParts) {
    this.#p = parts;
    this.#server = http.createServer({
      headersTimeout: httpHeadMs,
      requestTimeout: httpHeadMs, // of what is asked, which is little; an answer takes as long as it takes
      keepAliveTimeout: httpKeepAliveMs,
      connectionsCheckingInterval: 1_000,
      maxHeaderSize: httpHeadBytesMax,
      insecureHTTPParser: false,
      requireHostHeader: false, // firmware of HTTP/1.0
    });
    this.#server.maxConnections = httpConnectionsMax;
    this.#server.timeout = httpIdleMs;
    this.#server.on("connection", (socket) => {
      const from = socket.remoteAddress ?? "";
      const count = (this.#byAddress.get(from) ?? 0) + 1;
      this.#byAddress.set(from, count);
      socket.once("close", () => this.#left(from));
      if (count > httpConnectionsPerAddressMax) socket.destroy();
    });
    this.#server.on("request", (req, res) => void this.#serve(req, res));
    this.#server.on("clientError", (_e, socket) => socket.destroy());
    this.#server.on("upgrade", (_req, socket) => socket.destroy());
    this.#server.on("connect", (_req, socket) => socket.destroy());
  }

  /** Begins to listen. Throws an environment fault when it cannot. */
  static async open(parts: HttpParts): Promise<BootHttp> {
    const boot = new BootHttp(parts);
    const { bind } = parts;
    try {
      await new Promise<void>((resolve, reject) => {
        boot.#server.once("error", reject);
        boot.#server.listen("fd" in bind ? bind : { host: bind.address, port: bind.port }, resolve);
      });
    } catch (e) {
      throw new Fault("netboot", "environment", `HTTP cannot be served: ${(e as Error).message}`, {
        hint: "ss -ltnp: another server may have the port",
        cause: e,
      });
    }
    boot.#server.removeAllListeners("error");
    boot.#server.on("error", (e) => parts.log(`boot http: ${e.message}`));
    return boot;
  }

  get end(): End {
    const { address, port } = this.#server.address() as AddressInfo;
    return { address, port };
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  #left(from: string): void {
    const count = (this.#byAddress.get(from) ?? 1) - 1;
    if (count === 0) this.#byAddress.delete(from);
    else this.#byAddress.set(from, count);
  }

  async #serve(req: Req, res: Res): Promise<void> {
    for (const [name, value] of Object.entries(HEADERS)) res.setHeader(name, value);
    try {
      const place = placeOfTarget(req.url ?? "");
      const isLog = place?.mac !== undefined && place.name === SAY;
      if (isLog ? req.method !== "POST" : req.method !== "GET" && req.method !== "HEAD") {
        res.setHeader("Allow", isLog ? "POST" : "GET, HEAD");
        return say(req, res, 405);
      }
      if (place === undefined) return say(req, res, 400);
      if (isLog) {
        const text = await bodyOf(req);
        return say(req, res, text === undefined ? 413 : this.#p.said(place, text) ? 200 : 400);
      }
      const found = await this.#find(place);
      if (found === undefined) return say(req, res, 404);
      await this.#give(req, res, place, found);
    } catch (e) {
      this.#p.log(`boot http: ${Fault.from("netboot", e).message}`);
      if (res.headersSent) res.destroy(); // before its last byte, so that nobody takes it for whole
      else say(req, res, 500);
    }
  }

  async #find(place: Place): Promise<Found | undefined> {
    const { mac, name } = place;
    const arch = ARCHES.find((one) => name === `${one}.ipxe`);
    if (arch === undefined || mac === undefined) {
      const file = await this.#p.booter.fileAt(place);
      return file && { file, step: file.step, type: BYTES };
    }
    const script = await this.#p.booter.scriptFor({ mac, arch, program: "ipxe" });
    if (script === undefined) return undefined;
    const file = memoryFile(new TextEncoder().encode(script));
    if (file.bytes <= scriptBytesMax) return { file, step: "script", type: TEXT };
    throw new Fault("netboot", "usage", `a script has at most ${scriptBytesMax} bytes`, {
      hint: "isconf boot",
    });
  }

  async #give(req: Req, res: Res, place: Place, { file, step, type }: Found): Promise<void> {
    const etag = file.id === undefined ? "" : `"${file.id}"`;
    const header = (name: string) =>
      etag === "" && name !== "range" ? undefined : req.headers[name] as string;
    const want = wanted(header, etag, file.bytes);
    if (etag !== "") res.setHeader("ETag", etag);
    res.setHeader("Accept-Ranges", "bytes");
    if (want.status === 416) res.setHeader("Content-Range", `bytes */${file.bytes}`);
    if (want.status === 304) return void res.writeHead(304).end();
    if (want.status === 412 || want.status === 416) return say(req, res, want.status);
    const { from, to } = want.status === 206 ? want : { from: 0, to: file.bytes };
    if (want.status === 206) res.setHeader("Content-Range", `bytes ${from}-${to - 1}/${file.bytes}`);
    res.writeHead(want.status, { "Content-Type": type, "Content-Length": to - from });
    if (req.method === "HEAD") return void res.end();
    const given = { place, address: addressOf(req), step, of: file.bytes };
    let at = from, told = from;
    for await (const piece of piecesOf(file, from, to)) {
      for (const part of partsOf(piece, httpTellBytes)) {
        if (!res.destroyed) await written(res, part);
        if (res.destroyed) return;
        at += part.length;
        if (at === to || at - told < httpTellBytes) continue; // all of it: when it is known to be whole
        told = at;
        this.#p.gave({ ...given, bytes: at });
      }
    }
    this.#p.gave({ ...given, bytes: to });
    res.end();
  }
}

function* partsOf(piece: Uint8Array, bytes: number): Iterable<Uint8Array> {
  for (let at = 0; at < piece.length; at += bytes) yield piece.subarray(at, at + bytes);
}

/** The few words that may be sent here; undefined when they are more. */
async function bodyOf(req: Req): Promise<string | undefined> {
  let text = "";
  for await (const piece of req.setEncoding("utf8")) {
    text += piece;
    if (text.length > httpSaidBytesMax) return undefined;
  }
  return text;
}

/** Where a request came from; a socket of both kinds shows an address of IPv4 within one of IPv6. */
function addressOf(req: Req): string {
  return (req.socket.remoteAddress ?? "").replace(/^::ffff:/, "");
}

/** A few words, for who reads them and because some loaders wait for a body that never comes: shim takes six seconds. */
function say(req: Req, res: Res, status: number): void {
  const words = new TextEncoder().encode(`${status} ${http.STATUS_CODES[status]}\n`);
  res.writeHead(status, { "Content-Type": TEXT, "Content-Length": words.length });
  res.end(req.method === "HEAD" ? undefined : words);
}

/** Resolves when the system has these bytes, whose memory is used again, or nobody is left to take them. */
function written(res: Res, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      res.off("close", done);
      resolve();
    };
    res.on("close", done);
    res.write(bytes, done);
  });
}
