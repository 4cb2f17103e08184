// rebuild --check where it cannot begin: what is in the way is said, and nothing is left behind. With a twin: tests/machines/rebuild_test.ts.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import { BARE_ROOT } from "../exe/tools.ts";
import { checkIn, hostTest, makeHost } from "../hosts.ts";

const exists = fs.existsSync(BARE_ROOT);
if (!exists) {
  console.log(`skipped: a twin that cannot be made: ${BARE_ROOT} is not there: scripts/ci_setup.sh`);
}

if (exists) {
  hostTest("what is in the way of a twin is said, and nothing of it stays", async (t) => {
    const host = await makeHost(t, "hosta", { lower: BARE_ROOT });
    await host.ok("init", "--host", "hosta");
    await host.ok("image", "capture", "--passwords", "images/base");
    const shelf = await host.ok("ls");
    const refused = async (words: string[], why: RegExp) => {
      const { status, stderr } = await host.isconf("rebuild", "--check", ...words);
      assert.match(stderr, why, words.join(" "));
      assert.notEqual(status, 0);
    };
    await refused(
      [],
      /needs the image that hosts of the branch begin with\n {2}isconf rebuild --check --image NAME/,
    );
    await refused(["--image", "images/none"], /images\/none/);
    for (const odd of ["srv", "/srv/", "/"]) {
      await refused(["--image", "images/base", "--except", odd], /is no path from \/ on/);
    }
    const asUser = await host.run(["isconf", "rebuild", "--check", "--image", "images/base"], { uid: 65534 });
    assert.match(asUser.stderr, /all of a host is only root's to read/);
    await refused(["--image", "images/base"], /images\/base has no kernel/);
    assert.equal(await host.ok("ls"), shelf, "nothing is left on the shelf");
    assert.match(await host.ok("vm", "list"), /no machine|^$/);

    await checkIn(host, "one", ["exec", "sh", "-c", "echo 1 >/etc/one"]);
    await refused(
      ["--image", "images/base", "--against", "images/base"],
      /images\/base is not at entry 1 of main, where the twin will be/,
    );
    await host.ok("lock", "more");
    await host.ok("exec", "true");
    await refused(
      ["--image", "images/base"],
      /not at the end of its branch, with nothing beside it\n {2}isconf ci/,
    );
    await host.ok("ci");
    await host.ok("lock", "restart");
    await host.ok("reboot");
    await host.rebootAs("boot-2");
    await host.ok("start");
    await host.ok("ci");
    await refused(
      ["--image", "images/base"],
      /entry 3 restarts the host, and a twin in memory would begin anew/,
    );
  });
}
