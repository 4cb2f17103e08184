// doctor: what the kernel says of routes, disks and clocks, and what is wrong with that. The doctor on a host is in tests/root.
import assert from "node:assert/strict";
import { test } from "node:test";
import { spawnSync } from "node:child_process";
import { isClockKept } from "../mq/mod.ts";
import { lacks } from "../tests/programs.ts";
import { makeFirstHost } from "../tests/world.ts";
import { looseIn } from "./confine.ts";
import { unkept, wrongDisk, wrongTime } from "./doctor_machine.ts";
import { hasRoute } from "./doctor_mesh.ts";
import { clockOffMs, stateFilesMin, stateFreeBytesMin } from "./limits.ts";

const HEAD = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";
const row = (destination: string, mask: string, flags = "0001") =>
  `${HEAD}eth0\t${destination}\t00000000\t${flags}\t0\t0\t0\t${mask}\t0\t0\t0\n`;

test("a group is reached by the default route, by one for groups, and by none else that is up", () => {
  const group = 0xe00000fb;
  for (
    const [table, isReached] of [
      [HEAD, false],
      [row("00000000", "00000000"), true],
      [row("00000000", "00000000", "0000"), false],
      [row("000000E0", "000000F0"), true],
      [row("000200C0", "00FFFFFF"), false],
      [row("000200C0", "00FFFFFF") + row("000000E0", "000000F0").slice(HEAD.length), true],
    ] as [string, boolean][]
  ) assert.equal(hasRoute(group, table), isReached, table);
});

const MiB = 1024 * 1024;
const DISK = { type: 0xef53, bsize: 4096, bavail: 2 ** 30, files: 2 ** 30, ffree: 2 ** 20 };
const STATE = { dir: "/var/lib/isconf", reserveBytes: 100 * MiB, mustLast: true };

test("a disk is full, kept free by reserve, out of inodes or in memory, or all is well", () => {
  const say = (change: Partial<typeof DISK>, state: Partial<typeof STATE> = {}) =>
    wrongDisk({ ...DISK, ...change }, { ...STATE, ...state })?.text;
  assert.equal(say({}), undefined);
  assert.match(say({ bavail: stateFreeBytesMin / 4096 - 1 }) ?? "", /^only 67104768 bytes are free$/);
  assert.match(say({ bavail: stateFreeBytesMin / 4096 }) ?? "", /of which reserve leaves 104857600/);
  assert.equal(say({ bavail: stateFreeBytesMin / 4096 }, { reserveBytes: 0 }), undefined);
  assert.match(say({ ffree: stateFilesMin - 1 }) ?? "", /room for only 1023 more files/);
  assert.equal(say({ files: 0, ffree: 0 }), undefined, "a file system without inodes to count");
  for (const type of [0x01021994, 0x858458f6]) {
    assert.match(say({ type }) ?? "", /is in memory/);
    assert.equal(say({ type }, { mustLast: false }), undefined, "a try-out may be anywhere");
  }
});

test("a clock that is behind what has been made already is found", async (t) => {
  assert.equal(wrongTime(1_000_000, [1_000_000 + clockOffMs, 5]), undefined);
  assert.match(wrongTime(1_000_000, [5, 1_000_001 + clockOffMs])?.text ?? "", /^it is 1970-01-01T00:16:40/);
  assert.equal(wrongTime(0, []), undefined);
  const a = await makeFirstHost(t);
  const { host } = a.agent;
  const time = async () =>
    (await a.acts.doctor.examine(a.call())).findings.find(({ check }) => check === "time")?.ok;
  assert.equal(await time(), true);
  (host as { clock: unknown }).clock = { ...host.clock, wall: () => 86_400_000 };
  assert.equal(await time(), false);
});

const python = lacks({ programs: ["python3"] });
test("whether somebody keeps the clock is what the kernel says", { skip: python }, () => {
  const script = "import ctypes; print(ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(256)))";
  const { stdout } = spawnSync("python3", ["-c", script], { encoding: "utf8" });
  assert.equal(isClockKept(), stdout.trim() !== "5", stdout);
  assert.match(unkept(false)?.text ?? "", /no time service/);
  assert.deepEqual([unkept(true), unkept(undefined)], [undefined, undefined]);
});

test("a process that has given nothing up is found to be loose", () => {
  assert.match(looseIn(process.pid) ?? "", /^\w+ of thread \d+ is /);
});
