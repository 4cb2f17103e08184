// addon: SQLite's addon and the agent's bundle load from the executable itself, whatever the disk is like.
// Not a test of SQLite.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname } from "node:path";
import { test } from "node:test";
import { BARE_ROOT, run, STAND_IN, testWith } from "./tools.ts";

test("the agent's code cache is accepted", () => {
  const { out } = run(STAND_IN, ["agent", "load"]);
  assert.equal(out, "code cache rejected: false\n", "the build made it with other flags or another Node");
});

test("workers, Atomics and WebAssembly work with the built-in atomic routine", () => {
  const { out, err, status } = run(STAND_IN, ["agent", "stress"]);
  assert.deepEqual({ out, err, status }, { out: "800000 800000 84000\n", err: "", status: 0 });
});

testWith(["strace"], "SQLite loads with no file written", () => {
  const folder = mkdtempSync(`${tmpdir()}/isconf-trace-`);
  try {
    const calls = "open,openat,openat2,creat,link,linkat,rename,renameat,renameat2,memfd_create";
    const { out } = run("strace", ["-f", "-e", calls, "-o", `${folder}/log`, STAND_IN, "agent", "sqlite"]);
    assert.match(out, /^SQLite 3\./);
    const log = readFileSync(`${folder}/log`, "utf8").split("\n");
    assert.equal(log.filter((line) => line.includes('memfd_create("better_sqlite3.node"')).length, 1);
    const written = log.filter((line) => /O_CREAT|O_WRONLY|O_RDWR|creat\(|link|rename/.test(line))
      .filter((line) => !/"\/dev\/(null|tty)"/.test(line));
    assert.deepEqual(written, [], "a file was opened for writing before the first database");
    assert.deepEqual(
      log.filter((line) => /open.*\.node"/.test(line)),
      [],
      "an addon was looked for on the disk",
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});

/** Runs the stand-in where the bare root is read-only, /tmp is `noexec` and the executable lies alone under /mnt. */
const BARE = `
  mount --bind "$1" "$1"
  mount --bind "$2" "$1/mnt"
  mount -o remount,bind,ro "$1"
  mount -o remount,bind,ro "$1/mnt"
  mount -t proc proc "$1/proc"
  mount -t tmpfs -o noexec,nosuid,nodev tmpfs "$1/tmp"
  exec chroot "$1" /bin/sh -ec '
    if touch /x 2>/dev/null; then echo "the root is writable"; exit 1; fi
    cd /tmp
    echo "#!/bin/sh" >script; chmod +x script
    if ./script 2>/dev/null; then echo "/tmp is not noexec"; exit 1; fi
    /mnt/stand-in version; /mnt/stand-in agent sqlite; /mnt/stand-in agent load'
`;

testWith(["root", "unshare", BARE_ROOT], "it runs on a bare, read-only Debian with a noexec /tmp", () => {
  const arguments_ = ["--mount", "sh", "-ec", BARE, "sh", BARE_ROOT, dirname(STAND_IN)];
  const { out, err, status } = run("unshare", arguments_, { env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" } });
  assert.equal(err, "");
  assert.match(out, /^isconf .*\nSQLite 3\..*\ncode cache rejected: false\n$/);
  assert.equal(status, 0);
});
