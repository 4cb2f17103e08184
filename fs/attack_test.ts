// What a local user may plant on the way of a restore or capture run by root: links, swaps, fifos, hard links, mounts.
// Nothing outside of the directory is ever written, chowned or read.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  lchownSync,
  lstatSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { systemClock } from "../mq/mod.ts";
import { capture } from "./capture.ts";
import type { Cutter } from "./cutter.ts";
import { asRoot, assertNoTemporaries, look, sh, testIn } from "./fixture.ts";
import { removeLeftovers } from "./leftovers.ts";
import { remove } from "./remove.ts";
import { restore } from "./restore.ts";
import { openDir } from "./safepath.ts";
import { MemoryStore } from "./store.ts";

const nobody = 65534;
const refused = { name: "Fault", kind: "refused" };

async function kept(store: MemoryStore, dir: string, script: string, name: string): Promise<string> {
  sh(dir, script);
  return (await capture(store, join(dir, name))).id;
}

testIn("a link planted at the target is replaced, not followed", async (dir) => {
  const store = new MemoryStore();
  const id = await kept(
    store,
    dir,
    "printf new > f; printf precious > victim; ln -s victim t; ln victim hard",
    "f",
  );
  await restore(store, id, join(dir, "t"));
  await restore(store, id, join(dir, "hard"));
  assert.equal(sh(dir, "cat victim; test -L t || cat t hard"), "preciousnewnew");
});

testIn(
  "a foreign link as a parent is refused, for restore, capture and removal; root's own is followed",
  async (dir) => {
    const store = new MemoryStore();
    const id = await kept(store, dir, "printf new > f; mkdir -p real/sub; chmod 755 . real", "f");
    symlinkSync("real", join(dir, "ours"));
    symlinkSync("real", join(dir, "theirs"));
    lchownSync(join(dir, "theirs"), nobody, nobody);
    await restore(store, id, join(dir, "ours/f"));
    assert.equal(sh(dir, "cat real/f"), "new");
    await assert.rejects(restore(store, id, join(dir, "theirs/g")), refused);
    await assert.rejects(capture(store, join(dir, "theirs/f")), refused);
    await assert.rejects(remove(join(dir, "theirs/f")), refused);
    assert.equal(sh(dir, "ls real"), "f\nsub\n");
  },
  asRoot,
);

testIn(
  "root's link in a directory that others may write to is refused: they could have put it there",
  async (dir) => {
    const store = new MemoryStore();
    const id = await kept(
      store,
      dir,
      "printf new > f; mkdir real open sticky; ln -s ../real open/l; ln -s ../real sticky/l",
      "f",
    );
    chmodSync(join(dir, "open"), 0o777);
    await assert.rejects(restore(store, id, join(dir, "open/l/f")), refused);
    chmodSync(join(dir, "sticky"), 0o1777);
    await restore(store, id, join(dir, "sticky/l/f"));
    sh(dir, "ln sticky/l sticky/planted"); // as anybody could with protected_hardlinks=0
    await assert.rejects(restore(store, id, join(dir, "sticky/planted/f")), refused);
    lchownSync(join(dir, "open"), nobody, nobody);
    chmodSync(join(dir, "open"), 0o755);
    await assert.rejects(restore(store, id, join(dir, "open/l/f")), refused);
  },
  asRoot,
);

testIn("links in a loop, and links with .. and absolute targets", async (dir) => {
  const store = new MemoryStore();
  const id = await kept(
    store,
    dir,
    `printf new > f; mkdir -p a/b; ln -s x y; ln -s y x; ln -s ../a/./b a/up; ln -s '${dir}/a' abs`,
    "f",
  );
  await assert.rejects(restore(store, id, join(dir, "x/f")), refused);
  await restore(store, id, join(dir, "a/up/f"));
  await restore(store, id, join(dir, "abs/b/g"));
  assert.equal(sh(dir, "cat a/b/f a/b/g"), "newnew");
});

