// Preview mounts: what of this host's mounts becomes what in a preview's root, and which paths are hidden in it. It reads
// text and decides; it mounts nothing (preview_root.ts).
import { Buffer } from "node:buffer";
import { Fault } from "../mq/mod.ts";
import { previewMountsMax } from "./limits.ts";

/** A line of /proc/self/mountinfo (proc_pid_mountinfo(5)). Paths are bytes, as latin1 text. */
export interface Mount {
  /** "major:minor" of its file system. */
  dev: string;
  /** What of the file system is mounted. */
  root: string;
  point: string;
  type: string;
  /** Whether the file system itself takes no changes, wherever it is mounted. */
  isReadOnly: boolean;
}

/** What a mount becomes: a layer of its own that is thrown away; or it is not there, and why. */
export interface Plan {
  point: string;
  as: "layer" | "absent";
  why?: string;
}

/** Directories that a preview gets its own of, empty or with what belongs to it alone. */
export const OWN_DIRS = ["/proc", "/sys", "/dev", "/run"] as const;

/** File systems that are the kernel's talk and no files, or that begin to mount something when they are looked at. */
const NO_FILES = new Set(
  ("autofs binfmt_misc bpf cgroup cgroup2 configfs debugfs devpts devtmpfs efivarfs fusectl hugetlbfs mqueue nsfs " +
    "proc pstore rpc_pipefs securityfs selinuxfs sysfs tracefs").split(" "),
);

/** The mounts that /proc/self/mountinfo names, in its order. Throws refused when there are too many. */
export function readMounts(bytes: Uint8Array): Mount[] {
  const lines = Buffer.from(bytes).toString("latin1").split("\n").filter((line) => line !== "");
  if (lines.length > previewMountsMax) {
    throw new Fault(
      "preview",
      "refused",
      `this host has ${lines.length} mounts, more than ${previewMountsMax}`,
      {
        hint: "findmnt",
      },
    );
  }
  return lines.map((line) => {
    const fields = line.split(" ");
    const [, , dev = "", root = "", point = ""] = fields;
    const [type = "", , options = ""] = fields.slice(fields.indexOf("-", 6) + 1);
    const isReadOnly = options.split(",").includes("ro");
    return { dev, root: unescaped(root), point: unescaped(point), type, isReadOnly };
  });
}

/** What each mount below the root becomes, parents first; one point with several mounts is what the last says. */
export function planOf(mounts: readonly Mount[]): Plan[] {
  const last = new Map(mounts.map((mount) => [mount.point, mount]));
  return [...last.values()]
    .filter(({ point }) => point !== "/" && !OWN_DIRS.some((dir) => isIn(point, dir)))
    .sort((a, b) => depth(a.point) - depth(b.point))
    .map((mount): Plan =>
      holdsFiles(mount)
        ? { point: mount.point, as: "layer" }
        : { point: mount.point, as: "absent", why: `${mount.type} has no files` }
    );
}

/** Whether it is a file system that keeps files. */
export const holdsFiles = ({ type }: Pick<Mount, "type">): boolean => !NO_FILES.has(type);

/**
 * Everywhere that a directory can be seen: its file system, or a part of it, may be mounted at other places too. `path`
 * has no symbolic link in it.
 */
export function placesOf(mounts: readonly Mount[], path: string): string[] {
  const holding = mounts.findLast((mount) =>
    isIn(path, mount.point) &&
    mounts.every((other) => !isIn(path, other.point) || other.point.length <= mount.point.length)
  );
  if (holding === undefined) return [path];
  const inside = joined(holding.root, path.slice(holding.point === "/" ? 0 : holding.point.length));
  const others = mounts.filter(({ dev }) => dev === holding.dev).flatMap(({ root, point }) =>
    isIn(inside, root)
      ? [joined(point, inside.slice(root === "/" ? 0 : root.length))]
      : isIn(root, inside)
      ? [point]
      : []
  );
  return [...new Set([path, ...others])];
}

/** Whether a path is a directory or below it. */
export function isIn(path: string, dir: string): boolean {
  return dir === "/" || path === dir || path.startsWith(`${dir}/`);
}

const joined = (dir: string, rest: string): string => (dir === "/" ? rest : dir + rest) || "/";
const depth = (point: string): number => point.split("/").length;

function unescaped(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(parseInt(octal, 8)));
}
