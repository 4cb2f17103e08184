// oci_export: a tree as an OCI archive, a tar of an OCI image layout, as a stream. It makes images of one layer and puts
// no program, user or environment into them. Source: OCI image-spec 1.0, image-layout.md.
import { createHash } from "node:crypto";
import { Fault } from "../mq/mod.ts";
import { ociRefMax } from "./limits.ts";
import { LAYOUT_VERSION, MEDIA, REF_NAME } from "./oci_json.ts";
import { layerOf } from "./oci_layer.ts";
import { pathBytes } from "./path.ts";
import type { Id, Store } from "./store.ts";
import { idOf } from "./store.ts";
import type { TarHead } from "./tar.ts";
import { fromLatin1 } from "./tar.ts";
import { TAR_END, tarHeader, tarPadding } from "./tar_write.ts";
import { readNode } from "./tree.ts";

export interface ExportOptions {
  /** What the image is called in the archive, such as "web-1.2": org.opencontainers.image.ref.name. */
  ref?: string;
  /** As Go calls it: amd64 unless told otherwise. */
  architecture?: string;
  /** The name of a root that is a single file or link: such a root needs one, a directory ignores it. */
  name?: Uint8Array | string;
}

/** A document or layer of an image, as others refer to it. */
interface Blob {
  mediaType: string;
  digest: string;
  size: number;
}

/**
 * The bytes of an OCI archive with one image, whose one layer is the tree `id`. The tree is read twice, first for the
 * layer's hash, so that memory does not depend on its size; the same tree and options give the same bytes. Kept: mode,
 * numeric owner, time to the nanosecond, names of any bytes, links, several names of one file, extended attributes.
 * Holes of sparse files become zeros. A name that is not UTF-8 stands in a pax header as it is, marked
 * `hdrcharset=BINARY`. Source: OCI image-spec 1.0; POSIX pax.
 * @throws {Fault} refused, for names that begin with .wh. and attributes whose name has a "="; usage, for options that
 *   are not as above; notFound, corrupt, from the store
 */
export async function* exportOci(
  store: Store,
  id: Id,
  options: ExportOptions = {},
): AsyncGenerator<Uint8Array> {
  const architecture = checkArchitecture(options.architecture ?? "amd64");
  const ref = options.ref === undefined ? undefined : checkRef(options.ref);
  const name = options.name === undefined ? undefined : pathBytes(options.name);
  const { mtime } = await readNode(store, id);
  const hash = createHash("sha256");
  let size = 0;
  for await (const piece of layerOf(store, id, name)) {
    hash.update(piece);
    size += piece.length;
  }
  const sha256 = hash.digest("hex");
  const layer: Blob = { mediaType: MEDIA.layer, digest: `sha256:${sha256}`, size };
  const created = rfc3339(mtime);
  const platform = { architecture, os: "linux" };
  const rootfs = { type: "layers", diff_ids: [layer.digest] };
  const config = json({ ...(created !== undefined && { created }), ...platform, config: {}, rootfs });
  const manifest = json({
    schemaVersion: 2,
    mediaType: MEDIA.manifest,
    config: describe(MEDIA.config, config),
    layers: [layer],
  });
  const annotations = ref === undefined ? {} : { annotations: { [REF_NAME]: ref } };
  const image = { ...describe(MEDIA.manifest, manifest), platform, ...annotations };
  yield* small("oci-layout", json({ imageLayoutVersion: LAYOUT_VERSION }));
  yield* small("index.json", json({ schemaVersion: 2, mediaType: MEDIA.index, manifests: [image] }));
  yield header("dir", "blobs", 0);
  yield header("dir", "blobs/sha256", 0);
  yield* small(`blobs/sha256/${idOf(config)}`, config);
  yield* small(`blobs/sha256/${idOf(manifest)}`, manifest);
  yield header("file", `blobs/sha256/${sha256}`, size);
  yield* layerOf(store, id, name);
  yield TAR_END; // a layer is a whole number of blocks, so that nothing stands between
}

/** Names as the image-spec wants them: words of letters and digits, joined by one of -._:@+ or "--", between slashes. */
function checkRef(ref: string): string {
  const word = "[A-Za-z0-9]+(?:(?:[-._:@+]|--)[A-Za-z0-9]+)*";
  if (ref.length <= ociRefMax && new RegExp(`^${word}(?:/${word})*$`).test(ref)) return ref;
  throw usage(`${JSON.stringify(ref)} cannot be the name of an image`);
}

function checkArchitecture(architecture: string): string {
  if (/^[a-z0-9_]{1,32}$/.test(architecture)) return architecture;
  throw usage(`${JSON.stringify(architecture)} is no architecture`);
}

function usage(message: string): Fault {
  return new Fault("oci.export", "usage", message, { hint: "isconf help oci" });
}

/** A time as RFC 3339 in UTC; undefined outside of the years that it can say. */
function rfc3339([sec, nsec]: [sec: number, nsec: number]): string | undefined {
  if (sec < -62_167_219_200 || sec > 253_402_300_799) return undefined;
  return new Date(sec * 1000).toISOString().replace(".000Z", `.${String(nsec).padStart(9, "0")}Z`);
}

function json(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}

function describe(mediaType: string, bytes: Uint8Array): Blob {
  return { mediaType, digest: `sha256:${idOf(bytes)}`, size: bytes.length };
}

/** The archive's own entries say nothing about where and when it was made. */
function header(kind: TarHead["kind"], path: string, size: number): Uint8Array {
  const mode = kind === "dir" ? 0o755 : 0o644;
  return tarHeader({
    kind,
    path: fromLatin1(path),
    target: fromLatin1(""),
    size,
    mode,
    uid: 0,
    gid: 0,
    mtime: [0, 0],
  });
}

function* small(path: string, bytes: Uint8Array): Generator<Uint8Array> {
  yield header("file", path, bytes.length);
  yield bytes;
  yield new Uint8Array(tarPadding(bytes.length));
}
