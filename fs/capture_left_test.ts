// capture, with something left out: what is left is not read at all, what stays is as it was.
import assert from "node:assert/strict";
import { capture, captureInto, type CaptureOptions } from "./capture.ts";
import { sh, testIn } from "./fixture.ts";
import { PutBatch } from "./put_batch.ts";
import { MemoryStore } from "./store.ts";
import { listTree } from "./tree.ts";
import { below, TreeWriter } from "./tree_writer.ts";

async function linesOf(store: MemoryStore, id: string): Promise<string[]> {
  const lines: string[] = [];
  for await (const { path, node } of listTree(store, id)) {
    lines.push(
      `${node.kind} ${Buffer.from(path)}${
        node.kind === "file" ? ` ${node.size}${node.hard === undefined ? "" : " hard"}` : ""
      }`,
    );
  }
  return lines;
}

testIn("all of a path, or what is inside it, is left out, and is not looked at", async (dir) => {
  sh(
    dir,
    `mkdir -p r/all r/inside/x r/kept; echo 1 > r/all/f; echo 2 > r/inside/x/f; echo 3 > r/kept/f; echo 4 > r/log
    chmod 1777 r/inside; echo 5 > r/one; ln r/one r/all/two; mkfifo r/kept/fifo`,
  );
  const rules: Record<string, "all" | "inside"> = { "/all": "all", "/inside": "inside", "/log": "inside" };
  const special: string[] = [];
  const asked: string[] = [];
  const options: CaptureOptions = {
    leaves: (path) => {
      const inside = Buffer.from(path).toString().slice(`${dir}/r`.length);
      asked.push(inside);
      return rules[inside];
    },
    special: (path) => special.push(Buffer.from(path).toString().slice(dir.length)),
  };
  const store = new MemoryStore();
  const { id, files } = await capture(store, `${dir}/r`, options);
  assert.deepEqual(await linesOf(store, id), [
    "dir ",
    "dir inside",
    "dir kept",
    "file kept/f 2",
    "file log 0",
    "file one 2",
  ]);
  assert.deepEqual([files, special], [3, ["/r/kept/fifo"]]);
  assert.ok(!asked.some((path) => /^\/(all|inside)\//.test(path)), asked.join(" "));
  await assert.rejects(() => capture(store, `${dir}/r`), /fifo/);
});

testIn("a tree is told as a part of another, beside files of which only the bytes are known", async (dir) => {
  sh(dir, "mkdir r; echo 1 > r/f; echo 2 > file");
  const store = new MemoryStore();
  const meta = { mode: 0o755, uid: 0, gid: 0, mtime: [0, 0] as [number, number] };
  const batch = new PutBatch(store);
  const tree = new TreeWriter(batch);
  await tree.dir(Buffer.from(""), meta);
  await captureInto({ tree: below(tree, Buffer.from("a")), store }, `${dir}/file`);
  await captureInto({ tree: below(tree, Buffer.from("b")), store }, `${dir}/r`);
  await tree.file(Buffer.from("c"), { ...meta, mode: 0o644 }, Buffer.from("said"));
  await tree.up();
  const id = await tree.finish();
  await batch.flush();
  assert.deepEqual(await linesOf(store, id), [
    "dir ",
    "file a 2",
    "dir b",
    "file b/f 2",
    "file c 4",
  ]);
});
