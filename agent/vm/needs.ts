// Needs: what a template wants to be so before anything is done, looked at here: all of it, and all that is missing is said at once.
// Changes nothing. What a template can ask for is the table NEEDS.
import * as fs from "node:fs";
import * as net from "node:net";
import * as path from "node:path";
import { Fault } from "../../mq/mod.ts";
import { inert } from "../names.ts";
import { BLANKS } from "./blanks.ts";
import { connectMs, emptyBytes } from "./limits.ts";
import { filesOf } from "./machine.ts";
import type { Place } from "./place.ts";
import { runningPid } from "./running.ts";
import { filled, type Find, isThere, type Need, type Template, type Values } from "./template.ts";

/** What is not as it has to be, in words; undefined when it is. */
type Look = (place: Place, words: readonly string[]) => string | undefined | Promise<string | undefined>;

/** One thing that is in the way, and what to do about it. */
export interface Missing {
  why: string;
  hint: string;
}

const GIB = 2 ** 30;

export const NEEDS: Readonly<Record<string, Look>> = {
  program: (_, [file]) => isExecutable(file!) ? undefined : `${file} is no program that you can run`,
  readable: (_, [file]) => accessWords(file!, fs.constants.R_OK, "isFile"),
  writable: (_, [dir]) => {
    const top = nearest(dir!);
    return accessWords(top, fs.constants.W_OK | fs.constants.X_OK, "isDirectory");
  },
  absent: (_, [file]) => isAbsent(file!) ? undefined : `${file} is there already`,
  stopped: (_, [pidFile]) => {
    const pid = runningPid(pidFile!);
    return pid === undefined ? undefined : `the machine is running, as process ${pid}`;
  },
  "nothing-else": (_, [dir]) => {
    const own = Object.values(filesOf("/", "x")).map((file) => path.basename(file));
    const others = fs.readdirSync(dir!).filter((name) => !own.includes(name) && name !== "vm.json.new");
    return others.length === 0
      ? undefined
      : `${dir} has something in it that is not isconf's: ${others.join(", ")}`;
  },
  room: (_, [dir, gib]) => {
    const { bavail, bsize } = fs.statfsSync(nearest(dir!));
    const free = bavail * bsize;
    if (free >= Number(gib) * GIB) return undefined;
    return `${dir} has ${(free / GIB).toFixed(1)} GiB free, and the disk may grow to ${gib}`;
  },
  disk: (_, [file]) => {
    const stat = fs.statSync(file!, { throwIfNoEntry: false });
    if (stat?.isBlockDevice() !== true) return `${file} is no disk`;
    const mounted = fs.readFileSync("/proc/self/mounts", "utf8").split("\n").map((line) =>
      line.split(" ")[0]!
    );
    const used = mounted.find((name) =>
      name.startsWith(file!) && /^(p?[0-9]+)?$/.test(name.slice(file!.length))
    );
    return used === undefined ? undefined : `${used} is mounted`;
  },
  empty: (_, [file]) => {
    if (!isThereFile(file!)) return undefined; // that is said already
    const fd = fs.openSync(file!, "r");
    try {
      const head = Buffer.alloc(emptyBytes);
      const length = fs.readSync(fd, head, 0, head.length, 0);
      return head.subarray(0, length).every((byte) => byte === 0) ? undefined : `${file} is not empty`;
    } finally {
      fs.closeSync(fd);
    }
  },
  "free-socket": async (place, [file]) =>
    await listens(place, { path: file! }) ? `somebody listens on ${file}` : undefined,
  "free-port": async (place, [endpoint]) => {
    const [, host, port] = /^listen=(.*):(.*)$/.exec(endpoint!) ?? [];
    if (host === undefined) return undefined; // of the others somebody has to listen, now or later
    const isTaken = await listens(place, {
      host: host === "0.0.0.0" ? "127.0.0.1" : host,
      port: Number(port),
    });
    return isTaken ? `somebody listens on ${host}:${port}` : undefined;
  },
  "free-ports": async (place, [pairs]) => {
    const taken: string[] = [];
    for (const pair of pairs!.split(",")) {
      const port = pair.split(":")[0]!;
      if (await listens(place, { host: "127.0.0.1", port: Number(port) })) taken.push(port);
    }
    return taken.length === 0 ? undefined : `somebody listens on 127.0.0.1, port ${taken.join(", ")}`;
  },
  tap: (_, [name]) => {
    // /sys is that of the network it was mounted in, /proc that of this process.
    const names = fs.readFileSync("/proc/self/net/dev", "utf8").split("\n").map((line) =>
      line.split(":")[0]!.trim()
    );
    if (!names.includes(name!)) return `there is no network interface ${name}`;
    const isOther = isThereFile(`/sys/class/net/${name}`) && !isThereFile(`/sys/class/net/${name}/tun_flags`);
    return isOther ? `the network interface ${name} is no tap` : undefined;
  },
};

