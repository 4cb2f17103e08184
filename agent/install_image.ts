// Install image: whether an image can boot from a disk of this machine, and which room it needs there: looked at before anything is written, and
// before all of it is here. Not how it gets there (install.ts).
import * as fs from "node:fs";
import type { Id } from "../fs/mod.ts";
import { bytesText } from "./bytes_text.ts";
import { type ContentCli, withContent } from "./content_client.ts";
import { type FarImage, findFarImage, nodeIn } from "./image_find.ts";
import type { ImageRecord } from "./image_record.ts";
import { diskBytes } from "./install_disk.ts";
import { IN_EVERY_IMAGE, IN_IMAGE } from "./install_template.ts";
import { installBesideBytes } from "./limits_images.ts";
import type { Missing } from "./vm/mod.ts";

/** Of ext4, as mkfs.ext4 makes it: bytes of a block, and how much of a partition contents have: a twentieth is root's, and there are its inodes. */
const BLOCK_BYTES = 4096;
const USED_PART = 0.9;

/** An image that is to be installed, as far as that is known before it is here. */
export interface Wanted {
  /** What is brought, and what of it is laid out: its contents. */
  root: Id;
  id: Id;
  record: ImageRecord;
  /** Why it cannot boot from a disk of this machine; empty: it can. */
  missing: Missing[];
}

export const firmwareHere = (): "bios" | "uefi" => fs.existsSync("/sys/firmware/efi") ? "uefi" : "bios";

/** Looks at the image that is called `name`. Throws notFound, when none is called so, or nobody is there who has it. */
export async function wantedImage(cli: ContentCli, name: string): Promise<Wanted> {
  return await withContent(["install", "get"], cli.where, async (session) => {
    const image = await findFarImage(cli, session, name);
    return { root: image.root, id: image.id, record: image.record, missing: await missingIn(image) };
  });
}

/** What an image lacks so that it can boot from a disk. */
async function missingIn({ record, store, id }: FarImage): Promise<Missing[]> {
  if (record.kind !== "root") {
    return [{ why: "it is the image of a disk, not of a root file system", hint: "isconf image ls" }];
  }
  const missing: Missing[] = [];
  for (const [file, packages] of [...IN_EVERY_IMAGE, ...IN_IMAGE[firmwareHere()]]) {
    if (await nodeIn(store, id, Buffer.from(file)) !== undefined) continue;
    missing.push({
      why: `the image has no /${file}`,
      hint: `an image with the package ${packages}: isconf image build --include …,${packages}`,
    });
  }
  return missing;
}

/**
 * How many bytes a disk has to have for an image, about: it is there twice, as pieces in the store, where they come to, and as files, of which
 * each takes whole blocks; and undefined where nobody has counted what is in it.
 */
export function roomBytes({ bytes, files }: Pick<ImageRecord, "bytes" | "files">): number | undefined {
  if (bytes === 0) return undefined;
  return installBesideBytes + Math.ceil((2 * bytes + files * BLOCK_BYTES) / USED_PART);
}

/** What of a disk's size is in the way of an image; `top` is /sys/class/block. */
export function missingRoom(
  record: Pick<ImageRecord, "bytes" | "files">,
  disk: string,
  top: string,
): Missing[] {
  const [has, needs] = [diskBytes(top, disk), roomBytes(record)];
  if (has === undefined || needs === undefined || has >= needs) return [];
  return [{
    why: `${disk} has ${bytesText(has)}, and the image needs about ${bytesText(needs)}`,
    hint: "isconf install IMAGE DISK, with a larger disk: lsblk",
  }];
}
