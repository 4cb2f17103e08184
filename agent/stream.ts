// Stream: one command, executed or previewed, over an HTTP/1.1 Upgrade: small frames both ways on the caller's own socket.
// Not the command (run.ts) and not its record (work.ts).
import { Buffer } from "node:buffer";
import type * as http from "node:http";
import type { Duplex } from "node:stream";
import { encodeFrame, Fault, type Frame, readFrames } from "../mq/mod.ts";
import type { Acts } from "./acts.ts";
import { needPermission } from "./api_verbs.ts";
import type { Actor, Call, Host } from "./host.ts";
import { readJson } from "./json.ts";
import { previewPageBytes, requestBytesMax } from "./limits.ts";
import type { Sink } from "./run.ts";
import { isForwarded, parseWindowSize, STREAM, STREAM_PROTOCOL } from "./streamtypes.ts";
import { checkArgs, type Verb } from "./verb.ts";
import { execVerb, type ExecVerbArgs } from "./verbs/exec.ts";
import { type PreviewArgs, previewVerb } from "./verbs/preview.ts";
import type { Execution } from "./work.ts";

/** Answers `Upgrade: isconf-stream` on POST /v1/exec and /v1/preview; anything else is refused and closed. */
export function makeUpgrade(host: Host, acts: Acts) {
  return (actor: Actor, req: http.IncomingMessage, socket: Duplex, head: Uint8Array): void => {
    socket.on("error", () => socket.destroy()); // a caller that went away; the reading loop sees it too
    const streamed = STREAMED.find(({ verb }) => req.url === `/v1/${verb.name}`);
    if (streamed === undefined || req.method !== "POST" || req.headers.upgrade !== STREAM_PROTOCOL) {
      socket.end("HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
      return;
    }
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: ${STREAM_PROTOCOL}\r\n\r\n`,
    );
    if (head.length > 0) socket.unshift(Buffer.from(head));
    const send = (type: number, body: Uint8Array | string) =>
      !socket.destroyed &&
      socket.write(
        encodeFrame({ type, channel: 0, body: typeof body === "string" ? Buffer.from(body) : body }),
      );
    const confirmed = req.headers["isconf-confirmed"];
    const call: Call = {
      ...(typeof confirmed === "string" && { confirmed }),
      host,
      acts,
      actor,
      emit: (event) => void send(STREAM.event, JSON.stringify(event)),
    };
    serve(call, streamed, socket, send).catch((e) => {
      send(STREAM.fault, JSON.stringify(Fault.from(streamed.verb.name, e)));
    }).finally(() => socket.end());
  };
}

type Send = (type: number, body: Uint8Array | string) => boolean;

/** A verb whose command has streams. */
interface Streamed {
  verb: Verb;
  /** Starts the command with checked arguments. */
  start(call: Call, args: Record<string, unknown>, sink: Sink): Promise<Execution<object>>;
  /** Runs all of it when it may: in the host's turn what changes the host. */
  when(
    call: Call,
    args: Record<string, unknown>,
    socket: Duplex,
    send: Send,
    fn: () => Promise<void>,
  ): Promise<void>;
}

const STREAMED: Streamed[] = [
  {
    verb: execVerb as unknown as Verb,
    start: (call, args, sink) =>
      call.acts.work.exec(call, execVerb.toWork(args as unknown as ExecVerbArgs), sink),
    when: (call, args, socket, send, fn) =>
      call.host.turn.take(
        `exec ${(args.command as string[])[0]}`,
        async () => {
          await needCaller(socket, send);
          await fn();
        },
        (what) => call.emit({ event: "waiting", text: `waiting until ${what} has ended` }),
      ),
  },
  {
    verb: previewVerb as unknown as Verb,
    start: (call, args, sink) => previewVerb.start(call, args as unknown as PreviewArgs, sink),
    async when(_call, _args, socket, send, fn) {
      await needCaller(socket, send);
      await fn();
    },
  },
];

async function serve(call: Call, streamed: Streamed, socket: Duplex, send: Send): Promise<void> {
  const { verb } = streamed;
  const frames = readFrames(socket, call.host.clock, { bodyBytesMax: requestBytesMax })
    [Symbol.asyncIterator]();
  const first = await frames.next();
  if (first.done || first.value.type !== STREAM.start) {
    throw new Fault(verb.name, "usage", "a stream starts with the command", {
      hint: `isconf help ${verb.name}`,
    });
  }
  const args = checkArgs(verb, parseJson(first.value.body));
  const sink: Sink = {
    write: (fd, bytes) => send(fd === 1 ? STREAM.stdout : STREAM.stderr, bytes),
    drained: () => drained(socket),
  };
  const need = (begins: boolean) => needPermission(call, verb, args, begins);
  need(false);
  await streamed.when(call, args, socket, send, async () => {
    const rule = need(true); // the policy may have changed while it waited
    const execution = await streamed.start({ ...call, rule }, args, sink);
    const reader = feed(frames, execution);
    const end = await execution.recorded;
    // A list may be longer than a frame: it goes before the rest.
    for (const piece of "changes" in end ? piecesOf(end.changes as unknown[]) : []) {
      send(STREAM.piece, JSON.stringify(piece));
      await drained(socket);
    }
    send(STREAM.result, JSON.stringify("changes" in end ? { ...end, changes: [] } : end));
    await Promise.race([reader, drained(socket)]);
  });
}

/** A list in pieces of which each fits into a frame. */
function* piecesOf(list: unknown[]): Generator<unknown[]> {
  let piece: unknown[] = [];
  let chars = 0;
  for (const item of list) {
    piece.push(item);
    chars += JSON.stringify(item).length;
    if (chars < previewPageBytes) continue;
    yield piece;
    [piece, chars] = [[], 0];
  }
  if (piece.length > 0) yield piece;
}

function parseJson(body: Uint8Array): unknown {
  try {
    return readJson(body);
  } catch {
    throw new Fault("exec", "usage", "the arguments are not JSON, or have a name twice", {
      hint: "isconf help exec",
    }); // the parser's words help nobody
  }
}

/** Throws when the caller has gone away while it waited: then its command is not run. */
async function needCaller(socket: Duplex, send: Send): Promise<void> {
  send(STREAM.event, JSON.stringify({ event: "turn", text: "" }));
  await new Promise<void>((resolve) => socket.write(new Uint8Array(0), () => resolve()));
  if (!socket.destroyed) return;
  throw new Fault("exec", "gone", "the caller went away before its turn", { hint: "isconf exec it again" });
}

/** Passes the caller's input and signals on. When the caller goes away, so does the command's terminal: HUP. */
async function feed(frames: AsyncIterator<Frame>, execution: Execution<object>): Promise<void> {
  let over = false;
  void execution.recorded.then(() => over = true, () => over = true);
  try {
    for (;;) {
      const { value, done } = await frames.next();
      if (done || over) break;
      if (value.type === STREAM.stdin) await execution.feed(value.body);
      else if (value.type === STREAM.stdinEnd) execution.feedEnd();
      else if (value.type === STREAM.windowSize) {
        const size = parseWindowSize(Buffer.from(value.body).toString("latin1"));
        if (size !== undefined) execution.running.resize(size);
      } else if (value.type === STREAM.signal) {
        const name = Buffer.from(value.body).toString("latin1");
        if (isForwarded(name)) execution.running.signal(name);
      }
    }
  } catch (e) {
    if (!(e instanceof Fault) && (e as { code?: string }).code === undefined) throw e;
  }
  if (!over) execution.running.signal("SIGHUP");
}

/** Resolves when the socket can take more, or is gone. */
function drained(socket: Duplex): Promise<void> {
  if (socket.destroyed || !socket.writableNeedDrain) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      socket.off("drain", done);
      socket.off("close", done);
      resolve();
    };
    socket.on("drain", done);
    socket.on("close", done);
  });
}
