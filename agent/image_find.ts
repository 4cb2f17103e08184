// Image find: which image a name means, and what stands at a place in it. Not what is done with it (content_image.ts, image_initrd.ts).
import { type Id, type Node, nodeAt, readNodeFile, type Store } from "../fs/mod.ts";
import { Fault } from "../mq/mod.ts";
import { type ContentCli, type ContentSession, libraryOf } from "./content_client.ts";
import { type ImageRecord, PARTS, readRecord, RECORD } from "./image_record.ts";
import { imageRecordBytesMax } from "./limits.ts";
import { locate } from "./locate.ts";
import { inert } from "./names.ts";

/** An image that was found: its record, and the id and node of its contents. */
export interface Image {
  record: ImageRecord;
  id: string;
  node: Node;
}

/** The image that a name or id means. Throws notFound; usage, for what is none; corrupt. */
export async function findImage(cli: ContentCli, session: ContentSession, name: string): Promise<Image> {
  const what = await locate(libraryOf("image", cli.where, session), name);
  const store = session.store(false);
  const noImage = () =>
    new Fault("image", "usage", `${inert(name)} is no image`, { hint: "isconf image ls" });
  if (what.kind === "file" || what.node.kind !== "dir") throw noImage();
  const record = await recordIn(store, what.at);
  if (record === undefined) throw noImage();
  const contents = await nodeIn(store, what.at, Buffer.from(PARTS[record.kind]));
  if (contents === undefined || (contents.node.kind === "dir") !== (record.kind === "root")) throw noImage();
  return { record, ...contents };
}

/** The record of an image; undefined: that is none. Throws corrupt; notFound, when it is not in the store. */
export async function recordIn(store: Pick<Store, "get">, id: Id): Promise<ImageRecord | undefined> {
  const said = (await nodeIn(store, id, Buffer.from(RECORD)))?.node;
  if (said?.kind !== "file" || said.size > imageRecordBytesMax) return undefined;
  const pieces: Uint8Array[] = [];
  for await (const piece of readNodeFile(store, said)) pieces.push(piece);
  return readRecord(Buffer.concat(pieces));
}

/** What stands at a path below the node `id`; undefined: nothing. Links are not followed. */
export async function nodeIn(
  store: Pick<Store, "get">,
  id: Id,
  path: Uint8Array,
): Promise<{ id: Id; node: Node } | undefined> {
  return await nodeAt(store, id, path).catch((e) => {
    if (Fault.from("image", e).kind === "notFound") return undefined;
    throw e;
  });
}
