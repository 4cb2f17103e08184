// Client: the command line's side of the local API over a raw socket, because loading node:http costs more than
// the answer. Not for other servers: it speaks just what api.ts and stream.ts answer.
import { Buffer } from "node:buffer";
import * as fs from "node:fs";
import * as net from "node:net";
import * as path from "node:path";
import { Fault } from "../mq/mod.ts";
import { inert } from "./names.ts";

/** Where the agent listens for us. */
export interface Where {
  socket: string;
  /** The confirmation under which something is asked for. */
  confirmed?: string;
  /** Whether it is the agent that has named it. */
  isTold?: boolean;
}

/**
 * Throws denied when somebody else could have made the socket, as where an agent of root's or ours is expected: they would be told
 * passwords and secrets. What cannot be looked at is said when it is connected to.
 */
function needTrusted({ socket, isTold }: Where): void {
  if (isTold) return;
  const dir = path.dirname(socket);
  const st = fs.lstatSync(dir, { throwIfNoEntry: false });
  if (st === undefined || ([0, process.geteuid?.()].includes(st.uid) && (st.mode & 0o022) === 0)) return;
  throw new Fault(
    "connect",
    "denied",
    `${inert(dir)} is not root's or yours alone: who answers there could be anybody`,
    {
      hint: `ls -ld ${inert(dir)}`,
    },
  );
}

/** Connects, or says that there is no agent, or that we may not talk to it. */
export function connect(where: Where): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    needTrusted(where);
    const socket = net.connect(where.socket);
    socket.once("connect", () => {
      socket.removeAllListeners("error");
      resolve(socket);
    });
    socket.once("error", (e) => {
      const code = (e as { code?: string }).code;
      // The directory of sockets cannot be listed, but root's door can be seen: the agent is there, ours is not.
      const door = path.join(path.dirname(where.socket), "0.sock");
      // Root's own may have come since we looked: then the agent has just been started.
      const isThere = code === "ENOENT" && door !== where.socket && fs.existsSync(door);
      if (isThere || code === "EACCES" || code === "EPERM") {
        reject(
          new Fault("connect", "denied", `you may not use isconf on this host (${where.socket})`, {
            hint: "a line permit YOUR-NAME in /etc/isconf/policy.d/site.policy, by root",
          }),
        );
      } else {
        reject(
          new Fault("connect", "notRunning", "no agent is running on this host", { hint: "isconf start" }),
        );
      }
    });
  });
}

export interface Answer {
  status: number;
  headers: Map<string, string>;
  body: AsyncIterable<Uint8Array>;
}

/**
 * One request on a connection of its own, as HTTP/1.0 so that the answer simply ends with the connection.
 * `body` may be a stream when `length` is known.
 */
export async function request(
  where: Where,
  method: string,
  target: string,
  options: {
    accept?: string;
    /** Whether an answer that is cut off must be known for one, though its length is not: HTTP/1.1 says so. */
    mustEnd?: boolean;
    json?: unknown;
    body?: { stream: AsyncIterable<Uint8Array>; length?: number };
  } = {},
): Promise<Answer> {
  const socket = await connect(where);
  const head = [
    `${method} ${target} HTTP/${
      options.mustEnd || (options.body?.length === undefined && options.body) ? "1.1" : "1.0"
    }`,
    "host: isconf",
    "connection: close",
  ];
  if (where.confirmed !== undefined) head.push(`isconf-confirmed: ${where.confirmed}`);
  if (options.accept !== undefined) head.push(`accept: ${options.accept}`);
  const json = options.json === undefined ? undefined : Buffer.from(JSON.stringify(options.json));
  if (json !== undefined) head.push("content-type: application/json", `content-length: ${json.length}`);
  const { body } = options;
  const chunked = body !== undefined && body.length === undefined;
  if (body !== undefined) {
    head.push(chunked ? "transfer-encoding: chunked" : `content-length: ${body.length}`);
  }
  socket.cork();
  socket.write(`${head.join("\r\n")}\r\n\r\n`);
  if (json !== undefined) socket.write(json);
  socket.uncork();
  const failed = body === undefined ? undefined : send(socket, body.stream, chunked);
  failed?.catch(() => {}); // awaited below, once the answer has been read
  const answer = await readAnswer(socket, failed);
  return answer;
}

async function send(socket: net.Socket, stream: AsyncIterable<Uint8Array>, chunked: boolean): Promise<void> {
  const write = async (bytes: Uint8Array | string) => {
    if (!socket.writable || socket.write(bytes)) return;
    await new Promise<void>((resolve) => {
      const done = () => {
        socket.off("drain", done);
        socket.off("close", done);
        resolve();
      };
      socket.on("drain", done);
      socket.on("close", done);
    });
  };
  try {
    for await (const chunk of stream) {
      if (chunk.length === 0) continue;
      if (chunked) await write(`${chunk.length.toString(16)}\r\n`);
      await write(chunk);
      if (chunked) await write("\r\n");
      if (!socket.writable) return;
    }
    if (chunked) await write("0\r\n\r\n");
  } catch (e) {
    socket.destroy();
    throw e;
  }
}

