// Bundle: a branch's whole journal with its contents as one file, the way across an air gap.
// Not the network's replication; but what comes in is checked just like what a peer sends.
import { createHash } from "node:crypto";
import { type Id, objectsOf, type Store } from "../fs/mod.ts";
import { bytesEqual, decode, encode, encodeFrame, Fault, type Frame, readFrames, toHex } from "../mq/mod.ts";
import { type EntryRecord, readEntry } from "./entry.ts";
import { beginAt, imageOf } from "./base.ts";
import { branchOf, type Call, type Host } from "./host.ts";
import type { Place } from "./image_record.ts";
import { readRecord, takeIn, writeRecord } from "./intake.ts";
import { bundleBatchBytes, bundleFrameBytesMax } from "./limits.ts";
import { checkName, CONTROL, inert } from "./names.ts";
import { getMeta, setMeta } from "./schema.ts";
import { rootsOf } from "./sharing.ts";

/** Frame types of a bundle, in the order they come. */
export const BUNDLE = { header: 1, object: 2, record: 3, end: 4 } as const;

const FRAME = { bodyBytesMax: bundleFrameBytesMax };

/** The first frame of a bundle. */
interface Header {
  bundle: number;
  domain: Uint8Array;
  branch: string;
}

/** The whole journal of a branch as the bytes of a bundle: header, contents, control entries, entries, digest. */
export async function* exportBundle(call: Call, name: string | undefined): AsyncIterable<Uint8Array> {
  const { host } = call;
  const policy = host.journal.needPolicy("bundle");
  const branch = name ?? branchOf(host, "bundle");
  if (!policy.branches.has(branch)) {
    throw new Fault("bundle", "notFound", `there is no branch ${inert(branch)}`, { hint: "isconf status" });
  }
  const digest = createHash("sha256");
  const frame = (type: number, body: Uint8Array) => {
    const bytes = encodeFrame({ type, channel: 0, body }, FRAME);
    digest.update(bytes);
    return bytes;
  };
  const header: Header = { bundle: 1, domain: policy.domain, branch };
  yield frame(BUNDLE.header, encode({ ...header }));
  const head = host.journal.head(branch).seq;
  const sent = new Set<Id>();
  for (const row of host.journal.range(branch, 1, head)) {
    for (const root of rootsOf(readEntry(row.entry).entry)) {
      for await (const object of unsent(host.store, root, sent)) yield frame(BUNDLE.object, object);
    }
  }
  const control = host.journal.head(CONTROL).seq;
  for (const row of host.journal.range(CONTROL, 1, control)) yield frame(BUNDLE.record, recordBytes(row));
  for (const part of host.journal.lineage(branch)) {
    for (const row of host.journal.range(part, 1, host.journal.head(part).seq)) {
      if (row.branch === part) yield frame(BUNDLE.record, recordBytes(row));
    }
  }
  yield encodeFrame({ type: BUNDLE.end, channel: 0, body: digest.digest() });
}

async function* unsent(store: Store, root: Id, sent: Set<Id>): AsyncIterable<Uint8Array> {
  let batch: Id[] = [];
  for await (const id of objectsOf(store, root)) {
    if (sent.has(id)) continue;
    sent.add(id);
    batch.push(id);
    if (batch.length < 64) continue;
    yield* await store.get(batch);
    batch = [];
  }
  yield* await store.get(batch);
}

function recordBytes(row: EntryRecord): Uint8Array {
  return encode(writeRecord(row));
}

export interface Imported {
  domain: string;
  branch: string;
  entries: number;
  objects: number;
  /** Whether this host joined the domain by this bundle. */
  joined: boolean;
}

/**
 * Takes a bundle in: contents first, then entries, each checked before it is kept. On a host without a domain
 * `domain` pins the domain's id, which the person got by another way than the bundle; the host is then on the
 * bundle's branch, or on `branch`. A bundle that is damaged anywhere leaves what came before it, whole.
 */
