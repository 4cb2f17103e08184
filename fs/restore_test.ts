// capture and restore together: every kind of file there and back, judged by find, stat and sha256sum.
import assert from "node:assert/strict";
import { join } from "node:path";
import { capture } from "./capture.ts";
import { fixedCutter } from "./cutter.ts";
import {
  asRoot,
  assertNoTemporaries,
  attributes,
  diskBytes,
  isRoot,
  look,
  sh,
  testIn,
  trySetXattr,
} from "./fixture.ts";
import { readManifest } from "./manifest.ts";
import { openStoreDatabase } from "./store_db.ts";
import { restore } from "./restore.ts";
import { MemoryStore } from "./store.ts";
import { SqliteStore } from "./store_sqlite.ts";
import { listTree } from "./tree.ts";

/** A store that counts how often each object is read. */
class Counting extends MemoryStore {
  readonly reads = new Map<string, number>();

  override get(ids: string[]): Promise<Uint8Array[]> {
    for (const id of ids) this.reads.set(id, (this.reads.get(id) ?? 0) + 1);
    return super.get(ids);
  }
}

/** One of everything. Directory times are set last, inner ones first. */
const EVERYTHING = `
mkdir -p a/empty a/deep/er; umask 022
printf hello > a/hello; : > a/zero; printf x > $'a/new\\nline'; printf y > $'a/\\xff\\xfe bytes'; printf z > 'a/ spaced '
printf 's' > a/setuid; chmod 4755 a/setuid; printf g > a/none; chmod 0$([ $(id -u) = 0 ] || echo 4)00 a/none; chmod 1777 a/deep; chmod 2750 a/deep/er
head -c 3000000 /dev/urandom > a/big; head -c 4096 /dev/urandom > a/inline; head -c 4097 /dev/urandom > a/chunk
ln a/hello a/deep/hello2; ln a/hello a/zzz; ln a/big a/big2
ln -s hello a/link; ln -s / a/root; ln -s loop2 a/loop1; ln -s loop1 a/loop2; ln -s $'\\xff\\n' $'a/\\xfelink'
truncate -s 10M a/sparse; printf data | dd of=a/sparse bs=1 seek=5000000 conv=notrunc status=none
truncate -s 1M a/hole; truncate -s 1M a/tail; printf q | dd of=a/tail conv=notrunc status=none
touch -d '1969-12-31 23:59:58.25 UTC' a/zero; touch -h -d '2001-02-03 04:05:06.123456789 UTC' a/link
touch -d '2038-01-20 00:00:00.000000001 UTC' a/hello; touch -d '2500-01-01 UTC' a/none || :
if [ $(id -u) = 0 ]; then chown 12345:54321 a/setuid; chmod 4755 a/setuid; chown -h 7:8 a/link; chown 3000000000:9 a/deep; fi
find a -depth -type d -exec touch -d '2020-02-02 02:02:02.020202020 UTC' {} +`;

testIn("one of everything comes back byte for byte, twice, from both stores", async (dir) => {
  sh(dir, EVERYTHING);
  const acl = Buffer.from(
    "02000000" + "01000600ffffffff" + "0200060039300000" + "04000400ffffffff" + "10000600ffffffff" +
      "20000400ffffffff",
    "hex",
  );
  const set = trySetXattr(join(dir, "a/hello"), "user.isconf", new Uint8Array([0, 255, 10]));
  trySetXattr(join(dir, "a/deep"), "user.dir", new Uint8Array(3000).fill(7));
  trySetXattr(join(dir, "a/inline"), "system.posix_acl_access", acl);
  trySetXattr(join(dir, "a/empty"), "system.posix_acl_default", acl);
  if (isRoot) {
    const netRaw = Buffer.from("0100000200200000000000000000000000000000", "hex");
    trySetXattr(join(dir, "a/setuid"), "security.capability", netRaw);
    trySetXattr(join(dir, "a/link"), "trusted.link", new Uint8Array([1]));
  }
  sh(
    dir,
    "chmod 4755 a/setuid; find a -depth -type d -exec touch -d '2020-02-02 02:02:02.020202020 UTC' {} +",
  );
  const marked = ["a/hello", "a/deep", "a/inline", "a/empty", "a/setuid", "a/link"];
  const before = look(join(dir, "a"));
  const db = openStoreDatabase(join(dir, "store.db"));
  try {
    for (const [i, store] of [new MemoryStore(), new SqliteStore(db)].entries()) {
      const kept = await capture(store, join(dir, "a"), { cutter: fixedCutter(1 << 16) });
      assert.equal(kept.kind, "dir");
      assert.equal(kept.files, Number(sh(dir, "find a ! -type d -printf x | wc -c")));
      const target = join(dir, `b${i}`);
      const { written, unchanged } = await restore(store, kept.id, target);
      assert.deepEqual([written, unchanged], [Number(sh(dir, "find a -printf x | wc -c")), 0]);
      assert.deepEqual(look(target), before);
      const of = (root: string) => marked.map((m) => attributes(join(dir, m.replace(/^a/, root))));
      assert.deepEqual(of(`b${i}`), of("a"));
      if (set) assert.ok(of("a").flat().length > 0);
      assert.equal(sh(dir, `stat -c %U:%a:%y b${i}`), sh(dir, "stat -c %U:%a:%y a"));
      for (const name of ["sparse", "hole", "tail"]) assert.ok(diskBytes(join(target, name)) <= 8192, name);
      assert.equal(sh(target, "stat -c %i hello"), sh(target, "stat -c %i zzz"));
      assert.equal((await capture(store, target, { cutter: fixedCutter(1 << 16) })).id, kept.id);
      assert.deepEqual(await restore(store, kept.id, target), { written: 0, unchanged: written });
      assert.deepEqual(look(target), before);
      assertNoTemporaries(dir);
    }
  } finally {
    db.close();
  }
});

