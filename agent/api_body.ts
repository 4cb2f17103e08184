// API bodies: what comes in as bytes and what goes out as bytes, for the routes that move contents. In the agent an answer
// is written straight to Node's response, with no web stream in between; without one (tests) it is a Response.
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import type { Context } from "hono";
import type * as http from "node:http";
import { Fault } from "../mq/mod.ts";
import type { Actor, Call } from "./host.ts";
import { inert } from "./names.ts";

/** What the app is given with each request: who calls and, in the agent, Node's own response. */
export type Env = { Bindings: { actor: Actor; outgoing?: http.ServerResponse } };

/** What a verb is called with: who calls, from the request, and where its progress goes; without `emit` nowhere. */
export type CallOf = (c: Context<Env>, emit?: Call["emit"]) => Call;

/**
 * The path of a request with its percent signs: routes are matched against that, and what it stands for is decoded by who
 * knows whether it is text or bytes (RFC 3986, 2.1).
 */
export function rawPath(request: Request): string {
  return /^https?:\/\/[^/?#]*([^?#]*)/i.exec(request.url)?.[1] || "/";
}

/** The bytes that percent-encoded text stands for (RFC 3986, 2.1); what is no such code stands for itself. */
export function percentBytes(text: string): Uint8Array {
  const plain = text.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)));
  return Buffer.from(plain, "latin1");
}

/** The body of a request, piece by piece. Throws gone when the caller goes away before its end. */
export async function* bodyOf(c: Context): AsyncIterable<Uint8Array> {
  const body = c.req.raw.body;
  if (body === null) return;
  const source = (body as unknown as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]();
  const next = () =>
    source.next().catch(() => {
      throw new Fault("api", "gone", "the caller went away before it had said all", {
        hint: "isconf status",
      });
    });
  try {
    for (let got = await next(); !got.done; got = await next()) yield got.value;
  } finally {
    await source.return?.();
  }
}

/** All of a source, or undefined when it is longer than `max`. */
export async function bytesWithin(
  source: AsyncIterable<Uint8Array>,
  max: number,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of source) {
    bytes += chunk.length;
    if (bytes <= max) chunks.push(chunk);
    else if (bytes > 4 * max) break; // read on for a while: who is cut off while sending misses the answer
  }
  return bytes > max ? undefined : Buffer.concat(chunks);
}

/**
 * Answers with a source of bytes. Its first piece is read before, so that what fails at once is answered as a fault; what
 * fails later ends the connection, so that nobody takes the part for the whole. Nothing is read that nobody takes.
 */
export async function answerBytes(
  c: Context<Env>,
  source: AsyncIterable<Uint8Array>,
  status: 200 | 206,
  headers: Record<string, string>,
  log: (line: string) => void,
): Promise<Response> {
  const from = source[Symbol.asyncIterator]();
  const first = await from.next();
  if (c.req.method === "HEAD") {
    await from.return?.();
    return c.body(null, status, headers);
  }
  const { outgoing } = c.env;
  if (outgoing === undefined) return c.body(streamOf(from, first), status, headers);
  outgoing.writeHead(status, headers);
  try {
    await pour(from, first, outgoing);
  } catch (e) {
    log(`the answer to ${inert(c.req.path)} was broken off: ${Fault.from("api", e).message}`);
    outgoing.destroy();
  }
  return RESPONSE_ALREADY_SENT;
}

/** Answers with bytes that are all here. */
export function answerWhole(
  c: Context<Env>,
  bytes: Uint8Array,
  status: 200 | 206,
  headers: Record<string, string>,
): Response {
  const { outgoing } = c.env;
  if (outgoing === undefined) return c.body(bytes as Uint8Array<ArrayBuffer>, status, headers);
  outgoing.writeHead(status, headers).end(bytes);
  return RESPONSE_ALREADY_SENT;
}

/** Writes all of a source, whose first piece is read already, to where it goes; it ends when nobody is there to take it. */
export async function pour(
  from: AsyncIterator<Uint8Array>,
  first: IteratorResult<Uint8Array>,
  out: http.ServerResponse,
): Promise<void> {
  for (let { value, done } = first; !done; { value, done } = await from.next()) {
    if (!out.destroyed && !out.write(value)) await drained(out);
    if (out.destroyed) return void await from.return?.();
  }
  out.end();
}

/** Resolves when there is room for more, or nobody left to take it. */
function drained(out: http.ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      out.off("drain", done);
      out.off("close", done);
      resolve();
    };
    out.on("drain", done);
    out.on("close", done);
  });
}

function streamOf(
  from: AsyncIterator<Uint8Array>,
  first: IteratorResult<Uint8Array>,
): ReadableStream<Uint8Array> {
  let ready: IteratorResult<Uint8Array> | undefined = first;
  return new ReadableStream({
    async pull(out) {
      const { value, done } = ready ?? await from.next();
      ready = undefined;
      if (done) out.close();
      else out.enqueue(value);
    },
    async cancel() {
      await from.return?.();
    },
  });
}
