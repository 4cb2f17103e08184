// oci_choose: which image of an archive is meant. It reads documents and no layer.
import { ociIndexDepthMax, ociManifestsMax } from "./limits.ts";
import type { OciArchive } from "./oci_archive.ts";
import type { Descriptor, ImageConfig, ImageManifest } from "./oci_json.ts";
import { MEDIA, parseConfig, parseIndex, parseManifest, parsePlatform, wrong } from "./oci_json.ts";

/** What tells images apart; what is not given does not count. */
export interface Choice {
  ref?: string;
  architecture?: string;
}

export interface Image {
  manifest: ImageManifest;
  config: ImageConfig;
}

const INDEXES: string[] = [MEDIA.index, "application/vnd.docker.distribution.manifest.list.v2+json"];
const MANIFESTS: string[] = [MEDIA.manifest, "application/vnd.docker.distribution.manifest.v2+json"];

/** Names shown in a fault. */
const SHOWN = 16;

/**
 * The image of `archive` that `choice` picks.
 * @throws {Fault} usage, naming what there is, when that is none or more than one; corrupt, refused, for documents that
 *   are not as they should be
 */
export async function chooseImage(archive: OciArchive, choice: Choice): Promise<Image> {
  const all = await manifestsOf(archive);
  const isOne = new Set(all.map(({ sha256 }) => sha256)).size === 1;
  const images: Descriptor[] = [];
  for (const listed of all) {
    const descriptor = { ...listed, ...await platformOf(archive, listed) };
    // "unknown" is what builders give to remarks about an image that are kept like images.
    if (isOne || descriptor.os !== "unknown") images.push(descriptor);
  }
  const fitting = images.filter(({ ref, architecture }) =>
    (choice.ref === undefined || choice.ref === ref) &&
    (choice.architecture === undefined || choice.architecture === architecture)
  );
  const different = new Set(fitting.map(({ sha256 }) => sha256)).size;
  if (different === 1) return await readImage(archive, fitting[0]!);
  const list = images.slice(0, SHOWN).map(show).join(", ");
  if (images.length === 0) throw wrong("corrupt", "the archive holds no image");
  throw wrong(
    "usage",
    `${different === 0 ? "no such image" : "more than one image"} in the archive, pick one by ref and ` +
      `architecture: ${list}${images.length > SHOWN ? " and more" : ""}`,
  );
}

function show({ ref, architecture, os, sha256 }: Descriptor): string {
  return `${ref === undefined ? "" : JSON.stringify(ref) + " "}${os}/${architecture} sha256:${
    sha256.slice(0, 12)
  }`;
}

/** What the descriptor says, or else the configuration. */
async function platformOf(
  archive: OciArchive,
  descriptor: Descriptor,
): Promise<Pick<Descriptor, "architecture" | "os">> {
  const { architecture, os } = descriptor;
  if (architecture !== undefined && os !== undefined) return { architecture, os };
  const { config } = parseManifest(await archive.json(descriptor), `manifest ${descriptor.sha256}`);
  return parsePlatform(await archive.json(config));
}

async function readImage(archive: OciArchive, descriptor: Descriptor): Promise<Image> {
  const manifest = parseManifest(await archive.json(descriptor), `manifest ${descriptor.sha256}`);
  const config = parseConfig(await archive.json(manifest.config), `configuration ${manifest.config.sha256}`);
  return { manifest, config };
}

/**
 * Every manifest that is here, through indexes in indexes, each with the name that an index above gave it. An index may
 * name manifests that were left out of the archive.
 */
async function manifestsOf(archive: OciArchive): Promise<Descriptor[]> {
  const out: Descriptor[] = [];
  const seen = new Set<string>();
  let count = 0;
  const visit = async (list: Descriptor[], ref: string | undefined, depth: number): Promise<void> => {
    if (depth > ociIndexDepthMax) {
      throw wrong("refused", `indexes nested more than ${ociIndexDepthMax} deep`);
    }
    for (const listed of list) {
      if (++count > ociManifestsMax) throw wrong("refused", `more than ${ociManifestsMax} manifests`);
      const descriptor = { ...listed, ref: listed.ref ?? ref };
      const key = `${descriptor.sha256} ${descriptor.ref}`;
      if (!archive.has(descriptor) || seen.has(key)) continue;
      seen.add(key);
      if (MANIFESTS.includes(descriptor.mediaType)) out.push(descriptor);
      if (!INDEXES.includes(descriptor.mediaType)) continue;
      const what = `index ${descriptor.sha256}`;
      await visit(parseIndex(await archive.json(descriptor), what), descriptor.ref, depth + 1);
    }
  };
  await visit(parseIndex(archive.index, "index.json"), undefined, 0);
  return out;
}
