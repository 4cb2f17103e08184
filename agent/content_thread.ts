// Content thread: the content server in a thread of the net half, so that no put or gc, however large, keeps the half from
// talking with other hosts. What it serves is in content_session.ts. This file is the thread's program.
import type { Brought, ContentMay } from "./content.ts";
import { parentPort, workerData } from "node:worker_threads";
import { fsck, type FsckOptions, gc, type Id, type RoomLimits, setNativeBinding } from "../fs/mod.ts";
import { systemClock } from "../mq/mod.ts";
import { ContentServer } from "./content_server.ts";
import { openPort } from "./port.ts";
import type { RootsAsked } from "./seam.ts";

/** What the thread is started with. */
export interface ContentThreadData {
  dir: string;
  socket: string;
  /** Path of the SQLite addon in memory, the one that the process has loaded already; none outside of the executable. */
  addon: string | undefined;
  /** How much of its disk the store may take, when that is known. */
  limits: RoomLimits | undefined;
}

/** What the thread has fetched; what comes of it meanwhile is told by its number, "brought". */
export interface ThreadFetch {
  n: number;
  roots: Id[];
  only: Id[] | undefined;
}

/**
 * What the process asks the thread: "admit" a uid; "sessions" → how many are open; "room", how much of its disk the store may
 * take; "gc" and "fsck", as on the seam; "brought", how much of a fetch has
 * come; "stop".
 */
async function run({ dir, socket, addon, limits }: ContentThreadData): Promise<void> {
  const end = parentPort!;
  if (addon !== undefined) {
    const module = { exports: {} };
    process.dlopen(module, addon);
    setNativeBinding(module.exports);
  }
  const port = openPort(end, {
    admit: ([uid, may]: [number, ContentMay]) => server.admit(uid, may),
    sessions: () => server.sessions,
    room: (limits: RoomLimits) => server.limit(limits),
    gc: (isTrial: boolean) => gc(server.parts.stores.plain, () => roots("kept"), { isTrial }),
    fsck: (options: FsckOptions) => fsck(server.parts.stores.plain, () => roots("needed"), options),
    brought: ([n, brought]: [number, Brought]) => listening.get(n)?.(brought),
    stop: () => server.close(),
  });
  /** Who hears how much of what he fetches has come, by the numbers of the fetches. */
  const listening = new Map<number, (brought: Brought) => void>();
  let next = 0;
  const roots = async (which: RootsAsked) => [
    ...await port.ask("roots", which) as Id[],
    ...server.parts.catalog.list().map(({ id }) => id),
  ];
  const server = new ContentServer({
    clock: systemClock,
    dir,
    socket,
    fetch: async (roots, { only, told }) => {
      const n = next++;
      if (told !== undefined) listening.set(n, told);
      try {
        await port.ask("fetch", { n, roots, only } satisfies ThreadFetch);
      } finally {
        listening.delete(n);
      }
    },
    announce: (roots) => void port.ask("announce", roots).catch(() => {}), // the process that would is gone
    log: (line) => void port.ask("log", line).catch(() => {}),
  });
  if (limits !== undefined) server.limit(limits);
  await server.listen();
  await port.ask("ready");
}

void run(workerData as ContentThreadData);