export async function importBundle(
  call: Call,
  source: AsyncIterable<Uint8Array>,
  pin: { domain?: string; branch?: string; host: string },
): Promise<Imported> {
  const { host } = call;
  if (host.journal.policy() === undefined) checkName("bundle", "host", pin.host);
  const frames = readFrames(source, host.clock, FRAME)[Symbol.asyncIterator]();
  const digest = createHash("sha256");
  const next = async (): Promise<Frame> => {
    const { value, done } = await frames.next().catch((e) => {
      throw e instanceof Fault && e.kind === "gone" ? damaged("ends before its end") : e;
    });
    if (done) throw damaged("ends before its end");
    if (value.type !== BUNDLE.end) digest.update(encodeFrame(value, FRAME));
    return value;
  };
  const header = readHeader(await next());
  const domain = toHex(header.domain);
  const joined = needSameDomain(host, domain, pin.domain);
  // Also of one that was broken off: what it brought of the domain stays.
  const image = getMeta(host.db, "branch") === undefined
    ? imageOf("bundle", host.home.config, domain)
    : undefined;
  const result: Imported = { domain, branch: header.branch, entries: 0, objects: 0, joined };
  let batch: Uint8Array[] = [];
  let bytes = 0;
  const flush = async () => {
    if (batch.length > 0) await host.store.put(batch);
    batch = [];
    bytes = 0;
  };
  for (;;) {
    const frame = await next();
    if (frame.type === BUNDLE.end) {
      if (!bytesEqual(frame.body, digest.digest())) throw damaged("does not match its digest");
      break;
    }
    if (frame.type === BUNDLE.object) {
      batch.push(frame.body);
      bytes += frame.body.length;
      result.objects++;
      if (bytes > bundleBatchBytes) await flush();
    } else if (frame.type === BUNDLE.record) {
      await flush();
      result.entries += takeRecord(host, frame.body, domain);
      if (result.entries % 1000 === 999) {
        call.emit({
          event: "entries",
          text: `${result.entries + 1} entries checked`,
          entries: result.entries + 1,
        });
      }
    } else throw damaged(`has a frame of unknown type ${frame.type}`);
  }
  if (getMeta(host.db, "branch") === undefined) settle(call, pin, header.branch, image);
  return result;
}

/** Puts a host that has just joined on its branch. */
function settle(
  call: Call,
  pin: { branch?: string; host: string },
  fallback: string,
  image: Place | undefined,
): void {
  const { host } = call;
  const branch = pin.branch ?? fallback;
  if (!host.journal.needPolicy("bundle").branches.has(branch)) {
    throw new Fault("bundle", "notFound", `there is no branch ${inert(branch)} in this domain`, {
      hint: "isconf status",
    });
  }
  host.db.write((tx) => {
    setMeta(tx, "host_name", pin.host);
    setMeta(tx, "branch", branch);
    if (image !== undefined) beginAt(tx, host, image);
  });
}

function needSameDomain(host: Host, domain: string, pin: string | undefined): boolean {
  const own = host.journal.domain();
  if (own !== undefined) {
    if (own === domain && (pin === undefined || pin === own)) return false;
    throw new Fault("bundle", "refused", `the bundle is of the domain ${domain}, this host is of ${own}`, {
      hint: "isconf status",
    });
  }
  if (pin === undefined) {
    throw new Fault("bundle", "usage", "this host has no domain yet: say which one the bundle must be of", {
      hint:
        "isconf bundle import FILE --domain ID, with the id that `isconf status` shows on a host you trust",
    });
  }
  if (pin !== domain) {
    throw new Fault("bundle", "denied", `the bundle is of the domain ${domain}, not of ${inert(pin)}`, {
      hint: "isconf status on a host you trust shows the domain's id",
    });
  }
  return true;
}

function readHeader(frame: Frame): Header {
  const value = frame.type === BUNDLE.header ? decode(frame.body) as unknown as Header : undefined;
  if (value?.bundle !== 1) throw damaged("does not begin like a bundle of a version known here");
  if (!(value.domain instanceof Uint8Array) || typeof value.branch !== "string") {
    throw damaged("has no domain or branch");
  }
  return value;
}

/** Takes one record in. What is wrong with it is said of the bundle. */
function takeRecord(host: Host, body: Uint8Array, domain: string): number {
  try {
    return takeIn(host, [readRecord(decode(body, { bytesMax: bundleFrameBytesMax }))], { domain });
  } catch (e) {
    const { op, kind, message, hint } = Fault.from("bundle", e);
    if (op === "cbor") throw damaged(`holds what is no entry: ${message}`);
    throw new Fault("bundle", kind, message, { hint });
  }
}

function damaged(why: string): Fault {
  return new Fault("bundle", "corrupt", `the bundle ${why}`, { hint: "isconf bundle export it again" });
}
