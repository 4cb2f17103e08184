// content inject: the net half, and the command line, killed at the system calls by which put, get, gc and fsck become
// durable or are told. Not errors that calls return (content_errors_test.ts). With ISCONF_TEST_EVERY set, at all of them.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import { test } from "node:test";
import { begunHome, OPERATIONS } from "./content_operations.ts";
import {
  afterPlace,
  attachNet,
  faulty,
  isThorough,
  needLean,
  needSound,
  netPid,
  pointsOfNet,
} from "./contents.ts";
import { cannotTrace, each } from "./strace.ts";
import { ISCONF, makeBox, type Outcome, skipIf } from "./tools.ts";

const skip = cannotTrace();
/** Places tried at the most for each operation. */
const pointsMax = isThorough ? 1_000 : 6;

const NET_CALLS = [
  "write",
  "writev",
  "pwrite64",
  "pwritev",
  "sendmsg",
  "fsync",
  "fdatasync",
  "ftruncate",
  "fallocate",
  "unlink",
  "rename",
  "mkdir",
];
const CLI_CALLS = [
  "write",
  "writev",
  "pwrite64",
  "sendmsg",
  "fsync",
  "rename",
  "renameat",
  "mkdirat",
  "linkat",
  "symlinkat",
  "unlinkat",
  "fchownat",
  "fchmod",
  "utimensat",
];

test(
  "the net half killed at every write, sync and rename of put, get, gc and fsck: what was acknowledged stays, the rest is whole or not there",
  skipIf("kills during put, get, gc and fsck", skip),
  async (t) => {
    await each(OPERATIONS, 2, async ({ title, operation, least }) => {
      const box = makeBox(t);
      const kept = await begunHome(box);
      const trial = await operation.prepare(box, 0);
      const { points, counted } = await pointsOfNet(
        box,
        NET_CALLS,
        pointsMax,
        () => box.isconf(operation.words(box, trial)),
      );
      await operation.after(box, trial, false, "not killed");
      assert.ok(points.length >= least, `${title}: only ${points.length} points: does strace see it?`);
      let hit = 0;
      for (const [i, { comm, name, n }] of points.entries()) {
        const where = `${title}, killed at ${name} ${n} of ${comm}`;
        const made = await operation.prepare(box, i + 1);
        const pid = await netPid(box);
        const inject = `inject=${name}:signal=KILL:when=${n}`;
        const tracer = await attachNet(box, ["-e", `trace=${name}`, "-e", inject], comm);
        const { status } = await box.isconf(operation.words(box, made));
        await tracer.detach();
        if (!fs.existsSync(`/proc/${pid}`)) hit++;
        await box.stop("SIGKILL"); // it may have got through
        await box.start();
        if (!operation.damages) await needSound(box, where);
        await kept.check(box, where);
        await operation.after(box, made, status === 0, where);
        await needLean(box, where);
      }
      console.log(`${title}: ${points.length} of ${counted} calls tried, killed at ${hit}`);
      assert.ok(hit >= points.length / 3, `${title}: killed at ${hit} of ${points.length} only`);
    });
  },
);

test(
  "the command line killed at every write of put and get: listed and whole or not listed, whole or not there",
  skipIf("kills of put and get", skip),
  async (t) => {
    await each(OPERATIONS.slice(0, 4), 2, async ({ title, operation }) => {
      const box = makeBox(t);
      const kept = await begunHome(box);
      let killed = 0;
      for (const name of CLI_CALLS) {
        for (let n = 1, isThrough = false; !isThrough; n = afterPlace(n)) {
          const where = `${title}, the command line killed at ${name} ${n}`;
          assert.ok(n < 100, `${where}: there is no end of it`);
          const made = await operation.prepare(box, ++killed);
          const got = await faulty(box, `${name}:signal=KILL:when=${n}`, operation.words(box, made));
          isThrough = needKilled(got, where);
          await operation.after(box, made, isThrough, where);
        }
        await needLean(box, `${title}, the command line killed at each ${name}`);
      }
      await kept.check(box, title);
      console.log(`${title}: the command line killed at ${killed - CLI_CALLS.length} calls`);
      assert.ok(killed - CLI_CALLS.length >= 5);
    });
  },
);

/** Whether it went through without being hit; otherwise it was killed, and nothing else became of it. */
function needKilled({ status, err }: Outcome, where: string): boolean {
  assert.ok(status === 0 || status === "SIGKILL" || status === 137, `${where}: ${status} ${err} (${ISCONF})`);
  return status === 0;
}