const gone = () =>
  new Fault("connect", "gone", "the agent went away before it had answered", {
    hint: "isconf status: shows whether it was done",
  });

async function readAnswer(socket: net.Socket, sending: Promise<void> | undefined): Promise<Answer> {
  const source = socket[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
  const { head, rest } = await readHead(source).catch(async (e) => {
    await sending; // what kept us from sending is the better reason
    throw e;
  });
  const lines = head.split("\r\n");
  const status = Number(/^HTTP\/1\.[01] ([0-9]{3})/.exec(lines[0] ?? "")?.[1]);
  if (!(status >= 100)) throw gone();
  const headers = new Map(
    lines.slice(1).map((l) => {
      const at = l.indexOf(":");
      return [l.slice(0, at).toLowerCase(), l.slice(at + 1).trim()] as const;
    }),
  );
  const raw = bodyBytes(source, rest);
  const plain = headers.get("transfer-encoding") === "chunked" ? unchunk(raw) : raw;
  return { status, headers, body: counted(plain, headers.get("content-length")) };
}

/** Reads until the empty line after the headers. */
export async function readHead(
  source: AsyncIterator<Uint8Array>,
): Promise<{ head: string; rest: Uint8Array }> {
  let seen = Buffer.alloc(0);
  for (;;) {
    const end = seen.indexOf("\r\n\r\n");
    if (end >= 0) return { head: seen.toString("latin1", 0, end), rest: seen.subarray(end + 4) };
    let next;
    try {
      next = await source.next();
    } catch {
      throw gone();
    }
    if (next.done || seen.length > 65_536) throw gone();
    seen = Buffer.concat([seen, next.value]);
  }
}

/** The rest of an answer, until the connection ends. */
export async function* bodyBytes(
  source: AsyncIterator<Uint8Array>,
  rest: Uint8Array,
): AsyncIterable<Uint8Array> {
  if (rest.length > 0) yield rest;
  for (;;) {
    let next;
    try {
      next = await source.next();
    } catch {
      throw gone();
    }
    if (next.done) return;
    yield next.value;
  }
}

/** Chunked transfer coding (RFC 9112 7.1), without trailers. */
async function* unchunk(source: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  let held = Buffer.alloc(0);
  let left = -1; // bytes left of the present chunk; -1: its size line comes next
  for await (const bytes of source) {
    held = held.length === 0 ? Buffer.from(bytes) : Buffer.concat([held, bytes]);
    while (held.length > 0) {
      if (left > 0) {
        const part = held.subarray(0, left);
        yield part;
        left -= part.length;
        held = held.subarray(part.length);
        if (left > 0) break;
      }
      const end = held.indexOf("\r\n");
      if (end < 0) break;
      const line = held.toString("latin1", 0, end);
      held = held.subarray(end + 2);
      if (line === "" && left === 0) {
        left = -1;
        continue;
      }
      left = Number.parseInt(line, 16);
      if (left === 0) return;
      if (!(left > 0)) throw gone();
    }
  }
  throw gone();
}

async function* counted(
  source: AsyncIterable<Uint8Array>,
  length: string | undefined,
): AsyncIterable<Uint8Array> {
  let seen = 0;
  for await (const bytes of source) {
    seen += bytes.length;
    yield bytes;
  }
  if (length !== undefined && seen !== Number(length)) throw gone();
}

/** The whole of an answer as text. */
export async function textOf(answer: Answer): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of answer.body) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8");
}

/** Throws the fault an answer carries; returns when it is a success. */
export async function needOk(answer: Answer): Promise<void> {
  if (answer.status < 400) return;
  let problem: unknown;
  try {
    problem = JSON.parse(await textOf(answer));
  } catch {
    problem = null; // not ours, or cut off: fromJSON says that it was not understood
  }
  throw Fault.fromJSON(problem);
}

/** Calls a verb: each line of progress goes to `emit`, the result is returned, a fault is thrown. */
export async function callVerb(
  where: Where,
  name: string,
  args: unknown,
  emit: (e: Record<string, unknown>) => void,
): Promise<unknown> {
  const answer = await request(where, "POST", `/v1/${name}`, { accept: "application/x-ndjson", json: args });
  await needOk(answer);
  for await (const line of lines(answer.body)) {
    const event = JSON.parse(line) as { event: string; result?: unknown; fault?: unknown };
    if (event.event === "result") return event.result;
    if (event.event === "fault") throw Fault.fromJSON(event.fault);
    emit(event);
  }
  throw gone();
}

/** The lines of a body, each when it has come whole. */
export async function* lines(source: AsyncIterable<Uint8Array>): AsyncIterable<string> {
  const decoder = new TextDecoder();
  let held = "";
  for await (const chunk of source) {
    held += decoder.decode(chunk, { stream: true });
    for (let at = held.indexOf("\n"); at >= 0; at = held.indexOf("\n")) {
      yield held.slice(0, at);
      held = held.slice(at + 1);
    }
  }
}
