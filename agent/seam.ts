// Seam: the pipe between the root half and the net half, and the short table of requests that cross it, named alike
// on both sides. The only file of the agent that both halves import. Root believes nothing it did not check itself.
import type { Duplex } from "node:stream";
import { batchBytesMax, type Id, isId, objectBytesMax } from "../fs/mod.ts";
import {
  type Cbor,
  type Clock,
  decode,
  encodeParts,
  Fault,
  faultTextMax,
  readFrames,
  writeFrame,
} from "../mq/mod.ts";
import { seamAskMs, seamOpenBytesMax, seamOpenMax, seamQueueBytesMax } from "./limits.ts";

/** What people put into isfs by themselves, with a label. `uid` is who put it, `pinned` whether it stays whatever happens. */
export interface ShelfRow {
  id: Id;
  kind: string;
  size: number;
  sha256: string;
  label: string;
  uid: number;
  pinned: boolean;
  addedMs: number;
}

/** What the store finds out by itself about what is put on the shelf, it is not told. */
export type NewShelfRow = Pick<ShelfRow, "id" | "label" | "uid" | "pinned">;

/** The list of what people put; contents are in the store. */
export interface Shelf {
  /** Puts a root on the shelf that is here with all that it reaches; other hosts may have it from then on. */
  add(row: NewShelfRow): Promise<ShelfRow>;
  list(): Promise<ShelfRow[]>;
  /** By id, unique beginning of an id, SHA-256 of the whole file, or label. */
  find(text: string): Promise<ShelfRow | undefined>;
  /** Takes a root off the shelf, or only what `uid` put of it; how many lines that were. */
  remove(id: Id, uid?: number): Promise<number>;
  /** Says whether a root stays, of all its lines or only of those of `uid`; how many lines that were. */
  pin(id: Id, pinned: boolean, uid?: number): Promise<number>;
}

/** Every request that root may make of net. There are no others. */
export const NET_REQUESTS = [
  "missing", // [id…] → those that are not in the store
  "put", // [bytes…] → their ids
  "get", // [id…] → as many of the objects as fit into one answer, at least one
  "take", // the same, waiting for the first of them as long as anything is being fetched
  "share", // id of a root → null; from now on peers may have what it reaches
  "fetch", // [id of a root…] → null, when all that they reach is in the store
  "room", // [bytes that the store may take, or null for any number; bytes of its disk that stay free] → null
  "hold", // null → a number; until it is released, gc leaves what is in the store and what comes into it
  "release", // that number → null
  "content", // [uid, get or put] → null, when that user reaches the content thread for that
  "shelfAdd", // NewShelfRow → ShelfRow
  "shelfList",
  "shelfFind",
  "shelfRemove", // [id, uid or null: whoever put it] → how many lines that were
  "shelfPin", // [id, whether it stays, uid or null: whoever put it] → how many lines that were
  "gc", // whether only to say what it would do → GcReport; asks "roots" twice
  "fsck", // [structure or bytes, n, of] → FsckReport; asks "roots"; n of 0: no part
  "drop", // [id…] → null; the objects are not there any more, so that good ones can come
  "rebuild", // null → no answer: this net half ends, the next one makes its database anew from the packs
  "whole", // [id of a root…], for us or for peers → those of which everything is here, for peers only what is shared
  "identity", // null → the public key of the net half, 32 bytes
  "mesh", // who may talk with us and where to find them, or null: nobody → null; see MeshSettings
  "listening", // null → [where this host can be reached, ["ip:port"…]; what is wrong with that, or ""; whether the DHT is suspect]
  "ask", // [host, method, value, ms] → what that host answers
  "publish", // [topic, value] → null; a rumour
  "etcd", // where an etcd cluster is and who we are to it, or null: there is none → null; see EtcdSettings
  "etcdRead", // [name…] → [[name, bytes, revision]…]
  "etcdSwap", // [[[name, revision]…], [[name, bytes]…], [[from, to]…]] → whether it was done
  "http", // where programs and pages of this machine find the API, and other names of that, or null: nowhere → where it is; what is wrong with that, or ""
  "netboot", // where machines are booted and what each gets, or null: nowhere → [[interface, what is wrong there, or ""]…]; see NetbootSettings
  "bootNotes", // the number of the last note that is known → [the number of the last, [[mac, step, ms, percent or null, text or null]…]]
  "stale", // null → null; what was answered over TCP need not be so any more
  "introduce", // [address, question] → [peer's public key, answer], from somebody who does not let us in yet
] as const;
/** Every request that net may make of root. */
export const ROOT_REQUESTS = [
  "answer", // [host, method, value] → what we answer that host
  "rumour", // [host, topic, value] → null
  "peer", // [host, up] → null
  "question", // [peer's public key, bytes] → the answer to somebody who met us
  "meet", // [peer's public key, its last answer or null] → the next question to it, or null
  "http", // a request that came over TCP, see RemoteRequest → [status, [[name, value]…], body]
  "admit", // the same without its body, of contents → the uid of whose token it is, or the answer that is given instead
  "name", // [text, whose word counts or null] → the id of what that name means in the domain, or null
  "roots", // kept or needed → the ids of all roots that are to stay, or to be here, one after the other, 32 bytes each
] as const;
/** What hosts of the domain may ask each other of their root halves, and what rumours are about. There is no other. */
export const HOST_METHODS = [
  "heads",
  "entries",
  "keeper",
  "report",
  "reports",
  "person",
  "copies",
  "names",
  "nameRecords",
  "proofs",
  "proof",
] as const;
export const RUMOURS = ["head", "report", "name", "proof"] as const;

