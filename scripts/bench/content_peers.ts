// Content peers: the programs that isconf's contents are held against, as Debian packs them, each used as its manual says.
// Not what is measured with them (content.ts).
//
// What each does and ours does not, or the other way about:
// - restic always encrypts, and by itself compresses; "restic off" is told not to compress. Its cache is on, as it is
//   unless asked: it lies beside the repository, and its size is not the store's.
// - borg is told not to encrypt; it compresses by lz4 unless told not to. Its cache lies beside the repository likewise.
// - both sync what they keep before they return, as ours does. What is put again restic does not read when it knows its
//   times and inode, and borg neither, but for the newest files, of which it cannot be sure; ours reads it.
// - casync compresses by zstd, and syncs nothing. Each chunk is a file. Of hard links it makes files of their own.
// - cp syncs nothing; "cp, sync" is cp and then a sync of the copy: fsync of the file, or of a tree all that its file
//   system has. "Get" is the copy copied back.
// - sha256sum reads only: what nobody who names contents by their hash can be below.
import { isThere } from "./run.ts";
import { Meter } from "./meter.ts";
import { type Program, type Spent, spent, type Turn, type Version } from "./content_turn.ts";

/** Whether a file or a directory is kept: some commands differ. */
export type Shape = "file" | "dir";

/** The commands of a peer. They run in `cwd`, and `dir` is the turn's own. */
interface Commands {
  name: string;
  /** The executable, and the package that has it. */
  program: string;
  packaged: string;
  isStore: boolean;
  env?: (dir: string) => Record<string, string>;
  init?: (dir: string) => string[];
  /** In the directory that has `content`. */
  put: (dir: string, name: string) => string[];
  /** In the directory that is to have `content`. */
  get?: (dir: string, name: string) => string[];
}

/** A peer, or why it is not there. */
export type Peer = Program | { readonly name: string; readonly missing: string };

/** All peers for a file, or for a directory. */
export function peersFor(shape: Shape): Peer[] {
  return commandsFor(shape).map((peer) =>
    isThere(peer.program)
      ? {
        name: peer.name,
        isStore: peer.isStore,
        begin: (dir: string, data: string) => PeerTurn.begin(peer, dir, data),
      }
      : { name: peer.name, missing: `no ${peer.program}: apt-get install ${peer.packaged}` }
  );
}

function commandsFor(shape: Shape): Commands[] {
  return [
    restic("restic"),
    restic("restic off", "--compression", "off"),
    borg("borg", "lz4"),
    borg("borg none", "none"),
    casync(shape),
    cp("cp", shape, ""),
    cp("cp, sync", shape, shape === "file" ? '&& sync "$1"' : '&& sync -f "$1"'),
    {
      name: "sha256sum",
      program: "/usr/bin/sha256sum",
      packaged: "coreutils",
      isStore: false,
      put: () => shape === "file" ? ["sha256sum", "content"] : shell(HASHES),
    },
  ];
}

const HASHES = "find content -type f -print0 | xargs -0 sha256sum >/dev/null";
const shell = (text: string, ...words: string[]): string[] => ["/bin/sh", "-c", text, "sh", ...words];

function restic(name: string, ...words: string[]): Commands {
  return {
    name,
    program: "/usr/bin/restic",
    packaged: "restic",
    isStore: true,
    env: (dir) => ({
      RESTIC_REPOSITORY: `${dir}/store`,
      RESTIC_PASSWORD: "bench",
      RESTIC_CACHE_DIR: `${dir}/cache`,
      TMPDIR: dir,
    }),
    init: () => ["restic", "init", "--repository-version", "2"],
    put: (_, tag) => ["restic", "backup", "--quiet", ...words, "--tag", tag, "content"],
    get: (_, tag) => ["restic", "restore", "--quiet", "--tag", tag, "--target", ".", "latest"],
  };
}

function borg(name: string, compression: string): Commands {
  return {
    name,
    program: "/usr/bin/borg",
    packaged: "borgbackup",
    isStore: true,
    env: (dir) => ({ BORG_REPO: `${dir}/store`, BORG_BASE_DIR: dir, ...borgAnswers }),
    init: () => ["borg", "init", "--encryption", "none"],
    put: (_, archive) => ["borg", "create", "--compression", compression, `::${archive}`, "content"],
    get: (_, archive) => ["borg", "extract", `::${archive}`],
  };
}

const borgAnswers = { BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK: "yes", LC_ALL: "C.UTF-8" };

function casync(shape: Shape): Commands {
  const index = (dir: string, name: string) => `${dir}/store/${name}.${shape === "file" ? "caibx" : "caidx"}`;
  const chunks = (dir: string) => `--store=${dir}/store/chunks`;
  return {
    name: "casync",
    program: "/usr/bin/casync",
    packaged: "casync",
    isStore: true,
    put: (dir, name) => ["casync", "make", chunks(dir), index(dir, name), "content"],
    get: (dir, name) => ["casync", "extract", chunks(dir), index(dir, name), "content"],
  };
}

function cp(name: string, shape: Shape, then: string): Commands {
  const text = `cp ${shape === "file" ? "" : "-a "}--reflink=never -- "$0" "$1" ${then}`;
  const copy = (from: string, to: string) => ["/bin/sh", "-c", text, from, to];
  return {
    name: shape === "file" ? name : name.replace("cp", "cp -a"),
    program: "/usr/bin/cp",
    packaged: "coreutils",
    isStore: false,
    put: (dir, to) => copy("content", `${dir}/store/${to}`),
    get: (dir, from) => copy(`${dir}/store/${from}`, "content"),
  };
}

class PeerTurn implements Turn {
  readonly store: readonly string[];
  readonly #meter = new Meter();
  readonly #peer: Commands;
  readonly #dir: string;
  readonly #data: string;
  readonly get?: (name: string, into: string) => Promise<Spent>;

  private constructor(peer: Commands, dir: string, data: string) {
    this.store = [`${dir}/store`];
    this.#peer = peer;
    this.#dir = dir;
    this.#data = data;
    const { get } = peer;
    if (get !== undefined) this.get = (name, into) => this.#spent(into, get(dir, name));
  }

  static async begin(peer: Commands, dir: string, data: string): Promise<PeerTurn> {
    Deno.mkdirSync(`${dir}/store`);
    const turn = new PeerTurn(peer, dir, data);
    try {
      if (peer.init !== undefined) await turn.#spent(dir, peer.init(dir));
      return turn;
    } catch (e) {
      await turn[Symbol.asyncDispose]();
      throw e;
    }
  }

  async put(version: Version, name: string): Promise<Spent> {
    return await this.#spent(`${this.#data}/${version}`, this.#peer.put(this.#dir, name));
  }

  async #spent(cwd: string, argv: string[]): Promise<Spent> {
    const env = this.#peer.env?.(this.#dir) ?? {};
    return await spent(this.#meter, () => this.#meter.measure(["env", "-C", cwd, ...argv], env));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#meter[Symbol.asyncDispose]();
  }
}
