// oci_fixture: tar archives and OCI archives for the tests, whole or broken in one place. Not part of the product.
import { createHash } from "node:crypto";
import { MEDIA, REF_NAME } from "./oci_json.ts";
import type { TarHead } from "./tar.ts";
import { fromLatin1 } from "./tar.ts";
import { TAR_END, tarHeader, tarPadding } from "./tar_write.ts";

/** An entry for {@link tarOf}: its path as latin1, and what differs from a small file of root's. */
export type Piece = [path: string, rest?: Partial<TarHead> & { data?: Uint8Array | string }];

const bytesOf = (data: Uint8Array | string) => typeof data === "string" ? fromLatin1(data) : data;

/** A tar archive of `pieces`. */
export function tarOf(...pieces: Piece[]): Uint8Array {
  const out = pieces.flatMap(([path, { data = "", ...rest } = {}]) => {
    const body = bytesOf(data);
    const head: TarHead = {
      kind: "file",
      path: fromLatin1(path),
      target: fromLatin1(""),
      size: body.length,
      mode: 0o644,
      uid: 0,
      gid: 0,
      mtime: [0, 0],
      ...rest,
    };
    return [tarHeader(head), body, new Uint8Array(tarPadding(body.length))];
  });
  return new Uint8Array(Buffer.concat([...out, TAR_END]));
}

export const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
export const json = (value: unknown): Uint8Array => fromLatin1(JSON.stringify(value));

export interface Described {
  mediaType: string;
  digest: string;
  size: number;
  platform?: { architecture: string; os: string };
  annotations?: Record<string, string>;
}

export function describe(mediaType: string, bytes: Uint8Array, more: Partial<Described> = {}): Described {
  return { mediaType, digest: `sha256:${sha256(bytes)}`, size: bytes.length, ...more };
}

/** A layer as it lies in the archive, and the tar archive that it unpacks to. */
export interface Layer {
  mediaType: string;
  packed: Uint8Array;
  plain: Uint8Array;
}

export const plainLayer = (...pieces: Piece[]): Layer => {
  const plain = tarOf(...pieces);
  return { mediaType: MEDIA.layer, packed: plain, plain };
};

/** The blobs of an image and the descriptor of its manifest. */
export interface TestImage {
  blobs: Uint8Array[];
  manifest: Described;
}

export function imageOf(layers: Layer[], options: { ref?: string; architecture?: string } = {}): TestImage {
  const { ref, architecture = "amd64" } = options;
  const rootfs = { type: "layers", diff_ids: layers.map(({ plain }) => `sha256:${sha256(plain)}`) };
  const config = json({ architecture, os: "linux", rootfs });
  const manifest = json({
    schemaVersion: 2,
    config: describe(MEDIA.config, config),
    layers: layers.map(({ mediaType, packed }) => describe(mediaType, packed)),
  });
  const annotations = ref === undefined ? {} : { annotations: { [REF_NAME]: ref } };
  return {
    blobs: [config, manifest, ...layers.map(({ packed }) => packed)],
    manifest: describe(MEDIA.manifest, manifest, annotations),
  };
}

export const indexOf = (...manifests: Described[]): Uint8Array => json({ schemaVersion: 2, manifests });

/** An OCI archive with this index.json and these blobs, each once. */
export function archiveOf(index: Uint8Array, blobs: Uint8Array[]): Uint8Array {
  const byName = new Map(blobs.map((blob): [string, Uint8Array] => [`blobs/sha256/${sha256(blob)}`, blob]));
  return tarOf(
    ...[...byName].map(([path, data]): Piece => [path, { data }]),
    ["index.json", { data: index }],
    ["oci-layout", { data: json({ imageLayoutVersion: "1.0.0" }) }],
  );
}

/** An OCI archive with one image of these layers. */
export function archive(...layers: Layer[]): Uint8Array {
  const { blobs, manifest } = imageOf(layers);
  return archiveOf(indexOf(manifest), blobs);
}

/** `bytes` as a stream, `length` at a time. */
export async function* streamOf(bytes: Uint8Array, length = 4096): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += length) {
    yield await Promise.resolve(bytes.subarray(at, at + length));
  }
}

/** All of a stream. */
export async function collect(source: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for await (const piece of source) pieces.push(piece);
  return new Uint8Array(Buffer.concat(pieces));
}
