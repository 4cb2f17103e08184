// Switch: what hosts are plugged into: a network namespace of its own with bridges, none of it in this machine's.
// Knows ports by their numbers; which host is at which is the fleet's business (fleet.ts).
import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Holder, inTime } from "../holder.ts";

/** How a line between a host and the switch is: the same in both directions, and each value is nought when left out. */
export interface Line {
  /** How late what is sent arrives, one way, and by how much more or less than that. */
  delayMs?: number;
  jitterMs?: number;
  /** How many of a hundred frames are lost. The kernel may hand over up to 64 KiB of a connection as one frame. */
  lossPercent?: number;
  /** How much is sent; what would wait longer than a second for its turn is lost. */
  rateMbit?: number;
}

interface Port {
  /** Which bridge it is at: those at the same one hear each other. */
  bridge: number;
  isUp: boolean;
  line: Line;
  /** Whether there is a host at the other end. */
  isPlugged: boolean;
  /** What makes the line slow, while it is. */
  relay: ChildProcess | undefined;
}

/** The address of the host at a port, in 10.77.0.0/24. */
export const addressOf = (n: number) => `10.77.0.${n}`;
const macOf = (n: number) => `02:00:0a:4d:00:${n.toString(16).padStart(2, "0")}`;

/** Bridges and their ports have no addresses, as those of a switch. */
const BEGIN = "for of in all default; do echo 1 >/proc/sys/net/ipv6/conf/$of/disable_ipv6; done";

/** $1 port, $2 process of the host, $3 MAC address, $4 IP address. No other host has that: no wait to detect one. */
const PLUG = `
ip link add "port$1" type veth peer name eth0 address "$3" netns "$2"
exec nsenter -t "$2" -n sh -euc '
echo 0 >/proc/sys/net/ipv6/conf/eth0/accept_dad
ip link set lo up
ip address add "$1/24" dev eth0
ip link set eth0 up
ip route add 224.0.0.0/4 dev eth0' sh "$4"
`;

/** Also when the host took its end with it. $1 port. */
const UNPLUG = 'ip link delete "port$1" 2>/dev/null || :';

/** $1 port, $2 bridge, $3 the end that is at the bridge, $4 up or down. Bridges stay when nothing is at them. */
const APPLY = `
ip link add "bridge$2" type bridge forward_delay 0 mcast_snooping 0 2>/dev/null || :
ip link set "bridge$2" up
ip link set "$3$1" master "bridge$2" up
ip link set "port$1" "$4"
`;

/** A pair of which far is at the bridge instead of the port, and the relay between port and near. $1 port. */
const SLOW = `
ip link add "far$1" type veth peer name "near$1"
ip link set "near$1" up
ip link set "port$1" nomaster
`;
const FAST = 'ip link delete "far$1"';

const relayProgram = fileURLToPath(new URL("line.pl", import.meta.url));
const run = promisify(execFile);

/** A switch; gone, with every line to it, after `close` or when the test dies. */
export class Switch {
  readonly #holder = new Holder("the switch", ["-n", "-p"], BEGIN, []);
  readonly #ports = new Map<number, Port>();

  async begin(): Promise<void> {
    await this.#holder.on();
  }

  async close(): Promise<void> {
    await this.#holder.close();
  }

  /** Makes eth0 in the namespace of a process, plugged in here at port `n`, with the same address each time. */
  async plug(n: number, pid: number): Promise<void> {
    const port = this.#port(n);
    await this.#sh(PLUG, n, pid, macOf(n), addressOf(n));
    port.isPlugged = true;
    await this.slow(n, port.line);
  }

  async unplug(n: number): Promise<void> {
    await this.#endRelay(n);
    this.#port(n).isPlugged = false;
    await this.#sh(UNPLUG, n);
  }

  /** Puts a port at a bridge, or up, or down: as soon as something is plugged in there. */
  async set(n: number, change: { bridge?: number; isUp?: boolean }): Promise<void> {
    const port = Object.assign(this.#port(n), change);
    if (!port.isPlugged) return;
    await this.#sh(APPLY, n, port.bridge, port.relay ? "far" : "port", port.isUp ? "up" : "down");
  }

  /** Makes a port's line slow, or with no value as fast as it can be. */
  async slow(n: number, line: Line): Promise<void> {
    const port = this.#port(n);
    port.line = line;
    await this.#endRelay(n);
    if (port.isPlugged && Object.values(line).some(Boolean)) await this.#beginRelay(n);
    await this.set(n, {});
  }

  async #beginRelay(n: number): Promise<void> {
    const port = this.#port(n);
    const { delayMs = 0, jitterMs = 0, lossPercent = 0, rateMbit = 0 } = port.line;
    const words = [delayMs, jitterMs, lossPercent, rateMbit, `port${n}`, `near${n}`].map(String);
    await this.#sh(SLOW, n);
    const enter = ["-t", String(this.#holder.pid), "-n", "-p", "--"];
    const relay = spawn("nsenter", [...enter, "perl", relayProgram, ...words], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    port.relay = relay;
    const [said] = await inTime(`the line of port ${n} is slow`, once(relay.stdout, "data"));
    assert.equal(String(said), "ready\n");
  }

  async #endRelay(n: number): Promise<void> {
    const port = this.#port(n), relay = port.relay;
    if (!relay) return;
    port.relay = undefined;
    const ended = once(relay, "close");
    relay.stdin?.end();
    await inTime(`the relay of port ${n} ends`, ended);
    await this.#sh(FAST, n);
  }

  #port(n: number): Port {
    const port = this.#ports.get(n) ??
      { bridge: 0, isUp: true, line: {}, isPlugged: false, relay: undefined };
    this.#ports.set(n, port);
    return port;
  }

  /** Runs a script of sh in the switch's network, and in no other namespace of it: it also reaches into hosts. */
  async #sh(script: string, ...args: (string | number)[]): Promise<void> {
    await run("nsenter", [
      "-t",
      String(this.#holder.pid),
      "-n",
      "sh",
      "-euc",
      script,
      "sh",
      ...args.map(String),
    ]);
  }
}
