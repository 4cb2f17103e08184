// oci_archive: an OCI archive as it comes: every blob, in whatever order, into a store, checked against its name. It does
// not know which of them make an image. What it stores nothing points to: as a root it is not there.
import { concat } from "../mq/mod.ts";
import { ociJsonBytesMax, ociNamesMax } from "./limits.ts";
import type { FileRef } from "./manifest.ts";
import { putFile, readFile } from "./manifest.ts";
import type { Descriptor } from "./oci_json.ts";
import { checkLayout, parseJson, wrong } from "./oci_json.ts";
import { components, showPath } from "./path.ts";
import type { Store } from "./store.ts";
import type { Complain } from "./tar.ts";
import { latin1 } from "./tar.ts";
import type { TarEntry } from "./tar_read.ts";
import { readTar } from "./tar_read.ts";

/** The blobs of an archive, by the SHA-256 in their names. */
export class OciArchive {
  #store: Store;
  #blobs: Map<string, FileRef>;
  /** What index.json says. */
  readonly index: ReturnType<typeof parseJson>;

  constructor(store: Store, index: ReturnType<typeof parseJson>, blobs: Map<string, FileRef>) {
    this.#store = store;
    this.#blobs = blobs;
    this.index = index;
  }

  has({ sha256 }: Descriptor): boolean {
    return this.#blobs.has(sha256);
  }

  /**
   * The bytes of the blob that is meant.
   * @throws {Fault} corrupt, when it is not here or of another length than said
   */
  open({ sha256, size }: Descriptor): AsyncGenerator<Uint8Array> {
    const blob = this.#blobs.get(sha256);
    if (blob === undefined) throw wrong("corrupt", `blob ${sha256} is not in the archive`);
    if (blob.size !== size) {
      throw wrong("corrupt", `blob ${sha256} has ${blob.size} bytes, its descriptor says ${size}`);
    }
    return readFile(this.#store, blob.id);
  }

  /** The document that is meant. */
  async json(descriptor: Descriptor): Promise<ReturnType<typeof parseJson>> {
    const blob = this.open(descriptor);
    const what = `document ${descriptor.sha256}`;
    return parseJson(await readSmall(blob, descriptor.size, what), what);
  }
}

/** All bytes of something that is `size` long, and not too long for memory. */
async function readSmall(source: AsyncIterable<Uint8Array>, size: number, what: string): Promise<Uint8Array> {
  if (size > ociJsonBytesMax) {
    throw wrong("refused", `${what} has ${size} bytes, at most ${ociJsonBytesMax}`);
  }
  const pieces: Uint8Array[] = [];
  for await (const piece of source) pieces.push(piece);
  return concat(...pieces);
}

/**
 * Reads the archive `source` to its end and stores its blobs. Names that mean nothing in a layout are passed over.
 * @throws {Fault} corrupt, for a blob that does not match its name, a name twice, no tar; refused, for a name that leaves
 *   the archive, what is no file or directory, and more than the limits
 */
export async function readArchive(store: Store, source: AsyncIterable<Uint8Array>): Promise<OciArchive> {
  const complain: Complain = (kind, what) => wrong(kind, `the archive: ${what}`);
  const blobs = new Map<string, FileRef>();
  const documents = new Map<string, ReturnType<typeof parseJson>>();
  let count = 0;
  for await (const entry of readTar(source, complain)) {
    if (++count > ociNamesMax) throw wrong("refused", `an archive of more than ${ociNamesMax} names`);
    const name = layoutName(entry);
    if (entry.kind === "dir") continue;
    if (entry.kind !== "file") throw wrong("refused", `${showPath(entry.path)} in the archive is no file`);
    const sha256 = /^blobs\/sha256\/([0-9a-f]{64})$/.exec(name)?.[1];
    if (sha256 !== undefined) {
      if (blobs.has(sha256)) throw wrong("corrupt", `blob ${sha256} is in the archive twice`);
      const blob = await putFile(store, entry.content);
      if (blob.sha256 !== sha256) throw wrong("corrupt", `blob ${sha256} has the hash ${blob.sha256}`);
      blobs.set(sha256, blob);
    } else if (name === "index.json" || name === "oci-layout") {
      if (documents.has(name)) throw wrong("corrupt", `${name} is in the archive twice`);
      documents.set(name, parseJson(await readSmall(entry.content, entry.size, name), name));
    }
  }
  const index = documents.get("index.json");
  const layout = documents.get("oci-layout");
  if (index === undefined || layout === undefined) {
    throw wrong("corrupt", "this is no OCI archive: it has no oci-layout or no index.json");
  }
  checkLayout(layout);
  return new OciArchive(store, index, blobs);
}

function layoutName({ path }: TarEntry): string {
  const names = components(path).map(latin1);
  if (path[0] === 0x2f || names.includes("..")) {
    throw wrong("refused", `${showPath(path)} in the archive leads out of it`);
  }
  return names.join("/");
}
