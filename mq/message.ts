// Messages: the bytes that two MqNodes exchange. Deterministic CBOR arrays; the table is in README.md.
// Not signed: the transport proves who sent them, and what must be believed later carries its own signature.
import { Buffer } from "node:buffer";
import type { Cbor } from "./cbor.ts";
import { decode, encode } from "./cbor.ts";
import { Fault } from "./fault.ts";
import { faultTextMax, messageIdBytes, methodBytesMax, topicBytesMax } from "./limits.ts";

export const MESSAGE_VERSION = 1;
export const MESSAGE_KINDS = { event: 0, ask: 1, reply: 2, fault: 3 } as const;

/** One message. `id` is `messageIdBytes` long; a reply or fault repeats the id of its ask. */
export type Message =
  | { kind: "event"; id: Uint8Array; topic: string; value: Cbor }
  | { kind: "ask"; id: Uint8Array; method: string; value: Cbor }
  | { kind: "reply"; id: Uint8Array; value: Cbor }
  | { kind: "fault"; id: Uint8Array; fault: Fault };

/** Why bytes are no message for us. Version and kind may be those of a later isconf. */
export type Unread = "garbage" | "version" | "kind";

/**
 * The bytes of a message.
 * @throws {Fault} usage, when its value cannot be written (see `encode`) or its method is too long or empty
 */
export function writeMessage(message: Message): Uint8Array {
  const head = [MESSAGE_VERSION, MESSAGE_KINDS[message.kind], message.id];
  switch (message.kind) {
    case "reply":
      return encode([...head, message.value]);
    case "event":
      return encode([...head, named("topic", message.topic, topicBytesMax), message.value]);
    case "ask":
      return encode([...head, named("method", message.method, methodBytesMax), message.value]);
    case "fault": {
      const { op, kind, message: text, hint } = bounded(message.fault);
      return encode([...head, { op, kind, message: text, hint }]);
    }
  }
}

/** The message that `bytes` say, or why they say none. Never throws, whatever the bytes. */
export function readMessage(bytes: Uint8Array): Message | Unread {
  const parts = decoded(bytes);
  if (!Array.isArray(parts) || typeof parts[0] !== "number" || typeof parts[1] !== "number") return "garbage";
  const [version, kind, id, a, b] = parts;
  if (version !== MESSAGE_VERSION) return "version";
  if (!Object.values<number>(MESSAGE_KINDS).includes(kind as number)) return "kind";
  const isNamed = kind === MESSAGE_KINDS.ask || kind === MESSAGE_KINDS.event;
  const length = isNamed ? 5 : 4;
  if (parts.length !== length || !(id instanceof Uint8Array) || id.length !== messageIdBytes) {
    return "garbage";
  }
  if (kind === MESSAGE_KINDS.reply) return { kind: "reply", id, value: a! };
  if (kind === MESSAGE_KINDS.fault) return { kind: "fault", id, fault: fromStranger(a) };
  if (kind === MESSAGE_KINDS.event) {
    return isName(a, topicBytesMax) ? { kind: "event", id, topic: a, value: b! } : "garbage";
  }
  return isName(a, methodBytesMax) ? { kind: "ask", id, method: a, value: b! } : "garbage";
}

function decoded(bytes: Uint8Array): Cbor {
  try {
    return decode(bytes);
  } catch (e) {
    if (e instanceof Fault) return null;
    throw e;
  }
}

function isName(value: unknown, bytesMax: number): value is string {
  return typeof value === "string" && value !== "" && Buffer.byteLength(value, "utf8") <= bytesMax;
}

function named(what: string, name: string, bytesMax: number): string {
  if (isName(name, bytesMax)) return name;
  throw new Fault("message", "usage", `a ${what} has 1 to ${bytesMax} bytes`, {
    hint: "isconf doctor",
  });
}

/** A fault that another host sent. A person will be told to type its hint: only commands of isconf are passed on. */
function fromStranger(value: unknown): Fault {
  const fault = bounded(Fault.fromJSON(value));
  const hint = /^isconf [\x20-\x7e]*$/.test(fault.hint) ? fault.hint : "isconf status";
  return new Fault(fault.op, fault.kind, fault.message, { hint });
}

function bounded(fault: Fault): Fault {
  const cut = (text: string) => text.slice(0, faultTextMax).toWellFormed();
  return new Fault(cut(fault.op), fault.kind, cut(fault.message), { hint: cut(fault.hint) });
}