/** A process of the user nobody that swaps things in `dir` as fast as it can. */
function attacker(dir: string, script: string): { stop: () => Promise<void> } {
  const child = spawn("setpriv", [
    "--reuid",
    "65534",
    "--regid",
    "65534",
    "--clear-groups",
    "bash",
    "-c",
    `while :; do ${script}; done`,
  ], {
    cwd: dir,
    stdio: "ignore",
  });
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  return { stop: () => (child.kill("SIGKILL"), ended) };
}

testIn("a parent swapped for a link in a loop: never a write outside", async (dir) => {
  const store = new MemoryStore();
  const id = await kept(
    store,
    dir,
    "printf new > f; ln -s nowhere l; mkdir t; cp -P f l t; mkdir -p outside/p home/p; printf precious > outside/p/f; chmod 755 .; chown -R 65534 home",
    "t",
  );
  const file = (await capture(store, join(dir, "f"))).id;
  const before = look(join(dir, "outside"));
  const swap = attacker(join(dir, "home"), "mv -T p q.$RANDOM$RANDOM; ln -sT ../outside/p p; rm p; mkdir p");
  let done = 0;
  let said = 0;
  try {
    const [enough, until] = [systemClock.now() + 2500, systemClock.now() + 20_000];
    const isOver = () => systemClock.now() > (done > 0 && said > 0 ? enough : until);
    while (!isOver()) {
      try {
        await restore(store, file, join(dir, "home/p/f"));
        await restore(store, id, join(dir, "home/p"));
        await restore(store, id, join(dir, "home/p/d"));
        await remove(join(dir, "home/p/d"));
        done++;
      } catch (e) {
        assert.match(String((e as { kind?: string }).kind), /refused|notFound|environment/);
        said++;
      }
    }
  } finally {
    await swap.stop();
  }
  assert.ok(done > 0 && said > 0, `${done} done, ${said} refused: no race was run`);
  assert.deepEqual(look(join(dir, "outside")), before);
}, asRoot);

testIn(
  "names in the directory of the target swapped in a loop: root's files are neither chowned nor written",
  async (dir) => {
    const store = new MemoryStore();
    sh(dir, "mkdir t home; printf new > t/f; ln -s x t/l; chown -hR 65534:65534 t home; chmod 755 .");
    const id = (await capture(store, join(dir, "t"))).id;
    writeFileSync(join(dir, "shadow"), "secret", { mode: 0o600 });
    // Whatever temporary name shows up is replaced by a hard link to a file of root's (protected_hardlinks is 0 here).
    const swap = attacker(
      join(dir, "home"),
      `for n in .isconf-* */.isconf-*; do mv "$n" "$n.x"; ln ../shadow "$n" || ln ../../shadow "$n"; ln -s ../shadow "$n"; rm -rf "$n.x"; done`,
    );
    try {
      const until = systemClock.now() + 2500;
      for (let i = 0; systemClock.now() < until; i++) {
        try {
          await restore(store, id, join(dir, `home/${i % 3}`));
        } catch (e) {
          assert.match(String((e as { kind?: string }).kind), /refused|notFound|environment/);
        }
        try {
          await remove(join(dir, `home/${i % 3}`));
        } catch (e) {
          assert.match(String((e as { kind?: string }).kind), /refused|notFound|environment/);
        }
      }
    } finally {
      await swap.stop();
    }
    const { uid, mode } = lstatSync(join(dir, "shadow"));
    assert.deepEqual([uid, mode & 0o7777, readFileSync(join(dir, "shadow"), "utf8")], [0, 0o600, "secret"]);
  },
  asRoot,
);

