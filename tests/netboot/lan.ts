// lan: a small network for the tests of netboot: a boot server, the site's own server and a client, each in a network namespace of its own, at a bridge
// in another, where virtual machines are plugged in, too. Needs root; nothing of this machine's network is touched. Not a fleet (fleet/switch.ts).
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { Holder, until } from "../holder.ts";
import type { Network } from "../hosts.ts";
import { lacks, nodePath } from "../programs.ts";
import type { ServerSettings } from "./server.ts";

export const BOOT_ADDRESS = "10.78.0.1";
export const SITE_ADDRESS = "10.78.0.2";
const ADDRESSES = { boot: BOOT_ADDRESS, site: SITE_ADDRESS, client: undefined };
export type Where = "lan" | keyof typeof ADDRESSES;

const MACS = { boot: "02:00:0a:4e:00:01", site: "02:00:0a:4e:00:02", client: "02:00:0a:4e:00:03" };
export const CLIENT_MAC = MACS.client;

/** The bridge hears nothing by itself. A place for one virtual machine is there from the beginning. */
const BEGIN = `
for of in all default; do echo 1 >/proc/sys/net/ipv6/conf/$of/disable_ipv6; done
ip link set lo up
ip link add bridge0 type bridge forward_delay 0 mcast_snooping 0
ip link set bridge0 up
ip tuntap add tap0 mode tap
ip link set tap0 master bridge0 up`;

/** $1 name, $2 process that holds its namespace, $3 MAC address, $4 IP address or nothing. */
const PLUG = `
ip link add "to$1" type veth peer name eth0 address "$3" netns "$2"
ip link set "to$1" master bridge0 up
exec nsenter -t "$2" -n sh -euc '
echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6
ip link set lo up
ip link set eth0 up
if [ -n "$1" ]; then ip address add "$1/24" dev eth0; fi' sh "$4"`;

