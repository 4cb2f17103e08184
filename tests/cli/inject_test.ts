// inject: the agent is killed at every system call by which `ci` and `up` become durable, and started again.
// Not errors that system calls return (inject_errors_test.ts). With ISCONF_TEST_EVERY set, at all of them.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { isThorough } from "./contents.ts";
import { attach, cannotTrace, copyOf, countCalls, each, pointsOf } from "./strace.ts";
import { Box, makeBox, skipIf, until } from "./tools.ts";

const skip = cannotTrace();
/** Points tried at the most in each test, evenly spread: about six seconds each, two at a time. */
const pointsMax = isThorough ? 1_000 : 14;

const get = async (box: Box, verb: string) => JSON.parse((await box.http("GET", `/v1/${verb}`)).text);

/** A home with a lock and three pieces of work, its agent stopped. */
async function withWork(box: Box): Promise<void> {
  await box.begin("three pieces");
  const file = path.join(box.dir, "file");
  fs.writeFileSync(file, "content\n");
  await box.ok(["snap", file]);
  await box.ok(["exec", "true"]);
  await box.ok(["snap", "--delete", path.join(box.dir, "gone")]);
  await box.stop();
}

/** Kills the agent of `box` at the n-th such call of a thread while `args` runs; returns how isconf ended. */
async function killedAt(
  box: Box,
  point: { name: string; n: number },
  args: string[],
): Promise<number | string> {
  await box.start();
  const inject = `inject=${point.name}:signal=KILL:when=${point.n}`;
  const tracer = await attach(box, ["-e", `trace=${point.name}`, "-e", inject, "-e", "signal=none"]);
  const { status } = await box.isconf(args);
  await tracer.detach();
  await box.stop("SIGKILL"); // the agent may have got through
  return status;
}

test(
  "ci, killed at every write, sync and rename: the entries are all there, certified, or none is",
  skipIf("kills during ci", skip),
  async (t) => {
    const golden = makeBox(t);
    await withWork(golden);
    const probe = copyOf(golden, "probe");
    t.after(async () => await probe.end());
    await probe.start();
    const counts = await countCalls(probe, () => probe.ok(["ci"]));
    await probe.stop();
    const points = pointsOf(counts, pointsMax);
    assert.ok(points.length > 5, `only ${points.length} points: does strace see the agent?`);
    const seen = { whole: 0, none: 0 };
    await each(points, 2, async (point, i) => {
      const where = `killed at ${point.name} ${point.n}`;
      const box = copyOf(golden, `c${i}`);
      try {
        const status = await killedAt(box, point, ["ci"]);
        await box.start();
        const [now, log] = [await get(box, "status"), await get(box, "log")];
        if (log.entries.length === 3) {
          seen.whole++;
          assert.deepEqual([now.wip, now.lock, now.at, now.of], [0, null, 3, 3], where);
        } else {
          seen.none++;
          assert.notEqual(status, 0, `${where}: it was told that they are checked in`);
          assert.deepEqual([log.entries.length, now.wip, now.of], [0, 3, 0], where);
          assert.equal(now.lock?.message, "three pieces", where);
          await box.ok(["ci"]);
          assert.equal((await get(box, "log")).entries.length, 3, where);
        }
        assert.equal((await get(box, "verify")).entries, 4, where);
        await box.stop();
      } finally {
        await box.end();
        fs.rmSync(box.home, { recursive: true });
      }
    });
    console.log(
      `ci: killed at ${points.length} of ${[...counts.values()].reduce((a, b) => a + b)} calls: ${
        JSON.stringify(seen)
      }`,
    );
    assert.ok(
      seen.whole > 0 && seen.none > 0,
      "both outcomes have to be seen, or the points are the wrong ones",
    );
  },
);

