// Effects watch: which paths change on this host while a command runs, from what the kernel tells of whole file systems (fanotify).
// Hints by name: what is at a path when the command has ended is looked at then (effects.ts).
import { Buffer } from "node:buffer";
import * as fs from "node:fs";
import {
  AT_FDCWD,
  type Clock,
  closeFd,
  errnoCode,
  FAN,
  Fault,
  type FileEvent,
  listenToFiles,
  openAt,
  openHandle,
  readFileEvents,
  readlinkAt,
  readNames,
  statAt,
} from "../mq/mod.ts";
import {
  effectsLastReads,
  effectsNamesMax,
  effectsPathsMax,
  effectsReadMs,
  effectsReadsMax,
  pathBytesMax,
} from "./limits.ts";
import { inert } from "./names.ts";
import type { Home } from "./paths.ts";
import { holdsFiles, isIn, type Mount, placesOf, readMounts } from "./preview_mounts.ts";

/**
 * Where what changes is of one host and one moment: the kernel's and the run-time directories, what is temporary, caches, logs
 * (FHS 3.0). isconf's own state is the other.
 */
export const LEFT_OUT = [
  "/dev",
  "/proc",
  "/run",
  "/sys",
  "/tmp",
  "/var/cache",
  "/var/lock",
  "/var/log",
  "/var/run",
  "/var/tmp",
];

/** File systems that others may change, or whose server may not answer: looking at one could hold the agent up. */
const REMOTE = /^(9p|afs|ceph|cifs|coda|fuse.*|gfs2|lustre|ncpfs|nfs4?|ocfs2|orangefs|smb3?|smbfs|virtiofs)$/;

/** What changed while a command ran; `undefined` when it was more than `effectsPathsMax`. */
export interface Changed {
  paths: Uint8Array[];
  /** What could not be listened to, in words: mount points, and paths that are too long. */
  unseen: string[];
}

/** Listens while one command runs. */
export interface Watching {
  /** Stops; what has changed. */
  end(): Changed | undefined;
  /** Stops, and forgets it. */
  drop(): void;
}

/** What listens on this host; the tests' twin says what it is told to. */
export interface EffectsWatch {
  /** Begins to listen; undefined where nothing can be listened to. */
  begin(): Watching | undefined;
}

/** Where nobody listens: effects are not recorded. */
export const NO_WATCH: EffectsWatch = { begin: () => undefined };

/** The kernel, asked. Needs CAP_SYS_ADMIN of the first user namespace. */
export class KernelWatch implements EffectsWatch {
  readonly #clock: Clock;
  readonly #home: Home;
  readonly #log: (line: string) => void;
  #isTold = false;

  constructor(clock: Clock, home: Home, log: (line: string) => void) {
    this.#clock = clock;
    this.#home = home;
    this.#log = log;
  }

