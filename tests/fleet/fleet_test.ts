// fleet: the harness of this folder, tested: what is done to hosts and lines happens. Not its end (remains_test.ts).
import assert from "node:assert/strict";
import * as fs from "node:fs";
import { until } from "../hosts.ts";
import { type Fleet, fleetTest, makeFleet } from "./fleet.ts";

/** Says a line to whoever connects to port 7, much to whoever connects to port 9, and nothing at port 11. */
const LISTENER = `
my @at = map { IO::Socket::INET->new(Listen => 9, LocalPort => $_, ReuseAddr => 1) or die $! } 7, 9, 11;
my $all = IO::Select->new(@at);
my @open;
$| = 1;
print "ready\\n";
while (my @ready = $all->can_read) {
  for my $listener (@ready) {
    my $peer = $listener->accept or next;
    print $peer "hello\\n" if $listener == $at[0];
    print $peer "much " x 200_000 if $listener == $at[1];
    push @open, $peer if $listener == $at[2];
  }
}`;
const MUCH_BYTES = 1_000_000;

async function listen(fleet: Fleet, ...names: string[]): Promise<void> {
  for (const name of names) {
    const perl = fleet.host(name).spawn(["perl", "-MIO::Socket::INET", "-MIO::Select", "-e", LISTENER]);
    await until(`${name} listens`, () => perl.said().includes("ready"));
  }
}

/**
 * Whether a host can connect to another, in good time: one that asked in vain where another is waits to ask again, and
 * may yet hear that it could not be found.
 */
async function hears(fleet: Fleet, name: string, other: string): Promise<boolean> {
  const script = 'until read -r said <"/dev/tcp/$1/7" && test "$said" = hello; do sleep 0.1; done';
  const words = ["timeout", "4", "bash", "-c", script, "bash", fleet.address(other)];
  return (await fleet.host(name).run(words)).status === 0;
}

/** Checks who hears whom among hosts with names of one letter: "ab" is in `expected` when a hears b. */
async function assertHeard(fleet: Fleet, expected: string): Promise<void> {
  const pairs = fleet.names.flatMap((a) => fleet.names.filter((b) => a !== b).map((b) => [a, b] as const));
  const heard = await Promise.all(pairs.map(async ([a, b]) => await hears(fleet, a, b) ? [a + b] : []));
  assert.equal(heard.flat().join(" "), expected);
}

/** Seconds until a host has what another has at a port. */
async function seconds(
  fleet: Fleet,
  name: string,
  other: string,
  port: number,
  bytes: number,
): Promise<number> {
  const script = 'from=$EPOCHREALTIME; n=$(wc -c <"/dev/tcp/$1/$2"); echo "$n $from $EPOCHREALTIME"';
  const words = ["timeout", "100", "bash", "-c", script, "bash", fleet.address(other), String(port)];
  const [n, from, to] = (await fleet.host(name).must(words)).stdout.split(" ").map(Number);
  assert.equal(n, bytes);
  return Number(to) - Number(from);
}

fleetTest(
  "hosts have addresses, hear each other and a multicast, and this machine has no part in it",
  async (t) => {
    const interfaces = () => fs.readdirSync("/sys/class/net");
    const before = interfaces();
    const fleet = await makeFleet(t, ["a", "b", "c"]);
    assert.deepEqual(interfaces(), before);
    assert.deepEqual(["a", "b", "c"].map((name) => fleet.address(name)), [
      "10.77.0.1",
      "10.77.0.2",
      "10.77.0.3",
    ]);
    assert.match(await fleet.host("a").sh("cat /proc/net/if_inet6"), /^fe80[0-9a-f]{28} 02 40 20 80 +eth0$/m);
    await listen(fleet, "a", "b", "c");
    await assertHeard(fleet, "ab ac ba bc ca cb");
    await fleet.add("d");
    assert.ok(await hears(fleet, "d", "a"));

    const group = `my $group = inet_aton("224.0.0.251");`;
    const member = `${group} my $s = IO::Socket::INET->new(Proto => "udp", LocalPort => 5353) or die $!;
    setsockopt($s, 0, 35, $group . inet_aton("0.0.0.0")) or die $!;
    $| = 1; print "ready\\n"; $s->recv(my $m, 9); print $m`;
    const members = ["b", "c", "d"].map((name) =>
      fleet.host(name).spawn(["perl", "-MIO::Socket::INET", "-e", member])
    );
    await until("members are ready", () => members.every((m) => m.said() === "ready\n"));
    const caller = `${group} socket(my $s, 2, 2, 0); send($s, "all", 0, sockaddr_in(5353, $group)) or die $!`;
    await fleet.host("a").must(["perl", "-MIO::Socket::INET", "-e", caller]);
    for (const m of members) assert.equal((await m.ended).stdout, "ready\nall");
  },
);

fleetTest("hosts that are cut off or parted do not hear each other until they are healed", async (t) => {
  const fleet = await makeFleet(t, ["a", "b", "c", "d"]);
  await listen(fleet, ...fleet.names);
  await fleet.cut("a");
  await assertHeard(fleet, "bc bd cb cd db dc");
  await fleet.heal();
  await fleet.partition([["a", "b"]]);
  await assertHeard(fleet, "ab ba cd dc");
  await fleet.partition([["a", "c"], ["b", "d"]]);
  await assertHeard(fleet, "ac bd ca db");
  await fleet.heal();
  await assertHeard(fleet, "ab ac ad ba bc bd ca cb cd da db dc");
  await assert.rejects(fleet.partition([["a"], ["a", "b"]]), /in two groups/);
  await assert.rejects(fleet.cut("nobody"), /there is no host nobody/);
});

