// Image find: which image a name means, and what stands at a place in it. Not what is done with it (content_image.ts, image_initrd.ts).
import { type Id, type Node, nodeAt, readNodeFile, readRoot, type Store } from "../fs/mod.ts";
import { Fault } from "../mq/mod.ts";
import { type ContentCli, type ContentSession, libraryOf } from "./content_client.ts";
import { type ImageRecord, PARTS, readRecord, RECORD } from "./image_record.ts";
import { imageRecordBytesMax } from "./limits_images.ts";
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
  const what = await locate(libraryOf("image", cli, session), name);
  if (what.kind === "file" || what.node.kind !== "dir") throw noImage(name);
  return await imageAt(session.store(false), what.at, name);
}

/** An image that may be elsewhere, by its name: of its contents nothing comes here but what is read of them in `store`. */
export interface FarImage extends Image {
  /** What has the contents in it, and is what its holders have. */
  root: Id;
  store: Pick<Store, "get">;
}

/** The same of the image that a name of the domain means, without its contents. Throws notFound, usage, corrupt as {@link findImage}. */
export async function findFarImage(
  cli: ContentCli,
  session: ContentSession,
  name: string,
): Promise<FarImage> {
  const id = (await libraryOf("image", cli, session).find(name))?.id;
  if (id === undefined) {
    throw new Fault("image", "notFound", `no image is called ${inert(name)} in this domain`, {
      hint: "isconf image ls, on another host",
    });
  }
  const store = session.near(id);
  return { ...await imageAt(store, id, name), root: id, store };
}

async function imageAt(store: Pick<Store, "get">, id: Id, name: string): Promise<Image> {
  if ((await readRoot(store, id)).kind !== "tree") throw noImage(name);
  const record = await recordIn(store, id);
  if (record === undefined) throw noImage(name);
  const contents = await nodeIn(store, id, Buffer.from(PARTS[record.kind]));
  if (contents === undefined || (contents.node.kind === "dir") !== (record.kind === "root")) {
    throw noImage(name);
  }
  return { record, ...contents };
}

const noImage = (name: string): Fault =>
  new Fault("image", "usage", `${inert(name)} is no image`, { hint: "isconf image ls" });

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
