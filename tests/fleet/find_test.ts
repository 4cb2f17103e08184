// find: how hosts of a domain find each other when addresses have changed, multicast is off, or the line is bad.
import assert from "node:assert/strict";
import { begin, checkIn, makeDomain, untilConnected } from "./domain.ts";
import { fleetTest, type Host, makeFleet } from "./fleet.ts";

/** The last address that goes takes all routes along. */
const ROUTE = "ip route add 224.0.0.0/4 dev eth0";

/** Gives a host another address by hand. */
async function move(host: Host, from: string, to: string): Promise<void> {
  await host.sh(`ip address del "$1/24" dev eth0; ip address add "$2/24" dev eth0; ${ROUTE}`, from, to);
}

/** Puts lines into a host's isconf.conf, in the place of those that begin alike. */
async function configure(host: Host, ...lines: string[]): Promise<void> {
  const kept = (await host.sh("cat /etc/isconf/isconf.conf")).split("\n")
    .filter((line) => !lines.some((l) => l.split("=")[0] === line.split("=")[0]));
  await host.write("/etc/isconf/isconf.conf", `${[...kept, ...lines].join("\n")}\n`);
}

/** Checks that what is checked in on the first arrives at the others. */
async function works(hosts: Host[], what: string): Promise<void> {
  const [first, ...others] = hosts as [Host, ...Host[]];
  await checkIn(first, what, ["exec", "sh", "-c", `echo '${what}' >>/srv/n`]);
  for (const host of others) {
    assert.match(await host.ok("up"), /up to date with the keeper hosta/);
    assert.equal(await host.sh("cat /srv/n"), await first.sh("cat /srv/n"));
  }
}

fleetTest("hosts that have all got other addresses find each other by multicast", async (t) => {
  const fleet = await makeDomain(t, ["hosta", "hostb"]);
  const [a, b] = [fleet.host("hosta"), fleet.host("hostb")];
  await untilConnected(fleet, "hosta", "hostb");
  await Promise.all([fleet.stop("hosta"), fleet.stop("hostb")]);
  await move(a, fleet.address("hosta"), "10.77.0.101");
  await move(b, fleet.address("hostb"), "10.77.0.102");
  await Promise.all([fleet.start("hosta"), fleet.start("hostb")]);
  await untilConnected(fleet, "hosta", "hostb");
  await works([a, b], "moved");
});

fleetTest(
  "without multicast hosts find each other by the addresses that they are given, IPv6 and names too",
  async (t) => {
    const fleet = await makeDomain(t, ["hosta", "hostb"], { conf: "discover = no\n" });
    const [a, b] = [fleet.host("hosta"), fleet.host("hostb")];
    await untilConnected(fleet, "hosta", "hostb");
    await works([a, b], "by the address in the token");
    await Promise.all([fleet.stop("hosta"), fleet.stop("hostb")]);
    await move(a, fleet.address("hosta"), "10.77.0.101");
    await move(b, fleet.address("hostb"), "10.77.0.102");
    await configure(b, "peers = 10.77.0.101:4726");
    await Promise.all([fleet.start("hosta"), fleet.start("hostb")]);
    await untilConnected(fleet, "hosta", "hostb");
    await works([a, b], "by peers");

    await Promise.all([fleet.stop("hosta"), fleet.stop("hostb")]);
    for (const [host, v4, v6] of [[a, "10.77.0.101", "fd77::1"], [b, "10.77.0.102", "fd77::2"]] as const) {
      await host.sh('ip address del "$1/24" dev eth0; ip address add "$2/64" dev eth0 nodad', v4, v6);
    }
    await b.sh("echo fd77::1 keeper.example >>/etc/hosts");
    await configure(a, "listen = [fd77::1]:5000");
    await configure(b, "peers = keeper.example:5000", "listen = none");
    await Promise.all([fleet.start("hosta"), fleet.start("hostb")]);
    await untilConnected(fleet, "hosta", "hostb");
    await works([a, b], "by a name, over IPv6, at another port");
  },
);

fleetTest("over a slow line that loses some of what is sent hosts join and converge", async (t) => {
  const fleet = await makeFleet(t, ["hosta", "hostb", "hostc"]);
  for (const name of fleet.names) await fleet.slow(name, { delayMs: 20, lossPercent: 1 });
  await begin(fleet, "hosta", "hostb", "hostc");
  const hosts = fleet.names.map((name) => fleet.host(name));
  await untilConnected(fleet, ...fleet.names);
  await works(hosts, "slowly");
  const [a, b] = hosts as [Host, Host];
  await a.sh("head -c 5000000 /dev/urandom >/srv/some");
  await checkIn(a, "some megabytes", ["snap", "/srv/some"]);
  await b.ok("up");
  assert.equal(await b.sh("sha256sum </srv/some"), await a.sh("sha256sum </srv/some"));
});
