// Net mend: what the net half does before it opens its store, when that was damaged: makes the database anew from the packs.
// What is wrong with a store, fs/fsck.ts finds; what is lost, other hosts have.
import * as fs from "node:fs";
import * as path from "node:path";
import { openStoreDatabase, rebuildDatabase } from "../fs/mod.ts";
import { Fault } from "../mq/mod.ts";

/** Somebody wants the database to be made anew the next time. */
const wishPath = (dir: string): string => path.join(dir, "rebuild");

/** Has the database made anew when the net half begins the next time. */
export function wishRebuild(dir: string): void {
  fs.writeFileSync(wishPath(dir), "", { mode: 0o600 });
}

/** Makes the database anew when somebody wished so, or when it cannot be opened as what it is. */
export async function mendStore(dir: string, log: (line: string) => void): Promise<void> {
  const why = fs.existsSync(wishPath(dir)) ? "as fsck was told" : damageOf(path.join(dir, "store.db"));
  if (why === undefined) return;
  log(`the store's database is made anew from its packs: ${why}`);
  const r = await rebuildDatabase(dir);
  fs.rmSync(wishPath(dir), { force: true });
  log(`it has ${r.objects} objects and ${r.rootsKept} lines of the shelf; ${r.rootsLost} lines were lost`);
}

function damageOf(file: string): string | undefined {
  if (!fs.existsSync(file)) return undefined;
  try {
    openStoreDatabase(file).close();
    return undefined;
  } catch (e) {
    const fault = Fault.from("store", e);
    if (fault.kind === "corrupt") return fault.message;
    throw fault;
  }
}
