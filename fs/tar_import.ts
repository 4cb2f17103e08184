// tar_import: a tar archive as a tree in a store, as a root file system comes from other tools. Everything in the archive may be a
// trap. Writes to no disk, knows nothing of images of containers (oci_import.ts).
import { Fault, pause } from "../mq/mod.ts";
import type { CaptureInto } from "./capture.ts";
import { ociBytesMax } from "./limits.ts";
import { itemOf, namesOf } from "./tar_items.ts";
import { wrong } from "./oci_json.ts";
import { OciTree } from "./oci_tree.ts";
import { Budget, type Packing, unpack } from "./oci_unpack.ts";
import type { Imported, ImportOptions } from "./oci_import.ts";
import { readTar } from "./tar_read.ts";

/** How archives begin, by what packed them (RFC 1952, RFC 8878). */
const MAGIC: readonly [Packing, number[]][] = [["gzip", [0x1f, 0x8b]], ["zstd", [0x28, 0xb5, 0x2f, 0xfd]]];

export type TarOptions = Pick<ImportOptions, "skipSpecial" | "bytesMax">;

/** What was told of an archive: `files` counts everything but directories, `bytes` content, `skipped` devices and fifos left out. */
export type TarTold = Omit<Imported, "id" | "kind">;

/**
 * Tells `into` what is in the tar archive `source`, plain or of gzip or zstd; the contents of its files are stored on the way. What is
 * in the archive twice, or lies below a file, is refused, like all that leads out.
 * @throws {Fault} corrupt, refused: as {@link importOci}
 */
export async function importTar(
  into: CaptureInto,
  source: AsyncIterable<Uint8Array>,
  options: TarOptions = {},
): Promise<TarTold> {
  try {
    return await readWhole(into, source, options);
  } catch (e) {
    const { kind, message } = Fault.from("tar.import", e);
    throw new Fault("tar.import", kind, message, { hint: "tar tvf FILE", cause: e });
  }
}

async function readWhole(
  into: CaptureInto,
  source: AsyncIterable<Uint8Array>,
  { skipSpecial = false, bytesMax = ociBytesMax }: TarOptions,
): Promise<TarTold> {
  const { packing, all } = await begin(source);
  const packed = new Budget(bytesMax, "an archive of").count(all);
  const what = "the archive";
  const plain = packing === "plain" ? packed : unpack(packed, packing, what);
  const budget = new Budget(bytesMax, "an archive that unpacks to");
  const tree = new OciTree();
  let count = 0;
  for await (const entry of readTar(budget.count(plain), (kind, why) => wrong(kind, `${what}: ${why}`))) {
    const item = await itemOf(into.store, tree, entry, skipSpecial);
    tree.put(namesOf(entry.path), 1, item);
    if (++count % 64 === 0) await pause();
  }
  if (count === 0) throw wrong("corrupt", `${what} has nothing in it`);
  return await tree.tell(into.tree);
}

/** How it is packed, which is seen at its beginning, and all of it. */
async function begin(
  source: AsyncIterable<Uint8Array>,
): Promise<{ packing: Packing; all: AsyncIterable<Uint8Array> }> {
  const pieces = source[Symbol.asyncIterator]();
  let head: Uint8Array = new Uint8Array(0);
  while (head.length < 4) {
    const next = await pieces.next();
    if (next.done) break;
    head = Buffer.concat([head, next.value]);
  }
  const all = async function* () {
    if (head.length > 0) yield head;
    yield* { [Symbol.asyncIterator]: () => pieces };
  };
  const packing = MAGIC.find(([, magic]) => magic.every((byte, i) => head[i] === byte))?.[0] ?? "plain";
  return { packing, all: all() };
}
