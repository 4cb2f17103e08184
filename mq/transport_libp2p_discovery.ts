// Discovery: peers that say on the local network that they are there, by mDNS (RFC 6762). Not whether it is true, and not
// what is done with their addresses: the address book has limits, libp2p's peer store has none, and is told nothing.
import { mdns } from "@libp2p/mdns";
import { formatAddress, fromMultiaddr } from "./address.ts";
import { type Cancel, type Clock, fraction } from "./clock.ts";
import type { PeerId } from "./transport.ts";

export interface DiscoveryOptions {
  clock: Clock;
  network: string;
  limits: { discoverMs: number };
  onFound(peer: PeerId, addresses: string[]): void;
}

/** What we use of the library behind the library's service. */
interface Asking {
  mdns?: {
    query(query: { questions: { name: string; type: "PTR" }[] }): void;
    on(event: "query", fn: (query: { questions?: { name?: unknown }[] }) => void): void;
  };
}

/** The library asks once, never again: each host that asked for itself would be answered by all, heard by all. */
const neverMs = 2 ** 31 - 1;

/**
 * A service of libp2p. Each answer goes to everybody, so that a question that another host has just asked is not asked
 * again (RFC 6762, section 7.3): about one is asked in `discoverMs` to twice that, however many hosts there are.
 */
export function discovery(opts: DiscoveryOptions) {
  const labels = opts.network.match(/.{1,32}/g) ?? [];
  const serviceTag = [...labels, "_isconf", "_udp", "local"].join(".");
  const make = mdns({ serviceTag, interval: neverMs });
  return (components: Parameters<typeof make>[0]) => {
    const service = make(components) as ReturnType<typeof make> & Asking & {
      start(): Promise<void>;
      stop(): Promise<void>;
    };
    service.addEventListener("peer", ({ detail: { id, multiaddrs } }) => {
      const addresses = multiaddrs.flatMap((found) => fromMultiaddr(found.toString()) ?? []);
      opts.onFound(id.toString(), addresses.map(formatAddress));
    });
    const { clock, limits } = opts;
    let cancel: Cancel = () => {};
    const askLater = () => {
      cancel();
      cancel = clock.after(limits.discoverMs * (1 + fraction(clock)), () => {
        service.mdns?.query({ questions: [{ name: serviceTag, type: "PTR" }] });
        askLater();
      });
    };
    return {
      start: async () => {
        await service.start();
        service.mdns?.on("query", ({ questions }) => {
          if (questions?.some(({ name }) => name === serviceTag)) askLater();
        });
        askLater();
      },
      stop: async () => {
        cancel();
        await service.stop();
      },
    };
  };
}
