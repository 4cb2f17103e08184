// finder_dht: the DHT says who has what: provider records of roots in a Kademlia of the peers that are let in. What it
// says is a hint: who is named is asked, and what he sends is verified. Not a store of contents or of trust.
import type { KadDHT } from "@libp2p/kad-dht";
import { CID, digest } from "multiformats";
import { type Cancel, type Clock, Fault, fromHex, type PeerId, sleep } from "../mq/mod.ts";
import { emitted } from "./emit.ts";
import type { Finder } from "./finder.ts";
import { insideOf, never } from "./finder_dht_service.ts";
import {
  dhtAnnounceAgainMs,
  dhtAnnouncedMax,
  dhtAnnounceMs,
  dhtAnnounceQueueMax,
  dhtFindMs,
  dhtTellMs,
} from "./limits.ts";
import type { Id } from "./store.ts";

export interface DhtFinderOptions {
  /** The service that `dhtService` made, when the transport runs: `() => transport.service("dht")`. */
  dht: () => unknown;
  self: PeerId;
  /** As in `DhtOptions`: nobody else is named. */
  admits(peer: PeerId): boolean;
  clock: Clock;
  log: (line: string) => void;
  /**
   * Gets a peer connected that may be at these addresses ("ip:port"); whether it is. Left out: only peers that are
   * connected anyway are of use.
   */
  reach?: (peer: PeerId, addresses: string[], signal: AbortSignal) => Promise<boolean>;
}

export class DhtFinder implements Finder {
  readonly #options: DhtFinderOptions;
  readonly #announced = new Map<Id, number>();
  readonly #waiting = new Map<Id, (() => void)[]>();
  readonly #stopped = new AbortController();
  #isTelling = false;

  constructor(options: DhtFinderOptions) {
    this.#options = options;
  }

  find(id: Id, signal: AbortSignal): AsyncIterable<PeerId> {
    const { self, admits, reach = () => Promise.resolve(true) } = this.#options;
    return emitted(signal, async (emit, inner) => {
      const dht = this.#dht();
      if (dht === undefined || insideOf(dht).routingTable.size === 0) return;
      const reached: Promise<void>[] = [];
      await this.#within(dhtFindMs, inner, async (limited) => {
        for await (const event of dht.findProviders(cidOf(id), { signal: limited })) {
          // A peer of which we keep a record ourselves comes without its addresses first; others may know them.
          if (event.name !== "PROVIDER" && event.name !== "PEER_RESPONSE") continue;
          for (const { id: peerId, multiaddrs } of event.providers) {
            const peer = peerId.toString();
            if (peer === self || !admits(peer)) continue;
            const addresses = multiaddrs.flatMap((address) => addressOf(address.toString()));
            reached.push(reach(peer, addresses, inner).then((isThere) => isThere ? emit(peer) : undefined));
          }
        }
      });
      await Promise.all(reached);
    });
  }

  /** Returns when all of `ids` were told, or were told lately, or had to give way to others. One at a time, slowly. */
  async announce(ids: Id[]): Promise<void> {
    const now = this.#options.clock.now();
    const told = ids.filter((id) => !(now - (this.#announced.get(id) ?? -Infinity) < dhtAnnounceAgainMs))
      .map((id) =>
        new Promise<void>((resolve) => this.#waiting.set(id, [...this.#waiting.get(id) ?? [], resolve]))
      );
    while (this.#waiting.size > dhtAnnounceQueueMax) this.#done(this.#waiting.keys().next().value!);
    if (!this.#isTelling) void this.#tellAll();
    await Promise.all(told);
  }

  /** Who is let in has changed: the others leave the routing table. */
  async recheck(): Promise<void> {
    const dht = this.#dht();
    if (dht === undefined) return;
    const { routingTable } = insideOf(dht);
    for (const { peerId } of [...routingTable.kb.toIterable()]) {
      if (!this.#options.admits(peerId.toString())) await routingTable.remove(peerId);
    }
  }

  /** Tells nothing any more. */
  stop(): void {
    this.#stopped.abort();
    for (const id of [...this.#waiting.keys()]) this.#done(id);
  }

  #dht(): KadDHT | undefined {
    return this.#options.dht() as KadDHT | undefined;
  }

  async #tellAll(): Promise<void> {
    this.#isTelling = true;
    const { clock, log } = this.#options;
    for (const id of this.#waiting.keys()) {
      try {
        await this.#tell(id);
        this.#remember(id);
      } catch (thrown) {
        log(`could not announce ${id}: ${Fault.from("announce", thrown).message}`);
      }
      this.#done(id);
      if (this.#waiting.size > 0) await sleep(clock, dhtAnnounceMs);
    }
    this.#isTelling = false;
  }

  /** Waits for the first peer as long as it takes: an agent has something to say before it knows anybody. */
  async #tell(id: Id): Promise<void> {
    const dht = this.#dht();
    if (dht === undefined) {
      throw new Fault("announce", "notRunning", "no DHT runs", { hint: "isconf status" });
    }
    const ms = insideOf(dht).routingTable.size === 0 ? never : dhtTellMs;
    await this.#within(ms, this.#stopped.signal, async (signal) => {
      for await (const _ of dht.provide(cidOf(id), { signal })); // what becomes of each message does not matter
    });
  }

  #remember(id: Id): void {
    if (this.#announced.size >= dhtAnnouncedMax) {
      this.#announced.delete(this.#announced.keys().next().value!);
    }
    this.#announced.set(id, this.#options.clock.now());
  }

  #done(id: Id): void {
    const resolves = this.#waiting.get(id) ?? [];
    this.#waiting.delete(id);
    for (const resolve of resolves) resolve();
  }

  /** Runs `work` with a signal that aborts after `ms` milliseconds or with `outer`; ends quietly then. */
  async #within(ms: number, outer: AbortSignal, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const late = new AbortController();
    const cancel: Cancel = this.#options.clock.after(ms, () => late.abort());
    const signal = AbortSignal.any([outer, late.signal]);
    try {
      await work(signal);
    } catch (thrown) {
      if (!signal.aborted) throw thrown;
    } finally {
      cancel();
    }
  }
}

/** What the DHT calls a root: its SHA-256 as a CID of raw bytes. */
function cidOf(id: Id): CID {
  const raw = 0x55, sha256 = 0x12;
  return CID.createV1(raw, digest.create(sha256, fromHex(id)));
}

/** "ip:port" of an address in libp2p's notation; none for anything but TCP. */
function addressOf(multiaddr: string): string[] {
  const [, kind, host, port] = /^\/(ip4|ip6)\/([0-9a-f.:]+)\/tcp\/(\d+)/.exec(multiaddr) ?? [];
  if (kind === undefined) return [];
  return [kind === "ip6" ? `[${host}]:${port}` : `${host}:${port}`];
}