testIn(
  "a fifo, a socket and a device are refused by name, also inside a directory, and never waited for",
  async (dir) => {
    const store = new MemoryStore();
    sh(dir, `mkdir d; mkfifo $'d/fi\\nfo'`);
    await assert.rejects(capture(store, join(dir, "d")), {
      kind: "usage",
      message: /d\/fi\\u\{a\}fo is a fifo/,
    });
    await assert.rejects(capture(store, "/dev/null"), {
      kind: "usage",
      message: /\/dev\/null is a character device/,
    });
    await assert.rejects(capture(store, "/proc/self/maps"), { kind: "usage", message: /is on proc/ });
    await assert.rejects(capture(store, "/proc/cpuinfo"), { kind: "usage", message: /proc/ });
    await assert.rejects(capture(store, "/sys/kernel"), { kind: "usage", message: /sysfs/ });
    await assert.rejects(capture(store, join(dir, "none")), { kind: "notFound" });
  },
);

testIn(
  "a hard link to somebody else's file, where its name could be another's doing, is refused",
  async (dir) => {
    const store = new MemoryStore();
    sh(
      dir,
      "mkdir own theirs shared open t; printf secret > shadow; chmod 600 shadow; printf x > plain; chown 65534 plain",
    );
    sh(dir, "chmod 755 . own; chown 65534 theirs; chmod 1777 shared; chmod 775 open");
    for (const to of ["own", "theirs", "shared", "open"]) {
      sh(
        dir,
        `ln shadow ${to}/s; ln plain ${to}/p; printf n > ${to}/n; chown 65534 ${to}/n`,
      );
    }
    const refuses = async (name: string) =>
      await assert.rejects(capture(store, join(dir, name)), {
        kind: "refused",
        message: /several names of a file/,
      }, name);
    for (const name of ["theirs/s", "shared/s", "shared/p", "open/s", "theirs", "shared"]) {
      await refuses(
        name,
      );
    }
    for (const name of ["own/s", "own/p", "theirs/p", "shared/n", "theirs/n", "own"]) {
      await capture(
        store,
        join(dir, name),
      );
    }
    sh(dir, "mkdir theirs/deep; mv theirs/s theirs/deep/s; chown 65534 theirs/deep");
    await refuses("theirs");
    // All of its names are in the tree: it is nobody's from elsewhere.
    sh(dir, "mkdir open/t; chmod 777 open/t; printf z > open/t/a; ln open/t/a open/t/b");
    await capture(store, join(dir, "open/t"));
    sh(dir, "rm theirs/deep/s");
    await capture(store, join(dir, "theirs"));
  },
  asRoot,
);

testIn("a file that grows for ever ends the capture in bounded time", async (dir) => {
  const store = new MemoryStore();
  const path = join(dir, "f");
  writeFileSync(path, "start");
  const change = (how: (piece: Uint8Array) => void): Cutter => ({
    async *cut(source) {
      for await (const piece of source) {
        how(piece);
        yield piece;
      }
    },
  });
  let times = 0;
  const growing = change((piece) => (times++, appendFileSync(path, piece)));
  const said = { kind: "refused", message: /\/f changed while it was read/ };
  await assert.rejects(capture(store, path, { cutter: growing }), said);
  assert.equal(times, 2);
  let isFirst = true;
  const shrinking = change(() => {
    if (isFirst) truncateSync(path, 1);
    isFirst = false;
  });
  await capture(store, path, { cutter: shrinking }); // the second look finds it at rest
  const rewriting = change((piece) => writeFileSync(path, piece));
  await assert.rejects(capture(store, path, { cutter: rewriting }), said);
  const replacing = change(() => (rmSync(path), writeFileSync(path, "another")));
  await assert.rejects(capture(store, path, { cutter: replacing }), said);
});

testIn("an immutable file is refused, not taken without its flag", async (dir) => {
  const store = new MemoryStore();
  sh(dir, "printf x > f; chattr +i f");
  try {
    await assert.rejects(capture(store, join(dir, "f")), {
      kind: "refused",
      message: /immutable/,
      hint: /chattr -ia/,
    });
  } finally {
    sh(dir, "chattr -i f");
  }
}, asRoot);

