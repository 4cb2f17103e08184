// API blobs: contents over HTTP: PUT /v1/blob stores any bytes, GET and HEAD /v1/blob/NAME/PATH give a file, a part of one,
// or a directory as JSON. What names mean is in locate.ts, what headers ask for in api_conditions.ts.
import { type Context, Hono } from "hono";
import {
  type ByteRange,
  type DirNode,
  type FileNode,
  type Id,
  idOf,
  putFile,
  readFile,
  readManifest,
  readNodeFile,
  readRoot,
  showPath,
  type Store,
} from "../fs/mod.ts";
import { encode, Fault } from "../mq/mod.ts";
import { answerBytes, answerWhole, bodyOf, type Env, percentBytes, rawPath } from "./api_body.ts";
import type { BlobMemory } from "./blob_memory.ts";
import { digestField, digestIn, wanted } from "./api_conditions.ts";
import { listing } from "./api_listing.ts";
import { problem } from "./api_problem.ts";
import { blobAgeSeconds } from "./limits.ts";
import { type Library, locate } from "./locate.ts";
import type { NewShelfRow, ShelfRow } from "./seam.ts";
import { inert } from "./names.ts";

type Range = Required<ByteRange>;

/** Bytes that can be given as a whole or in part. */
interface Contents {
  /** What they are the contents of: the same id, the same bytes. */
  id: Id;
  size: number;
  /** Of all of them, where it is known. */
  sha256?: Id;
  read(range: Range): AsyncIterable<Uint8Array>;
}

/** Where contents are: the root half's view of the store, or the store itself in the half that keeps it. */
export interface BlobPlace {
  store: Store;
  /** Runs `fn`; until it has ended what comes into the store stays. */
  holding<T>(fn: () => Promise<T>): Promise<T>;
  /** Brings a root from other hosts, as far as it is not here. */
  fetch(id: Id): Promise<void>;
  /** What a name means, or a label, an id, the beginning of one; perhaps by whose word. */
  find(text: string, by?: string): Promise<{ id: Id } | undefined>;
  /** Whether that very content is on the shelf. */
  has(id: Id): Promise<boolean>;
  add(row: NewShelfRow): Promise<ShelfRow>;
  /** What was read a moment ago. */
  memory: BlobMemory;
  log(line: string): void;
}

/** Adds the routes of blobs to the app. */
export function addBlobRoutes(app: Hono<Env>, place: BlobPlace): void {
  app.put("/v1/blob", (c) => put(c, place));
  app.get("/v1/blob/*", (c) => get(c, place));
}

/** An app of these routes alone, for who has judged the request already. */
export function makeBlobApp(place: BlobPlace): Hono<Env> {
  const app = new Hono<Env>({ getPath: rawPath });
  addBlobRoutes(app, place);
  app.onError((e, c) => {
    if (!(e instanceof Fault)) place.log(`unexpected in ${c.req.path}: ${inert(String(e.stack ?? e))}`);
    return problem(c, Fault.from("blob", e));
  });
  return app;
}

/** Stores the body, puts it on the shelf, and answers with its row; 201 when it was not there before. */
async function put(c: Context<Env>, place: BlobPlace): Promise<Response> {
  for (const name of ["content-range", "content-encoding"]) {
    if (c.req.header(name) === undefined) continue; // RFC 9110, 14.5: a part is not to be taken for the whole
    throw usage(`a blob is put whole and as it is, without ${name}`);
  }
  const digests = ["content-digest", "repr-digest"].flatMap((name) => {
    const sha256 = digestIn(c.req.header(name) ?? "");
    if (sha256 === "") throw usage(`the sha-256 in ${name} is none`);
    return sha256 === undefined ? [] : [{ name, sha256 }];
  });
  const label = c.req.query("label") ?? "";
  return await place.holding(async () => {
    const { id, sha256 } = await putFile(place.store, bodyOf(c));
    const wrong = digests.find((digest) => digest.sha256 !== sha256);
    if (wrong !== undefined) {
      throw usage(`the body does not match its ${wrong.name}: its sha-256 is ${sha256}`);
    }
    const isNew = !await place.has(id);
    const row = await place.add({ id, label, uid: c.env.actor.uid, pinned: false });
    return c.json(row, isNew ? 201 : 200, { etag: `"${id}"`, location: `/v1/blob/${id}` });
  });
}