testIn("a single file, a link and an empty directory are roots too", async (dir) => {
  sh(
    dir,
    "printf hi > f; ln -s nowhere l; mkdir d; touch -d '2000-01-01 UTC' f d; touch -h -d '2000-01-01 UTC' l; ln f f2",
  );
  const store = new MemoryStore();
  for (
    const [name, kind, files, bytes] of [["f", "file", 1, 2], ["l", "link", 1, 0], [
      "d",
      "dir",
      0,
      0,
    ]] as const
  ) {
    const kept = await capture(store, join(dir, name));
    assert.deepEqual([kept.kind, kept.files, kept.bytes], [kind, files, bytes]);
    assert.deepEqual(
      await restore(store, kept.id, join(dir, "new", "..", `x${name}`).replace("/new/..", "")),
      { written: 1, unchanged: 0 },
    );
    const shape = "%F %a %U:%G %y %s %N";
    assert.equal(
      sh(dir, `stat -c '${shape}' x${name}`).replaceAll(`x${name}`, name),
      sh(dir, `stat -c '${shape}' ${name}`),
    );
  }
});

testIn("equal content has one id, whatever its name, links outside the tree or place", async (dir) => {
  sh(dir, "mkdir a b; printf x > a/f; cp -p a/f b/f; ln b/f outside; touch -r a b");
  const store = new MemoryStore();
  assert.equal((await capture(store, join(dir, "a"))).id, (await capture(store, join(dir, "b"))).id);
});

testIn("what differs in any one way is written again, nothing else is", async (dir) => {
  sh(
    dir,
    "mkdir a; printf hello > a/f; printf other > a/g; ln -s f a/l; touch -d '2000-01-01 UTC' a/f a/g a",
  );
  const store = new MemoryStore();
  const { id } = await capture(store, join(dir, "a"));
  const good = look(join(dir, "a"));
  const changes = [
    "printf hellO > a/f; touch -d '2000-01-01 UTC' a/f", // same size and time: only the hash tells
    "printf longer > a/f",
    "chmod 600 a/f",
    "touch -d '2000-01-01 00:00:00.000000001 UTC' a/f",
    "rm a/f",
    "ln -sf f2 a/l",
    "rm a/f; ln -s /etc/hostname a/f",
    "rm a/f; mkfifo a/f",
    ...(isRoot ? ["chown 1 a/f", "chgrp 1 a/f", "chown -h 1 a/l"] : []),
  ];
  for (const change of changes) {
    sh(dir, `${change}; touch -d '2000-01-01 UTC' a`);
    const { written } = await restore(store, id, join(dir, "a"));
    assert.ok(written >= 1 && written <= 2, `${change}: ${written}`);
    assert.deepEqual(look(join(dir, "a")), good, change);
  }
  if (trySetXattr(join(dir, "a/f"), "user.extra", new Uint8Array(1))) {
    assert.equal((await restore(store, id, join(dir, "a"))).written, 2);
    assert.deepEqual(attributes(join(dir, "a/f")), []);
    trySetXattr(join(dir, "a"), "user.extra", new Uint8Array(1));
    assert.equal((await restore(store, id, join(dir, "a"))).written, 1);
    assert.deepEqual(attributes(join(dir, "a")), []);
  }
});

