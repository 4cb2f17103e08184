// Preview root: a root of its own over this host's, for the processes of one preview: what is written lies in memory and is gone
// with them. Runs in a mount namespace that nobody else is in. Not what runs there (preview_main.ts), not what came of it
// (preview_changes.ts).
import { Buffer } from "node:buffer";
import * as fs from "node:fs";
import * as os from "node:os";
import {
  AT_FDCWD,
  boundCapabilities,
  closeFd,
  errnoCode,
  Fault,
  makeDevice,
  makeUntraceable,
  mountAt,
  MS,
  O_PATH,
  openAt,
  pivotRoot,
  statAt,
} from "../mq/mod.ts";
import { previewBytesMax, previewFilesMax, previewOwnBytesMax } from "./limits.ts";
import { OWN_DIRS, placesOf, planOf, readMounts } from "./preview_mounts.ts";

const { O_DIRECTORY, O_NOFOLLOW } = fs.constants;

/** One file system of this host under a layer of the preview's own. Both are open directories. */
export interface Layer {
  /** Where it is, as bytes. */
  point: Uint8Array;
  lower: number;
  upper: number;
}

export interface Root {
  layers: Layer[];
  /** What of this host is not in the preview, and why. */
  absent: { point: Uint8Array; why: string }[];
}

/**
 * What a command may be able to do there as root (capability.h): change files, their owners and modes, make devices that
 * nothing can open, become another user. Nothing that reaches beyond the files: no mounts, modules, clock, raw devices,
 * other processes, files by handle.
 */
const CAPABILITIES = new Set([
  0, // CHOWN
  1, // DAC_OVERRIDE
  3, // FOWNER
  4, // FSETID
  5, // KILL
  6, // SETGID
  7, // SETUID
  8, // SETPCAP
  10, // NET_BIND_SERVICE
  18, // SYS_CHROOT
  27, // MKNOD
  31, // SETFCAP
]);

/** Device nodes of /dev: name, minor and major number (Documentation/admin-guide/devices.txt). */
const DEVICES: [name: string, minor: number, major: number][] = [
  ["null", 3, 1],
  ["zero", 5, 1],
  ["full", 7, 1],
  ["random", 8, 1],
  ["urandom", 9, 1],
  ["tty", 0, 5],
];

/** A layer renames no directory and keeps whole files, so that what is in it can be told without what is below. */
const LAYER = "redirect_dir=off,metacopy=off,index=off,xino=off";
const QUIET = MS.noSuid | MS.noDev | MS.noExec;

/**
 * Makes the root, and this process one that lives in it: it keeps its rights, and whatever it starts has CAPABILITIES at most.
 * `scratch` is a directory that may be covered, `hidden` are directories nothing of which is seen.
 * @throws {Fault} environment, when this host cannot have layers
 */
export function enterRoot(scratch: string, hidden: readonly string[]): Root {
  const mounts = readMounts(fs.readFileSync("/proc/self/mountinfo"));
  const covered = hidden.flatMap((path) => placesOf(mounts, latin1(realpath(path))));
  const bytes = Math.min(previewBytesMax, Math.floor(os.totalmem() / 2));
  const root: Root = { layers: [], absent: [] };
  // Opened before anything is mounted over them.
  const host = openAt(AT_FDCWD, "/", O_PATH | O_DIRECTORY);
  const plans = planOf(mounts).map((plan) => ({
    ...plan,
    fd: plan.as === "layer" ? openPoint(plan.point) : null,
  }));
  mountAt(
    "preview",
    scratch,
    "tmpfs",
    MS.noSuid | MS.noDev,
    `size=${bytes},nr_inodes=${previewFilesMax},mode=700`,
  );
  const top = `${scratch}/root`;
  fs.mkdirSync(top, 0o755);
  try {
    root.layers.push(addLayer(scratch, 0, bytesOf("/"), host, top));
  } catch (e) {
    throw new Fault(
      "preview",
      "environment",
      `this host's root can have no layer over it: ${(e as Error).message}`,
      {
        hint:
          "isconf doctor; the root must not be two overlays deep already, and the kernel must know overlay",
      },
    );
  }
  for (const [i, { point, fd, why = "it is no directory" }] of plans.entries()) {
    if (fd === undefined) continue; // something is mounted over it
    const at = Buffer.concat([Buffer.from(top), bytesOf(point)]);
    if (fd !== null) {
      try {
        root.layers.push(addLayer(scratch, i + 1, bytesOf(point), fd, at));
        continue;
      } catch (e) {
        cover(at);
        root.absent.push({ point: bytesOf(point), why: (e as Error).message });
        continue;
      }
    }
    cover(at);
    root.absent.push({ point: bytesOf(point), why });
  }
  for (const dir of OWN_DIRS) if (isDirectory(`${top}${dir}`)) OWN[dir](`${top}${dir}`);
  for (const path of covered) cover(Buffer.concat([Buffer.from(top), bytesOf(path)]));
  makeUntraceable();
  pivotRoot(top);
  boundCapabilities(CAPABILITIES);
  return root;
}