  begin(): Watching | undefined {
    try {
      const mounts = readMounts(fs.readFileSync("/proc/self/mountinfo"));
      const own = [this.#home.state, this.#home.run].flatMap((dir) => placesOf(mounts, fs.realpathSync(dir)));
      const { watched, unseen } = listenTo(mounts);
      if (watched.length > 0) return new Listening(this.#clock, watched, unseen, [...LEFT_OUT, ...own]);
      this.#tell(`${unseen.join(", ")} cannot be listened to`);
    } catch (e) {
      this.#tell(Fault.from("exec", e).message); // the command matters more
    }
    return undefined;
  }

  #tell(why: string): void {
    if (!this.#isTold) this.#log(`what commands change is not recorded: ${why}`);
    this.#isTold = true;
  }
}

/** One file system that is listened to. */
interface Watched {
  /** Where it is mounted. */
  point: string;
  /** Descriptors: of the events, and of the mount. */
  events: number;
  mount: number;
  /** What happened to which name of which directory, both as latin1 text. */
  dirs: Map<string, Map<string, Name>>;
}

interface Name {
  /** Made since the command began, as far as was seen: if it is gone again, nothing has changed. */
  isNew: boolean;
  /** A directory that came from elsewhere: everything in it is at a new path. */
  isMovedDir: boolean;
}

/**
 * Which mounts stand for the file systems on which commands change something: of each one, that from which most of it can be
 * seen; and those that are remote. Nothing is looked at for it.
 */
export function mountsWatched(mounts: readonly Mount[]): { local: Mount[]; remote: Mount[] } {
  const ordered = mounts
    .filter((mount) => holdsFiles(mount) && !mount.isReadOnly && !isLeftOut(mount.point, LEFT_OUT))
    .sort((a, b) => a.root.length - b.root.length || a.point.length - b.point.length);
  const once = ordered.filter(({ dev }, i) => ordered.findIndex((other) => other.dev === dev) === i);
  const isRemote = ({ type }: Mount) => REMOTE.test(type);
  return { local: once.filter((mount) => !isRemote(mount)), remote: once.filter(isRemote) };
}

/** Listens to every local file system that has files. */
function listenTo(mounts: readonly Mount[]): { watched: Watched[]; unseen: string[] } {
  const { local, remote } = mountsWatched(mounts);
  const watched: Watched[] = [];
  const unseen = remote.map(({ point }) => shown(point));
  for (const { point } of local) {
    const path = Buffer.from(point, "latin1");
    try {
      const mount = openAt(AT_FDCWD, path, fs.constants.O_RDONLY);
      try {
        watched.push({ point, events: listenToFiles(path), mount, dirs: new Map() });
      } catch (e) {
        closeFd(mount);
        throw e;
      }
    } catch (e) {
      if (errnoCode(e) === undefined) throw e;
      unseen.push(shown(point));
    }
  }
  return { watched, unseen };
}

/** A mount point in words that fit into a list. */
const shown = (point: string): string =>
  inert(Buffer.from(point, "latin1").toString("utf8")).slice(0, pathBytesMax).toWellFormed();

class Listening implements Watching {
  readonly #watched: Watched[];
  readonly #unseen: string[];
  readonly #leftOut: string[];
  /** Who was there before the command: what they do is not its doing. Number 1 does what it is asked to (systemd). */
  readonly #others: ReadonlySet<number>;
  readonly #clock: Clock;
  #cancel = () => {};
  #names = 0;
  #isTooMuch = false;

  constructor(clock: Clock, watched: Watched[], unseen: string[], leftOut: string[]) {
    this.#clock = clock;
    this.#watched = watched;
    this.#unseen = unseen;
    this.#leftOut = leftOut;
    const pids = fs.readdirSync("/proc").map(Number).filter((pid) => pid > 1);
    this.#others = new Set([...pids, 0]);
    this.#readLater();
  }

  end(): Changed | undefined {
    try {
      this.#read(effectsReadsMax * effectsLastReads);
      if (this.#isTooMuch) return undefined;
      const paths = new Set<string>();
      let isTooLong = false;
      for (const one of this.#watched) {
        for (const path of pathsOf(one, this.#leftOut)) {
          if (path === TOO_LONG || path.length > pathBytesMax) isTooLong = true;
          else paths.add(path);
          if (paths.size > effectsPathsMax) return undefined;
        }
      }
      const unseen = [...this.#unseen, ...isTooLong ? [`paths of more than ${pathBytesMax} bytes`] : []];
      return { paths: [...paths].map((path) => Buffer.from(path, "latin1")), unseen };
    } finally {
      this.drop();
    }
  }

  drop(): void {
    this.#cancel();
    for (const { events, mount } of this.#watched.splice(0)) {
      closeFd(events);
      closeFd(mount);
    }
  }

  #readLater(): void {
    this.#cancel = this.#clock.after(effectsReadMs, () => {
      try {
        this.#read(effectsReadsMax, true);
      } catch {
        this.#isTooMuch = true; // whatever it is, what is known is not all
      }
      if (this.#isTooMuch) this.drop(); // nobody is to go on telling
      else this.#readLater();
    });
  }

  /** Takes what the kernel has to tell until now, in at most `reads` pieces of each file system; more is `isMore`, or too much. */
  #read(reads: number, isMore = false): void {
    for (const one of this.#watched) {
      let left = reads;
      for (let events = readFileEvents(one.events); events.length > 0; events = readFileEvents(one.events)) {
        for (const event of events) this.#take(one, event);
        if (--left === 0) this.#isTooMuch ||= !isMore;
        if (this.#isTooMuch || left === 0) break;
      }
    }
  }

  #take({ dirs }: Watched, { mask, pid, dir, name }: FileEvent): void {
    if ((mask & FAN.overflow) !== 0) this.#isTooMuch = true;
    if (dir.length === 0 || this.#others.has(pid)) return;
    const key = Buffer.from(dir).toString("latin1");
    let names = dirs.get(key);
    if (names === undefined) dirs.set(key, names = new Map());
    const text = Buffer.from(name).toString("latin1");
    let known = names.get(text);
    if (known === undefined) {
      names.set(text, known = { isNew: (mask & FAN.create) !== 0, isMovedDir: false });
      if (++this.#names > effectsNamesMax) this.#isTooMuch = true;
    }
    if ((mask & FAN.movedTo) !== 0 && (mask & FAN.directory) !== 0) known.isMovedDir = true;
  }
}

/** In the place of a path that nobody can be told. */
const TOO_LONG = "";

/** The paths that have changed in one file system, as latin1 text, however long: directories by where they are now. */
function* pathsOf({ point, mount, dirs }: Watched, leftOut: string[]): Generator<string> {
  for (const [handle, names] of dirs) {
    const dir = pathOf(mount, Buffer.from(handle, "latin1"));
    if (dir === TOO_LONG) yield dir;
    if (dir === undefined || !isIn(dir, point)) continue; // it is gone, which its own directory tells; or it cannot be seen
    for (const [name, { isNew, isMovedDir }] of names) {
      const path = name === "." ? dir : `${dir === "/" ? "" : dir}/${name}`;
      if (isLeftOut(path, leftOut)) continue;
      if (isNew && path.length <= pathBytesMax && !isThere(path)) continue;
      yield path;
      if (isMovedDir && path.length <= pathBytesMax) yield* allBelow(path);
    }
  }
}

function isThere(path: string): boolean {
  return fs.lstatSync(Buffer.from(path, "latin1"), { throwIfNoEntry: false }) !== undefined;
}

/** Where a directory is now; undefined when it is gone, `TOO_LONG` where the kernel does not say it. */
function pathOf(mount: number, handle: Uint8Array): string | undefined {
  let fd: number;
  try {
    fd = openHandle(mount, handle);
  } catch (e) {
    if (errnoCode(e) === "ESTALE") return undefined;
    throw e;
  }
  try {
    if (statAt(fd).nlink === 0) return undefined;
    return Buffer.from(readlinkAt(AT_FDCWD, `/proc/self/fd/${fd}`)).toString("latin1");
  } catch (e) {
    if (errnoCode(e) === "ENAMETOOLONG") return TOO_LONG;
    throw e;
  } finally {
    closeFd(fd);
  }
}

/**
 * Every path in a directory, as latin1 text; nothing where there is none, and what goes meanwhile is left out. It goes no deeper
 * than a path that is longer than `pathBytesMax`.
 */
export function* allBelow(dir: string): Generator<string> {
  const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = fs.constants;
  const found: string[] = [];
  try {
    const fd = openAt(AT_FDCWD, Buffer.from(dir, "latin1"), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    try {
      for (let names = readNames(fd); names !== undefined; names = readNames(fd)) {
        for (const name of names) found.push(`${dir}/${Buffer.from(name).toString("latin1")}`);
      }
    } finally {
      closeFd(fd);
    }
  } catch (e) {
    if (!["ENOENT", "ENOTDIR", "ELOOP"].includes(errnoCode(e) ?? "")) throw e;
  }
  for (const path of found) {
    yield path;
    if (path.length > pathBytesMax) continue;
    if (fs.lstatSync(Buffer.from(path, "latin1"), { throwIfNoEntry: false })?.isDirectory()) {
      yield* allBelow(path);
    }
  }
}

const isLeftOut = (path: string, leftOut: readonly string[]): boolean =>
  leftOut.some((dir) => isIn(path, dir));
