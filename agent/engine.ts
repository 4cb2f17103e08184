// Engine: what of a host decides, put together over one database and one mesh: journal, keeper, the way to the keepers,
// replica, work and history. It touches no file, no socket and no command: those the daemon puts around it, and the
// simulator (tests/sim/) what it simulates.
import type { Db } from "../fs/mod.ts";
import { type Clock, keyId, type KeyPair } from "../mq/mod.ts";
import { History } from "./history.ts";
import { type Host, Turn } from "./host.ts";
import { Journal } from "./journal.ts";
import { Keeper } from "./keeper.ts";
import { serveKeeper } from "./keeper_service.ts";
import { changeIn } from "./keeper_turns.ts";
import { Keepers } from "./keepers.ts";
import type { Mesh } from "./mesh.ts";
import { Pending } from "./pending.ts";
import { Replica } from "./replica.ts";
import { getMeta } from "./schema.ts";
import { Wip } from "./wip.ts";

export interface EngineParts {
  db: Db;
  /** This host's own key. */
  key(): KeyPair;
  clock: Clock;
  mesh: Mesh;
  /** How long connections are waited for after the start, in ms. */
  settleMs: number;
  log(line: string): void;
}

/** The parts of a {@link Host} that decide. */
export type Engine = Pick<
  Host,
  "journal" | "keeper" | "keepers" | "replica" | "pending" | "wip" | "history" | "turn"
>;

export function makeEngine({ db, key, clock, mesh, settleMs, log }: EngineParts): Engine {
  const journal = new Journal(db);
  const keeper = new Keeper(db, key);
  const self = () => keyId(key().publicKey);
  const branch = () => getMeta(db, "branch");
  const replica = new Replica({ db, journal, clock, mesh, branch, self, settleMs, log });
  const door = serveKeeper({
    db,
    journal,
    keeper,
    key,
    clock,
    mesh,
    log,
    settled: () => replica.settled(),
    pull: (from, branch) => replica.pull(from, branch),
  });
  journal.onKept((tx, { branch, seq, ops }, term) => {
    keeper.settle(tx, branch, seq, term);
    if (changeIn(ops) !== undefined) keeper.changed(tx);
  });
  return {
    journal,
    keeper,
    keepers: new Keepers({ db, journal, local: keeper, door, key, clock, mesh }),
    replica,
    pending: new Pending(db),
    wip: new Wip(db),
    history: new History(db),
    turn: new Turn(),
  };
}
