// install: on a host that runs from a disk nothing is installed, and what would be done is shown. The whole way is in tests/machines.
import assert from "node:assert/strict";
import { hostTest, makeHost } from "../hosts.ts";
import { needShape } from "../shapes.ts";

hostTest(
  "a host that runs from a disk becomes no other; the plan shows the commands and all that is in the way",
  async (t) => {
    const host = await makeHost(t, "hosta");
    await host.ok("init", "--host", "hosta");
    const refused: [words: string[], status: number, why: RegExp][] = [
      [
        ["images/base", "/dev/none"],
        1,
        /this machine runs from a disk, and is no installer[^]*image initrd --installer/,
      ],
      [[], 22, /needs an image/],
      [["--boot"], 22, /was not told into which domain/],
    ];
    for (const [words, status, why] of refused) {
      const got = await host.isconf("install", ...words);
      assert.match(got.stderr, why, words.join(" "));
      assert.equal(got.status, status, words.join(" "));
    }
    const plan = await host.isconf("install", "--plan", "images/base", "/dev/null");
    assert.match(plan.stdout, /--new=3:0:0 --typecode=3:8304 \/dev\/null\n/);
    assert.match(plan.stdout, /grub-install --target=/);
    assert.match(plan.stderr, /\/dev\/null is no disk/);
    const result = JSON.parse(
      (await host.isconf("--json", "install", "--plan", "images/base", "/dev/null")).stdout,
    );
    needShape("InstallResult", result);
    const { scripts, missing } = result;
    assert.deepEqual(scripts.map(({ step }: { step: string }) => step), ["disk", "boot", "restart"]);
    assert.ok(missing.some(({ why }: { why: string }) => why === "/dev/null is no disk"));
  },
);