test(
  "up, killed at every write, sync and rename: applied, not applied or uncertain, and no command ever runs twice",
  skipIf("kills during up", skip),
  async (t) => {
    const first = makeBox(t);
    await first.begin("for the second host");
    const file = path.join(first.dir, "file");
    fs.writeFileSync(file, "content\n".repeat(5_000));
    await first.ok(["snap", file]);
    // The host variable COUNTER says where each host counts.
    fs.writeFileSync(path.join(first.home, "etc/main.cf"), "DEFAULT:\n  COUNTER = /dev/null\n");
    await first.ok(["exec", "sh", "-c", 'echo ran >> "$COUNTER"']);
    await first.ok(["ci"]);
    const bundle = path.join(first.dir, "bundle");
    await first.ok(["bundle", "export", bundle]);
    const { domain } = await get(first, "status");
    await first.stop();
    const golden = new Box(first.dir, "golden");
    t.after(async () => await golden.end());
    await golden.start();
    await golden.ok(["bundle", "import", bundle, "--domain", domain, "--host", "hostb"]);
    await golden.stop();
    const copy = (name: string) => {
      const box = copyOf(golden, name);
      fs.writeFileSync(path.join(box.home, "etc/main.cf"), `DEFAULT:\n  COUNTER = ${box.home}/count\n`);
      fs.rmSync(file, { force: true });
      return box;
    };
    const ran = (box: Box) => {
      const count = path.join(box.home, "count");
      return fs.existsSync(count) ? fs.readFileSync(count, "utf8").length / "ran\n".length : 0;
    };
    const probe = copy("probe");
    t.after(async () => await probe.end());
    await probe.start();
    const counts = await countCalls(probe, () => probe.ok(["up"]));
    await probe.stop();
    const points = pointsOf(counts, pointsMax);
    assert.ok(points.length > 10, `only ${points.length} points: does strace see the agent?`);
    const seen = { applied: 0, goesOn: 0, uncertain: 0 };
    await each(points, 1, async (point, i) => { // one at a time: they share the file that is put in place
      const where = `killed at ${point.name} ${point.n}`;
      const box = copy(`u${i}`);
      try {
        const status = await killedAt(box, point, ["up"]);
        if (fs.existsSync(file)) assert.equal(fs.statSync(file).size, 40_000, `${where}: half a file`);
        await box.start();
        const now = await get(box, "status");
        if (status === 0) assert.equal(now.at, 2, `${where}: it was told that all is applied`);
        const before = ran(box);
        assert.ok(before <= 1, where);
        const up = await box.isconf(["up"]);
        if (up.status === 227) {
          seen.uncertain++;
          assert.equal(now.state, "uncertain", where);
          assert.equal(ran(box), before, `${where}: an uncertain command ran again unasked`);
          await box.ok(["up", before === 0 ? "--again" : "--done", "2"]);
        } else {
          assert.equal(up.status, 0, `${where}: ${up.err}`);
          if (now.at === 2) seen.applied++;
          else seen.goesOn++;
        }
        assert.equal(ran(box), 1, where);
        assert.equal(fs.readFileSync(file, "utf8"), "content\n".repeat(5_000), where);
        const after = await get(box, "status");
        assert.deepEqual([after.at, after.of, after.state], [2, 2, "current"], where);
        const left = fs.readdirSync(first.dir).filter((n) =>
          /^\.|file./.test(n) && !/^\.isconf-[0-9a-f]{32}$/.test(n)
        );
        assert.deepEqual(left, [], `${where}: left over, under no name that is swept later`);
        await box.stop();
      } finally {
        await box.end();
        fs.rmSync(box.home, { recursive: true });
      }
    });
    console.log(
      `up: killed at ${points.length} of ${[...counts.values()].reduce((a, b) => a + b)} calls: ${
        JSON.stringify(seen)
      }`,
    );
    assert.ok(seen.uncertain > 0 && seen.goesOn > 0, "the points are the wrong ones");
  },
);

test(
  "exec, killed before its intent is durable: nothing has run; after it: uncertain, never silently twice",
  skipIf("kills during exec", skip),
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
    const points = pointsOf(counts, pointsMax);
    const seen = { none: 0, uncertain: 0, done: 0 };
    await each(points, 2, async (point, i) => {
      const where = `killed at ${point.name} ${point.n}`;
      const box = copyOf(golden, `e${i}`);
      try {
        const status = await killedAt(box, point, words(box));
        await box.start();
        const { items } = JSON.parse((await box.http("POST", "/v1/wip", {})).text) as {
          items: { n: number; state: string }[];
        };
        const ran = fs.existsSync(count(box));
        if (items.length === 0) {
          seen.none++;
          assert.deepEqual([ran, status !== 0], [false, true], `${where}: it ran, and nobody knows`);
        } else if (items[0]?.state === "uncertain") {
          seen.uncertain++;
          assert.notEqual(status, 0, where);
          assert.equal((await box.isconf(["ci"])).status, 227, where);
          await box.ok(["wip", ran ? "done" : "again", String(items[0].n)]);
        } else {
          seen.done++;
          assert.equal(ran, true, where);
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
    console.log(`exec: killed at ${points.length} calls: ${JSON.stringify(seen)}`);
    assert.ok(seen.none > 0 && seen.uncertain > 0, "the points are the wrong ones");
  },
);

test(
  "the net half killed: what needs contents says so, the rest goes on, and a restart mends it",
  skipIf("the net half killed", skip),
  async (t) => {
    const box = makeBox(t);
    await box.begin("without contents");
    const root = box.agentPid();
    const children = fs.readFileSync(`/proc/${root}/task/${root}/children`, "utf8").trim().split(" ");
    const file = path.join(box.dir, "file");
    fs.writeFileSync(file, "x\n");
    for (const pid of children) process.kill(Number(pid), "SIGKILL");
    await until("the net half to end", () => children.every((pid) => !fs.existsSync(`/proc/${pid}`)));
    const began = performance.now();
    const { status, err } = await box.isconf(["snap", file]);
    assert.ok(status === 104 || status === 0, `${status}: ${err}`); // 0: it was started again
    assert.ok(performance.now() - began < 10_000);
    await box.ok(["status"]);
    await box.ok(["exec", "true"]);
    await box.stop();
    await box.start();
    await box.ok(["snap", file]);
    await box.ok(["ci"]);
  },
);
