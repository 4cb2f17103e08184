// tree_diff: every difference between two trees, in order, and nothing of what is the same.
import assert from "node:assert/strict";
import { capture } from "./capture.ts";
import { isRoot, sh, testIn } from "./fixture.ts";
import { MemoryStore } from "./store.ts";
import { diffTrees } from "./tree_diff.ts";

/** What differs between two directories, as text, and how many objects were read for it. */
async function diff(dir: string): Promise<{ lines: string[]; reads: number }> {
  const store = new MemoryStore();
  const [a, b] = [(await capture(store, `${dir}/a`)).id, (await capture(store, `${dir}/b`)).id];
  let reads = 0;
  const counted = {
    get: (ids: string[]) => {
      reads += ids.length;
      return store.get(ids);
    },
  };
  const lines: string[] = [];
  for await (const { path, before, after, what } of diffTrees(counted, a, b)) {
    const kind = before === undefined ? "+" : after === undefined ? "-" : what.join(",");
    lines.push(`${kind} ${Buffer.from(path).toString("latin1")}`);
  }
  return { lines, reads };
}

testIn("what was added, removed and changed is told, each once", async (dir) => {
  sh(
    dir,
    `mkdir -p a/gone/below a/same a/turned; echo x > a/gone/below/f; echo s > a/same/s; echo 1 > a/content; echo m > a/mode
    ln -s one a/link; echo f > a/kind; echo t > a/time; touch -d @1 a/time
    cp -a a b; rm -r b/gone; echo 2 > b/content; chmod 600 b/mode; ln -sfn two b/link; rm b/kind; mkdir b/kind; echo n > b/kind/n
    touch -d @2 b/time; mkdir b/new; echo n > b/new/n; touch -r a/content b/content; touch -hr a/link b/link
    rmdir b/turned; echo f > b/turned`,
  );
  const { lines } = await diff(dir);
  assert.deepEqual(lines, [
    "content content",
    "- gone",
    "- gone/below",
    "- gone/below/f",
    "kind kind",
    "+ kind/n",
    "content link",
    "mode mode",
    "+ new",
    "+ new/n",
    "mtime time",
    "kind turned",
  ]);
});

testIn("owners and holes count; a directory that is the same is not read", async (dir) => {
  sh(
    dir,
    `mkdir -p a/same; for i in $(seq 200); do mkdir a/same/$i; echo $i > a/same/$i/f; done; echo o > a/owner
    truncate -s 1M a/holes; printf x | dd of=a/holes bs=1 seek=500000 conv=notrunc status=none; cp -a a b
    if [ $(id -u) = 0 ]; then chown 5:6 b/owner; else chmod 600 b/owner; fi
    cp --sparse=never a/holes b/holes; touch -r a/holes b/holes
    for d in a b; do truncate -s 1M $d/moved; done; printf x | dd of=a/moved bs=1 seek=40960 conv=notrunc status=none
    printf x | dd of=b/moved bs=1 seek=81920 conv=notrunc status=none
    touch -r a/moved b/moved`,
  );
  const { lines, reads } = await diff(dir);
  assert.deepEqual(lines, ["content holes", "content moved", `${isRoot ? "owner" : "mode"} owner`]);
  assert.ok(reads < 10, `${reads} objects read`);
});

testIn("two trees that are one have no difference", async (dir) => {
  sh(dir, "mkdir a; echo x > a/x; cp -a a b");
  assert.deepEqual(await diff(dir), { lines: [], reads: 0 });
});
