// finder_reach: gets a peer connected that somebody named, through the transport's own dialling and its gate.
import type { Clock, PeerId } from "../mq/mod.ts";
import { reachMs } from "./limits.ts";

/** What is needed of a transport. */
export interface Reachable {
  peers(): PeerId[];
  onPeer(fn: (peer: PeerId, up: boolean) => void): () => void;
  /** Notes addresses to try. */
  remember(known: { peer: PeerId; address: string }[]): void;
}

/** For the option `reach` of a DHT finder: true as soon as the peer is connected, false after `reachMs`. */
export function reachThrough(
  transport: Reachable,
  clock: Clock,
): (peer: PeerId, addresses: string[], signal: AbortSignal) => Promise<boolean> {
  return (peer, addresses, signal) => {
    if (transport.peers().includes(peer)) return Promise.resolve(true);
    if (addresses.length === 0) return Promise.resolve(false);
    return new Promise((resolve) => {
      const end = (isThere: boolean) => {
        detach();
        cancel();
        signal.removeEventListener("abort", stop);
        resolve(isThere);
      };
      const stop = () => end(false);
      const detach = transport.onPeer((other, up) => {
        if (up && other === peer) end(true);
      });
      const cancel = clock.after(reachMs, stop);
      signal.addEventListener("abort", stop);
      transport.remember(addresses.map((address) => ({ peer, address })));
    });
  };
}
