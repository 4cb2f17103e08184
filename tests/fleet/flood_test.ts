// flood: a stranger on the network who opens connections, says nonsense or nothing, while the hosts have work to do.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import { soon } from "../soon.ts";
import { checkIn, grant, makeDomain, untilConnected } from "./domain.ts";
import { fleetTest, type Host } from "./fleet.ts";

/** Opens $1 connections to $0's port 4726, says garbage on two thirds of them, nothing on others, and keeps them open. */
const FLOOD = `
use IO::Socket::INET; $SIG{PIPE} = "IGNORE"; $| = 1;
my ($to, $n) = @ARGV; my @open; my $made = 0;
for my $i (1 .. $n) {
  my $s = IO::Socket::INET->new(PeerAddr => $to, PeerPort => 4726, Timeout => 1) or next;
  $made++;
  my $garbage = join "", map { chr int rand 256 } 1 .. 300;
  if ($i % 3 == 0) { syswrite $s, $garbage }
  if ($i % 3 == 1) { syswrite $s, "\\x13/multistream/1.0.0\\n\\x07/noise\\n$garbage" }
  push @open, $s;
}
print "made $made\\n"; sleep 60`;

const FLOODERS = 4;
const CONNECTIONS = 250;

/** How often there is work meanwhile, milliseconds for each verb of it, and what the net half may grow by. */
const rounds = 4, verbMs = 5_000;
const growthMaxKiB = 64 * 1024;

const memoryKiB = (host: Host, pid: number) =>
  Number(/^VmRSS:\s+([0-9]+)/m.exec(fs.readFileSync(host.path(`/proc/${pid}/status`), "utf8"))?.[1]);

fleetTest("a thousand connections of garbage and silence hold nobody up", async (t) => {
  const fleet = await makeDomain(t, ["hosta", "hostb"]);
  const [a, b] = [fleet.host("hosta"), fleet.host("hostb")];
  await grant(fleet, "hosta", "root@hostb");
  await untilConnected(fleet, "hosta", "hostb");
  await checkIn(b, "before", ["exec", "true"]);
  await a.ok("up");
  const net = a.agent().net as number;
  const before = memoryKiB(a, net);
  const stranger = await fleet.add("stranger", { conf: null });
  const words = ["perl", "-e", FLOOD, fleet.address("hosta"), String(CONNECTIONS)];
  const floods = Array.from({ length: FLOODERS }, () => stranger.spawn(words));
  let slowest = 0, most = 0;
  const round = async () => {
    const tookMs: number[] = [];
    for (
      const [host, ...verb] of [
        [b, "lock", "meanwhile"],
        [b, "exec", "sh", "-c", "echo x >>/srv/n"],
        [b, "ci"],
        [a, "up"],
      ] as const
    ) {
      const sinceMs = performance.now();
      await host.ok(...verb);
      tookMs.push(performance.now() - sinceMs);
      most = Math.max(most, memoryKiB(a, net));
    }
    slowest = Math.max(slowest, ...tookMs);
    return Math.max(...tookMs);
  };
  for (let i = 0; i < rounds; i++) await soon("the slowest of lock, exec, ci and up", verbMs, round);
  const made = floods.map((flood) => Number(/made ([0-9]+)/.exec(flood.said())?.[1] ?? 0));
  assert.ok(most - before < growthMaxKiB, `the net half grew from ${before} to ${most} KiB`);
  assert.equal(a.agent().net, net, "the net half died");
  console.log(
    `  connections made: ${made.join(", ")}; slowest verb ${
      Math.round(slowest)
    } ms; ${before} to ${most} KiB`,
  );
  // A host that comes now is let in all the same.
  const late = await fleet.add("hostc");
  const { stdout } = await a.must(["isconf", "token", "--approve"]);
  await late.ok("join", stdout.trim());
  await late.ok("up");
  assert.equal(await late.sh("cat /srv/n"), await a.sh("cat /srv/n"));
  for (const flood of floods) flood.child.kill("SIGKILL");
});
