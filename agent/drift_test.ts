// drift: effects from exec to entry to the comparison on another host, and the disk against what was said last; with real files and
// commands, and a watch that says what it is told to. What the kernel says is in tests/root/effects_test.ts.
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import * as fs from "node:fs";
import { test } from "node:test";
import { openStoreDatabase } from "../fs/mod.ts";
import { makeFirstHost, makeSecondHost, run, type TestHost } from "../tests/world.ts";
import type { Changed, EffectsWatch } from "./effects_watch.ts";
import { readEntry } from "./entry.ts";

/** A watch whose next commands change what `next` says; it counts what was begun and not ended. */
class ToldWatch implements EffectsWatch {
  next: Changed | undefined | "nobody looks" = { paths: [], unseen: [] };
  open = 0;

  begin() {
    if (this.next === "nobody looks") return undefined;
    const changed = this.next;
    this.open++;
    return { end: () => (this.open--, changed), drop: () => void this.open-- };
  }

  paths(...paths: string[]): void {
    this.next = { paths: paths.map((path) => Buffer.from(path)), unseen: [] };
  }
}

async function watched(t: Parameters<typeof makeFirstHost>[0]) {
  const watch = new ToldWatch();
  const host = await makeFirstHost(t, { effects: watch });
  fs.chmodSync(host.dir, 0o755); // what nobody else can reach is not hashed
  await host.acts.locks.lock(host.call(), "why");
  return { host, watch };
}

const sh = (host: TestHost, script: string) => run(host, ["/bin/sh", "-euc", script]);
const ci = (host: TestHost) => host.acts.checkin.ci(host.call());
const up = (host: TestHost) =>
  host.acts.apply.up(host.call(), { reboot: false, step: false, dryRun: false, offline: false });
const opsAt = ({ agent: { host } }: TestHost, seq: number) =>
  readEntry(host.journal.at("main", seq)!.entry).entry.ops.map(({ op }) => op);
const drifted = async (host: TestHost) =>
  (await host.acts.drift.verifyFiles(host.call())).drifted.map(({ seq, path, what }) =>
    `${seq} ${path.slice(path.lastIndexOf("/") + 1)} ${what.join(",")}`
  );

test("effects stand in the entry of their command, come with its contents, and are compared after the replay", async (t) => {
  const { host: a, watch } = await watched(t);
  const file = `${a.dir}/file`;
  watch.paths(file, `${a.dir}/gone`);
  await sh(a, `echo "$ISCONF_HOST" >${file}`);
  watch.paths();
  await sh(a, "true");
  watch.next = "nobody looks";
  await sh(a, "true");
  await ci(a);
  assert.deepEqual([1, 2, 3].map((seq) => opsAt(a, seq)), [["exec", "effects"], ["exec"], ["exec"]]);
  const b = await makeSecondHost(t, a);
  fs.mkdirSync(`${a.dir}/gone`);
  await up(b);
  const shown = (seq: number) => b.acts.report.show(b.call(), { seq });
  const { differs, differences, details } = shown(1);
  const effects = await b.acts.report.effects(b.call(), details);
  assert.equal(differs, 2);
  assert.deepEqual(differences.map(({ path, what }) => [path, ...what]), [
    [file, "content"],
    [`${a.dir}/gone`, "not removed"],
  ]);
  assert.deepEqual(effects.paths.map(({ path, kind }) => [path, kind]), [[file, "file"], [
    `${a.dir}/gone`,
    "absent",
  ]]);
  assert.deepEqual([shown(2).differs, shown(3).differs], [null, null]);
  assert.deepEqual(b.told.filter(({ event }) => event === "differs").map(({ seq }) => seq), [1]);
  assert.deepEqual((await b.acts.status.status(b.call())).differing, { entries: 1, last: 1 });
  assert.equal(
    a.acts.report.show(a.call(), { seq: 1 }).differs,
    null,
    "the origin is not compared",
  );
});

