// Base: where a host begins that was installed from an image: behind the entry that is in it, not at the journal's first. The image says
// so in a file that only root can have written. Not the image (image_record.ts), not what came after (history.ts).
import * as fs from "node:fs";
import * as path from "node:path";
import { Fault, fromHex } from "../mq/mod.ts";
import type { Host } from "./host.ts";
import { IMAGE_FILE, type Place, readRecord } from "./image_record.ts";
import { imageRecordBytesMax } from "./limits.ts";

/** What history says of the entries that were in the image. */
export const IN_IMAGE = "in the image that this host was installed from";

/**
 * The place at which the image of this host was made, as its record in `directory` says; undefined: it has none. The file, and the
 * directory, have to be root's, and nobody else's to write.
 * @throws {Fault} denied; corrupt
 */
export function installedAt(op: string, directory: string): Place | undefined {
  const file = path.join(directory, IMAGE_FILE);
  let fd: number;
  try {
    fd = fs.openSync(file, fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW);
  } catch (e) {
    if ((e as { code?: string }).code === "ENOENT") return undefined;
    throw Fault.from(op, e);
  }
  try {
    const stat = fs.fstatSync(fd);
    const own = process.geteuid?.() ?? 0;
    const isOurs = stat.isFile() && [0, own].includes(stat.uid) && (stat.mode & 0o022) === 0;
    if (!isOurs) {
      throw new Fault(op, "denied", `${file} could have been written by others than root`, {
        hint: `chown root ${file} && chmod go-w ${file}`,
      });
    }
    const bytes = Buffer.alloc(imageRecordBytesMax + 1);
    return readRecord(bytes.subarray(0, fs.readSync(fd, bytes))).place ?? undefined;
  } finally {
    fs.closeSync(fd);
  }
}

/**
 * The same for a host that is to come into `domain`.
 * @throws {Fault} refused, when the image is of another domain; and as {@link installedAt}
 */
export function imageOf(op: string, directory: string, domain: string): Place | undefined {
  const place = installedAt(op, directory);
  if (place === undefined || place.domain === domain) return place;
  throw new Fault(op, "refused", "this host was installed from an image of another domain", {
    hint: `rm ${path.join(directory, IMAGE_FILE)}, if it is to go through the whole journal`,
  });
}

/**
 * Notes that a host has everything up to a place, unless it has applied something already. Whether that entry counts is looked at with
 * the chain, as of every entry (past.ts).
 */
export function beginAt(
  { db, history, clock }: Pick<Host, "db" | "history" | "clock">,
  { seq, entry }: Place,
): void {
  if (history.last() !== undefined) return;
  const nowMs = clock.wall();
  db.write((tx) => {
    history.intent(tx, { seq, id: fromHex(entry), boot: "", startedMs: nowMs });
    history.ended(tx, seq, { status: 0, endedMs: nowMs, reason: IN_IMAGE });
  });
}