/**
 * Looks for what is to be found and at what is needed, all of it.
 * @returns the values with the paths of what was found, and what is missing
 */
export async function look(
  place: Place,
  template: Template,
  values: Values,
): Promise<{ values: Values; missing: Missing[] }> {
  const missing: Missing[] = [];
  const found: Record<string, string> = {};
  for (const find of template.finds.filter((find) => isThere(find, values))) {
    const file = findOne(place, find);
    found[find.name] = file ?? unseen(find);
    if (file !== undefined) continue;
    const [first, ...others] = find.places;
    const names = `${first}${others.length === 0 ? "" : `, nor ${others.join(", ")}`}`;
    missing.push({ why: `there is no ${find.what} ${names}`, hint: find.hint });
  }
  const all = { ...values, ...found };
  for (const need of template.needs.filter((need) => isThere(need, values))) {
    const why = await lookAt(place, need, all);
    if (why !== undefined) missing.push({ why, hint: filled(need.hint, all) });
  }
  return { values: all, missing };
}

/** The same without a look: for a system on which isconf is not. */
export function lookNowhere(template: Template, values: Values): Values {
  const found = template.finds.filter((find) => isThere(find, values)).map((
    find,
  ) => [find.name, unseen(find)]);
  return { ...values, ...Object.fromEntries(found) };
}

/** One fault for all that is missing, each with what to do. */
export function missingFault(op: string, what: string, missing: readonly Missing[]): Fault {
  const number = (i: number) => missing.length === 1 ? "" : `(${i + 1}) `;
  const list = (words: (one: Missing) => string) =>
    missing.map((one, i) => `${number(i)}${words(one)}`).join("; ");
  return new Fault(op, "refused", `${what}: ${list(({ why }) => inert(why))}`, {
    hint: list(({ hint }) => inert(hint)),
  });
}

async function lookAt(place: Place, need: Need, values: Values): Promise<string | undefined> {
  const look = NEEDS[need.what];
  if (look === undefined) throw new Error(`nobody knows how to look at ${need.what}`);
  return await look(place, need.words.map((word) => filled(word, values)));
}

/** The first of the places where it is. */
function findOne(place: Place, { what, places }: Find): string | undefined {
  const isIt = what === "program"
    ? isExecutable
    : (file: string) => accessWords(file, fs.constants.R_OK, "isFile") === undefined;
  const dirs = place.programs.split(":");
  const all = places.flatMap((at) => at.startsWith("/") ? [at] : dirs.map((dir) => path.join(dir, at)));
  return all.find((file) => BLANKS.path!.fits(file) && isIt(file));
}

/** Where it would be, where nobody has looked. */
function unseen({ places }: Find): string {
  return places[0]!.startsWith("/") ? places[0]! : `/usr/bin/${places[0]}`;
}

function isExecutable(file: string): boolean {
  return accessWords(file, fs.constants.X_OK, "isFile") === undefined;
}

function isThereFile(file: string): boolean {
  return fs.lstatSync(file, { throwIfNoEntry: false }) !== undefined;
}

/** Nothing is there, or an empty directory: what a creation that was cut off at its first step left. */
function isAbsent(file: string): boolean {
  const stat = fs.lstatSync(file, { throwIfNoEntry: false });
  return stat === undefined || (stat.isDirectory() && fs.readdirSync(file).length === 0);
}

/** The directory itself, or the nearest above it that is there. */
function nearest(dir: string): string {
  for (let at = dir;; at = path.dirname(at)) if (at === "/" || isThereFile(at)) return at;
}

/** What is wrong with a file or a directory for who runs this; undefined when nothing is. */
function accessWords(file: string, mode: number, kind: "isFile" | "isDirectory"): string | undefined {
  try {
    const stat = fs.statSync(file);
    const isDevice = kind === "isFile" && stat.isBlockDevice();
    if (!stat[kind]() && !isDevice) return `${file} is no ${kind === "isFile" ? "file" : "directory"}`;
    fs.accessSync(file, mode);
    return undefined;
  } catch (e) {
    const { code } = e as { code?: string };
    if (code === "ENOENT" || code === "ENOTDIR") return `${file} does not exist`;
    if (code === "EACCES" || code === "EPERM" || code === "EROFS") {
      return `${file} is closed to you (${code})`;
    }
    throw e;
  }
}

/** Whether somebody takes a connection there; who does not answer in time is somebody. */
function listens(place: Place, where: { path: string } | { host: string; port: number }): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(where);
    const cancel = place.clock.after(connectMs, () => end(true));
    const end = (is: boolean) => {
      cancel();
      socket.destroy();
      resolve(is);
    };
    socket.once("connect", () => end(true));
    socket.once("error", (e: NodeJS.ErrnoException) => {
      cancel();
      if (["ENOENT", "ECONNREFUSED", "ENOTSOCK"].includes(e.code ?? "")) end(false);
      else if (["EACCES", "EAGAIN"].includes(e.code ?? "")) end(true);
      else reject(e);
    });
  });
}