/** The environment of what is run in it. */
const ENV = { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C.UTF-8" };

/** Goes before the boot servers: binds their ports and gives up root's rights. */
const HAND_OVER = [
  ...[
    fileURLToPath(new URL("hand_over.pl", import.meta.url)),
    "65534",
    "udp:0.0.0.0:67",
    `udp:${BOOT_ADDRESS}:67`,
  ],
  ...[
    `udp:${BOOT_ADDRESS}:4011`,
    "udp:0.0.0.0:68",
    `udp:${BOOT_ADDRESS}:69`,
    `tcp:${BOOT_ADDRESS}:8080`,
    "--",
  ],
];

/** A dnsmasq that reads and writes nothing of this machine, answers no names, and does nothing else that it is not told to. */
export const DNSMASQ = [
  "dnsmasq",
  "--keep-in-foreground",
  "--conf-file=/dev/null",
  "--no-resolv",
  "--no-hosts",
  "--port=0",
  "--user=root",
  "--group=root",
  "--pid-file=",
];

export interface Outcome {
  status: number | string;
  said: string;
}

/** A process under way; it ends with the network at the latest. */
export interface Running {
  child: ChildProcess;
  said(): string;
  ended: Promise<Outcome>;
  /** Ends it by its number, and waits. */
  stop(): Promise<void>;
}

export class Lan {
  /** A directory for what a test needs; it goes with the network. */
  readonly dir = fs.mkdtempSync(`${tmpdir()}/isconf-netboot-`);
  readonly #holders: Record<Where, Holder>;

  constructor() {
    const holder = (name: Where, script = "", dir = "") =>
      new Holder(`netboot ${name}`, ["-n", "-p"], script, dir === "" ? [] : [dir], dir);
    this.#holders = {
      lan: holder("lan", BEGIN, this.dir),
      boot: holder("boot"),
      site: holder("site"),
      client: holder("client"),
    };
  }

  async open(): Promise<void> {
    for (const holder of Object.values(this.#holders)) await holder.on();
    for (const [name, address] of Object.entries(ADDRESSES)) {
      const where = name as keyof typeof ADDRESSES;
      this.plug(name, this.#holders[where].pid, MACS[where], address);
    }
  }

  /** Gives the namespace of a process a card at the bridge, called eth0 there. */
  plug(name: string, pid: number, mac: string, address = ""): void {
    // Not in the bridge's processes: the number of another namespace's holder means nothing to them.
    const script = ["sh", "-euc", PLUG, "sh", name, String(pid), mac, address];
    const words = ["-t", String(this.#holders.lan.pid), "-n", "--", ...script];
    const { status, stderr } = spawnSync("nsenter", words);
    assert.equal(status, 0, String(stderr));
  }

  /** The network of a host that is plugged in here, for `makeHost`. */
  networkOf(name: string, mac: string, address: string): Network {
    return {
      plug: (pid) => Promise.resolve(this.plug(name, pid, mac, address)),
      unplug: () => Promise.resolve(), // it goes with the host's namespace
    };
  }

  /** Ends every process of it. */
  async close(): Promise<void> {
    await Promise.all(Object.values(this.#holders).map((holder) => holder.close()));
    fs.rmSync(this.dir, { recursive: true, force: true });
  }

  start(where: Where, argv: string[]): Running {
    const inside = ["sh", "-c", 'echo "number $$"; exec "$@"', "sh", ...argv];
    const words = ["-t", String(this.#holders[where].pid), "-n", "-p", "--", ...inside];
    const child = spawn("nsenter", words, { stdio: ["ignore", "pipe", "pipe"], cwd: this.dir, env: ENV });
    let all = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text) => all += text);
    }
    const said = () => all.replace(/^number [0-9]+\n/m, "");
    const ended = new Promise<Outcome>((resolve) => {
      child.once("error", (e) => resolve({ status: e.message, said: said() }));
      child.once("close", (status, signal) => resolve({ status: status ?? signal ?? "?", said: said() }));
    });
    const stop = async () => {
      await this.run(where, ["kill", /^number ([0-9]+)$/m.exec(all)![1]!]);
      await ended;
    };
    return { child, said, ended, stop };
  }

  /** Runs a program to its end, or kills it. */
  async run(where: Where, argv: string[], timeoutMs = 20_000): Promise<Outcome> {
    const { child, ended } = this.start(where, ["timeout", "-k", "1", String(timeoutMs / 1000), ...argv]);
    const late = setTimeout(() => child.kill("SIGKILL"), timeoutMs + 5_000);
    try {
      return await ended;
    } finally {
      clearTimeout(late);
    }
  }

  async must(where: Where, argv: string[], timeoutMs?: number): Promise<string> {
    const { status, said } = await this.run(where, argv, timeoutMs);
    assert.equal(status, 0, `${argv.join(" ")}\n${said}`);
    return said;
  }

  /** Starts the boot servers, and waits until they are ready or have failed. */
  async serve(settings: Omit<ServerSettings, "address">): Promise<Running> {
    const script = fileURLToPath(new URL("server.ts", import.meta.url));
    const words = [nodePath(), "--disable-warning=ExperimentalWarning", script];
    const before = settings.isHandedOver ? HAND_OVER : [];
    const server = this.start("boot", [
      ...before,
      ...words,
      JSON.stringify({ address: BOOT_ADDRESS, ...settings }),
    ]);
    const hasBegun = () => /^(ready|failed: .*)$/m.test(server.said()) || server.child.exitCode !== null;
    await until("the boot servers are ready", hasBegun);
    return server;
  }

  /** Starts a real dnsmasq as the DHCP server of the site; it reads and writes nothing of this machine. */
  async site(...more: string[]): Promise<Running> {
    const server = this.start("site", [
      ...DNSMASQ,
      `--dhcp-leasefile=${this.dir}/site.leases`,
      "--dhcp-range=10.78.0.50,10.78.0.90,255.255.255.0,1h",
      "--dhcp-authoritative",
      "--no-ping",
      "--log-dhcp",
      "--log-facility=-",
      ...more,
    ]);
    await until("the site's server is ready", () => server.said().includes("DHCP, IP range"));
    return server;
  }
}

/** Why there can be no networks of a test's own here; false when there can. */
function lacksNamespaces(): string | false {
  const { status } = spawnSync("unshare", [
    "-n",
    "-p",
    "--fork",
    "ip",
    "tuntap",
    "add",
    "tap0",
    "mode",
    "tap",
  ]);
  return status === 0 ? false : "needs the right to make network namespaces and taps";
}

/** A test in such a network; skipped, with the reason printed, where there can be none or something is missing. */
export function lanTest(
  name: string,
  needs: { programs?: string[]; files?: string[]; timeoutMs?: number },
  fn: (lan: Lan) => Promise<void>,
): void {
  const programs = ["unshare", "nsenter", "ip", "timeout", "head", ...needs.programs ?? []];
  const files = [nodePath(), "/dev/net/tun", ...needs.files ?? []];
  const reason = lacks({ root: true, programs, files }) || lacksNamespaces();
  if (reason) console.log(`skipped: ${name}: ${reason}`);
  test(name, { skip: reason, timeout: needs.timeoutMs ?? 60_000 }, async () => {
    const lan = new Lan();
    try {
      await lan.open();
      await fn(lan);
    } finally {
      await lan.close();
    }
  });
}

/** A script for DHCP clients that writes down what it is told, and gives its own network's interface that address. */
export function noteScript(lan: Lan): string {
  const path = `${lan.dir}/note`;
  const script = `#!/bin/sh
(echo "called $1 $reason"; env | sort) >>"${lan.dir}/told"
if [ "$1" = bound ]; then ip address replace "$ip/24" dev eth0; fi
`;
  fs.writeFileSync(path, script, { mode: 0o755 });
  return path;
}

export const told = (lan: Lan) =>
  fs.existsSync(`${lan.dir}/told`) ? fs.readFileSync(`${lan.dir}/told`, "utf8") : "";

export const udhcpc = (
  lan: Lan,
  ...words: string[]
) => [
  "busybox",
  "udhcpc",
  "-i",
  "eth0",
  "-f",
  "-n",
  "-q",
  "-t",
  "4",
  "-T",
  "1",
  "-s",
  noteScript(lan),
  ...words,
];
