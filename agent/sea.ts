// sea: what is packed into the one executable: files by name, the SQLite addon, the agent with its code cache.
// Not a loader of anything from disk. Outside of the executable (tests, development) there is nothing to find.
import { Buffer } from "node:buffer";

const MFD_CLOEXEC = 1;

/** True inside the built executable. */
export function isSea(): boolean {
  return process.getBuiltinModule("node:sea")?.isSea() ?? false;
}

/** The bytes of a file that the build packed in. Throws when there is none of that name. */
export function asset(name: string): Uint8Array {
  return new Uint8Array(process.getBuiltinModule("node:sea").getRawAsset(name));
}

let loadedAddon: object | undefined;
let loadedPath: string | undefined;

/**
 * The SQLite addon, for better-sqlite3's `nativeBinding`; undefined outside of the executable, where
 * better-sqlite3 finds its own. It is loaded from memory: no file is written, so that neither a read-only disk
 * nor a `noexec` /tmp nor somebody's file of the same name matters.
 */
export function addon(): object | undefined {
  if (!loadedAddon && isSea()) {
    const module = { exports: {} };
    loadedPath = addonPath();
    process.dlopen(module, loadedPath);
    loadedAddon = module.exports;
  }
  return loadedAddon;
}

/**
 * Where the addon was loaded from, for the threads of this process: they must have the same one, because two SQLites in
 * one process undo each other's locks. Undefined outside of the executable.
 */
export function loadedAddonPath(): string | undefined {
  return loadedPath;
}

/**
 * A path of the SQLite addon in memory. Its descriptor stays open on purpose: the loader knows libraries by their
 * path, and the number must not come to mean another file.
 */
export function addonPath(): string {
  const fs = process.getBuiltinModule("node:fs");
  if (!fs.existsSync("/proc/self/fd")) throw new Error("/proc is not mounted. Try: mount -t proc proc /proc");
  const { functions } = process.getBuiltinModule("node:ffi").dlopen(null, {
    memfd_create: { arguments: ["string", "u32"], return: "i32" },
  });
  const fd = functions.memfd_create("better_sqlite3.node", MFD_CLOEXEC);
  if (fd < 0) throw new Error("memfd_create failed: is /proc/sys/fs/file-max or RLIMIT_NOFILE reached?");
  const bytes = asset("better_sqlite3.node");
  for (let done = 0; done < bytes.length;) done += fs.writeSync(fd, bytes, done);
  return `/proc/self/fd/${fd}`;
}

/** The program of a thread, as text for `new Worker(text, { eval: true })`. */
export function threadSource(name: "content_thread"): string {
  const source = process.getBuiltinModule("node:sea").getAsset(`${name}.js`, "latin1");
  return `${source.trimEnd().replace(/;$/, "")}({}, (id) => process.getBuiltinModule(id), {}, "", "/")`;
}

/** What the bundles export: the two halves and a preview by their roles, the verbs that move contents, and those of machines. */
export interface Halves {
  content: typeof import("./content_main.ts");
  agent: typeof import("./agent_main.ts");
  net: typeof import("./net_main.ts");
  preview: typeof import("./preview_main.ts");
  vm: typeof import("./vm/mod.ts");
}

/**
 * Runs the bundle of one half and returns what it exports. It is compiled from V8's code cache, which makes that fast; a
 * cache of another Node, other flags or another processor is refused by V8 (`cachedDataRejected`) and only costs time.
 */
export function loadHalf(name: keyof Halves): unknown {
  const sea = process.getBuiltinModule("node:sea");
  const { Script } = process.getBuiltinModule("node:vm");
  const cache = `${name}.cache`, filename = `${name}.js`;
  const cachedData = sea.getAssetKeys().includes(cache) ? Buffer.from(asset(cache)) : undefined;
  const script = new Script(sea.getAsset(filename, "latin1"), { filename, cachedData });
  const module = { exports: {} };
  script.runInThisContext()(module.exports, builtin, module, filename, "/");
  return module.exports;
}

/** The bundle's `require`: Node's own modules and nothing from disk. */
function builtin(id: string): unknown {
  const module = process.getBuiltinModule(id);
  if (module) return module;
  throw Object.assign(new Error(`"${id}" is not packed into this executable.`), { code: "MODULE_NOT_FOUND" });
}
