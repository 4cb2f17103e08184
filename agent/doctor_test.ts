// doctor: what the kernel's table of routes says. The doctor on a host is in tests/cli.
import assert from "node:assert/strict";
import { test } from "node:test";
import { hasRoute } from "./doctor_mesh.ts";

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
