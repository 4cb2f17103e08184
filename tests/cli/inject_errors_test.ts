// inject, errors: system calls that return an error and disks that are full: said clearly, nothing half, and it recovers.
// Not kills (inject_test.ts).
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { lacks } from "../programs.ts";
import { attach, cannotTrace, copyOf, countCalls, each } from "./strace.ts";
import { type Box, ISCONF, makeBox, type Outcome, run, skipIf, until } from "./tools.ts";

const skip = cannotTrace();
const get = async (box: Box, verb: string) => JSON.parse((await box.http("GET", `/v1/${verb}`)).text);

/** What every failure must look like: a code of its own, words, a hint, no stack and no word of bugs. */
function needClear(where: string, { status, err, out }: Outcome): void {
  assert.ok(typeof status === "number" && [104, 125, 226].includes(status), `${where}: ${status} ${err}`);
  assert.match(err, /^isconf [a-z.]+: .+\n {2}\S/m, `${where}: ${err}`);
  assert.doesNotMatch(err, /unexpected:|\bat .*:[0-9]+:[0-9]+|undefined/, where);
  assert.equal(out, "", where);
}

const FAULTS = [
  { name: "fsync", error: "EIO" },
  { name: "fdatasync", error: "EIO" },
  { name: "pwrite64", error: "ENOSPC" },
  { name: "pwrite64", error: "EIO" },
];

test(
  "an error of the disk at any write or sync of ci: told, not acknowledged, nothing half, and it works after a restart",
  skipIf("errors during ci", skip),
  async (t) => {
    const golden = makeBox(t);
    await golden.begin("three pieces");
    for (let i = 0; i < 3; i++) await golden.ok(["exec", "true"]);
    await golden.stop();
    const probe = copyOf(golden, "probe");
    t.after(async () => await probe.end());
    await probe.start();
    const counts = await countCalls(probe, () => probe.ok(["ci"]));
    await probe.stop();
    const points = FAULTS.flatMap((fault) =>
      [...new Set([1, 2, 3, counts.get(fault.name) ?? 0])].filter((n) =>
        n >= 1 && n <= (counts.get(fault.name) ?? 0)
      )
        .map((n) => ({ ...fault, n }))
    );
    assert.ok(points.length >= 5, JSON.stringify([...counts]));
    let refused = 0;
    let passedOver = 0;
    await each(points, 2, async ({ name, error, n }, i) => {
      const where = `${error} at ${name} ${n}`;
      const box = copyOf(golden, `x${i}`);
      try {
        await box.start();
        const tracer = await attach(box, [
          "-e",
          `inject=${name}:error=${error}:when=${n}`,
          "-e",
          `trace=${name}`,
        ]);
        const got = await box.isconf(["ci"]);
        await tracer.detach();
        if (got.status === 0) { // what is told as done is held to that
          // What the agent does meanwhile for other hosts is in its log. SQLite passes over a failed sync of the directory.
          const isLogged = () => box.log().includes("sharing contents: ");
          await until("the log", isLogged, 2_000).catch(() => passedOver++);
        } else {
          needClear(where, got);
          refused++;
          const now = await get(box, "status");
          assert.deepEqual([now.wip, now.of, now.lock?.message], [3, 0, "three pieces"], where);
        }
        await box.stop("SIGKILL");
        await box.start();
        const { entries } = await get(box, "log");
        assert.ok(
          (entries.length === 0 && got.status !== 0) || entries.length === 3,
          `${where}: ${entries.length} entries`,
        );
        if (entries.length === 0) await box.ok(["ci"]);
        assert.equal((await get(box, "verify")).entries, 4, where);
        assert.deepEqual([(await get(box, "status")).wip, (await get(box, "status")).lock], [0, null], where);
        await box.stop();
      } finally {
        await box.end();
        fs.rmSync(box.home, { recursive: true });
      }
    });
    console.log(`ci: ${points.length} errors tried, ${refused} told, ${passedOver} passed over`);
    assert.ok(passedOver <= 1 && refused >= points.length / 2, "errors were passed over");
  },
);

test(
  "an error of the disk during exec: without a durable intent nothing runs; what ran and could not be recorded is uncertain",
  skipIf("errors during exec", skip),
  async (t) => {
    const golden = makeBox(t);
    await golden.begin("one command");
    await golden.stop();
    const count = (box: Box) => path.join(box.home, "count");
    const words = (box: Box) => ["exec", "sh", "-c", 'echo ran >> "$0"', count(box)];
    const probe = copyOf(golden, "probe");
    t.after(async () => await probe.end());
    await probe.start();
    const counts = await countCalls(probe, () => probe.ok(words(probe)));
    await probe.stop();
    const all = FAULTS.flatMap((fault) =>
      Array.from({ length: Math.min(8, counts.get(fault.name) ?? 0) }, (_, i) => ({ ...fault, n: i + 1 }))
    );
    const points = all.filter((p) => p.error !== "EIO" || p.name !== "pwrite64");
    await each(points, 2, async ({ name, error, n }, i) => {
      const where = `${error} at ${name} ${n}`;
      const box = copyOf(golden, `y${i}`);
      try {
        await box.start();
        const tracer = await attach(box, [
          "-e",
          `inject=${name}:error=${error}:when=${n}`,
          "-e",
          `trace=${name}`,
        ]);
        const got = await box.isconf(words(box));
        await tracer.detach();
        if (got.status !== 0) needClear(where, got);
        await box.stop("SIGKILL");
        await box.start();
        const { items } = JSON.parse(await box.ok(["--json", "wip"])) as {
          items: { n: number; state: string }[];
        };
        const ran = fs.existsSync(count(box));
        if (ran) assert.equal(items.length, 1, `${where}: it ran, and nobody knows`);
        if (got.status === 0) assert.deepEqual([ran, items[0]?.state], [true, "done"], where);
        for (const item of items) {
          if (item.state !== "uncertain") continue;
          assert.equal((await box.isconf(["ci"])).status, 227, where);
          await box.ok(["wip", ran ? "done" : "again", String(item.n)]);
        }
        if (!ran) await box.ok(words(box));
        await box.ok(["ci"]);
        assert.equal(fs.readFileSync(count(box), "utf8"), "ran\n", where);
        await box.stop();
      } finally {
        await box.end();
        fs.rmSync(box.home, { recursive: true });
      }
    });
    console.log(`exec: ${points.length} errors tried`);
  },
);

