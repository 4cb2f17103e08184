// Preview main: what the executable runs as `isconf agent --role preview`: number 1 of namespaces of its own, which makes a root
// that is thrown away, starts in it what the agent says, and tells what became of the files. It keeps root's rights; what
// it starts does not (preview_root.ts). When the agent goes, so does it, and with it everything.
import { Buffer } from "node:buffer";
import * as nodeNet from "node:net";
import {
  type Cbor,
  closeFd,
  errnoCode,
  type Exit,
  Fault,
  memfd,
  sleep,
  spawnProcess,
  systemClock,
  waitAny,
  writeAt,
} from "../mq/mod.ts";
import { becomePart, SEAM_FD } from "./half.ts";
import { previewChangesMax, previewEndMs, previewPageBytes } from "./limits.ts";
import { readFile, remove, restore, showPath } from "../fs/mod.ts";
import { Changes } from "./preview_changes.ts";
import { enterRoot, type Root } from "./preview_root.ts";
import { Diffs } from "./preview_diff.ts";
import { diffOf } from "./preview_differ.ts";
import type { DiffWords, PreviewQuestion, PreviewRequest, RunWords } from "./preview_words.ts";
import { fileOf } from "./run.ts";
import { type Answers, type Ask, openSeam, type Seam } from "./seam.ts";
import { FarStore } from "./seam_store.ts";
import { userByName, userOfAgent } from "./users.ts";

/** Milliseconds between two looks whether what was killed is gone. */
const lookMs = 5;

/** Entry of the preview's bundle. Returns the exit code when the agent has closed the pipe. */
export async function main(): Promise<number> {
  becomePart("preview");
  const pipe = new nodeNet.Socket({ fd: SEAM_FD, readable: true, writable: true });
  const ask: Ask<PreviewQuestion> = (...question) => seam.ask(...question);
  const room = new Room(ask);
  process.on("SIGCHLD", () => room.look());
  const seam: Seam<PreviewQuestion> = openSeam<PreviewRequest, PreviewQuestion>(
    pipe,
    systemClock,
    room.answers,
    "the agent",
  );
  await seam.ended;
  return 0;
}

class Room {
  readonly #store: FarStore;
  #root: Root | undefined;
  /** What runs now. */
  #running: { pid: number; end(exit: Exit): void } | undefined;
  #pages: AsyncGenerator<string> | undefined;
  #diffs: Diffs | undefined;

  constructor(ask: Ask<PreviewQuestion>) {
    this.#store = new FarStore({
      missing: (ids) => ask("missing", ids),
      get: (ids) => ask("get", ids),
      put: () => Promise.reject(new Error("a preview keeps nothing")),
    });
  }

  readonly answers: Answers<PreviewRequest> = {
    open: (value) => {
      const [scratch, hidden] = value as [string, string[]];
      this.#root = enterRoot(scratch, hidden);
      return Promise.resolve(this.#root.absent.map(({ point, why }) => [showPath(point), why]));
    },
    run: async (value) => {
      const { code, signal } = await this.#run(value as unknown as RunWords);
      return [code, signal];
    },
    user: (value) => {
      const user = value === "" ? userOfAgent() : userByName("preview", String(value));
      return Promise.resolve(user as unknown as Cbor);
    },
    find: (value) => {
      const { file, is } = fileOf(...value as [string, string, string]);
      return Promise.resolve([file, is]);
    },
    file: async (value) => {
      const [path, tree] = value as [string, string];
      await restore(this.#store, tree, Buffer.from(path), { clock: systemClock, durable: "end" });
      return null;
    },
    delete: async (value) => {
      try {
        await remove(Buffer.from(String(value)));
      } catch (e) {
        if (!(e instanceof Fault) || e.kind !== "notFound") throw e;
      }
      return null;
    },
    diff: async (value) => {
      const words = value as unknown as DiffWords;
      this.#diffs ??= new Diffs(words[5]);
      const said = await diffOf(this.#store, this.#diffs, words);
      return "diff" in said ? [said.diff, ""] : ["", said.noDiff];
    },
    signal: (value) => {
      if (this.#running !== undefined) kill(-this.#running.pid, value as NodeJS.Signals);
      return Promise.resolve(null);
    },
    end: async () => {
      await endAll();
      for (const fd of [0, 1, 2]) closeFd(fd); // whoever reads what was written sees the end now
      return null;
    },
    changes: async (value) => {
      this.#pages ??= pages(this.#root?.layers ?? [], value === true);
      const { value: page, done } = await this.#pages.next();
      return Buffer.from(done ? "" : page);
    },
  };

  async #run([file, argv, env, cwd, umask, newSession, input]: RunWords): Promise<Exit> {
    const stdin = input === null ? 0 : await this.#open(input);
    try {
      return await new Promise((resolve) => {
        process.umask(umask);
        const pid = spawnProcess({ file, argv, env, cwd, stdio: [stdin, 1, 2], newSession });
        this.#running = { pid, end: resolve };
        this.look();
      });
    } finally {
      process.umask(0o022); // what is put in place has its own modes
      if (stdin !== 0) closeFd(stdin);
    }
  }

  /** A file of isfs, open at its beginning. */
  async #open(id: string): Promise<number> {
    const fd = memfd("input");
    let at = 0;
    for await (const chunk of readFile(this.#store, id)) {
      writeAt(fd, chunk, at);
      at += chunk.length;
    }
    return fd;
  }

  /** Reaps whatever has ended: what nobody waits for any more is left to number 1. */
  look(): void {
    try {
      for (let one = waitAny(); one !== undefined; one = waitAny()) {
        if (one.pid !== this.#running?.pid) continue;
        const { end } = this.#running;
        this.#running = undefined;
        end(one.exit);
      }
    } catch (e) {
      if (errnoCode(e) !== "ECHILD") throw e;
    }
  }
}

/** Kills all processes of these namespaces but this one, and waits until they are gone: then no file changes any more. */
async function endAll(): Promise<void> {
  for (const until = systemClock.now() + previewEndMs; systemClock.now() < until;) {
    kill(-1, "SIGKILL");
    try {
      while (waitAny() !== undefined);
    } catch (e) {
      if (errnoCode(e) === "ECHILD") return;
      throw e;
    }
    await sleep(systemClock, lookMs);
  }
  throw new Fault("preview", "environment", "processes of the preview cannot be ended", {
    hint: "isconf doctor",
  });
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (e) {
    if (errnoCode(e) !== "ESRCH") throw e; // nobody is there
  }
}

/** The list, in pieces of JSON. */
async function* pages(layers: Root["layers"], all: boolean): AsyncGenerator<string> {
  let page: unknown[] = [];
  let bytes = 0;
  let listed = 0;
  for await (const change of new Changes(all).of(layers)) {
    if (++listed > previewChangesMax) {
      throw new Fault("preview", "refused", `more than ${previewChangesMax} paths would be different`, {
        hint: "isconf preview a smaller change",
      });
    }
    page.push(change);
    bytes += JSON.stringify(change).length;
    if (bytes < previewPageBytes) continue;
    yield JSON.stringify(page);
    [page, bytes] = [[], 0];
  }
  if (page.length > 0) yield JSON.stringify(page);
}
