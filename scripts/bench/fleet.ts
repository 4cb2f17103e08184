// Fleet: one domain of real hosts on a bridge for a measurement, each with the shipped executable. Not the hosts
// themselves (tests/fleet), and no single home without a network (host.ts).
import { type Fleet, type Host, lacksFleet, makeFleet } from "../../tests/fleet/fleet.ts";
import { until } from "../../tests/hosts.ts";

/** Milliseconds that all hosts get to be connected with each other. */
const connectMs = 60_000;

export class BenchFleet implements AsyncDisposable {
  readonly fleet: Fleet;
  readonly hosts: Host[];
  readonly #ends: (() => Promise<void>)[];

  private constructor(fleet: Fleet, ends: (() => Promise<void>)[]) {
    this.fleet = fleet;
    this.hosts = fleet.names.map((name) => fleet.host(name));
    this.#ends = ends;
  }

  /** Hosts h1 to h`count`, the first of which began the domain, all connected. `conf` is of isconf.conf. */
  static async begin(count: number, conf = ""): Promise<BenchFleet> {
    const lack = lacksFleet();
    if (lack) throw new Error(`there can be no fleet here: ${lack}`);
    const ends: (() => Promise<void>)[] = [];
    const end = async () => void await Promise.all(ends.map((fn) => fn()));
    try {
      const names = Array.from({ length: count }, (_, i) => `h${i + 1}`);
      const fleet = await makeFleet({ after: (fn) => void ends.push(fn) }, names, { conf });
      const made = new BenchFleet(fleet, [end]);
      const first = made.first;
      await first.ok("init");
      for (const host of made.hosts.slice(1)) {
        const { token } = JSON.parse((await first.must(["isconf", "--json", "token", "--approve"])).stdout);
        await host.ok("join", token);
      }
      for (const host of made.hosts) await made.untilMeshed(host, connectMs);
      return made;
    } catch (e) {
      await end();
      throw e;
    }
  }

  get first(): Host {
    return this.hosts[0] as Host;
  }

  /** Waits until a host is connected with all others. */
  async untilMeshed(host: Host, ms: number): Promise<void> {
    await until(`${host.name} is connected`, () => isMeshed(host, this.hosts.length), ms);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const end of this.#ends) await end();
  }
}

async function isMeshed(host: Host, count: number): Promise<boolean> {
  const { hosts } = JSON.parse((await host.must(["isconf", "--json", "hosts"])).stdout) as {
    hosts: { state: string }[];
  };
  return hosts.filter(({ state }) => state === "connected").length === count - 1;
}
