// Engine: what of a host decides, put together over one database and one mesh: journal, keeper, the way to the keepers,
// replica, work and history. It touches no file, no socket and no command: those the daemon puts around it, and the
// simulator (tests/sim/) what it simulates.
import type { Db } from "../fs/mod.ts";
import { type Clock, keyId, type KeyPair } from "../mq/mod.ts";
import { type Cells, NoCells } from "./cells.ts";
import { Contact } from "./contact.ts";
import { bringDecided, type Chains, fetchDecided } from "./decided.ts";
import { epochIn } from "./epochs.ts";
import { Executions } from "./executions.ts";
import { forkText } from "./fork_proof.ts";
import { ForkSpread } from "./fork_spread.ts";
import { Heads } from "./heads.ts";
import { History } from "./history.ts";
import { type Host, Turn } from "./host.ts";
import { Journal } from "./journal.ts";
import { Keeper } from "./keeper.ts";
import { KeeperRegister } from "./keeper_register.ts";
import { serveKeeper } from "./keeper_service.ts";
import { changeIn } from "./keeper_turns.ts";
import { Keepers } from "./keepers.ts";
import type { Mesh } from "./mesh.ts";
import { Own } from "./own.ts";
import { noteCut } from "./past.ts";
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
  /** The etcd that decides, if one does. */
  cells?: Cells;
  log(line: string): void;
}

/** The parts of a {@link Host} that decide. */
export type Engine =
  & Pick<
    Host,
    | "journal"
    | "keeper"
    | "register"
    | "keepers"
    | "own"
    | "heads"
    | "replica"
    | "pending"
    | "wip"
    | "history"
    | "executions"
    | "turn"
  >
  & { contact: Contact };

export function makeEngine(
  { db, key, clock, mesh, settleMs, cells = new NoCells(), log }: EngineParts,
): Engine {
  const journal = new Journal(db);
  const keeper = new Keeper(db, key);
  const self = () => keyId(key().publicKey);
  const branch = () => getMeta(db, "branch");
  const own = new Own({ db, key, self, log });
  const maySign = (): boolean => own.ahead() === undefined && replica.hasHeardEnough();
  const heads = new Heads({ db, journal, clock, own, key, self, branch, maySign });
  const contact = new Contact({ forks: new ForkSpread({ db, journal, mesh, clock, log }), heads, branch });
  const chains: Chains = { journal, mesh, self, log, pull: (...args) => replica.pull(...args) };
  const decided = (branches: string[]) => bringDecided(chains, keepers, branches);
  const replica = new Replica({ db, journal, clock, mesh, contact, branch, self, settleMs, decided, log });
  const fetch = (branch: string, seq: number) => fetchDecided(chains, branch, seq);
  const register = new KeeperRegister({ db, journal, keeper, own, clock, cells, fetch, log });
  const door = serveKeeper({
    db,
    journal,
    keeper,
    own,
    key,
    clock,
    mesh,
    register,
    log,
    settled: () => replica.settled(),
    hearEnough: () => replica.hearEnough(),
    pull: (from, branch) => replica.pull(from, branch),
  });
  const keepers = new Keepers({ db, journal, local: keeper, door, key, clock, mesh, heads });
  const history = new History(db);
  journal.onKept((tx, checked) => own.hear(tx, checked));
  journal.forks.onKept((row) => log(`proven: ${forkText(journal.policy(), row)}`));
  journal.onKept((tx, { entry, id, term }) => {
    keeper.settle(tx, entry.branch, { seq: entry.seq, id }, term);
    if (changeIn(entry.ops) !== undefined) keeper.changed(tx);
    if (epochIn(entry) !== undefined) keeper.begin(tx);
  });
  journal.onCut((tx, cut) => noteCut({ db, journal, history }, tx, cut));
  return {
    journal,
    keeper,
    register,
    keepers,
    own,
    heads,
    contact,
    replica,
    pending: new Pending(db),
    wip: new Wip(db),
    history,
    executions: new Executions(db, clock),
    turn: new Turn(),
  };
}
