// Exec client: the command line's side of a command, executed or previewed: its streams are ours, its status becomes ours.
// Not for other verbs (client.ts).
import { Buffer } from "node:buffer";
import { constants } from "node:os";
import { encodeFrame, Fault, type Frame, FrameDecoder } from "../mq/mod.ts";
import { bodyBytes, connect, needOk, readHead, type Where } from "./client.ts";
import { requestBytesMax } from "./limits.ts";
import { STREAM, STREAM_PROTOCOL } from "./streamtypes.ts";

export interface ExecStreams {
  stdin?: AsyncIterable<Uint8Array>;
  /** Resolves when the bytes are taken, so that a stopped reader stops the command and nobody else. */
  stdout(bytes: Uint8Array): Promise<void>;
  stderr(bytes: Uint8Array): Promise<void>;
  event(e: Record<string, unknown>): void;
  /** Registers what to do with a signal for the command; returns how to stop. */
  onSignal(fn: (name: string) => void): () => void;
  /** Calls back with `ROWSxCOLUMNS` whenever our terminal's size changes; only with a terminal. */
  onResize?(fn: (size: string) => void): void;
}

/** What a verb with streams ends with; `changes` of a preview. */
export interface StreamEnd {
  status: number;
  journaled?: boolean;
  changes?: unknown[];
}

/** Runs a command through the agent, by the verb `op`, and returns what became of it. Throws its fault, or gone. */
export async function execOver(
  where: Where,
  op: string,
  args: unknown,
  streams: ExecStreams,
): Promise<StreamEnd> {
  const socket = await connect(where);
  const send = (type: number, body: Uint8Array) =>
    socket.write(encodeFrame({ type, channel: 0, body }, { bodyBytesMax: requestBytesMax }));
  socket.write(
    `POST /v1/${op} HTTP/1.1\r\nhost: isconf\r\nconnection: upgrade\r\nupgrade: ${STREAM_PROTOCOL}\r\n${
      where.confirmed === undefined ? "" : `isconf-confirmed: ${where.confirmed}\r\n`
    }\r\n`,
  );
  send(STREAM.start, Buffer.from(JSON.stringify(args)));
  const source = socket[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
  const { head, rest } = await readHead(source);
  if (!head.startsWith("HTTP/1.1 101")) {
    await needOk({ status: 500, headers: new Map(), body: bodyBytes(source, rest) });
  }
  let hasBegun = false;
  let givenUp: number | undefined;
  const stopSignals = streams.onSignal((name) => {
    if (hasBegun) return void send(STREAM.signal, Buffer.from(name));
    givenUp = 128 + (constants.signals[name as keyof typeof constants.signals] ?? 0);
    socket.destroy(); // it waits for its turn: nothing runs that could be told
  });
  streams.onResize?.((size) => void send(STREAM.windowSize, Buffer.from(size)));
  // Nothing of our input is read before the command runs. What breaks off, as when we close it at the end, is the end of it.
  const begin = () => {
    hasBegun = true;
    if (streams.stdin === undefined) return;
    pumpStdin(streams.stdin, send).catch(() => send(STREAM.stdinEnd, new Uint8Array(0)));
  };
  const decoder = new FrameDecoder();
  const pieces: unknown[] = [];
  try {
    for (let bytes: Uint8Array = rest;;) {
      for (const frame of decoder.push(bytes)) {
        if (!hasBegun && (frame.type === STREAM.event ? isTurn(frame) : frame.type !== STREAM.fault)) begin();
        const end = await take(frame, streams, pieces);
        if (end !== undefined) return pieces.length === 0 ? end : { ...end, changes: pieces };
      }
      const next = await source.next();
      if (next.done) break;
      bytes = next.value;
    }
  } catch (e) {
    if (e instanceof Fault) throw e;
  } finally {
    stopSignals();
    socket.destroy();
  }
  if (givenUp !== undefined) return { status: givenUp, journaled: false };
  throw new Fault(op, "gone", "the agent went away while the command ran", {
    hint: op === "exec"
      ? "isconf wip: shows the command as uncertain once the agent is back"
      : `isconf ${op} again`,
  });
}

/** Whether the agent says that the command runs from now on. */
function isTurn(frame: Frame): boolean {
  return JSON.parse(Buffer.from(frame.body).toString("utf8")).event === "turn";
}

async function take(
  frame: Frame,
  streams: ExecStreams,
  pieces: unknown[],
): Promise<StreamEnd | undefined> {
  const json = () => JSON.parse(Buffer.from(frame.body).toString("utf8"));
  switch (frame.type) {
    case STREAM.stdout:
      return void await streams.stdout(frame.body);
    case STREAM.stderr:
      return void await streams.stderr(frame.body);
    case STREAM.event:
      return void streams.event(json());
    case STREAM.fault:
      throw Fault.fromJSON(json());
    case STREAM.piece:
      for (const item of json()) pieces.push(item);
      return undefined;
    case STREAM.result:
      return json();
    default:
      return undefined; // a newer agent may say more than we know
  }
}

async function pumpStdin(
  stdin: AsyncIterable<Uint8Array>,
  send: (t: number, b: Uint8Array) => boolean,
): Promise<void> {
  const part = 64 * 1024;
  for await (const chunk of stdin) {
    for (let at = 0; at < chunk.length; at += part) send(STREAM.stdin, chunk.subarray(at, at + part));
  }
  send(STREAM.stdinEnd, new Uint8Array(0));
}