fleetTest("a slow line delays, loses and rations, in a partition and after a power cut too", async (t) => {
  const fleet = await makeFleet(t, ["a", "b", "c"]);
  await listen(fleet, "a", "b", "c");
  const isQuick = async (other: string) => await seconds(fleet, "b", other, 7, 6) < 0.2;
  await until("the line is quick", () => isQuick("a"));
  await fleet.slow("a", { delayMs: 200, jitterMs: 50 });
  const late = await seconds(fleet, "b", "a", 7, 6);
  assert.ok(late > 2 * 0.15, `a connection and an answer took ${late} s`);
  await until("the line of another is quick", () => isQuick("c"));
  await fleet.slow("a", { rateMbit: 8 });
  const rationed = await seconds(fleet, "b", "a", 9, MUCH_BYTES);
  assert.ok(rationed > 0.8, `${MUCH_BYTES} bytes took ${rationed} s at 8 Mbit/s`);
  await fleet.slow("a", { lossPercent: 10, jitterMs: 1 });
  await seconds(fleet, "b", "a", 9, MUCH_BYTES);
  await fleet.slow("a", { lossPercent: 100 });
  await assertHeard(fleet, "bc cb");

  await fleet.slow("a", { delayMs: 200 });
  await fleet.partition([["a", "b"]]);
  await assertHeard(fleet, "ab ba");
  await fleet.cut("a");
  await assertHeard(fleet, "");
  await fleet.heal();
  await fleet.off("a");
  await fleet.on("a");
  await listen(fleet, "a");
  assert.ok(await seconds(fleet, "b", "a", 7, 6) > 2 * 0.2);
  await fleet.slow("a");
  await until("the line is quick again", () => isQuick("a"));
});

fleetTest(
  "a host loses its power unheard, keeps its disk and its address, and loses both processes and /run",
  async (t) => {
    const fleet = await makeFleet(t, ["a", "b"]);
    const [a, b] = [fleet.host("a"), fleet.host("b")];
    await listen(fleet, "a");
    await a.write("/etc/kept", "x");
    await a.write("/run/gone", "x");
    const waits = b.spawn([
      "timeout",
      "2",
      "bash",
      "-c",
      'read -r said <"/dev/tcp/$1/11"',
      "bash",
      fleet.address("a"),
    ]);
    await until("b waits", async () => (await a.sh("cat /proc/net/tcp")).includes(" 01 "));
    await fleet.off("a");
    assert.equal((await waits.ended).status, 124); // no end of the connection reached it
    assert.ok(!await hears(fleet, "b", "a"));
    await assert.rejects(a.run(["true"]), /a is off/);
    await fleet.cut("a");
    await fleet.on("a");
    assert.deepEqual([fs.existsSync(a.path("/etc/kept")), fs.existsSync(a.path("/run/gone"))], [true, false]);
    assert.ok(a.agent().root && !a.processes().some((p) => p.title.startsWith("perl")));
    await listen(fleet, "a");
    assert.ok(!await hears(fleet, "b", "a"), "the cable is still out");
    await fleet.heal();
    assert.ok(await hears(fleet, "b", "a"));
  },
);

fleetTest("a wiped host is empty and has its name and address", async (t) => {
  const fleet = await makeFleet(t, ["a", "b"]);
  const a = fleet.host("a");
  await a.write("/etc/lost", "x");
  await fleet.wipe("a");
  assert.deepEqual([a.processes(), fs.existsSync(a.path("/etc/lost"))], [[], false]);
  assert.equal(await a.sh("hostname"), "a");
  await listen(fleet, "a");
  assert.ok(await hears(fleet, "b", "a"));
  await fleet.off("a");
  await fleet.wipe("a");
  await listen(fleet, "a");
  assert.ok(await hears(fleet, "b", "a"));
});

fleetTest("agents are killed, stopped and started", async (t) => {
  const fleet = await makeFleet(t, ["a"]);
  const halves = () => Object.values(fleet.host("a").agent()).filter(Boolean).length;
  for (const end of [() => fleet.kill9("a"), () => fleet.stop("a")]) {
    await fleet.start("a");
    assert.equal(halves(), 2);
    await end();
    assert.equal(halves(), 0);
  }
});

fleetTest("two fleets at once have the same addresses and do not hear each other", async (t) => {
  const [one, two] = await Promise.all([makeFleet(t, ["a", "b"]), makeFleet(t, ["c", "d"])]);
  await Promise.all([listen(one, "a", "b"), listen(two, "d")]);
  assert.equal(one.address("a"), two.address("c"));
  assert.ok(await hears(one, "b", "a"));
  assert.ok(!await hears(two, "d", "c"), "d has reached a");
  assert.ok(await hears(two, "c", "d"));
});

fleetTest("thirty hosts share one copy of the executable", async (t) => {
  const names = Array.from({ length: 30 }, (_, i) => `h${i + 1}`);
  const fleet = await makeFleet(t, names);
  await listen(fleet, "h30");
  assert.ok(await hears(fleet, "h1", "h30"));
  const copies = names.map((name) => fs.statSync(fleet.host(name).path("/usr/local/sbin/isconf")).ino);
  assert.equal(new Set(copies).size, 1);
});