/** Of which roots is asked: those that are to stay if they are here, or those that are to be here. */
export type RootsAsked = "kept" | "needed";

/** What of an HTTP request that came over TCP is passed on: its method, its headers. There are no others. */
export const HTTP_METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE"];
export const HTTP_HEADERS = [
  "accept",
  "content-type",
  "idempotency-key",
  "if-match",
  "if-none-match",
  "isconf-confirmed",
  "last-event-id",
] as const;

export type NetRequest = typeof NET_REQUESTS[number];
export type RootRequest = typeof ROOT_REQUESTS[number];

/** One side's answers, by the name of the request. */
export type Answers<Request extends string> = Record<Request, (value: Cbor) => Promise<Cbor>>;

/** Sends one request over and returns the answer; waits at most `waitMs`, or `seamAskMs`. */
export type Ask<Request extends string> = (request: Request, value: Cbor, waitMs?: number) => Promise<Cbor>;

/** What net is told of the domain: with whom to talk, and how. */
export interface MeshSettings {
  /** Separates domains on one network: the beginning of the domain's id. */
  network: string;
  /** The hosts that are let in: id, the public key of the net half, and what people call each. */
  members: { host: string; net: Uint8Array; name: string }[];
  self: string;
  listen: string[];
  peers: string[];
  discover: boolean;
}

const FRAME = { ask: 1, answer: 2, fault: 3 } as const;
/** What a message of each type has: [number, request, value], [number, value], [number, kind, message, hint]. */
const PARTS: ReadonlyMap<number, number> = new Map([[FRAME.ask, 3], [FRAME.answer, 2], [FRAME.fault, 4]]);
/** Messages of the seam carry contents, so they are longer than what any peer may send. */
const SEAM_FRAME = { bodyBytesMax: batchBytesMax + objectBytesMax + 1024 * 1024 };
const SEAM_CBOR = { bytesMax: SEAM_FRAME.bodyBytesMax };

/** One side of the seam. `ended` says why, when the pipe has closed; every open question ends in a fault then. */
export interface Seam<Request extends string> {
  ask: Ask<Request>;
  ended: Promise<string>;
}

interface Open {
  resolve(value: Cbor): void;
  reject(fault: Fault): void;
  cancel(): void;
}