test("a command that fails or cannot be started leaves no watch open, and no effects", async (t) => {
  const { host, watch } = await watched(t);
  watch.paths(`${host.dir}/x`);
  assert.equal((await sh(host, "exit 3")).status, 3);
  await assert.rejects(() => run(host, ["/bin/sh", "-c", "true"], { cwd: "/nowhere" }));
  assert.deepEqual([watch.open, host.agent.host.wip.count()], [0, 0]);
  assert.equal((await sh(host, "true")).status, 0);
  assert.deepEqual([watch.open, host.agent.host.wip.count()], [0, 1]);
});

test("effects that are too much, or that the store does not take, are left out; the command stands", async (t) => {
  const { host, watch } = await watched(t);
  watch.next = undefined;
  assert.deepEqual(await sh(host, "true"), { status: 0, journaled: true });
  const lines = host.logged.filter((line) => line.startsWith("what a command changed is not recorded"));
  assert.deepEqual(lines, ["what a command changed is not recorded: it is too much"]);
  watch.paths("relative/../path");
  assert.deepEqual(await sh(host, "true"), { status: 0, journaled: true });
  assert.match(host.logged.at(-1)!, /not recorded: not a path that is walked/);
  await ci(host);
  assert.deepEqual([opsAt(host, 1), opsAt(host, 2)], [["exec"], ["exec"]]);
});

test("work with effects is known again when its answer was lost", async (t) => {
  const { host, watch } = await watched(t);
  watch.paths(`${host.dir}/x`);
  await sh(host, `echo >${host.dir}/x`);
  await host.restart();
  await ci(host);
  assert.deepEqual(opsAt(host, 1), ["exec", "effects"]);
});

test("the disk is compared with what was said last of each path: trees, effects, deletions, work", async (t) => {
  const { host, watch } = await watched(t);
  const dir = `${host.dir}/tree`;
  fs.mkdirSync(`${dir}/sub`, { recursive: true });
  for (const name of ["a", "b", "sub/c", "sub/d"]) fs.writeFileSync(`${dir}/${name}`, "1");
  const snap = (path: string, remove = false) => host.acts.work.snap(host.call(), path, remove);
  await snap(dir);
  watch.paths(`${dir}/a`, `${dir}/sub`);
  await sh(host, `echo 2 >${dir}/a; rm -r ${dir}/sub`);
  watch.paths(`${dir}/sub`, `${dir}/sub/d`);
  await sh(host, `mkdir ${dir}/sub; echo 3 >${dir}/sub/d`);
  fs.rmSync(`${dir}/b`);
  await snap(`${dir}/b`, true);
  await ci(host);
  assert.deepEqual(await drifted(host), []);
  const { paths } = await host.acts.drift.verifyFiles(host.call());
  assert.equal(paths, 5); // tree, a, b, sub, sub/d; sub/c went with the sub before
  fs.writeFileSync(`${dir}/a`, "9");
  fs.writeFileSync(`${dir}/b`, "9");
  fs.writeFileSync(`${dir}/sub/c`, "9"); // nobody says that it is not there
  fs.chmodSync(`${dir}/sub/d`, 0o600);
  assert.deepEqual(await drifted(host), ["2 a content", "4 b not removed", "3 d mode"]);
  await host.acts.locks.lock(host.call(), "again");
  await snap(dir);
  assert.deepEqual(await drifted(host), []);
  fs.writeFileSync(`${dir}/a`, "0");
  assert.deepEqual(await drifted(host), ["null a mtime,content"]);
});

test("an entry whose list has gone is named, and the others are compared", async (t) => {
  const { host: a, watch } = await watched(t);
  const [one, two] = [`${a.dir}/one`, `${a.dir}/two`];
  for (const file of [one, two]) {
    watch.paths(file);
    await sh(a, `echo >${file}`);
  }
  await ci(a);
  const b = await makeSecondHost(t, a);
  await up(b);
  const [, { op, list } = { op: "", list: new Uint8Array() }] = readEntry(
    b.agent.host.journal.at("main", 1)!.entry,
  ).entry.ops as { op: string; list: Uint8Array }[];
  assert.equal(op, "effects");
  const db = openStoreDatabase(`${b.home.state}/store/store.db`);
  db.write((tx) => void tx.run("DELETE FROM object WHERE id = ?", list));
  db.close();
  fs.rmSync(two);
  const { drifted, skipped } = await b.acts.drift.verifyFiles(b.call());
  assert.deepEqual([drifted.map(({ path }) => path), skipped], [[two], [1]]);
});