testIn("directories are merged: extra names stay; a broken hard link is mended", async (dir) => {
  sh(dir, "mkdir a; printf 1 > a/f; ln a/f a/g; touch -d '2000-01-01 UTC' a");
  const store = new MemoryStore();
  const { id } = await capture(store, join(dir, "a"));
  sh(dir, "printf keep > a/extra; rm a/g; cp -p a/f a/g; ln a/f a/other; rm a/f; cp -p a/g a/f");
  await restore(store, id, join(dir, "a"));
  assert.equal(sh(dir, "stat -c %i a/f"), sh(dir, "stat -c %i a/g"));
  assert.equal(sh(dir, "cat a/extra"), "keep");
});

testIn(
  "a directory is never replaced, nor made where something else is; a missing parent is named",
  async (dir) => {
    sh(dir, "mkdir -p tree/sub file; printf x > f; ln -s tree link; printf y > tree/sub/y");
    const store = new MemoryStore();
    const file = (await capture(store, join(dir, "f"))).id;
    const tree = (await capture(store, join(dir, "tree"))).id;
    const link = (await capture(store, join(dir, "link"))).id;
    const refused = { name: "Fault", kind: "refused", hint: /^isconf / };
    await assert.rejects(restore(store, file, join(dir, "tree")), refused);
    await assert.rejects(restore(store, link, join(dir, "tree")), refused);
    await assert.rejects(restore(store, tree, join(dir, "f")), refused);
    await assert.rejects(restore(store, tree, join(dir, "link")), refused);
    await assert.rejects(restore(store, file, join(dir, "no/such/f")), {
      kind: "notFound",
      message: /\/no does not exist/,
    });
    await assert.rejects(restore(store, file, join(dir, "f/g")), {
      kind: "notFound",
      message: /\/f is not a directory/,
    });
    await assert.rejects(restore(store, file, join(dir, "tree") + "/../f"), { kind: "usage" });
    await assert.rejects(restore(store, file, ""), { kind: "usage" });
    assert.equal(sh(dir, "cat f tree/sub/y"), "xy");
  },
);

testIn("content that is damaged or missing leaves the old file and no temporary", async (dir) => {
  sh(dir, "head -c 100000 /dev/zero > f; printf old > g");
  const store = new MemoryStore();
  const { id } = await capture(store, join(dir, "f"), { cutter: fixedCutter(50_000) });
  const chunk = [...store.objects].find(([, bytes]) => bytes.length === 50_000)!;
  chunk[1][7]! ^= 1;
  await assert.rejects(restore(store, id, join(dir, "g")), {
    kind: "corrupt",
    message: new RegExp(chunk[0]),
  });
  store.drop([chunk[0]]);
  await assert.rejects(restore(store, id, join(dir, "g")), {
    kind: "notFound",
    message: new RegExp(chunk[0]),
  });
  assert.equal(sh(dir, "cat g"), "old");
  assertNoTemporaries(dir);
});

testIn("a full disk: the old file stays, no temporary, an environment fault that says so", async (dir) => {
  sh(
    dir,
    "mkdir small; mount -t tmpfs -o size=1m tmpfs small; head -c 3000000 /dev/urandom > big; printf old > small/f",
  );
  try {
    const store = new MemoryStore();
    const { id } = await capture(store, join(dir, "big"));
    await assert.rejects(restore(store, id, join(dir, "small/f")), {
      kind: "environment",
      message: /ENOSPC.*small\/f/,
    });
    assert.equal(sh(dir, "cat small/f; ls -A small"), "oldf\n");
    sh(dir, "head -c 1000 big > big2; mv big2 big");
    await restore(store, (await capture(store, join(dir, "big"))).id, join(dir, "small/f"));
    assert.equal(sh(dir, "cmp big small/f && echo same"), "same\n");
  } finally {
    sh(dir, "umount small");
  }
}, asRoot);

testIn("a 1 TiB sparse file comes and goes in no time", async (dir) => {
  sh(dir, "truncate -s 1T f; printf x | dd of=f bs=1 seek=800000000000 conv=notrunc status=none");
  const store = new MemoryStore();
  const started = performance.now();
  const kept = await capture(store, join(dir, "f"));
  await restore(store, kept.id, join(dir, "g"));
  assert.deepEqual(await restore(store, kept.id, join(dir, "g")), { written: 0, unchanged: 1 });
  const ms = performance.now() - started;
  assert.ok(ms < 5000, `${ms} ms`);
  assert.ok(kept.bytes <= 65536);
  assert.equal(
    sh(dir, "stat -c %s g; dd if=g bs=1 skip=800000000000 count=1 status=none"),
    "1099511627776\nx",
  );
  assert.ok(diskBytes(join(dir, "g")) <= 65536);
});

