// Memory leases: a keeper of leases that lasts as long as this process: for a try-out and for the tests. Not for a site: machines that come back after a
// restart would find others at their addresses.
import type { KeptLease, LeaseKeeper } from "./leases.ts";

export class MemoryLeases implements LeaseKeeper {
  readonly #kept = new Map<string, KeptLease>();

  all(): Promise<KeptLease[]> {
    return Promise.resolve([...this.#kept.values()]);
  }

  keep(lease: KeptLease): Promise<void> {
    if (lease.untilMs === 0) this.#kept.delete(lease.address);
    else this.#kept.set(lease.address, lease);
    return Promise.resolve();
  }
}
