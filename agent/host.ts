// Host: everything the verbs act on, put together once by daemon.ts and passed by hand. It decides nothing.
import type { Db } from "../fs/mod.ts";
import { type Clock, Fault, keyId, type KeyPair } from "../mq/mod.ts";
import type { Acts } from "./acts.ts";
import type { Role } from "./api_roles.ts";
import type { ApiTokens } from "./api_tokens.ts";
import type { Applied } from "./applied.ts";
import type { Peer } from "./caller.ts";
import type { Config } from "./config.ts";
import type { Copies } from "./copies.ts";
import type { Disks } from "./disks.ts";
import type { EffectsWatch } from "./effects_watch.ts";
import type { Events } from "./events.ts";
import type { Executions } from "./executions.ts";
import type { Heads } from "./heads.ts";
import type { History } from "./history.ts";
import { hostVariables } from "./hostvars.ts";
import type { Journal } from "./journal.ts";
import type { Keeper } from "./keeper.ts";
import type { KeeperRegister } from "./keeper_register.ts";
import type { Keepers } from "./keepers.ts";
import { turnsWaitingMax } from "./limits.ts";
import type { KeyRing } from "./keys.ts";
import type { Own } from "./own.ts";
import type { Home } from "./paths.ts";
import type { Rule } from "./rules.ts";
import type { HostRules } from "./rules_here.ts";
import type { Runner } from "./run.ts";
import { getMeta } from "./schema.ts";
import type { SeamMesh } from "./mesh.ts";
import type { Names } from "./naming.ts";
import { isOffChain, notePast } from "./past.ts";
import type { Previews } from "./preview.ts";
import type { Pending } from "./pending.ts";
import type { Replica } from "./replica.ts";
import type { Reports } from "./reports.ts";
import type { Shelf } from "./seam.ts";
import type { SeamHttp } from "./seam_http.ts";
import type { SeamNetboot } from "./seam_netboot.ts";
import type { SeamStore } from "./seam_store.ts";
import type { Wip } from "./wip.ts";

/** Who is calling: made at the door from what the kernel said, never from the request. */
export interface Actor {
  uid: number;
  name: string;
  /** The process that opened the connection; undefined: the agent acts by itself. */
  peer?: Peer;
  /** The token that it came by, over TCP: for less than its person may. */
  token?: { id: string; roles: readonly Role[] };
}

export interface Host {
  readonly home: Home;
  readonly config: Config;
  readonly clock: Clock;
  readonly db: Db;
  readonly keys: KeyRing;
  readonly journal: Journal;
  /** The keeper that lives here; where this host is none, what it last learnt of locks. */
  readonly keeper: Keeper;
  /** The way to the etcd that decides, where one does. */
  readonly register: KeeperRegister;
  /** The way to the domain's keeper, wherever it is. */
  readonly keepers: Keepers;
  /** What this host has signed. */
  readonly own: Own;
  /** What keepers say of where branches end. */
  readonly heads: Heads;
  readonly mesh: SeamMesh;
  /** The net half's process, where it has one of its own. */
  netPid(): number | undefined;
  readonly replica: Replica;
  readonly reports: Reports;
  /** What has happened here and in the domain. */
  readonly events: Events;
  /** Tokens of the API. */
  readonly tokens: ApiTokens;
  /** Where the API is over TCP. */
  readonly web: SeamHttp;
  /** Machines that boot from here. */
  readonly netboot: SeamNetboot;
  settleNetboot(): Promise<void>;
  /** Starts another net half, where it is a process of its own. */
  restartNet?(): Promise<void>;
  /** What people call contents, for the whole domain. */
  readonly names: Names;
  readonly pending: Pending;
  readonly wip: Wip;
  readonly history: History;
  /** What has run on this host, and what was refused. */
  readonly executions: Executions;
  /** What the applied entries of this host's branch need. */
  readonly applied: Applied;
  /** On how many hosts contents are that names and journals count on. */
  readonly copies: Copies;
  /** Contents, each checked against its hash on this side of the seam. */
  readonly store: SeamStore;
  /** What people put on the shelf by name. */
  readonly shelf: Shelf;
  readonly runner: Runner;
  /** What tells which paths a command changes. */
  readonly effects: EffectsWatch;
  /** What brings onto the disks what commands have written. */
  readonly disks: Disks;
  /** What is tried out, of which nothing stays. */
  readonly previews: Previews;
  /** Who may have what done on this host. */
  readonly rules: HostRules;
  /** One change at a time. */
  readonly turn: Turn;
  /** Tells the net half who belongs to the domain now. */
  settleMesh(): Promise<void>;
  /** A line for the operator's log. */
  readonly log: (line: string) => void;
  /** What identifies the present start of this machine; no process outlives a restart, so it is read once. */
  readonly boot: string;
}

