// Base: where a host begins that was installed from an image: behind the entry that is in it, not at the journal's first. The image says
// so in a file that only root can have written. Not the image (image_record.ts), not what came after (history.ts).
import { Buffer } from "node:buffer";
import * as path from "node:path";
import type { Tx } from "../fs/mod.ts";
import { Fault, fromHex } from "../mq/mod.ts";
import { readOwnFile } from "./config.ts";
import type { Host } from "./host.ts";
import { IMAGE_FILE, type Place, readRecord } from "./image_record.ts";
import { getMeta } from "./schema.ts";

/** What history says of the entries that were in the image. */
export const IN_IMAGE = "in the image that this host was installed from";

/**
 * The place at which the image of this host was made, as its record in `directory` says; undefined: it has none.
 * @throws {Fault} denied, for a file that others could have written; corrupt
 */
export function installedAt(directory: string): Place | undefined {
  const text = readOwnFile(path.join(directory, IMAGE_FILE));
  return text === undefined ? undefined : readRecord(Buffer.from(text)).place ?? undefined;
}

/**
 * The same for a host that is to come into `domain`.
 * @throws {Fault} refused, when the image is of another domain; and as {@link installedAt}
 */
export function imageOf(op: string, directory: string, domain: string): Place | undefined {
  const place = installedAt(directory);
  if (place === undefined || place.domain === domain) return place;
  throw new Fault(op, "refused", "this host was installed from an image of another domain", {
    hint: `rm ${path.join(directory, IMAGE_FILE)}, if it is to go through the whole journal`,
  });
}

/**
 * The same for a host that joined before its image was on its disk, as one does that an installer runs on; looked at whenever its agent starts,
 * as long as it has applied nothing. An image of another domain says nothing of this one's journal: who joins with it is refused before.
 * Throws as {@link installedAt}.
 */
export function settleBase(host: Host): void {
  if (getMeta(host.db, "branch") === undefined || host.history.last() !== undefined) return;
  const image = installedAt(host.home.config);
  if (image?.domain === host.journal.domain()) host.db.write((tx) => beginAt(tx, host, image!));
}

/**
 * Notes that a host has everything up to a place, unless it has applied something already; in the same transaction as that it is on its
 * branch, since without this it would go through the whole journal. Whether that entry counts is looked at with the chain, as of every
 * entry (past.ts).
 */
export function beginAt(
  tx: Tx,
  { history, clock }: Pick<Host, "history" | "clock">,
  { seq, entry }: Place,
): void {
  if (history.last() !== undefined) return;
  const nowMs = clock.wall();
  history.intent(tx, { seq, id: fromHex(entry), boot: "", startedMs: nowMs });
  history.ended(tx, seq, { status: 0, endedMs: nowMs, reason: IN_IMAGE });
}
