// Net netboot: boot servers of this host in the net half, as root wants them: where, with which profiles, on sockets that root has bound. And what
// they have noted of machines, for who asks. Not the servers (netboot/).
import * as path from "node:path";
import { type Clock, Fault } from "../mq/mod.ts";
import type { BoundPlace } from "./boot_places.ts";
import type { BootProfile } from "./boot_profiles.ts";
import { StoreBooter, type StoreBooterParts } from "./boot_store.ts";
import { bootNotesMax } from "./limits_images.ts";
import type { Library } from "./locate.ts";
import { BootLog, FileLeases, type Netboot, openBootServer } from "./netboot/mod.ts";
import { type Answers, malformed, type NetRequest } from "./seam.ts";

/** What root says: the places, the profiles, and where loaders are. Root is believed; it is read as text because it is that simple. */
export interface NetbootSettings {
  places: BoundPlace[];
  profiles: BootProfile[];
  loaders: string;
  /** Machines whose hosts have come to the end of their branch, with the hosts' names. */
  up: [mac: string, name: string][];
}

export interface NetNetbootParts {
  clock: Clock;
  /** The net half's own directory. */
  dir: string;
  library: Library;
  reading: StoreBooterParts["reading"];
  log(line: string): void;
}

export class NetNetboot {
  readonly #p: NetNetbootParts;
  /** What booters look at; it may change while servers are open. */
  #settings: Omit<NetbootSettings, "places" | "up"> = { profiles: [], loaders: "" };
  /** What is wrong at each interface, or "": it is opened once, since its sockets come once. */
  #places: Promise<[name: string, why: string][]> | undefined;
  readonly #open: Netboot[] = [];
  /** Of all interfaces: a machine has one history. */
  readonly #steps: BootLog;

  constructor(parts: NetNetbootParts) {
    this.#p = parts;
    this.#steps = new BootLog(parts.clock);
  }

  readonly answers: Pick<Answers<NetRequest>, "netboot" | "bootNotes"> = {
    netboot: async (v) => {
      if (typeof v !== "string") throw malformed();
      const { places, up, ...settings } = JSON.parse(v) as NetbootSettings;
      for (const [mac, text] of up) this.#steps.note(mac, "up", { text });
      this.#settings = settings;
      return await (this.#places ??= Promise.all(places.map((place) => this.#begin(place))));
    },
    bootNotes: (v) => {
      if (typeof v !== "number") throw malformed();
      const { last, notes } = this.#steps.since(v, bootNotesMax);
      const told = notes.map((
        { mac, step, at, percent, text },
      ) => [mac, step, at, percent ?? null, text ?? null]);
      return Promise.resolve([last, told]);
    },
  };

  async close(): Promise<void> {
    await Promise.all(this.#open.map((server) => server.close()));
  }

  /** Opens the servers of an interface; what is wrong with them. */
  async #begin(
    { interface: name, address, mask, own, httpPort, fds }: BoundPlace,
  ): Promise<[string, string]> {
    const { clock, dir, library, reading, log } = this.#p;
    const [all, unicast, pxe, tftp] = fds.map((fd) => ({ fd }));
    if (all === undefined || unicast === undefined || pxe === undefined || tftp === undefined) {
      throw malformed(); // root leaves out a place whose ports it has not got
    }
    const server = { address, httpPort, relays: [] };
    try {
      const netboot = await openBootServer({
        clock,
        server,
        steps: this.#steps,
        booter: new StoreBooter({ server, library, reading, settings: () => this.#settings }),
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
      this.#open.push(netboot);
      return [name, ""];
    } catch (e) {
      return [name, Fault.from("netboot", e).message];
    }
  }
}
