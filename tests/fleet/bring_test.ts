// bring: how far contents are that come from another host is shown while they come, for programs and on a terminal.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import { makeDomain, untilConnected } from "./domain.ts";
import { fleetTest } from "./fleet.ts";

const BYTES = 12_000_000;
/** Half of that in a second, about. */
const LINE = { rateMbit: 48 };

interface Event {
  event: string;
  bytes: number;
  total?: number;
  bytesPerSecond: number;
}

fleetTest("a get tells how much has come from another host before anything of it is written", async (t) => {
  const fleet = await makeDomain(t, ["hosta", "hostb"]);
  const [a, b] = [fleet.host("hosta"), fleet.host("hostb")];
  await untilConnected(fleet, "hosta", "hostb");
  const put = async (name: string) => {
    await a.sh(
      'mkdir "$1"; for n in 1 2 3; do head -c "$2" /dev/urandom >"$1/$n"; done',
      name,
      String(BYTES / 3),
    );
    return (await a.must(["isconf", "put", name])).stdout.trim();
  };
  const [first, second] = [await put("/srv/first"), await put("/srv/second")];
  await fleet.slow("hosta", LINE);

  const coming: Event[] = [];
  const told = (fd: 1 | 2, bytes: Uint8Array) => {
    if (fd === 1 || fs.existsSync(b.path("/srv/out"))) return;
    coming.push(...String(bytes).trim().split("\n").map((line) => JSON.parse(line)));
  };
  await b.must(["isconf", "--json", "get", first, "/srv/out"], { told });
  assert.ok(coming.length > 1 && coming.length < 60, `${coming.length} events`);
  for (const [i, { event, bytes, total = Infinity, bytesPerSecond }] of coming.entries()) {
    assert.equal(event, "progress");
    assert.ok(bytes > (coming[i - 1]?.bytes ?? 0) && bytes <= total && bytesPerSecond > 0, `event ${i}`);
  }
  const { total = 0 } = coming.at(-1)!;
  assert.ok(total >= BYTES && total < BYTES * 1.01, `of ${total} bytes`);
  assert.equal(await b.sh("cat /srv/out/? | wc -c"), String(BYTES));

  const line = ["script", "-qec", `isconf get ${second} /srv/shown`, "/dev/null"];
  const { stdout } = await b.must(line, { env: { TERM: "xterm" } });
  assert.match(stdout, /[#.]{24} [0-9]+% of 11\.\d MiB, [^\r\n]*iB at [^\r\n]*\/s [^\r\n]* left/);
  assert.doesNotMatch(stdout, /\x1b\[\?/, "the terminal is left as it was");
}, { programs: ["script"] });
