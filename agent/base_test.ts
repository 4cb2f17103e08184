// base: a host that was installed from an image begins behind what is in it; an image that lies, or is of somebody else, does no harm.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { faultOf, makeDomain, makeHost, MESHED, run, type TestHost, UP } from "../tests/world.ts";
import { installedAt } from "./base.ts";
import { type ImageRecord, type Place, writeRecord } from "./image_record.ts";

type Ctx = Parameters<typeof makeHost>[0];

/** A domain whose journal has three entries, each of which leaves a line; a host outside; and a way to give that an image. */
async function made(t: Ctx) {
  const [a] = await makeDomain(t, ["hosta"]) as [TestHost];
  const lines = path.join(fs.mkdtempSync(path.join(a.agent.host.home.state, "lines-")), "lines");
  for (const word of ["one", "two", "three"]) {
    await a.acts.locks.lock(a.call(), word);
    await run(a, ["/bin/sh", "-c", `echo ${word} >> ${lines}`]);
    await a.acts.checkin.ci(a.call());
  }
  const said = () => fs.readFileSync(lines, "utf8").trim().split("\n");
  const b = await makeHost(t, { conf: MESHED });
  const place = (seq: number): Place => ({
    domain: a.agent.host.journal.domain()!,
    branch: "main",
    seq,
    entry: Buffer.from(a.agent.host.journal.at("main", seq)!.id).toString("hex"),
  });
  const file = path.join(b.agent.host.home.config, "image");
  const install = (place: Place | null) => {
    const record: ImageRecord = {
      format: 1,
      kind: "root",
      architecture: "amd64",
      os: { id: "debian", version: "12" },
      host: "hosta",
      madeMs: 1,
      files: 3,
      bytes: 30,
      place,
    };
    fs.writeFileSync(file, writeRecord(record), { mode: 0o644 });
  };
  const join = async () => {
    const { token } = await a.acts.enrol.token(a.call(), { approve: true });
    return await b.acts.join.join(b.call(), { token, host: "hostb" });
  };
  return { a, b, said, place, install, join, file };
}

test("a host that was installed from an image goes on behind its entry, and says what was in it", async (t) => {
  const { b, said, place, install, join } = await made(t);
  install(place(2));
  await join();
  assert.equal(b.acts.status.standing(b.agent.host).at, 2);
  const { applied, at } = await b.acts.apply.up(b.call(), UP);
  assert.deepEqual([applied, at], [1, 3]);
  assert.deepEqual(said(), ["one", "two", "three", "three"], "only the third ran again");
  const { entries } = b.acts.report.log(b.call(), {});
  assert.deepEqual(entries.map(({ here }) => here), ["in the image", "in the image", "applied"]);
  assert.equal(b.acts.report.show(b.call(), { seq: 1 }).here, "in the image");
  assert.equal(b.acts.report.show(b.call(), { seq: 1, branch: "main" }).here, "pending");
  await b.acts.report.verify(b.call(), {});
});

test("a host that joined before its image was there begins behind it when its agent starts, once", async (t) => {
  const { b, said, place, install, join, file } = await made(t);
  await join();
  install({ ...place(2), domain: "ab".repeat(32) });
  await b.restart();
  assert.equal(b.agent.host.history.last(), undefined, "what is in it is nothing of this journal");
  install(place(2));
  await b.restart();
  assert.equal(b.acts.status.standing(b.agent.host).at, 2);
  assert.deepEqual((await b.acts.apply.up(b.call(), UP)).applied, 1);
  assert.deepEqual(said(), ["one", "two", "three", "three"]);
  install(place(1));
  await b.restart();
  assert.equal(b.acts.status.standing(b.agent.host).at, 3, "who has applied something is past that");
  fs.rmSync(file);
});

test("a base image, which is at no place, goes through the whole journal", async (t) => {
  const { b, said, install, join } = await made(t);
  install(null);
  await join();
  assert.equal((await b.acts.apply.up(b.call(), UP)).applied, 3);
  assert.equal(said().length, 6);
});

test("an image of another domain is refused before anybody is asked; without it the same host joins", async (t) => {
  const { b, place, install, join, file } = await made(t);
  install({ ...place(2), domain: "ab".repeat(32) });
  const fault = await faultOf(join);
  assert.equal(fault.kind, "refused");
  assert.match(fault.message, /another domain/);
  assert.equal(fault.hint, `rm ${file}, if it is to go through the whole journal`);
  assert.equal(b.acts.status.standing(b.agent.host).branch, null);
  fs.rmSync(file);
  await join();
  assert.equal((await b.acts.apply.up(b.call(), UP)).applied, 3);
});

test("an image at an entry that does not count makes its host differ, and nothing is replayed on it", async (t) => {
  const { b, said, place, install, join } = await made(t);
  install({ ...place(2), entry: "cd".repeat(32) });
  await join();
  const fault = await faultOf(() => b.acts.apply.up(b.call(), UP));
  assert.equal(fault.kind, "diverged", fault.message);
  assert.equal(said().length, 3);
});

test("a record that others could have written, a link, or one that is broken counts for nothing", async (t) => {
  const { b, place, install, join, file } = await made(t);
  install(place(2));
  fs.chmodSync(file, 0o666);
  assert.equal((await faultOf(join)).kind, "denied");
  fs.chmodSync(file, 0o644);
  const dir = path.dirname(file);
  fs.renameSync(file, `${file}.real`);
  fs.symlinkSync(`${file}.real`, file);
  await assert.rejects(() => Promise.resolve().then(() => installedAt(dir)));
  fs.rmSync(file);
  execFileSync("mkfifo", [file]); // nobody is waited for
  assert.equal((await faultOf(join)).kind, "denied");
  fs.rmSync(file);
  fs.writeFileSync(file, "{", { mode: 0o644 });
  assert.equal((await faultOf(join)).kind, "corrupt");
  assert.equal(b.acts.status.standing(b.agent.host).branch, null);
  fs.rmSync(file);
  assert.equal(installedAt(dir), undefined);
});

test("a host is on its branch and behind its image at once, or neither: a crash between is none", async (t) => {
  const { b, place, install, join } = await made(t);
  install(place(2));
  const { history } = b.agent.host;
  history.intent = () => {
    throw new Error("the power is gone");
  };
  await assert.rejects(join, /the power is gone/);
  assert.deepEqual([b.acts.status.standing(b.agent.host).branch, history.last()], [null, undefined]);
  Reflect.deleteProperty(history, "intent");
  await join();
  assert.deepEqual([b.acts.status.standing(b.agent.host).branch, history.applied()], ["main", 2]);
});

test("a bundle that is broken off leaves a host that begins behind its image with the next one", async (t) => {
  const { a, b, said, place, install } = await made(t);
  install(place(2));
  const pieces: Uint8Array[] = [];
  for await (const piece of a.acts.bundle.exportBundle(a.call(), undefined)) pieces.push(piece);
  const whole = new Uint8Array(Buffer.concat(pieces));
  const take = (bytes: Uint8Array) => {
    const pin = { domain: place(1).domain, host: "hostb" };
    return b.acts.bundle.importBundle(b.call(), ReadableStream.from([bytes]), pin);
  };
  await assert.rejects(() => take(whole.subarray(0, whole.length - 40)));
  assert.equal(b.agent.host.journal.domain(), place(1).domain, "it came that far");
  await take(whole);
  assert.equal((await b.acts.apply.up(b.call(), { ...UP, offline: true })).applied, 1);
  assert.deepEqual(said(), ["one", "two", "three", "three"]);
});