test("a preview of a snap lists what other hosts would see: created, changed, removed, and nothing else", async (t) => {
  const { host, watch } = await watched(t);
  const dir = `${host.dir}/tree`;
  fs.mkdirSync(`${dir}/sub`, { recursive: true });
  for (const name of ["same", "text", "mode", "kind", "gone", "sub/in"]) {
    fs.writeFileSync(`${dir}/${name}`, "1");
  }
  const snap = (path: string, remove = false) => host.acts.work.snap(host.call(), path, remove);
  const previewed = async (path: string, remove = false) => {
    const { changes } = await host.acts.previewSnap.previewSnap(host.call(), [path], remove, {
      network: false,
      all: true,
    });
    const name = (one: string) => one.slice(host.dir.length + 1);
    return changes.map(({ path, change, what = [] }) => [change, name(path), ...what].join(" "));
  };
  assert.deepEqual(await previewed(`${dir}/sub`), ["created tree/sub", "created tree/sub/in"]);
  await snap(dir);
  assert.deepEqual(await previewed(dir), []);
  watch.paths(`${dir}/by-command`);
  await sh(host, `echo x >${dir}/by-command`);
  await ci(host);
  assert.deepEqual(await previewed(dir), [], "what a command made is known elsewhere, too");
  fs.writeFileSync(`${dir}/text`, "22");
  fs.chmodSync(`${dir}/mode`, 0o600);
  fs.rmSync(`${dir}/kind`);
  fs.symlinkSync("elsewhere", `${dir}/kind`);
  fs.rmSync(`${dir}/gone`);
  fs.writeFileSync(`${dir}/sub/new`, "1");
  assert.deepEqual((await previewed(dir)).sort(), [
    "changed tree/kind kind",
    "changed tree/mode mode",
    "changed tree/text content mtime",
    "created tree/sub/new",
  ]);
  const { changes: [change] } = await host.acts.previewSnap.previewSnap(host.call(), [`${dir}/text`], false, {
    network: false,
    all: true,
  });
  assert.deepEqual([change?.before?.size, change?.after?.size, change?.after?.kind], [1, 2, "file"]);
  await assert.rejects(() => previewed(dir, true), { kind: "refused" });
  fs.rmSync(`${dir}/sub`, { recursive: true });
  assert.deepEqual(await previewed(`${dir}/sub`, true), ["removed tree/sub/in", "removed tree/sub"]);
  await assert.rejects(() => previewed(`${dir}/sub`), { kind: "notFound" });
  assert.equal(host.agent.host.wip.count(), 0);
});

test("a tree that somebody has put a link in the way of is unreadable, and everything else is compared", async (t) => {
  const { host } = await watched(t);
  fs.mkdirSync(`${host.dir}/theirs/in/tree`, { recursive: true });
  fs.writeFileSync(`${host.dir}/theirs/in/tree/file`, "1");
  fs.writeFileSync(`${host.dir}/other`, "1");
  for (const name of ["theirs/in/tree", "other"]) {
    await host.acts.work.snap(host.call(), `${host.dir}/${name}`, false);
  }
  await ci(host);
  fs.chmodSync(`${host.dir}/theirs`, 0o777);
  fs.renameSync(`${host.dir}/theirs/in`, `${host.dir}/theirs/was`);
  fs.symlinkSync("was", `${host.dir}/theirs/in`);
  fs.rmSync(`${host.dir}/other`);
  assert.deepEqual(await drifted(host), ["2 other missing", "1 tree unreadable"]);
});

test("a command whose end cannot be learnt leaves no watch open", async (t) => {
  const watch = new ToldWatch();
  const stdin = { write: () => Promise.resolve(), end: () => {} };
  const host = await makeFirstHost(t, {
    effects: watch,
    runner: {
      find: () => "/bin/true",
      start: () =>
        Promise.resolve({
          ended: Promise.reject(new Error("nobody knows")),
          stdin,
          resize: () => {},
          signal: () => {},
        }),
    },
  });
  await host.acts.locks.lock(host.call(), "why");
  await assert.rejects(() => sh(host, "true"), /nobody knows/);
  assert.equal(watch.open, 0);
});
