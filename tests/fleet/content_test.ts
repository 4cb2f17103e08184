// content: one large file on its way to several hosts: from whoever has it, without its origin, and broken off in the middle.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { fetchBacklogBytes, openStoreDatabase } from "../../fs/mod.ts";
import { makeDomain, status, traffic, until, untilConnected, untilHeld } from "./domain.ts";
import { fleetTest, type Host } from "./fleet.ts";

const MIB = Number(process.env.ISCONF_FLEET_MIB ?? 64);
const BYTES = MIB * 1024 * 1024;

/** What may come twice, or beside the file itself, as a part of it. */
const WASTE = 0.15;
/** What comes beside the file itself, as a part of it, when nothing of it comes twice. */
const BESIDE = 0.05;

/** Milliseconds for one verb that moves all of it. */
const timeoutMs = 240_000;

const SUM = "sha256sum </srv/large; stat -c '%a %U %s %y' /srv/large";

/** Bytes of objects that are durable on a host whose agent is gone. */
function storedBytes(host: Host): number {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "isconf-stored-"));
  try {
    for (const name of ["store.db", "store.db-wal"]) {
      const file = host.path(`/var/lib/isconf/store/${name}`);
      if (fs.existsSync(file)) fs.copyFileSync(file, path.join(dir, name));
    }
    const db = openStoreDatabase(path.join(dir, "store.db"));
    try {
      return db.read((r) =>
        r.get<{ bytes: number }>("SELECT coalesce(sum(stored), 0) AS bytes FROM object")!.bytes
      );
    } finally {
      db.close();
    }
  } finally {
    fs.rmSync(dir, { recursive: true });
  }
}

fleetTest(`${MIB} MiB reach the others without their origin, and what was broken off goes on`, async (t) => {
  const fleet = await makeDomain(t, ["hosta", "hostb", "hostc", "hostd"]);
  const [a, b, c, d] = fleet.names.map((name) => fleet.host(name)) as [Host, Host, Host, Host];
  await untilConnected(fleet, ...fleet.names);
  await a.sh('head -c "$1" /dev/urandom >/srv/large; chmod 640 /srv/large', String(BYTES));
  const sum = await a.sh(SUM);
  const timed: string[] = [];
  const verb = async (host: Host, ...words: string[]) => {
    const sinceMs = performance.now();
    const outcome = await host.run(["isconf", ...words], { timeoutMs });
    timed.push(`${words[0]} on ${host.name} ${((performance.now() - sinceMs) / 1000).toFixed(1)} s`);
    return outcome;
  };
  await a.ok("lock", "large");
  assert.equal((await verb(a, "snap", "/srv/large")).status, 0);
  assert.equal((await verb(a, "ci")).status, 0);
  const before = await traffic(b);
  assert.equal((await verb(b, "up")).status, 0);
  const whole = (await traffic(b)).received - before.received;
  assert.equal(await b.sh(SUM), sum);
  assert.ok(whole < BYTES * (1 + WASTE), `${whole} bytes came for a file of ${BYTES}`);
  for (const host of [c, d]) await untilHeld(host, 1);

  await fleet.off("hosta");
  const sinceC = await traffic(c);
  const heldBefore = storedBytes(c);
  let lost = 0;
  const [broken, ofD] = await Promise.all([
    (async () => {
      const up = c.spawn(["isconf", "up"], { timeoutMs });
      const half = async () => (await traffic(c)).received - sinceC.received > BYTES / 2;
      await until("half of it is there", half, timeoutMs);
      await fleet.kill9("hostc");
      lost = (await traffic(c)).received - sinceC.received - (storedBytes(c) - heldBefore);
      return await up.ended;
    })(),
    verb(d, "up"),
  ]);
  assert.equal(ofD.status, 0, ofD.stderr);
  assert.match(ofD.stderr, /the keeper could not be asked; up to date with/);
  assert.equal(await d.sh(SUM), sum);
  assert.notEqual(broken.status, 0);
  await c.sh("test ! -e /srv/large");
  await fleet.start("hostc");
  assert.equal((await status(c)).at, 0);
  await until("hostc finds the others", async () => /connected/.test(await c.ok("hosts")));
  const again = await verb(c, "up");
  assert.equal(again.status, 0, again.stderr);
  assert.equal(await c.sh(SUM), sum);
  const inAll = (await traffic(c)).received - sinceC.received;
  // What had come when it was killed, and was not on the disk yet, comes again, and nothing else does.
  assert.ok(lost < fetchBacklogBytes + BYTES * WASTE, `${lost} bytes had come and were not stored`);
  const most = BYTES * (1 + BESIDE) + Math.max(0, lost);
  assert.ok(inAll < most, `${inAll} bytes came in two goes for a file of ${BYTES}, ${lost} were lost`);
  console.log(
    `  ${timed.join(", ")}; in two goes came ${(inAll / BYTES).toFixed(2)} times the file, ${
      (lost / BYTES).toFixed(2)
    } were lost`,
  );
}, { timeoutMs: 600_000 });
