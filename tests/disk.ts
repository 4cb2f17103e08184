// Disk: the root file system of a host: a layer of its own over this machine's or another Debian root, of which it
// changes nothing, with the executable in it. Not the host (hosts.ts).
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { fileURLToPath } from "node:url";

const checkout = fileURLToPath(new URL("../", import.meta.url)).replace(/\/$/, "");

/** The executable that goes into each host. */
export const EXECUTABLE = process.env.ISCONF_EXECUTABLE ?? `${checkout}/dist/isconf`;

/** Type of an overlay file system, which cannot hold the writable layer of another. */
const OVERLAYFS_MAGIC = 0x794c7630;

/**
 * Makes a disk the root of the mount namespace in which sh runs it: $1 lower root, $2 directory, $3 checkout, $4 more options of
 * the layer.
 */
export const MOUNT = `
# A layer may not be inside another, as a directory of this machine is inside its root: hence the wrapping.
lower=$1
if [ -e "$2/program/usr/local/sbin/isconf" ]; then
  mount -t overlay -o "lowerdir=$2/program:$2/nothing" overlay "$2/middle"
  lower=$2/middle:$1
fi
mount -t overlay -o "lowerdir=$lower,upperdir=$2/upper,workdir=$2/work$4" overlay "$2/root"
cd "$2/root"
mount -t proc -o nosuid,nodev,noexec proc proc
mount -t tmpfs -o nosuid,nodev,mode=755 tmpfs run
mount -t tmpfs -o nosuid,nodev,mode=1777 tmpfs tmp
mount -t tmpfs -o nosuid,mode=755 tmpfs dev
for name in null zero full random urandom tty; do
  : >"dev/$name"
  mount --bind "/dev/$name" "dev/$name"
done
mkdir dev/pts dev/shm
mount -t devpts -o nosuid,noexec,newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
mount -t tmpfs -o nosuid,nodev,mode=1777 tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
ln -s fd/0 dev/stdin; ln -s fd/1 dev/stdout; ln -s fd/2 dev/stderr
if [ -d ".$3" ]; then mount -t tmpfs -o size=4k,mode=0 tmpfs ".$3"; fi
pivot_root . .
umount -l .
cd /
`;

/** A disk: its directory goes when whoever holds the host removes it. */
export class Disk {
  readonly dir: string;
  /** What `MOUNT` wants to be told. */
  readonly words: string[];
  readonly #programIn: "program" | "upper";

  /**
   * A disk, yet without layers, for a host over a lower root. A flat one has the executable in its upper layer, so that the
   * host can lay a layer over it: the kernel stacks two. Nothing may write into that executable: other disks share it. Only
   * a flat one can have handles of its files that last, as other file systems have (name_to_handle_at(2)).
   */
  constructor(name: string, lower: string, isFlat = false, hasHandles = false) {
    this.#programIn = isFlat ? "upper" : "program";
    this.dir = fs.mkdtempSync(path.join(disksHome(), `isconf-${name}-`));
    this.words = [lower, this.dir, checkout, hasHandles ? ",index=on,nfs_export=on" : ""];
  }

  /** Empties the layers: the lower root and the executable are all there is. */
  wipe(): void {
    for (const layer of ["program", "nothing", "middle", "upper", "work", "root"]) {
      fs.rmSync(path.join(this.dir, layer), { recursive: true, force: true });
      fs.mkdirSync(path.join(this.dir, layer), { mode: 0o755 });
    }
    placeExecutable(path.join(this.dir, this.#programIn, "usr/local/sbin"));
  }
}

let placed: string | undefined;

/**
 * Puts the executable where a disk's middle layer has it. Nothing writes to that layer, so that all disks share one
 * copy, that of the last disk that had to make one.
 */
function placeExecutable(dir: string): void {
  fs.mkdirSync(dir, { recursive: true });
  const place = path.join(dir, "isconf");
  if (placed && fs.existsSync(placed)) return fs.linkSync(placed, place);
  fs.copyFileSync(EXECUTABLE, place, fs.constants.COPYFILE_FICLONE);
  fs.chmodSync(place, 0o755);
  placed = place;
}

/** A directory for disks: on a file system that can hold the layers. */
export function disksHome(): string {
  const dirs = [process.env.ISCONF_TEST_HOSTS, os.tmpdir(), "/var/tmp", "/dev/shm"];
  const fit = dirs.find((dir) => dir && fs.existsSync(dir) && fs.statfsSync(dir).type !== OVERLAYFS_MAGIC);
  if (fit === undefined) throw new Error("no directory outside an overlay: name one as ISCONF_TEST_HOSTS");
  return fit;
}