testIn("leftovers of a crash are removed when old and ours, and only those", (dir) => {
  const hex = (digit: string) => `.isconf-${digit.repeat(32)}`;
  sh(
    dir,
    `printf x > ${hex("1")}; mkdir ${hex("2")}; ln -s x ${hex("2")}/l; mkdir ${hex("3")}; printf x > ${
      hex("3")
    }/mine
    printf x > .isconf-notes; ln -s x ${hex("4")}; printf x > ${hex("5")}; ln ${hex("5")} keep; printf x > ${
      hex("6")
    }; printf x > ${hex("7")}`,
  );
  if (asRoot.skip === false) sh(dir, `chown 65534 ${hex("6")}`);
  else sh(dir, `rm ${hex("6")}; touch gone; ln gone ${hex("6")}`);
  const holder = spawn("flock", [hex("7"), "sleep", "60"], { cwd: dir, stdio: "ignore" });
  try {
    sh(dir, `while flock -n ${hex("7")} true; do :; done`);
    using open = openDir(-100, dir);
    assert.equal(removeLeftovers(open.fd, systemClock), 0, "too young");
    const later = { ...systemClock, wall: () => systemClock.wall() + 2 * 3_600_000 };
    assert.equal(removeLeftovers(open.fd, later), 2);
    const left = sh(dir, "ls -A").split("\n").filter((n) => n.startsWith(".isconf-"));
    assert.deepEqual(left, [hex("3"), hex("4"), hex("5"), hex("6"), hex("7"), ".isconf-notes"]);
  } finally {
    holder.kill("SIGKILL");
  }
});

testIn(
  "remove takes everything, follows nothing, and stops at mounts before anything is gone",
  async (dir) => {
    sh(
      dir,
      `mkdir -p d/a/b outside; printf x > outside/f; ln -s ../../outside d/a/l; printf y > d/a/b/$'\\xff\\n'; mkfifo d/p; seq -f d/a/%g 3000 | xargs touch`,
    );
    assert.deepEqual(await remove(join(dir, "d/a/l")), { removed: 1 });
    sh(dir, "ln -s ../../outside d/a/l");
    if (asRoot.skip === false) {
      sh(dir, "mkdir d/m; mount -t tmpfs tmpfs d/m");
      try {
        await assert.rejects(remove(join(dir, "d")), { kind: "refused", message: /d\/m is a mount point/ });
        await assert.rejects(remove(join(dir, "d/m")), { kind: "refused" });
      } finally {
        sh(dir, "umount d/m; rmdir d/m");
      }
    }
    assert.deepEqual(await remove(join(dir, "d")), { removed: 3006 });
    assert.equal(sh(dir, "ls; cat outside/f"), "outside\nx");
    await assert.rejects(remove(join(dir, "d")), { kind: "notFound" });
    await assert.rejects(remove("/"), { kind: "usage" });
    await assert.rejects(remove("//./"), { kind: "usage" });
    assertNoTemporaries(dir);
  },
);

testIn(
  "who is not root cannot restore what belongs to others, and is told before anything is written",
  async (dir) => {
    const store = new MemoryStore();
    sh(
      dir,
      "mkdir -p t/sub; printf x > t/a; printf y > t/sub/b; chown -R 65534:65534 t; chown 12345 t/sub/b; chmod 777 .",
    );
    const foreign = (await capture(store, join(dir, "t"))).id;
    sh(dir, "chown -R 65534:65534 t");
    const own = (await capture(store, join(dir, "t"))).id;
    process.setegid!(nobody);
    process.seteuid!(nobody);
    try {
      await assert.rejects(restore(store, foreign, join(dir, "x")), {
        kind: "denied",
        message: /sub\/b belongs to 12345/,
      });
      await restore(store, own, join(dir, "y"));
    } finally {
      process.seteuid!(0);
      process.setegid!(0);
    }
    assert.equal(sh(dir, "ls; cat y/a y/sub/b; stat -c %u y/a"), "t\ny\nxy65534\n");
  },
  asRoot,
);
