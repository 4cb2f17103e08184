// Leases: which machine has which address of a range, for how long. Bounded by the range itself, whatever is asked for. Not packets (dhcp_own.ts).
import type { Clock } from "../../mq/mod.ts";
import { ip4Number, ip4Text, isIp4, macBytes, readMac } from "./address.ts";
import { declinedMs, leaseGraceMs, offerMs, sweepMs, unprovenMs } from "./limits.ts";
import { checkRange, type Range } from "./range.ts";

/** A lease as it is kept outside of this process. */
export interface KeptLease {
  address: string;
  mac: string;
  /** Until when, in milliseconds since 1970; nought when it was given back. */
  untilMs: number;
}

/** Where leases outlive this process. There is one per address, the last one that was kept. */
export interface LeaseKeeper {
  all(): Promise<KeptLease[]>;
  /** Resolves when it is durable. */
  keep(lease: KeptLease): Promise<void>;
}

export interface LeaseSettings extends Range {
  /** Addresses within that are never given: this server's, the router's. */
  except: readonly string[];
}

/**
 * offered: told to a machine that has not yet taken it: a hint, which anybody's taking of the address overrides. leased: taken. declined: in use by
 * somebody who did not get it from here.
 */
type State = "offered" | "leased" | "declined";

interface Lease {
  address: number;
  mac: string;
  state: State;
  sinceMs: number;
  untilMs: number;
  /** When it is durable. */
  isKept?: Promise<void>;
  /** Whether its holder was seen to work at that address, which made machines do not. */
  isProven: boolean;
}

/** What comes first when every address has something to it; the older of equals. */
const REUSE: Record<State, number> = { offered: 0, declined: 1, leased: 2 };

export class Leases {
  readonly #clock: Clock;
  readonly #keeper: LeaseKeeper;
  readonly #leaseMs: number;
  readonly #from: number;
  readonly #size: number;
  readonly #except: ReadonlySet<number>;
  readonly #byAddress = new Map<number, Lease>();
  readonly #byMac = new Map<string, Lease>();
  #sweptMs = -Infinity;