/** Typed in a mount namespace of its own, in which the home is a small disk. Each answer is `NAME STATUS WORDS`. */
const FULL_DISK = `
set -u
mount -t tmpfs -o size=24m tmpfs "$ISCONF_HOME"
mkdir "$ISCONF_HOME/etc" "$ISCONF_HOME/../out"
printf 'reboot_command = /bin/true\\nreserve = 8M\\n' > "$ISCONF_HOME/etc/isconf.conf"
"$ISCONF" agent 2>"$ISCONF_HOME/../out/agent.log" & agent=$!
trap 'kill -9 $agent; wait' EXIT
for i in $(seq 200); do "$ISCONF" status >/dev/null 2>&1 && break; sleep 0.05; done
say() { name=$1; shift; words=$(timeout 20 "$@" 2>&1 | tr '\\n' ' '); echo "$name \${PIPESTATUS[0]} $words"; }
say() { name=$1; shift; words=$(timeout 20 "$@" 2>&1); status=$?; echo "$name $status $(tr '\\n' ' ' <<<"$words")"; }
count=$ISCONF_HOME/../out/count
say init "$ISCONF" -q init --host hosta
say lock "$ISCONF" lock full
say before "$ISCONF" exec sh -c 'echo ran >> "$0"' "$count"
head -c 3000000 /dev/urandom > "$ISCONF_HOME/../out/big"
head -c 60000000 /dev/zero > "$ISCONF_HOME/fill" 2>/dev/null
say snap "$ISCONF" snap "$ISCONF_HOME/../out/big"
for i in 1 2 3 4 5 6; do say exec$i "$ISCONF" exec sh -c 'echo full >> "$0"' "$count.full"; done
say put "$ISCONF" put "$ISCONF_HOME/../out/big"
say ci "$ISCONF" ci
say status "$ISCONF" --json status
say doctor "$ISCONF" doctor
rm "$ISCONF_HOME/fill"
say wip "$ISCONF" --json wip
say relock "$ISCONF" lock again
say after "$ISCONF" exec true
say snapped "$ISCONF" snap "$ISCONF_HOME/../out/big"
say checkedin "$ISCONF" ci
say verify "$ISCONF" --json verify
say stop kill $agent
wait $agent
`;

test(
  "a full disk: nothing half, clear words, the agent goes on, and all works when there is space again",
  skipIf("a full disk", lacks({ root: true, programs: ["unshare", "mount"] })),
  async (t) => {
    const box = makeBox(t);
    const program = ["-m", "-p", "-f", "--kill-child", "--mount-proc", "/bin/bash", "-c", FULL_DISK];
    const { out, err } = await run("unshare", program, { env: { ISCONF_HOME: box.home, ISCONF } });
    const said = new Map(
      out.trim().split("\n").map((l) => {
        const [name, status, ...words] = l.split(" ");
        return [name as string, { status: Number(status), words: words.join(" ") }];
      }),
    );
    const of = (name: string) => said.get(name) ?? { status: -1, words: `nothing said: ${out}${err}` };
    for (
      const name of [
        "init",
        "lock",
        "before",
        "status",
        "relock",
        "after",
        "snapped",
        "checkedin",
        "verify",
        "stop",
      ]
    ) {
      assert.equal(of(name).status, 0, `${name}: ${of(name).words}`);
    }
    for (const name of ["snap", "put"]) {
      assert.equal(of(name).status, 125, `${name}: ${of(name).words}`);
      assert.match(of(name).words, /full|ENOSPC|space/i);
      assert.doesNotMatch(of(name).words, /unexpected:/);
    }
    assert.equal(of("doctor").status, 1, of("doctor").words);
    const log = path.join(box.dir, "out");
    const lines = (name: string) =>
      fs.existsSync(`${log}/${name}`) ? fs.readFileSync(`${log}/${name}`, "utf8").length / 5 : 0;
    const good = [1, 2, 3, 4, 5, 6].filter((i) => of(`exec${i}`).status === 0).length;
    assert.equal(lines("count.full"), good, "a command ran that could not be recorded first");
    for (let i = 1; i <= 6; i++) assert.ok([0, 125].includes(of(`exec${i}`).status), of(`exec${i}`).words);
    const inHand = of("ci").status === 0 ? 0 : 1 + good;
    assert.equal(JSON.parse(of("wip").words).items.length, inHand, "work was lost, or half a piece is there");
    assert.equal(JSON.parse(of("verify").words).entries, 1 + 1 + good + 2);
  },
);
