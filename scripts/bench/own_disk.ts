// Own disk: a new ext4 in a file, mounted for one measurement. Not a stand-in for a disk: what is synced is on the one
// below it.
import { statfsSync } from "node:fs";
import { run } from "./run.ts";

/**
 * Why: programs that are compared one after the other must find the same file system. On an ext4 without a journal, who
 * makes files after many were removed pays up to twenty times as much, for some minutes, because the kernel passes over
 * each inode that was removed lately; and a sync of a file system waits for what others write on it.
 */
export class OwnDisk implements AsyncDisposable {
  /** Where it is mounted. */
  readonly path: string;
  readonly #loop: string;

  private constructor(path: string, loop: string) {
    this.path = path;
    this.#loop = loop;
  }

  /** Makes one of so many bytes in a directory. Throws when that has not enough left, or when nothing can be mounted. */
  static async begin(dir: string, bytes: number): Promise<OwnDisk> {
    needFree(dir, bytes);
    const file = `${dir}/disk`;
    const path = `${dir}/mounted`;
    await run(["fallocate", "--length", String(bytes), file]);
    await run(["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard", file]);
    Deno.mkdirSync(path);
    // without direct I/O all that is written would be in the page cache twice
    const loop = (await run(["losetup", "--find", "--show", "--direct-io=on", file])).stdout.trim();
    try {
      await run(["mount", loop, path]);
    } catch (e) {
      await run(["losetup", "--detach", loop]);
      throw e;
    }
    return new OwnDisk(path, loop);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await run(["umount", this.path]);
    await run(["losetup", "--detach", this.#loop]);
  }
}

const gib = 1024 ** 3;
/** What has to be free beside the disk itself. */
const spareBytes = gib;

function needFree(dir: string, bytes: number): void {
  const { bavail, bsize } = statfsSync(dir);
  const [has, needs] = [bavail * bsize, bytes + spareBytes].map((n) => (n / gib).toFixed(1));
  if (bavail * bsize >= bytes + spareBytes) return;
  throw new Error(`${has} GiB are free at ${dir}, and ${needs} GiB are needed: TMPDIR=… says where else`);
}
