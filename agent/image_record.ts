// Image record: what an image says of itself: what it is, and which place of which journal is in it. As JSON, so that an installer that is
// no isconf can read it. Not the files of an image (content_image.ts) and not what a host makes of the statement (base.ts).
import { Fault } from "../mq/mod.ts";
import { readJson } from "./json.ts";
import { imageRecordBytesMax } from "./limits_images.ts";
import { isPlainText } from "./names.ts";

/** The names of what an image is made of: the tree of a root file system, or the bytes of a disk; and this record. */
export const PARTS = { root: "fs", disk: "disk" } as const;
export const RECORD = "image";

/** Below which names of contents images are. */
export const IMAGES = "images/";

/** Where a host has the record of the image that it was installed from, in its configuration. */
export const IMAGE_FILE = "image";

/** A place in a journal: the last entry that is in the image; an empty journal has none. */
export interface Place {
  /** Of the domain, 64 hex digits. */
  domain: string;
  branch: string;
  seq: number;
  /** The entry's id, 64 hex digits. */
  entry: string;
}

export interface ImageRecord {
  format: 1;
  kind: keyof typeof PARTS;
  /** As Debian calls it; "" where nobody knows. */
  architecture: string;
  /** ID and VERSION_ID of os-release(5); "" where nobody knows. */
  os: { id: string; version: string };
  /** On which host, and when it was made. */
  host: string;
  madeMs: number;
  /** How many files are in it, and their bytes; 0 where nobody has counted them. */
  files: number;
  bytes: number;
  /** Nothing: a base image, which goes with any journal from its beginning. */
  place: Place | null;
}

/** The bytes of a record. */
export function writeRecord(record: ImageRecord): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(record, null, 2)}\n`);
}

const HASH = /^[0-9a-f]{64}$/;
const isText = (v: unknown): v is string => typeof v === "string" && isPlainText(v);
const isCount = (v: unknown): v is number => typeof v === "number" && Number.isSafeInteger(v) && v >= 0;

/**
 * A record out of bytes that anybody may have written. Fields of later builds are left out.
 * @throws {Fault} corrupt
 */
export function readRecord(bytes: Uint8Array): ImageRecord {
  const wrong = (why: string) =>
    new Fault("image", "corrupt", `the image's record ${why}`, { hint: "isconf image ls" });
  if (bytes.length > imageRecordBytesMax) throw wrong("is too long");
  let value: unknown;
  try {
    value = readJson(bytes);
  } catch {
    throw wrong("is no JSON");
  }
  const fields = (value ?? {}) as Partial<Record<keyof ImageRecord, unknown>>;
  const { format, kind, architecture, host, madeMs } = fields;
  const os = (fields.os ?? {}) as { id?: unknown; version?: unknown };
  if (format !== 1) throw wrong("is of a format that is not known here");
  if (kind !== "root" && kind !== "disk") throw wrong("does not say what it is");
  if (![architecture, host, os.id, os.version].every(isText) || !isCount(madeMs)) throw wrong("is not whole");
  return {
    format,
    kind,
    architecture: architecture as string,
    os: { id: os.id as string, version: os.version as string },
    host: host as string,
    madeMs,
    files: isCount(fields.files) ? fields.files : 0,
    bytes: isCount(fields.bytes) ? fields.bytes : 0,
    place: placeOf(fields.place, wrong),
  };
}

function placeOf(value: unknown, wrong: (why: string) => Fault): Place | null {
  if (value === null) return null;
  const { domain, branch, seq, entry } = (value ?? {}) as Partial<Record<keyof Place, unknown>>;
  const isPlace = typeof domain === "string" && HASH.test(domain) && isText(branch) && isCount(seq) &&
    seq > 0 &&
    typeof entry === "string" && HASH.test(entry);
  if (!isPlace) throw wrong("names no place in a journal");
  return { domain, branch, seq, entry };
}

/** What of os-release(5) an image says. */
export function osOf(text: string): ImageRecord["os"] {
  const value = (name: string) => {
    const found = new RegExp(`^${name}=(?:"([^"\\n]*)"|'([^'\\n]*)'|([^\\s"']*))\\s*$`, "m").exec(text);
    const said = found?.[1] ?? found?.[2] ?? found?.[3] ?? "";
    return isPlainText(said) ? said : "";
  };
  return { id: value("ID"), version: value("VERSION_ID") };
}
