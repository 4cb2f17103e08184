// Image left: what of a running host is its own, and is therefore in no image of it: names, keys, logs, what is mounted and what is gone
// with the next start. It looks at no file but the kernel's lists of mounts.
import { Buffer } from "node:buffer";
import type { Home } from "./paths.ts";

/** Left out: all of it, or what is inside: names of a directory, bytes of a file. */
export type Left = "all" | "inside";

/** Of every host. */
export const LEFT: Readonly<Record<string, Left>> = {
  "/dev": "inside",
  "/etc/adjtime": "all",
  "/etc/hostname": "inside",
  "/etc/machine-id": "inside",
  "/lost+found": "all",
  "/media": "inside",
  "/mnt": "inside",
  "/proc": "inside",
  "/run": "inside",
  "/sys": "inside",
  "/tmp": "inside",
  "/var/lib/dbus/machine-id": "all",
  "/var/lib/dhcp": "inside",
  "/var/lib/systemd/credential.secret": "all",
  "/var/lib/systemd/random-seed": "all",
  "/var/tmp": "inside",
};

/** The host's own keys, by the directory and the beginning of the name. */
const HOST_KEYS = /^\/etc\/ssh\/ssh_host_[^/]*_key(\.pub)?$/;

/** Of a file below, the bytes; the file stays, with its owner and mode, because who writes to it may not make it. */
const LOGS = "/var/log/";

/** Whether a path, its bytes as latin1, is left out, and how much of it. `isFile`: a regular one. */
export type LeftOut = (path: string, isFile: boolean) => Left | undefined;

/** The rules for a host with isconf in `home`, and with these places mounted that are no disk's. */
export function leftOut(home: Home, mounted: ReadonlySet<string>): LeftOut {
  const own = new Set(
    [home.state, home.run, `${home.config}/image`].map((path) => Buffer.from(path).toString("latin1")),
  );
  return (path, isFile) => {
    if (own.has(path) || HOST_KEYS.test(path)) return "all";
    if (LEFT[path] !== undefined) return LEFT[path];
    if (mounted.has(path)) return "inside";
    if (isFile && path.startsWith(LOGS)) return "inside";
    return undefined;
  };
}

/**
 * Where something is mounted, below the root, that is on no disk of this host: what the kernel makes up, memory, other hosts' files.
 * `mountinfo` and `filesystems` are those of proc(5), and what comes back is paths, all of it bytes as latin1.
 */
export function mountedElsewhere(mountinfo: string, filesystems: string): Set<string> {
  const noDisk = new Set([...filesystems.matchAll(/^nodev\t(\S+)$/gm)].map(([, name]) => name!));
  const places = new Map<string, boolean>();
  for (const line of mountinfo.split("\n")) {
    const [before = "", after = ""] = line.split(" - ");
    const at = before.split(" ")[4];
    if (at === undefined || at === "/") continue;
    const type = (after.split(" ")[0] ?? "").split(".")[0]!; // fuse.sshfs is a kind of fuse
    places.set(unescape(at), noDisk.has(type) || type.startsWith("fuse")); // the last one on a place is the one that is seen
  }
  return new Set([...places].filter(([, is]) => is).map(([at]) => at));
}

/** As the kernel writes places into its lists: octal for blanks and backslashes. */
const unescape = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(parseInt(digits, 8)));