/** Mounts a layer over the open directory `lower` at `at`, and returns it with its upper directory open. */
function addLayer(
  scratch: string,
  n: number,
  point: Uint8Array,
  lower: number,
  at: string | Uint8Array,
): Layer {
  const { mode, uid, gid } = statAt(lower);
  const [upper, work] = [`${scratch}/upper-${n}`, `${scratch}/work-${n}`];
  fs.mkdirSync(upper);
  fs.chownSync(upper, uid, gid);
  fs.chmodSync(upper, mode & 0o7777);
  fs.mkdirSync(work, 0o700);
  // By descriptor: a path may have any byte in it, and an option is a list with commas and colons.
  const options = `lowerdir=/proc/self/fd/${lower},upperdir=${upper},workdir=${work},${LAYER}`;
  mountAt("preview", at, "overlay", MS.noDev, options);
  const layer = {
    point,
    lower: openAt(lower, ".", O_DIRECTORY),
    upper: openAt(AT_FDCWD, upper, O_DIRECTORY),
  };
  closeFd(lower);
  return layer;
}

/** Opens what is mounted there; null when that is no directory, undefined when nothing is seen there that is mounted. */
function openPoint(point: string): number | null | undefined {
  let fd: number;
  try {
    fd = openAt(AT_FDCWD, bytesOf(point), O_PATH | O_NOFOLLOW);
  } catch {
    return undefined;
  }
  const { mode, isMountRoot } = statAt(fd);
  if (isMountRoot && (mode & fs.constants.S_IFMT) === fs.constants.S_IFDIR) return fd;
  closeFd(fd);
  return isMountRoot ? null : undefined;
}

/** How each own directory is made. */
const OWN: Record<typeof OWN_DIRS[number], (at: string) => void> = {
  "/proc": (at) => mountAt("proc", at, "proc", QUIET | MS.readOnly),
  "/sys": (at) => mountAt("sysfs", at, "sysfs", QUIET | MS.readOnly),
  "/run": (at) =>
    mountAt("preview", at, "tmpfs", MS.noSuid | MS.noDev, `mode=755,size=${previewOwnBytesMax}`),
  "/dev": makeDev,
};

function makeDev(at: string): void {
  const flags = MS.noSuid | MS.noExec;
  mountAt("preview", at, "tmpfs", flags, "mode=755,size=64k");
  for (const [name, minor, major] of DEVICES) makeDevice(`${at}/${name}`, 0o666, major, minor);
  for (
    const [name, target] of [["fd", "/proc/self/fd"], ["stdin", "fd/0"], ["stdout", "fd/1"], [
      "stderr",
      "fd/2",
    ]]
  ) {
    fs.symlinkSync(target as string, `${at}/${name}`);
  }
  fs.symlinkSync("pts/ptmx", `${at}/ptmx`);
  fs.mkdirSync(`${at}/pts`, 0o755);
  fs.mkdirSync(`${at}/shm`, 0o755);
  mountAt("preview", `${at}/pts`, "devpts", flags, "newinstance,ptmxmode=0666,mode=620,gid=5");
  mountAt("preview", `${at}/shm`, "tmpfs", MS.noSuid | MS.noDev, `mode=1777,size=${previewOwnBytesMax}`);
  // Devices work here, so nobody may make another one.
  mountAt("preview", at, "", MS.remount | MS.bind | MS.readOnly | flags);
}

/** Covers a directory with an empty one. What is no directory is what lies below the mount, and nothing of that. */
function cover(at: Uint8Array): void {
  let mode: number;
  try {
    mode = statAt(AT_FDCWD, at).mode;
  } catch (e) {
    if (errnoCode(e) === "ENOENT" || errnoCode(e) === "ENOTDIR") return;
    throw e;
  }
  if ((mode & fs.constants.S_IFMT) === fs.constants.S_IFDIR) {
    return mountAt("preview", at, "tmpfs", QUIET | MS.readOnly, "mode=000,size=4k");
  }
}

function isDirectory(path: string): boolean {
  return fs.lstatSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

function realpath(path: string): string {
  return fs.existsSync(path) ? fs.realpathSync(path) : path;
}

const bytesOf = (point: string): Uint8Array => Buffer.from(point, "latin1");
const latin1 = (path: string): string => Buffer.from(path).toString("latin1");
