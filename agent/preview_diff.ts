// Preview diff: what is different in a file, line by line, where it is text that the caller may see and the limits allow. Not
// which files are compared (preview_changes.ts).
import { Buffer } from "node:buffer";
import { formatPatch, OMIT_HEADERS, structuredPatch } from "diff";
import { diffBytesMax, diffFileBytesMax, diffLinesMax, diffMs, diffsBytesMax } from "./limits.ts";

interface Readable {
  size: number;
  bytes(max: number): Uint8Array;
}

/** A difference, or why it is not said. */
export type Diff = { diff: string } | { noDiff: string };

export class Diffs {
  readonly #all: boolean;
  #said = 0;

  constructor(all: boolean) {
    this.#all = all;
  }

  /** A unified diff of two versions; `isRead`: everybody can read both. */
  of(path: string, isRead: boolean, before: Readable, after: Readable): Diff {
    if (!isRead && !this.#all) return { noDiff: "not everybody may read it" };
    if (Math.max(before.size, after.size) > diffFileBytesMax) return { noDiff: "it is too long" };
    if (this.#said > diffsBytesMax) return { noDiff: "more has been said than is shown" };
    const [old, now] = [text(before.bytes(diffFileBytesMax)), text(after.bytes(diffFileBytesMax))];
    if (old === undefined || now === undefined) return { noDiff: "it is binary" };
    const options = { context: 3, maxEditLength: diffLinesMax, timeout: diffMs };
    const patch = structuredPatch(path, path, old, now, undefined, undefined, options);
    if (patch === undefined) return { noDiff: "too much of it is different" };
    const diff = formatPatch(patch, OMIT_HEADERS);
    if (diff.length > diffBytesMax) return { noDiff: "too much of it is different" };
    this.#said += diff.length;
    return { diff };
  }
}

/** Bytes as text; undefined when they are none. */
function text(bytes: Uint8Array): string | undefined {
  if (Buffer.from(bytes).includes(0)) return undefined;
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (e) {
    if (e instanceof TypeError) return undefined;
    throw e;
  }
}