testIn("zeros where the tree has a hole are equal, a byte there is not", async (dir) => {
  sh(
    dir,
    "truncate -s 1M f; printf x | dd of=f conv=notrunc status=none; touch -d '2000-01-01 UTC' f; mkdir d",
  );
  const store = new MemoryStore();
  const { id } = await capture(store, join(dir, "f"));
  sh(dir, "cp --sparse=never -p f g");
  assert.equal((await restore(store, id, join(dir, "g"))).unchanged, 1);
  sh(dir, "printf y | dd of=g bs=1 seek=900000 conv=notrunc status=none; touch -d '2000-01-01 UTC' g");
  assert.equal((await restore(store, id, join(dir, "g"))).written, 1);
  assert.equal(sh(dir, "cmp f g && echo same"), "same\n");
});

testIn("paths far longer than PATH_MAX work; nesting beyond the limit is refused", async (dir) => {
  sh(dir, "for i in $(seq 30); do n=$(printf 'd%.0s' $(seq 200)); mkdir $n; cd $n; done; printf deep > f");
  const store = new MemoryStore();
  const top = join(dir, "d".repeat(200));
  const kept = await capture(store, top);
  await restore(store, kept.id, join(dir, "copy"));
  const walk = "for i in $(seq 29); do cd $(printf 'd%.0s' $(seq 200)); done; cat f";
  assert.equal(sh(join(dir, "copy"), walk), "deep");
  sh(dir, "mkdir -p $(printf 'n/%.0s' $(seq 600))");
  await assert.rejects(capture(store, join(dir, "n")), { kind: "refused", message: /512 deep/ });
});

testIn(
  "each object of contents is read once, also where files and directories stand side by side",
  async (dir) => {
    sh(
      dir,
      `mkdir a; cd a; echo many > shared
    for d in . 0b 1d 2f 2f/1; do mkdir -p $d; (cd $d
      for i in 0 1 2 3; do mkdir $i; echo small $d $i > $i/in; echo $d $i > \${i}a; head -c 30000 /dev/urandom > \${i}c; done
    ); ln shared $d/5; done; ln -s x 0z
    find . -depth -type d -exec chmod 750 {} + -exec touch -d '2020-02-02 02:02:02.020202020 UTC' {} +`,
    );
    const store = new Counting();
    const { id } = await capture(store, join(dir, "a"), { cutter: fixedCutter(10_000) });
    const manifests = new Set<string>(), chunks = new Set<string>();
    for await (const { node } of listTree(store, id)) {
      if (node.kind !== "file") continue;
      manifests.add(node.content);
      for (const [chunk] of (await readManifest(store, node.content)).parts) chunks.add(chunk);
    }
    const counts = (ids: Set<string>) => [...new Set([...ids].map((id) => store.reads.get(id) ?? 0))];
    for (const [written, chunkReads] of [[true, 1], [false, 0]] as const) {
      store.reads.clear();
      const { unchanged } = await restore(store, id, join(dir, "b"));
      assert.equal(unchanged === 0, written);
      assert.deepEqual([counts(manifests), counts(chunks)], [[1], [chunkReads]], written ? "new" : "there");
      assert.deepEqual(look(join(dir, "b")), look(join(dir, "a")));
    }
    assert.deepEqual([manifests.size, chunks.size], [1 + 5 * 12, 5 * 4 * 3]);
    assert.equal(
      sh(dir, "stat -c %h b/shared; stat -c %a:%y b").trim(),
      sh(dir, "echo 6; stat -c %a:%y a").trim(),
    );
  },
);

testIn("a directory of 10,000 names keeps to the size of an object", async (dir) => {
  sh(dir, "mkdir a; cd a; seq -f 'a-rather-long-name-of-a-file-%07g' 10000 | xargs touch");
  const store = new MemoryStore();
  const kept = await capture(store, join(dir, "a"));
  assert.equal(kept.files, 10_000);
  const largest = Math.max(...[...store.objects.values()].map((o) => o.length));
  assert.ok(largest < 256 * 1024, `${largest}`);
  assert.deepEqual(await restore(store, kept.id, join(dir, "a")), { written: 0, unchanged: 10_001 });
});