async function get(c: Context<Env>, place: BlobPlace): Promise<Response> {
  const { name, inside } = target(c.req.path);
  const library: Library = {
    op: "get",
    store: place.store,
    find: (text) => place.find(text, c.req.query("by")),
    fetch: place.fetch,
    root: (id) => place.memory.root(id, () => readRoot(place.store, id)),
  };
  const found = await locate(library, name, inside);
  const age = name === found.id ? `max-age=${blobAgeSeconds}, immutable` : "no-cache"; // RFC 8246
  if (found.kind === "file") {
    const read = (range: Range) => readFile(place.store, found.id, range);
    return await answerContents(c, place, { ...found, read }, age);
  }
  const { node, at } = found;
  if (node.kind === "dir") return await answerDirectory(c, place, node, at, age);
  if (node.kind === "file") return await answerContents(c, place, await contentsOf(place.store, node), age);
  throw new Fault("get", "usage", `this is a link to ${showPath(node.target)}`, {
    hint: "curl …/v1/blob/NAME: lists the tree",
  });
}

/** A directory's entries as JSON. */
async function answerDirectory(
  c: Context<Env>,
  place: BlobPlace,
  dir: DirNode,
  id: Id,
  age: string,
): Promise<Response> {
  const etag = `"${id}"`;
  const type = { "content-type": "application/json", "accept-ranges": "none" };
  const headers = { etag, "cache-control": age, ...type };
  const { status } = wanted((name) => name === "range" ? undefined : c.req.header(name), etag, 0);
  if (status === 412) return preconditionFailed(c, etag);
  if (status === 304) return c.body(null, status, headers);
  return await answerBytes(c, listing(place.store, dir, id), 200, headers, place.log);
}

/** A file or a part of it, as the request's headers ask for (RFC 9110, 13.2.2). */
async function answerContents(
  c: Context<Env>,
  place: BlobPlace,
  contents: Contents,
  age: string,
): Promise<Response> {
  const { id, size, sha256 } = contents;
  const etag = `"${id}"`;
  const want = wanted((name) => c.req.header(name), etag, size);
  const headers: Record<string, string> = {
    etag,
    "accept-ranges": "bytes",
    "cache-control": age,
    ...(sha256 !== undefined && { "repr-digest": digestField(sha256) }),
  };
  if (want.status === 304) return c.body(null, 304, headers);
  if (want.status === 412) return preconditionFailed(c, etag);
  if (want.status === 416) {
    const message = `it has ${size} bytes, and none of those that Range asks for`;
    const fault = new Fault("blob", "refused", message, { hint: "curl -I: shows its Content-Length" });
    return problem(c, fault, 416, { etag, "content-range": `bytes */${size}` });
  }
  const [from, to] = want.status === 206 ? [want.from, want.to] : [0, size];
  headers["content-type"] = "application/octet-stream";
  headers["content-length"] = String(to - from);
  if (want.status === 206) headers["content-range"] = `bytes ${from}-${to - 1}/${size}`;
  if (c.req.method === "HEAD") return c.body(null, want.status, headers);
  const kept = await place.memory.get(id, size, () => contents.read({ offset: 0, length: size }));
  if (kept !== undefined) return answerWhole(c, kept.subarray(from, to), want.status, headers);
  const bytes = exactly(contents.read({ offset: from, length: to - from }), to - from);
  return await answerBytes(c, bytes, want.status, headers, place.log);
}

/** NAME, which is text, and the bytes of PATH in /v1/blob/NAME/PATH. */
function target(path: string): { name: string; inside: Uint8Array } {
  const [name = "", ...inside] = path.slice("/v1/blob/".length).split("/");
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(percentBytes(name));
    return { name: text, inside: percentBytes(inside.join("/")) };
  } catch {
    throw new Fault("get", "notFound", `nothing is called ${inert(name)}: names are UTF-8`, {
      hint: "isconf ls",
    });
  }
}

/** What a file of a tree has in it. */
async function contentsOf(store: Store, node: FileNode): Promise<Contents> {
  const read = (range: Range) => readNodeFile(store, node, range);
  const { size, content, runs } = node;
  if (runs === undefined) {
    return { id: content, size, sha256: (await readManifest(store, content)).sha256, read };
  }
  return { id: idOf(encode({ size, content, runs })), size, read }; // the content is its data without the holes
}

/**
 * The same bytes, the last of them when all has been read and was found right: a reader that was promised so many never
 * has them all before that.
 */
async function* exactly(source: AsyncIterable<Uint8Array>, length: number): AsyncGenerator<Uint8Array> {
  let held: Uint8Array | undefined;
  let bytes = 0;
  for await (const piece of source) {
    if (held !== undefined) yield held;
    held = piece;
    bytes += piece.length;
  }
  if (bytes !== length) {
    throw new Fault("get", "corrupt", `${bytes} bytes came instead of ${length}`, { hint: "isconf doctor" });
  }
  if (held !== undefined) yield held;
}

function preconditionFailed(c: Context, etag: string): Response {
  const fault = new Fault("blob", "refused", `it is ${etag}, which If-Match does not name`, {
    hint: "isconf ls",
  });
  return problem(c, fault, 412, { etag });
}

function usage(message: string): Fault {
  return new Fault("put", "usage", message, { hint: "isconf help put" });
}