  private constructor(clock: Clock, settings: LeaseSettings, keeper: LeaseKeeper) {
    const [from, to] = checkRange(settings);
    const { leaseSeconds } = settings;
    this.#clock = clock;
    this.#keeper = keeper;
    this.#leaseMs = leaseSeconds * 1000 + leaseGraceMs;
    this.#from = from;
    this.#size = to - from + 1;
    this.#except = new Set(
      settings.except.map((address) => ip4Number(address)).filter((n) => n >= from && n <= to),
    );
  }

  /** Takes up what was kept. Throws a usage fault when the range or the time is none; what is kept beyond the range is passed over. */
  static async open(clock: Clock, settings: LeaseSettings, keeper: LeaseKeeper): Promise<Leases> {
    const leases = new Leases(clock, settings, keeper);
    for (const { address, mac, untilMs } of await keeper.all()) {
      const leftMs = Math.min(untilMs - clock.wall(), leases.#leaseMs); // a clock that was set back makes none longer
      if (!isIp4(address) || readMac(mac) !== mac || !leases.isInRange(address) || !(leftMs > 0)) continue;
      leases.#put({ address: ip4Number(address), mac, state: "leased", leftMs, isProven: true });
    }
    return leases;
  }

  /** How many addresses have something to them. */
  get size(): number {
    return this.#byAddress.size;
  }

  isInRange(address: string): boolean {
    const n = ip4Number(address);
    return n >= this.#from && n < this.#from + this.#size && !this.#except.has(n);
  }

  /** Whether a machine has a lease. */
  has(mac: string): boolean {
    return this.#live(this.#byMac.get(mac))?.state === "leased";
  }

  /**
   * An address for a machine: what it has, what it wants if that is free, one that is free, or one whose taker has the least to say for itself. The
   * same machine finds the same address again as long as nobody has it. Undefined when there is none. `boots`: it says that it boots, and so will
   * soon prove itself: it may have the address of any that did not.
   */
  offer(mac: string, wanted?: string, boots = false): string | undefined {
    this.#sweep();
    const has = this.#live(this.#byMac.get(mac));
    if (has !== undefined) {
      if (has.state === "offered") this.#put({ ...has, leftMs: offerMs });
      return ip4Text(has.address);
    }
    const isWantedFree = wanted !== undefined && this.isInRange(wanted) &&
      !this.#byAddress.has(ip4Number(wanted));
    const address = isWantedFree
      ? ip4Number(wanted)
      : this.#free(mac) ?? this.#reusable(boots ? 0 : unprovenMs);
    if (address === undefined) return undefined;
    this.#put({ address, mac, state: "offered", leftMs: offerMs, isProven: false });
    return ip4Text(address);
  }

  /**
   * Gives an address to a machine that asks for it, or on to the one that has it; true when it is durable. False when another has it, or it is none
   * of ours. `isProven`: it was asked for from that very address. Rejects with what the keeper said when it cannot be kept.
   */
  async grant(mac: string, address: string, isProven = false): Promise<boolean> {
    this.#sweep();
    if (!this.isInRange(address)) return false;
    const n = ip4Number(address);
    const there = this.#byAddress.get(n);
    if (there !== undefined && there.mac !== mac && there.state !== "offered") return false;
    if (
      there?.mac === mac && there.state === "leased" && this.#leaseMs - this.#leftMs(there) < leaseGraceMs
    ) {
      there.isProven ||= isProven;
      await there.isKept;
      return true;
    }
    const before = this.#byMac.get(mac);
    const left = before !== undefined && before.address !== n ? before : undefined;
    if (left !== undefined) this.#remove(left);
    // Before anything is waited for, so that nobody else is given it meanwhile.
    const lease = this.#put({
      address: n,
      mac,
      state: "leased",
      leftMs: this.#leaseMs,
      isProven: isProven || (there?.mac === mac && there.isProven),
    });
    const untilMs = this.#clock.wall() + this.#leaseMs;
    lease.isKept = this.#forget(left).then(() => this.#keeper.keep({ address, mac, untilMs }));
    try {
      await lease.isKept;
    } catch (e) {
      if (there?.state !== "leased" && this.#byAddress.get(n) === lease) this.#remove(lease);
      throw e;
    }
    return true;
  }

  /** The machine gives its address back. */
  async release(mac: string, address: string): Promise<void> {
    const lease = this.#byMac.get(mac);
    if (lease?.state === "leased" && ip4Text(lease.address) === address) {
      this.#remove(lease);
      await this.#forget(lease);
    }
  }

  /** The machine found somebody else at the address that it was given. */
  async decline(mac: string, address: string): Promise<void> {
    const lease = this.#byMac.get(mac);
    if (lease === undefined || ip4Text(lease.address) !== address) return;
    // Nobody's any more, so that the machine itself gets another.
    this.#put({ address: lease.address, mac: "", state: "declined", leftMs: declinedMs, isProven: false });
    await this.#forget(lease);
  }

  /** Something was seen to work at an address, as by fetching a file. */
  prove(address: string): void {
    const lease = isIp4(address) ? this.#byAddress.get(ip4Number(address)) : undefined;
    if (lease?.state === "leased") lease.isProven = true;
  }

  /** One that has nothing to it; the search begins at a place that depends on the machine. */
  #free(mac: string): number | undefined {
    if (this.#byAddress.size + this.#except.size >= this.#size) return undefined;
    const begin = macBytes(mac).reduce((n, byte) => (n * 31 + byte) >>> 0, 7) % this.#size;
    for (let i = 0; i < this.#size; i++) {
      const address = this.#from + (begin + i) % this.#size;
      if (!this.#byAddress.has(address) && !this.#except.has(address)) return address;
    }
    return undefined;
  }

  #reusable(unprovenForMs: number): number | undefined {
    const now = this.#clock.now();
    let best: Lease | undefined;
    for (const lease of this.#byAddress.values()) {
      if (lease.state === "leased" && (lease.isProven || now - lease.sinceMs < unprovenForMs)) continue;
      if (best === undefined || isBefore(lease, best)) best = lease;
    }
    return best?.address;
  }

  #put(lease: Omit<Lease, "sinceMs" | "untilMs"> & { leftMs: number; sinceMs?: number }): Lease {
    const { leftMs, ...rest } = lease;
    const now = this.#clock.now();
    const there = this.#byAddress.get(lease.address);
    if (there !== undefined) this.#remove(there);
    const sinceMs = there?.mac === lease.mac && there.state === lease.state ? there.sinceMs : now;
    const made = { ...rest, sinceMs, untilMs: now + leftMs };
    this.#byAddress.set(lease.address, made);
    if (lease.mac !== "") this.#byMac.set(lease.mac, made);
    return made;
  }

  #remove(lease: Lease): void {
    if (this.#byAddress.get(lease.address) === lease) this.#byAddress.delete(lease.address);
    if (this.#byMac.get(lease.mac) === lease) this.#byMac.delete(lease.mac);
  }

  async #forget(lease: Lease | undefined): Promise<void> {
    if (lease?.state !== "leased") return;
    await this.#keeper.keep({ address: ip4Text(lease.address), mac: lease.mac, untilMs: 0 });
  }

  #leftMs(lease: Lease): number {
    return lease.untilMs - this.#clock.now();
  }

  #live(lease: Lease | undefined): Lease | undefined {
    return lease !== undefined && this.#leftMs(lease) > 0 ? lease : undefined;
  }

  /** Takes out what is over, now and then: who looks at one lease looks at its time, too. */
  #sweep(): void {
    const now = this.#clock.now();
    if (now - this.#sweptMs < sweepMs) return;
    this.#sweptMs = now;
    for (const lease of [...this.#byAddress.values()]) {
      if (this.#live(lease) === undefined) this.#remove(lease);
    }
  }
}

function isBefore(a: Lease, b: Lease): boolean {
  return REUSE[a.state] !== REUSE[b.state] ? REUSE[a.state] < REUSE[b.state] : a.sinceMs < b.sinceMs;
}
