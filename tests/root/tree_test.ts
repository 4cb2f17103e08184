// tree: what was snapped on one host is the same on the other, down to names and times; and nobody can bend the way
// there. Not the journal (up_test.ts).
import assert from "node:assert/strict";
import { carry, checkIn, type Host, hostTest, makePair } from "../hosts.ts";
import { FACTS, TREE } from "../tree.ts";

hostTest("a tree of every kind of thing is the same on the other host", async (t) => {
  const [a, b] = await makePair(t);
  await a.sh(TREE);
  const before = await a.sh(FACTS, "/srv/tree");
  await checkIn(a, "a tree", ["snap", "/srv/tree"]);
  assert.equal(await a.sh(FACTS, "/srv/tree"), before, "snap changed the origin");
  await carry(a, b);
  await b.ok("up");
  assert.equal(await b.sh(FACTS, "/srv/tree"), before);
  assert.match(before, /^sparse \.\/sparse$/m);
  assert.match(before, /^ \.\/deep\/hard \.\/hard \.\/plain$/m);
  assert.match(before, /^\.\/deep user\.bin 00ff00$/m);
  await b.ok("verify");
});

hostTest("single files, links and removals; a second snap changes only what changed", async (t) => {
  const [a, b] = await makePair(t);
  const make =
    "mkdir -p /srv/s; cd /srv/s; echo one >file; chmod 4711 file; ln -s file link; mkdir old; echo x >old/x";
  for (const host of [a, b]) await host.sh(`${make}; echo kept >other`);
  await a.sh("cd /srv/s; echo two >file; ln -sfn /etc/hostname link; rm -r old");
  await checkIn(a, "small", ["snap", "/srv/s/file"], ["snap", "/srv/s/link"], [
    "snap",
    "--delete",
    "/srv/s/old",
  ]);
  await carry(a, b);
  await b.ok("up");
  const look = "cd /srv/s; find . ! -name . -printf '%p %y %m %U %T@ %l\\n' | sort; cat file other";
  const some = (text: string) => text.replace(/(other .*?) [0-9.]+ $/m, "$1");
  assert.equal(some(await b.sh(look)), some(await a.sh(look)));
  await a.sh("echo three >/srv/s/file");
  await checkIn(a, "again", ["snap", "/srv/s/file"]);
  await carry(a, b);
  await b.ok("up");
  assert.equal(await b.sh("cat /srv/s/file; stat -c %a /srv/s/file"), "three\n4711");
});

hostTest(
  "a removal of what is not there, as after a crash between the removal and its record, is done",
  async (t) => {
    const [a, b] = await makePair(t);
    await checkIn(a, "gone", ["snap", "--delete", "/srv/never"], ["exec", "touch", "/srv/later"]);
    await carry(a, b);
    await b.ok("up");
    await b.sh("test -e /srv/later");
  },
);

/** What must not change when somebody plants a link: bytes, modes and times of /etc and of a directory of root's. */
const PRECIOUS = "cd /; find etc root/precious -printf '%p %y %m %U %T@ %s %l\\n' | sort | sha256sum;" +
  " cat etc/passwd etc/shadow root/precious/* | sha256sum; ls etc root/precious";

/** Carries work to a host on which alice has planted something, and runs `up` there. */
async function plantedUp(a: Host, b: Host, plant: string, ...work: string[][]) {
  await checkIn(a, "in alice's home", ...work);
  await carry(a, b);
  await b.must(["setpriv", "--reuid=alice", "--regid=alice", "--clear-groups", "sh", "-euc", plant]);
  const before = await b.sh(PRECIOUS);
  const outcome = await b.isconf("up");
  assert.equal(await b.sh(PRECIOUS), before, `${plant}: something outside was changed`);
  return outcome;
}

const home = { users: ["alice"] };
const precious = "mkdir -p /root/precious /home/alice/dir /home/alice/tree/sub; echo p >/root/precious/p;" +
  " chown -R alice:alice /home/alice";

hostTest("a link planted at the target of a file or a removal is replaced and not followed", async (t) => {
  const [a, b] = await makePair(t, home);
  for (const host of [a, b]) await host.sh(precious);
  await a.sh("cd /home/alice; echo new >file; rm -r dir");
  const plant = "cd /home/alice; ln -s /etc/shadow file; rmdir dir; ln -s /root/precious dir";
  const work = [["snap", "/home/alice/file"], ["snap", "--delete", "/home/alice/dir"]];
  const { status, stderr } = await plantedUp(a, b, plant, ...work);
  assert.equal(status, 0, stderr);
  assert.equal(
    await b.sh("cd /home/alice; stat -c '%n %F' file; cat file; ls"),
    "file regular file\nnew\nfile\ntree",
  );
}, "setpriv");

hostTest("a link planted where a snapped directory belongs is not followed", async (t) => {
  const [a, b] = await makePair(t, home);
  for (const host of [a, b]) await host.sh(precious);
  await a.sh("cd /home/alice; echo t >tree/sub/passwd; chown root:root tree/sub");
  const plant = "cd /home/alice; rmdir tree/sub; ln -s /etc tree/sub";
  const { status, stderr } = await plantedUp(a, b, plant, ["snap", "/home/alice/tree"]);
  if (status !== 0) {
    assert.deepEqual([status, /\/home\/alice\/tree\/sub/.test(stderr)], [1, true], stderr);
    await b.sh("rm /home/alice/tree/sub");
    await b.ok("up");
  }
  assert.equal(
    await b.sh("cat /home/alice/tree/sub/passwd; stat -c %F /home/alice/tree/sub"),
    "t\ndirectory",
  );
}, "setpriv");

for (const what of ["snap", "delete"]) {
  hostTest(`a link planted on the way to the target stops up (${what})`, async (t) => {
    const [a, b] = await makePair(t, home);
    for (const host of [a, b]) await host.sh(precious);
    const file = "/home/alice/dir/p";
    if (what === "snap") await a.sh(`echo evil >${file}`);
    const work = what === "snap" ? ["snap", file] : ["snap", "--delete", file];
    const plant = "cd /home/alice; rmdir dir; ln -s /root/precious dir";
    const { status, stderr } = await plantedUp(a, b, plant, work);
    assert.equal(status, 1, stderr);
    assert.match(stderr, /\/home\/alice\/dir/);
    await b.sh('rm /home/alice/dir; mkdir /home/alice/dir; echo old >"$1"', file);
    await b.ok("up");
    assert.equal((await b.run(["test", "-e", file])).status, what === "snap" ? 0 : 1);
  }, "setpriv");
}