/** Opens a side of the seam: answers what the other asks, and asks it. `other` is what people call the other half. */
export function openSeam<Theirs extends string, Ours extends string>(
  pipe: Duplex,
  clock: Clock,
  answers: Answers<Theirs>,
  other: string,
): Seam<Ours> {
  const open = new Map<number, Open>();
  let next = 1;
  let answering = 0;
  let answeringBytes = 0;
  let closed = false;
  const gone = (why: string) => new Fault("seam", "gone", why, { hint: "isconf restart" });
  /** Writes a message, unless the other half has left so much unread that it reads nothing at all; says whether. */
  const send = (type: number, body: Cbor): boolean => {
    if (closed || pipe.writableLength > seamQueueBytesMax) return false;
    writeFrame(pipe, { type, channel: 0, body: encodeParts(body) }, SEAM_FRAME);
    return true;
  };
  const settle = (id: unknown): Open | undefined => {
    const waiting = typeof id === "number" ? open.get(id) : undefined;
    if (waiting === undefined) return undefined;
    open.delete(id as number);
    waiting.cancel();
    return waiting;
  };
  const closeAll = (why: string) => {
    closed = true;
    for (const id of [...open.keys()]) settle(id)?.reject(gone(why));
    pipe.destroy();
    return why;
  };
  const answer = async (id: number, request: unknown, value: Cbor, bytes: number) => {
    answering++;
    answeringBytes += bytes;
    try {
      if (typeof request !== "string" || !Object.hasOwn(answers, request)) {
        throw new Fault("seam", "usage", `no request ${String(request)}`, { hint: "isconf doctor" });
      }
      if (answering > seamOpenMax) throw gone(`more than ${seamOpenMax} requests at once`);
      if (answeringBytes > seamOpenBytesMax) {
        throw gone(`more than ${seamOpenBytesMax} bytes of requests at once`);
      }
      send(FRAME.answer, [id, await answers[request as Theirs](value)]);
    } catch (e) {
      const { kind, message, hint } = Fault.from("seam", e);
      send(FRAME.fault, [id, kind, told(message), told(hint)]);
    } finally {
      answering--;
      answeringBytes -= bytes;
    }
  };
  const read = async () => {
    for await (const frame of readFrames(pipe, clock, SEAM_FRAME)) {
      const message = decode(frame.body, SEAM_CBOR);
      const [id, first, second, third] = Array.isArray(message) ? message as [Cbor, Cbor, Cbor, Cbor] : [];
      const isWhole = Array.isArray(message) && message.length === PARTS.get(frame.type);
      if (!isWhole || typeof id !== "number") throw gone(`${other} does not speak the seam's language`);
      if (frame.type === FRAME.ask) void answer(id, first, second as Cbor, frame.body.length);
      else if (frame.type === FRAME.answer) settle(id)?.resolve(first as Cbor);
      else settle(id)?.reject(readFault(first, second, third));
    }
    return closeAll(`${other} has ended`);
  };
  return {
    ended: read().catch((e) => closeAll(`${other} was cut off: ${Fault.from("seam", e).message}`)),
    ask: (request, value, waitMs = seamAskMs) =>
      new Promise((resolve, reject) => {
        if (closed) return reject(gone(`${other} is not running`));
        const id = next++;
        const cancel = clock.after(
          waitMs,
          () => settle(id)?.reject(gone(`${other} did not answer ${request} within ${waitMs} ms`)),
        );
        open.set(id, { resolve, reject, cancel });
        try {
          if (!send(FRAME.ask, [id, request, value])) throw gone(`${other} does not read what it is sent`);
        } catch (e) {
          settle(id)?.reject(Fault.from("seam", e));
        }
      }),
  };
}

/** A fault as the other side says it, in bounded words: whoever shows them makes them inert. */
function readFault(kind: unknown, message: unknown, hint: unknown): Fault {
  const short = (text: unknown) => typeof text === "string" ? told(text) : text;
  return Fault.fromJSON({ op: "seam", kind, message: short(message), hint: short(hint) });
}

/** Words of a fault in a form that can be written: bounded, and with nothing in front that decoders disagree about. */
function told(text: string): string {
  return text.slice(0, faultTextMax).toWellFormed().replace(/^\ufeff+/, "");
}

/** The ids in a message, or a corrupt fault. */
export function readIds(v: Cbor): Id[] {
  if (!Array.isArray(v) || !v.every((x) => typeof x === "string" && isId(x))) throw malformed();
  return v as Id[];
}

/** The objects in a message, or a corrupt fault. */
export function readObjects(v: Cbor): Uint8Array[] {
  if (!Array.isArray(v) || !v.every((x) => x instanceof Uint8Array)) throw malformed();
  return v as Uint8Array[];
}

/** A number of things, or a corrupt fault. */
export function readCount(v: unknown): number {
  if (!Number.isSafeInteger(v) || (v as number) < 0) throw malformed();
  return v as number;
}

export const malformed = (): Fault =>
  new Fault("seam", "corrupt", "a message across the seam is malformed", { hint: "isconf restart" });
