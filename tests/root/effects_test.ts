// effects: what a command changes is recorded on the origin, path by path, and compared wherever it is replayed; and the files of a
// host against what the journal last said. On file systems that can be listened to. Not previews (preview_test.ts).
import assert from "node:assert/strict";
import { carry, checkIn, type Host, hostTest, makeHost, makePair, until } from "../hosts.ts";

interface Line {
  path: string;
  kind: string;
  mode: string;
  uid: number;
  size: number;
  sha256: string;
}

/** What the newest entry says that its command changed, by path. */
async function effects(host: Host, seq: number): Promise<Map<string, Line>> {
  const { effects } = JSON.parse(await host.sh(`isconf --json show --effects ${seq}`));
  return new Map(effects.paths.map((line: Line) => [line.path, line]));
}

/** What `verify --files` says: each path that differs, with the entry that said otherwise and why. */
async function drift(host: Host): Promise<string[]> {
  const { stdout, status } = await host.run(["isconf", "--json", "verify", "--files"]);
  const { drifted } = JSON.parse(stdout).files;
  assert.equal(status, drifted.length === 0 ? 0 : 1);
  return drifted.map((d: { seq: number; path: string; what: string[] }) =>
    `${d.seq} ${d.path} ${d.what.join(",")}`
  );
}

const sh = (script: string) => ["exec", "sh", "-euc", script];

const BEFORE = `
mkdir -p /srv/old/deep /srv/gone /srv/dir
echo x >/srv/old/deep/file; echo x >/srv/gone/file; echo x >/srv/changed; echo x >/srv/mode; echo x >/srv/owner
echo x >/srv/renamed; echo x >/srv/replaced; echo x >/srv/removed; echo x >/srv/untouched; ln -s a /srv/link`;

const CHANGES = `
cd /srv
echo y >changed; chmod 600 mode; chown 7:7 owner; mv renamed renamed-to; rm removed; rm -r gone
echo new >dir/new; mkdir -p dir/made/deep; mv old moved; ln -sfn b link; ln dir/new dir/linked
echo z >replaced.new; mv replaced.new replaced
echo temporary >dir/temporary; rm dir/temporary
touch "$(printf 'dir/\\377name')"
echo x >/tmp/temporary; echo x >/var/log/line; echo x >/var/cache/kept; cat untouched
echo secret >dir/secret; chmod 640 dir/secret`;

hostTest(
  "each path that a command changes is recorded with what it is then, and nothing else is",
  async (t) => {
    const host = await makeHost(t, "origin", { handles: true });
    await host.ok("init");
    await host.sh(BEFORE);
    await checkIn(host, "changes", sh(CHANGES));
    const found = await effects(host, 1);
    assert.deepEqual([...found].map(([path, { kind }]) => `${path} ${kind}`), [
      "/srv/changed file",
      "/srv/dir/linked file",
      "/srv/dir/made dir",
      "/srv/dir/made/deep dir",
      "/srv/dir/new file",
      "/srv/dir/secret file",
      "/srv/dir/\\xffname file",
      "/srv/gone absent",
      "/srv/link link",
      "/srv/mode file",
      "/srv/moved dir",
      "/srv/moved/deep dir",
      "/srv/moved/deep/file file",
      "/srv/old absent",
      "/srv/owner file",
      "/srv/removed absent",
      "/srv/renamed absent",
      "/srv/renamed-to file",
      "/srv/replaced file",
    ]);
    assert.equal(found.get("/srv/mode")?.mode, "0600");
    assert.equal(found.get("/srv/owner")?.uid, 7);
    const y = await host.sh("printf 'y\\n' | sha256sum | cut -d' ' -f1");
    assert.deepEqual([found.get("/srv/changed")?.sha256, found.get("/srv/changed")?.size], [y, 2]);
    // Whoever may not read a file learns nothing of what is in it.
    for (const path of ["/srv/dir/secret", "/srv/mode"]) {
      assert.deepEqual([found.get(path)?.sha256, found.get(path)?.size], ["", 0]);
    }
  },
);

hostTest(
  "a replay is compared with the origin: congruent, or each path that differs is named, here and elsewhere",
  async (t) => {
    const [a, b] = await makePair(t, { handles: true });
    for (const host of [a, b]) await host.sh(BEFORE);
    await checkIn(
      a,
      "alike",
      sh(CHANGES),
      sh('hostname >/srv/who; echo same >/srv/same; chmod "0$(hostname | tr -dc b | wc -c)44" /srv/same'),
    );
    await carry(a, b);
    const up = await b.ok("up");
    assert.match(up, /2 {2}2 paths are not as on the origin, first \/srv\/same \(mode\): isconf show 2/);
    const shown = async (seq: number) => JSON.parse(await b.sh(`isconf --json show ${seq}`));
    assert.deepEqual([(await shown(1)).differs, (await shown(1)).differences], [0, []]);
    assert.deepEqual((await shown(2)).differences, [
      { path: "/srv/same", what: ["mode"] },
      { path: "/srv/who", what: ["content"] },
    ]);
    assert.match(await b.ok("show", "1"), /congruent +yes/);
    assert.match(await b.ok("show", "2"), /congruent +no: 2 paths differ\n +differs +\/srv\/same +mode\n/);
    const status = JSON.parse(await b.sh("isconf --json status"));
    assert.deepEqual([status.state, status.differing], ["current", { entries: 1, last: 2 }]);
    assert.match(
      await b.ok("status"),
      /differs +not as on the origin after 1 entries, the last 2: isconf show 2/,
    );
  },
);

