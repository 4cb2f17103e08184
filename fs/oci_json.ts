// oci_json: the JSON documents of an OCI image: what they look like, read without belief. It opens no archive and picks
// nothing. Source: OCI image-spec 1.0, descriptor.md, image-index.md, manifest.md, config.md.
import { Fault } from "../mq/mod.ts";
import { ociLayersMax, ociManifestsMax } from "./limits.ts";

export const MEDIA = {
  index: "application/vnd.oci.image.index.v1+json",
  manifest: "application/vnd.oci.image.manifest.v1+json",
  config: "application/vnd.oci.image.config.v1+json",
  layer: "application/vnd.oci.image.layer.v1.tar",
} as const;

/** The annotation of an index that names an image. */
export const REF_NAME = "org.opencontainers.image.ref.name";
export const LAYOUT_VERSION = "1.0.0";

/** What is said about a blob: its kind, name and length in bytes. */
export interface Descriptor {
  mediaType: string;
  /** SHA-256 as 64 lowercase hex digits, without "sha256:". */
  sha256: string;
  size: number;
  architecture: string | undefined;
  os: string | undefined;
  ref: string | undefined;
}

export interface ImageManifest {
  config: Descriptor;
  layers: Descriptor[];
}

export interface ImageConfig {
  /** SHA-256 of each layer when it is unpacked, in order. */
  diffIds: string[];
}

/** A fault of an archive that is read; every hint is the same look at it with other eyes. */
export function wrong(kind: "corrupt" | "refused" | "usage", message: string): Fault {
  return new Fault("oci.import", kind, message, { hint: "skopeo inspect oci-archive:FILE" });
}

type Fields = Record<string, unknown>;

/** The object in `bytes`; `what` is for the words of a fault. */
export function parseJson(bytes: Uint8Array, what: string): Fields {
  try {
    const value: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    return asObject(value, what);
  } catch (e) {
    if (e instanceof Fault) throw e;
    throw wrong("corrupt", `${what} is no JSON`);
  }
}

function asObject(value: unknown, what: string): Fields {
  const isObject = value !== null && typeof value === "object" && !Array.isArray(value);
  if (!isObject) throw wrong("corrupt", `${what} is no JSON object`);
  return Object.assign(Object.create(null), value) as Fields;
}

function asList(value: unknown, max: number, what: string): unknown[] {
  if (!Array.isArray(value)) throw wrong("corrupt", `${what} is no list`);
  if (value.length > max) throw wrong("refused", `${what} has ${value.length} items, at most ${max}`);
  return value;
}

function asText(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

/** The hex digits of a digest; only SHA-256 is known here. */
function asSha256(value: unknown, what: string): string {
  const digits = /^sha256:([0-9a-f]{64})$/.exec(asText(value) ?? "")?.[1];
  if (digits === undefined) throw wrong("refused", `${what} has a digest that is not sha256`);
  return digits;
}

function asDescriptor(value: unknown, what: string): Descriptor {
  const { mediaType, digest, size, platform, annotations } = asObject(value, what);
  if (!Number.isSafeInteger(size) || (size as number) < 0) throw wrong("corrupt", `${what} has no size`);
  const { architecture, os } = asObject(platform ?? {}, `the platform of ${what}`);
  const ref = asObject(annotations ?? {}, `the annotations of ${what}`)[REF_NAME];
  return {
    mediaType: asText(mediaType) ?? "",
    sha256: asSha256(digest, what),
    size: size as number,
    architecture: asText(architecture),
    os: asText(os),
    ref: asText(ref),
  };
}

/** @throws {Fault} refused, for a layout of another version */
export function checkLayout(fields: Fields): void {
  if (fields.imageLayoutVersion === LAYOUT_VERSION) return;
  throw wrong("refused", `an OCI layout of a version other than ${LAYOUT_VERSION}`);
}

export function parseIndex(fields: Fields, what: string): Descriptor[] {
  if (fields.schemaVersion !== 2) throw wrong("refused", `${what} is not of version 2`);
  return asList(fields.manifests, ociManifestsMax, what).map((item) =>
    asDescriptor(item, `a manifest in ${what}`)
  );
}

export function parseManifest(fields: Fields, what: string): ImageManifest {
  if (fields.schemaVersion !== 2) throw wrong("refused", `${what} is not of version 2`);
  const layers = asList(fields.layers, ociLayersMax, `the list of layers in ${what}`);
  return {
    config: asDescriptor(fields.config, `the configuration in ${what}`),
    layers: layers.map((item) => asDescriptor(item, `a layer in ${what}`)),
  };
}

export function parseConfig(fields: Fields, what: string): ImageConfig {
  const { diff_ids } = asObject(fields.rootfs, `rootfs in ${what}`);
  return { diffIds: asList(diff_ids, ociLayersMax, `diff_ids in ${what}`).map((id) => asSha256(id, what)) };
}

/** What a configuration says its image runs on. */
export function parsePlatform(fields: Fields): Pick<Descriptor, "architecture" | "os"> {
  return { architecture: asText(fields.architecture), os: asText(fields.os) };
}
