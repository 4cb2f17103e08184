// image build: a Debian made anew by the script that --plan shows, captured as a base image; what is in the way is said first, and nothing is left.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import { test } from "node:test";
import { lacks } from "../programs.ts";
import { makeBox, skipIf } from "./tools.ts";

test("what is wrong is said before anything runs, all of it; the plan is a script without loops or conditions", async (t) => {
  const box = makeBox(t);
  const plan = await box.isconf([
    "image",
    "build",
    "--plan",
    "--include",
    "htop,less",
    "--dir",
    box.dir,
    "images/base",
  ]);
  const said = plan.out;
  assert.match(said, /^# isconf image build images\/base\n/);
  assert.match(
    said,
    /mmdebstrap --variant=minbase --include=htop,less \\\n {2}bookworm \/\S+\/isconf-build-[0-9a-f]{12}\n/,
  );
  fs.writeFileSync(`${box.dir}/it's.deb`, "");
  const more = await box.ok([
    "image",
    "build",
    "--plan",
    "--deb",
    `${box.dir}/it's.deb`,
    "--dir",
    box.dir,
    "images/base",
  ]);
  assert.match(
    more,
    /\n\/usr\/bin\/cp '\/\S+\/it'\\''s\.deb' \S+\/isconf-package\.deb\n\S+chroot \S+ dpkg -i \/isconf-package\.deb\n\S+rm /,
  );
  for (
    const [words, why] of [
      [["--deb", "/no/such.deb"], /the build was not begun/],
      [["--suite", "$(reboot)"], /suite is \$\(reboot\), and must be the name of a release/],
      [["--include", "a,;b"], /include is a,;b, and must be names of packages/],
      [["--mirror", "ftp://x"], /mirror is ftp:\/\/x, and must be a URL/],
      [["--variant", "all"], /variant is all/],
      [["--dir", "/proc"], /the build was not begun/],
    ] as const
  ) {
    const { status, err } = await box.isconf(["image", "build", ...words, "images/base"]);
    assert.notEqual(status, 0, words.join(" "));
    assert.match(err, why, words.join(" "));
  }
  assert.deepEqual(fs.readdirSync(box.dir).filter((name) => name.startsWith("isconf-build")), []);
});

test(
  "a Debian is built, captured, compared with itself, and can be got",
  skipIf("image build", lacks({ root: true, programs: ["mmdebstrap"] })),
  async (t) => {
    const box = makeBox(t);
    await box.begin();
    await box.ok(["image", "build", "--variant", "apt", "--dir", box.dir, "images/base"], {
      timeoutMs: 300_000,
    });
    assert.deepEqual(fs.readdirSync(box.dir).filter((name) => name.startsWith("isconf-build")), []);
    const record = JSON.parse(await box.ok(["--json", "image", "show", "images/base"]));
    assert.deepEqual([record.kind, record.os, record.place], ["root", { id: "debian", version: "12" }, null]);
    const out = `${box.dir}/out`;
    await box.ok(["get", "images/base:fs", out]);
    for (
      const [at, mode] of [["", 0o755], ["/etc", 0o755], ["/etc/apt", 0o755], ["/usr/bin/apt", 0o755], [
        "/tmp",
        0o1777,
      ]] as const
    ) {
      assert.equal(fs.statSync(out + at).mode & 0o7777, mode, at);
    }
    const tree = await box.ok(["tree", "images/base:fs/etc"]);
    assert.match(tree, /apt/);
  },
);
