// Net netboot: boot servers of this host in the net half, as root wants them: where, with which profiles, on sockets that root has bound. And what
// they have noted of machines, for who asks. Not the servers (netboot/).
import * as fs from "node:fs";
import * as path from "node:path";
import { type Clock, Fault } from "../mq/mod.ts";
import type { BoundPlace } from "./boot_places.ts";
import type { BootProfile } from "./boot_profiles.ts";
import { StoreBooter } from "./boot_store.ts";
import { bootNotesMax } from "./limits.ts";
import type { Library } from "./locate.ts";
import {
  type BootNote,
  type KeptLease,
  type LeaseKeeper,
  type Netboot,
  openBootServer,
} from "./netboot/mod.ts";
import { type Answers, malformed, type NetRequest } from "./seam.ts";

/** What root says: the places, the profiles, and where loaders are. Root is believed; it is read as text because it is that simple. */
export interface NetbootSettings {
  places: BoundPlace[];
  profiles: BootProfile[];
  loaders: string;
}

export interface NetNetbootParts {
  clock: Clock;
  /** The net half's own directory. */
  dir: string;
  library: Library;
  log(line: string): void;
}

/** A note, as root is told it. */
type Told = [mac: string, step: string, ms: number, percent: number | null, text: string | null];

export class NetNetboot {
  readonly #p: NetNetbootParts;
  /** What booters look at; it may change while servers are open. */
  #settings: Omit<NetbootSettings, "places"> = { profiles: [], loaders: "" };
  /** What is wrong at each interface, or "": it is opened once, since its sockets come once. */
  #places: Promise<[name: string, why: string][]> | undefined;
  readonly #open: Netboot[] = [];
  /** The newest notes, and how many there were. */
  readonly #notes: Told[] = [];
  #noted = 0;

  constructor(parts: NetNetbootParts) {
    this.#p = parts;
  }

  readonly answers: Pick<Answers<NetRequest>, "netboot" | "bootNotes"> = {
    netboot: async (v) => {
      if (typeof v !== "string") throw malformed();
      const { places, ...settings } = JSON.parse(v) as NetbootSettings;
      this.#settings = settings;
      return await (this.#places ??= Promise.all(places.map((place) => this.#begin(place))));
    },
    bootNotes: (v) => {
      if (typeof v !== "number") throw malformed();
      const before = this.#noted - this.#notes.length;
      return Promise.resolve([this.#noted, this.#notes.slice(Math.max(0, v - before))]);
    },
  };

  async close(): Promise<void> {
    await Promise.all(this.#open.map((server) => server.close()));
  }

  /** Opens the servers of an interface; what is wrong with them. */
  async #begin(
    { interface: name, address, mask, own, httpPort, fds }: BoundPlace,
  ): Promise<[string, string]> {
    const { clock, dir, library, log } = this.#p;
    const [all, unicast, pxe, tftp] = fds.map((fd) => ({ fd }));
    if (all === undefined || unicast === undefined || pxe === undefined || tftp === undefined) {
      return [name, "its ports could not be had: isconf log of the agent says why"];
    }
    const server = { address, httpPort, relays: [] };
    try {
      const netboot = await openBootServer({
        clock,
        server,
        booter: new StoreBooter({ server, library, settings: () => this.#settings }),
        binds: { dhcp: { all, own: unicast, pxe }, tftp, http: { address, port: httpPort } },
        ...(own !== null && {
          own: {
            mask,
            from: own.from,
            to: own.to,
            ...(own.router !== null && { router: own.router }),
            dns: own.dns,
            leaseSeconds: own.leaseSeconds,
            keeper: new FileLeases(path.join(dir, `leases-${name}.json`)),
          },
        }),
        log: (line) => log(`netboot on ${name}: ${line}`),
      });
      netboot.steps.listen((note) => this.#note(note));
      this.#open.push(netboot);
      return [name, ""];
    } catch (e) {
      return [name, Fault.from("netboot", e).message];
    }
  }

  #note({ mac, step, at, percent, text }: BootNote): void {
    this.#noted++;
    this.#notes.push([mac, step, at, percent ?? null, text ?? null]);
    if (this.#notes.length > bootNotesMax) this.#notes.shift();
  }
}

/** Leases in a file that is there whole or as it was. There are at most as many as a range has addresses. */
class FileLeases implements LeaseKeeper {
  readonly #file: string;
  readonly #leases = new Map<string, KeptLease>();

  constructor(file: string) {
    this.#file = file;
  }

  all(): Promise<KeptLease[]> {
    if (!fs.existsSync(this.#file)) return Promise.resolve([]);
    const kept = JSON.parse(fs.readFileSync(this.#file, "utf8")) as KeptLease[];
    for (const lease of kept) this.#leases.set(lease.address, lease);
    return Promise.resolve(kept);
  }

  keep(lease: KeptLease): Promise<void> {
    this.#leases.set(lease.address, lease);
    fs.writeFileSync(`${this.#file}.new`, JSON.stringify([...this.#leases.values()]), {
      mode: 0o600,
      flush: true,
    });
    fs.renameSync(`${this.#file}.new`, this.#file);
    return Promise.resolve();
  }
}
