// tree_ahead: what a restore needs comes before it is asked for, in its order; whoever sends it is not believed.
import assert from "node:assert/strict";
import { join } from "node:path";
import { capture } from "./capture.ts";
import { asRoot, assertNoTemporaries, attributes, look, sh, testIn, trySetXattr } from "./fixture.ts";
import { restore } from "./restore.ts";
import type { Id, Store } from "./store.ts";
import { flipObject, withStore } from "./store_fixture.ts";
import type { SqliteStore } from "./store_sqlite.ts";
import { listTree } from "./tree.ts";
import { walkAhead, type Walked, WalkedStore } from "./tree_ahead.ts";

const NOTHING: Walked = { lengths: [], bytes: new Uint8Array(0) };

/** A store in front of `store` that gets what a walk gives, each time in memory of its own, and what it was asked besides. */
function walking(store: SqliteStore, id: Id, change: (walked: Walked) => Walked = (walked) => walked) {
  const asked: Id[] = [];
  const walk = walkAhead(store, id);
  const below: Pick<Store, "get" | "missing"> = {
    missing: (ids) => store.missing(ids),
    get: (ids) => {
      asked.push(...ids);
      return store.get(ids);
    },
  };
  const next = async () => {
    const { value } = await walk.next();
    return value === undefined ? NOTHING : change({ ...value, bytes: value.bytes.slice() });
  };
  return { store: new WalkedStore(next, below), asked };
}

const TREE = `
mkdir -p t/a/b/c t/many t/z; umask 022; ln -s many t/link
for i in $(seq 600); do echo $((i % 500)) > t/many/$i; done
for i in $(seq 30); do head -c 200000 /dev/urandom > t/a/b/$i; done; cp t/a/b/7 t/z/seven; ln t/a/b/8 t/z/eight
head -c 500000 /dev/urandom > t/a/large; truncate -s 1M t/a/hole; : > t/a/b/c/zero; head -c 5000 /dev/zero > t/z/zeros
`;

testIn(
  "nothing of a new tree is asked for but large files; of one that is there, nothing that is right",
  async (dir) => {
    sh(dir, TREE);
    await withStore(async (store) => {
      const { id } = await capture(store, join(dir, "t"));
      const first = walking(store, id);
      const { written } = await restore(first.store, id, join(dir, "out"));
      assert.deepEqual(look(join(dir, "out")), look(join(dir, "t")));
      assert.ok(written > 600);
      const large = new Set<Id>();
      for await (const { node } of listTree(store, id)) {
        if (node.kind === "file" && node.size > 300_000) large.add(node.content);
      }
      assert.ok(first.asked.length < 20 && large.size === 2, `${first.asked.length} objects asked for`);
      const second = walking(store, id);
      assert.deepEqual(await restore(second.store, id, join(dir, "out")), { written: 0, unchanged: written });
      assert.equal(second.asked.length, 0);
      sh(join(dir, "out"), "echo other > many/77; rm a/b/9; chmod 700 z/zeros; rm -r a/b/c");
      await restore(walking(store, id).store, id, join(dir, "out"));
      assert.deepEqual(look(join(dir, "out")), look(join(dir, "t")));
      assertNoTemporaries(join(dir, "out"));
    });
  },
);

testIn(
  "wrong bytes, too few, too many, none and those of another tree change nothing of what is restored",
  async (dir) => {
    sh(dir, TREE);
    await withStore(async (store) => {
      const { id } = await capture(store, join(dir, "t"));
      const { id: other } = await capture(store, join(dir, "t/many"));
      const changes: Record<string, (walked: Walked) => Walked> = {
        wrong: ({ lengths, bytes }) => ({
          lengths,
          bytes: bytes.map((byte, i) => i % 1000 === 0 ? byte ^ 1 : byte),
        }),
        few: ({ lengths, bytes }) => ({ lengths, bytes: bytes.subarray(0, bytes.length >> 1) }),
        many: ({ lengths, bytes }) => ({ lengths: [...lengths, ...lengths, 1e9], bytes }),
        none: () => NOTHING,
      };
      for (const [what, change] of Object.entries(changes)) {
        await restore(walking(store, id, change).store, id, join(dir, what));
        assert.deepEqual(look(join(dir, what)), look(join(dir, "t")), what);
      }
      await restore(walking(store, other).store, id, join(dir, "else"));
      assert.deepEqual(look(join(dir, "else")), look(join(dir, "t")), "another tree");
    });
  },
);

testIn("what is damaged or gone ends the walk, and is named by who needs it", async (dir) => {
  sh(dir, TREE);
  await withStore(async (store) => {
    const { id } = await capture(store, join(dir, "t"));
    const nodes: Id[] = [];
    for await (const { node } of listTree(store, id)) if (node.kind === "file") nodes.push(node.content);
    flipObject(store, nodes[5]!);
    await assert.rejects(restore(walking(store, id).store, id, join(dir, "flip")), { kind: "corrupt" });
    store.drop([nodes[5]!]);
    await assert.rejects(restore(walking(store, id).store, id, join(dir, "gone")), { kind: "notFound" });
    for (const out of ["flip", "gone"]) assertNoTemporaries(join(dir, out));
  });
});

testIn(
  "below a directory that gives its group and attributes to what is made in it, all is as in the tree",
  async (dir) => {
    sh(
      dir,
      "mkdir -p t/a; umask 022; echo 1 > t/a/1; echo 2 > t/2; chmod 755 t t/a; chmod 644 t/2; mkdir up acl; chgrp 4711 up; chmod 2775 up",
    );
    const acl = Buffer.from(
      "02000000" + "01000600ffffffff" + "0200060039300000" + "04000400ffffffff" + "10000600ffffffff" +
        "20000400ffffffff",
      "hex",
    );
    const parents = ["up"];
    if (trySetXattr(join(dir, "acl"), "system.posix_acl_default", acl)) parents.push("acl");
    await withStore(async (store) => {
      const { id } = await capture(store, join(dir, "t"));
      for (const parent of parents) {
        const out = join(dir, parent, "t");
        await restore(walking(store, id).store, id, out);
        assert.deepEqual(look(out), look(join(dir, "t")), parent);
        for (const path of ["", "a", "2", "a/1"]) assert.deepEqual(attributes(join(out, path)), [], parent);
      }
    });
  },
  asRoot,
);
