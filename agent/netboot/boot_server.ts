// Boot server: DHCP, TFTP and HTTP for machines that boot, put together around one Booter and one boot log. Not where sockets, settings and files come
// from: whoever opens it hands them in.
import type { Clock } from "../../mq/mod.ts";
import { ip4Bytes } from "./address.ts";
import { type BootLog, readSaid } from "./boot_log.ts";
import type { Booter } from "./booter.ts";
import type { NetworkSettings } from "./dhcp_own.ts";
import { type DhcpBinds, DhcpServer } from "./dhcp_server.ts";
import { BootHttp } from "./http.ts";
import { type LeaseKeeper, Leases } from "./leases.ts";
import { linesAtOnce, linesPerSecond } from "./limits.ts";
import type { BootServer } from "./proxy.ts";
import { Rate } from "./rate.ts";
import { TftpServer } from "./tftp_server.ts";
import type { Bind } from "./udp.ts";

/** What it takes to give addresses on a network that has no DHCP server. */
export interface OwnNetwork extends NetworkSettings {
  /** The first and the last address that is given. */
  from: string;
  to: string;
  keeper: LeaseKeeper;
}

export interface BootServerParts {
  clock: Clock;
  booter: Booter;
  /** As machines reach it: the address and the port have to be those of `binds`. */
  server: BootServer;
  binds: { dhcp: DhcpBinds; tftp: Bind; http: Bind };
  /** Without it the network's own DHCP server gives addresses, and this one only says what to boot. */
  own?: OwnNetwork;
  /** Where it is noted how far machines have come. */
  steps: BootLog;
  log(line: string): void;
}

export interface Netboot {
  /** The leases, with `own`. */
  leases?: Leases;
  close(): Promise<void>;
}

/**
 * Opens all of it. Throws an environment fault when a port cannot be had, a refused one when there are to be own addresses and another server gives some,
 * a usage fault for settings that are none; nothing is left open then.
 */
export async function openBootServer(parts: BootServerParts): Promise<Netboot> {
  const { clock, booter, server, binds, steps } = parts;
  ip4Bytes(server.address); // throws when it is none
  const log = sparing(clock, parts.log);
  const leases = parts.own && await openLeases(clock, server, parts.own);
  const open: { close(): Promise<void> }[] = [];
  const close = async () => void await Promise.all(open.map((one) => one.close()));
  try {
    open.push(
      await BootHttp.open({
        booter,
        bind: binds.http,
        gave({ place, address, step, bytes, of }) {
          leases?.prove(address);
          if (place.mac === undefined || step === undefined) return;
          steps.note(place.mac, step, { percent: of === 0 ? 100 : bytes * 100 / of });
        },
        said({ mac = "" }, text) {
          const said = readSaid(text);
          if (said !== undefined) steps.note(mac, said.step, said.more);
          return said !== undefined;
        },
        log,
      }),
    );
    open.push(
      await TftpServer.open({
        clock,
        booter,
        bind: binds.tftp,
        gave({ mac }, { address }) {
          leases?.prove(address);
          if (mac !== undefined) steps.note(mac, "loader");
        },
        log,
      }),
    );
    open.push(
      await DhcpServer.open({
        clock,
        server,
        booter,
        binds: binds.dhcp,
        ...(leases && parts.own && { own: { network: parts.own, leases } }),
        offered: ({ mac, arch, program }) => steps.note(mac, "offered", { text: `${arch} ${program}` }),
        log,
      }),
    );
  } catch (e) {
    await close();
    throw e;
  }
  return { ...(leases && { leases }), close };
}

function openLeases(clock: Clock, server: BootServer, own: OwnNetwork): Promise<Leases> {
  const { from, to, leaseSeconds, router, dns, keeper } = own;
  const except = [server.address, ...(router === undefined ? [] : [router]), ...dns];
  return Leases.open(clock, { from, to, leaseSeconds, except }, keeper);
}

/** A log that strangers cannot fill: what is too much is counted, and that is said with the next line. */
export function sparing(clock: Clock, log: (line: string) => void): (line: string) => void {
  const rate = new Rate(clock, linesPerSecond, linesAtOnce);
  let left = 0;
  return (line) => {
    if (!rate.take()) return void left++;
    log(left === 0 ? line : `${line} (and ${left} lines that were too many)`);
    left = 0;
  };
}
