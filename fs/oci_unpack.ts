// oci_unpack: the bytes of a layer, unpacked and checked against the hash that the image's configuration gives. It does
// not look into the layer.
import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { constants, createGunzip, createZstdDecompress } from "node:zlib";
import { unpackBytes, zstdWindowLogMax } from "./limits.ts";
import type { Descriptor } from "./oci_json.ts";
import { wrong } from "./oci_json.ts";

/** Bytes that may come, all streams counted by it together. */
export class Budget {
  #max: number;
  #left: number;
  #what: string;

  constructor(max: number, what: string) {
    [this.#max, this.#left, this.#what] = [max, max, what];
  }

  /** @throws {Fault} refused, when more has come */
  async *count(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const piece of source) {
      this.#left -= piece.length;
      if (this.#left < 0) throw wrong("refused", `${this.#what} more than ${this.#max} bytes`);
      yield piece;
    }
  }
}

export type Packing = "plain" | "gzip" | "zstd";

/** How a layer of this media type is packed, undefined when it is no layer: of OCI and of Docker. */
function packingOf(mediaType: string): Packing | undefined {
  const oci = /^application\/vnd\.oci\.image\.layer\.(?:nondistributable\.)?v1\.tar(?:\+(gzip|zstd))?$/;
  const docker = /^application\/vnd\.docker\.image\.rootfs\.(?:foreign\.)?diff\.tar(?:\.(gzip|zstd))?$/;
  const found = oci.exec(mediaType) ?? docker.exec(mediaType);
  return found === null ? undefined : (found[1] ?? "plain") as Packing;
}

/**
 * The layer `packed` as a tar archive. Whoever reads it to its end has read what the configuration means by `diffId`.
 * @throws {Fault} refused, for a kind of layer that is not known and for more than `budget` allows; corrupt, for what
 *   cannot be unpacked or has another hash
 */
export async function* unpackLayer(
  packed: AsyncIterable<Uint8Array>,
  layer: Descriptor,
  diffId: string,
  budget: Budget,
): AsyncGenerator<Uint8Array> {
  const packing = packingOf(layer.mediaType);
  if (packing === undefined) {
    throw wrong(
      "refused",
      `layer ${layer.sha256} is of a kind not known here: ${JSON.stringify(layer.mediaType)}`,
    );
  }
  const hash = createHash("sha256");
  const plain = packing === "plain" ? packed : unpack(packed, packing, `layer ${layer.sha256}`);
  for await (const piece of budget.count(plain)) {
    hash.update(piece);
    yield piece;
  }
  const sha256 = hash.digest("hex");
  if (sha256 !== diffId) {
    throw wrong("corrupt", `layer ${layer.sha256} unpacks to the hash ${sha256}, its image says ${diffId}`);
  }
}

/** Unpacks as fast as its reader takes; `what` it is, for the words of a fault. */
export async function* unpack(
  packed: AsyncIterable<Uint8Array>,
  packing: "gzip" | "zstd",
  what: string,
): AsyncGenerator<Uint8Array> {
  let failed: { error: unknown } | undefined;
  const source = async function* () {
    try {
      yield* packed;
    } catch (error) {
      failed = { error };
      throw error;
    }
  };
  const params = { [constants.ZSTD_d_windowLogMax]: zstdWindowLogMax };
  const unpacker = packing === "gzip"
    ? createGunzip({ chunkSize: unpackBytes })
    : createZstdDecompress({ chunkSize: unpackBytes, params });
  const feeding = pipeline(Readable.from(source()), unpacker);
  feeding.catch(() => {}); // awaited below, unless its reader stops early and does not want to know
  try {
    for await (const piece of unpacker) yield piece as Uint8Array;
    await feeding;
  } catch (e) {
    if (failed !== undefined) throw failed.error;
    throw wrong("corrupt", `${what} cannot be unpacked: ${(e as Error).message}`);
  } finally {
    unpacker.destroy();
  }
}