/** What a verb is given beside its arguments. */
export interface Call {
  readonly host: Host;
  readonly acts: Acts;
  readonly actor: Actor;
  /** The confirmation that the caller names, if any: whether it is good is looked up (confirmations.ts). */
  readonly confirmed?: string;
  /** If-Match: where the branch ends as the caller believes; what changes something is done only then. */
  readonly head?: string;
  /** The line of the policy that permits it; undefined where none has to. */
  readonly rule?: Rule | undefined;
  /** Tells the caller how far it is. */
  readonly emit: (event: Progress) => void;
  /** Called when nothing keeps it from beginning any more. */
  readonly begins?: () => void;
  /** Whether nobody waits for the answer any more; for what waits for people. */
  readonly hasGone?: () => boolean;
}

/** One line of progress for people and programs. */
export interface Progress {
  event: string;
  text: string;
  [field: string]: unknown;
}

/** This host's own key, whose id is the host's id. */
export function hostPair(host: Host): KeyPair {
  return host.keys.obtain("host");
}

export function hostId(host: Host): string {
  return keyId(hostPair(host).publicKey);
}

/** The key of a local person on this host. */
export function personPair(host: Host, actor: Actor): KeyPair {
  return host.keys.obtain(`user-${actor.uid}`);
}

/** What this host is called in its domain; a label. */
export function hostName(host: Host): string {
  return getMeta(host.db, "host_name") ?? "this host";
}

/** The branch this host is on, or the fault that says how to get on one. */
export function branchOf(host: Host, op: string): string {
  host.journal.needPolicy(op);
  const branch = getMeta(host.db, "branch");
  if (branch === undefined) {
    throw new Fault(op, "refused", "this host is on no branch", { hint: "isconf migrate BRANCH" });
  }
  return branch;
}

/** main.cf's variables for this host, and the two isconf adds. */
export function hostEnv(host: Host): Record<string, string> {
  const name = hostName(host);
  return {
    ...hostVariables(`${host.home.config}/main.cf`, name),
    ISCONF_HOST: name,
    ISCONF_BRANCH: getMeta(host.db, "branch") ?? "",
  };
}

/** Throws a diverged fault when this host ran something that can no longer be checked in, or that does not count any more. */
export function needCongruent(host: Host, op: string): void {
  const why = getMeta(host.db, "diverged") ?? notePast(host);
  if (why === undefined) return;
  throw new Fault(op, "diverged", `this host is diverged: ${why}`, {
    hint: `isconf status, then rebuild this host from its base image and isconf up${
      isOffChain(host) ? "; or isconf rebase" : ""
    }`,
  });
}

/** One change at a time: who comes second waits and is told for whom. */
export class Turn {
  #tail: Promise<void> = Promise.resolve();
  /** What is being done, and what waits behind it. */
  readonly #line: string[] = [];
  #isClosed = false;

  /** From now on nobody gets a turn any more; who waits is told. Called in a turn, by who ends the agent. */
  close(): void {
    this.#isClosed = true;
  }

  /** Whether the agent is ending. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Whether this is being done or waits for its turn. */
  isWaiting(what: string): boolean {
    return this.#line.includes(what);
  }

  /** What is being done now, or undefined. */
  get doing(): string | undefined {
    return this.#line[0];
  }

  /** Runs `fn` when every earlier one has ended; `waiting` is called with what is waited for. */
  async take<T>(what: string, fn: () => Promise<T>, waiting?: (forWhat: string) => void): Promise<T> {
    if (this.#line.length >= turnsWaitingMax) {
      throw new Fault(what, "refused", `${this.#line.length} changes are waiting already`, {
        hint: "isconf status",
      });
    }
    if (this.doing !== undefined) waiting?.(this.doing);
    const before = this.#tail;
    let release = () => {};
    this.#tail = new Promise((resolve) => release = resolve);
    this.#line.push(what);
    await before;
    try {
      if (this.#isClosed) throw new Fault(what, "gone", "the agent is stopping", { hint: "isconf start" });
      return await fn();
    } finally {
      this.#line.shift();
      release();
    }
  }
}