hostTest("verify --files: what drifted from what was said last of each path, whoever said it", async (t) => {
  const host = await makeHost(t, "drifting", { handles: true });
  await host.ok("init");
  await host.sh(
    "mkdir -p /srv/tree/sub; echo 1 >/srv/tree/a; echo 1 >/srv/tree/sub/b; echo 1 >/srv/tree/c; echo 1 >/srv/gone",
  );
  await host.sh("mkdir /srv/again; echo 1 >/srv/again/x; echo 1 >/srv/again/y");
  await host.ok("lock", "work");
  await host.ok("snap", "/srv/tree");
  await host.ok(
    ...sh(
      "cd /srv; echo 2 >tree/a; rm tree/c; chmod 700 tree/sub; rm -r again; mkdir again; echo 2 >again/x",
    ),
  );
  await host.sh("rm /srv/gone");
  await host.ok("snap", "--delete", "/srv/gone");
  await host.ok("ci");
  assert.deepEqual(await drift(host), []);
  await host.sh(
    "echo 3 >/srv/tree/a; chmod 755 /srv/tree/sub; echo 3 >/srv/tree/sub/b; echo 3 >/srv/gone; rm -r /srv/again",
  );
  await host.sh("echo 1 >/srv/tree/c; echo 9 >/srv/tree/beside");
  assert.deepEqual(await drift(host), [
    "2 /srv/again missing",
    "2 /srv/again/x missing",
    "3 /srv/gone not removed",
    "2 /srv/tree/a content",
    "2 /srv/tree/c not removed",
    "2 /srv/tree/sub mode",
    "1 /srv/tree/sub/b mtime,content",
  ]);
  await host.ok("lock", "mend");
  await host.ok(...sh("echo 4 >/srv/tree/a; chmod 700 /srv/tree/sub"));
  assert.deepEqual((await drift(host)).filter((line) => /tree\/(a|sub) /.test(line)), []);
  await host.sh("echo 5 >/srv/tree/a");
  assert.ok(
    (await drift(host)).includes("null /srv/tree/a content"),
    "work that is not checked in has said it last",
  );
  assert.match((await host.isconf("verify", "--files")).stdout, /work +content +\/srv\/tree\/a\n/);
});

hostTest("whoever ran before the command is not it; what it leaves running is", async (t) => {
  const host = await makeHost(t, "busy", { handles: true });
  await host.ok("init");
  await host.sh("mkdir /srv/busy");
  const other = host.spawn([
    "sh",
    "-c",
    "i=0; while [ $i -lt 600 ]; do i=$((i+1)); echo $i >/srv/busy/other; sleep 0.05; done",
  ]);
  await until(
    "the other writes",
    async () => (await host.run(["test", "-e", "/srv/busy/other"])).status === 0,
  );
  await checkIn(
    host,
    "beside",
    sh("setsid sh -c 'sleep 0.3; echo x >/srv/busy/left' & sleep 1; echo x >/srv/busy/own"),
  );
  other.child.kill();
  assert.deepEqual([...(await effects(host, 1)).keys()], ["/srv/busy/left", "/srv/busy/own"]);
});

hostTest(
  "a path that is longer than any that can be told is said to be left out, and hides no other",
  async (t) => {
    const host = await makeHost(t, "deep", { handles: true });
    await host.ok("init");
    const deep = [
      "import os",
      "os.chdir('/srv')",
      "for i in range(30): os.mkdir('d' * 200); os.chdir('d' * 200)",
      "open('end', 'w'); open('/srv/short', 'w')",
    ].join("\n");
    await checkIn(host, "deep", ["exec", "python3", "-c", deep]);
    const found = [...(await effects(host, 1)).keys()];
    assert.ok(found.includes("/srv/short"));
    assert.deepEqual(found.filter((path) => path.length > 4096), []);
    assert.equal(found.length, 1 + 20, "those that fit");
    const { effects: { unseen } } = JSON.parse(await host.sh("isconf --json show --effects 1"));
    assert.deepEqual(unseen, ["paths of more than 4096 bytes"]);
    assert.deepEqual(await drift(host), []);
    await host.sh("rm -rf /srv/d*");
  },
);

hostTest(
  "nothing is recorded where nobody wants it, and what cannot be recorded stands all the same",
  async (t) => {
    const conf = "no_effects = other quiet\n";
    const host = await makeHost(t, "quiet", { handles: true, conf });
    await host.ok("init");
    const entries = async (...words: string[]) => {
      await checkIn(host, "one", words);
      const { entries } = JSON.parse(await host.sh("isconf --json log"));
      return entries.at(-1).ops;
    };
    assert.deepEqual(await entries("exec", "touch", "/srv/one"), [
      "exec touch /srv/one",
      "effects on 1 paths",
    ]);
    assert.deepEqual(await entries("exec", "true"), ["exec true"]);
    assert.deepEqual(await entries("exec", "--no-effects", "touch", "/srv/two"), ["exec touch /srv/two"]);
    const many = "mkdir /srv/many; cd /srv/many; seq 50001 | xargs touch";
    assert.deepEqual(await entries(...sh(many)), [`exec sh -euc '${many}'`]);
    await host.ok("fork", "quiet");
    await host.ok("migrate", "quiet");
    assert.deepEqual(await entries("exec", "touch", "/srv/three"), ["exec touch /srv/three"]);
    assert.deepEqual(await drift(host), []);
  },
);
