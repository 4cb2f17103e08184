// preview up: what a host lacks is replayed where nothing stays, as it would be replayed here, and up --rehearse goes on only when all of
// it went through.
import assert from "node:assert/strict";
import { carry, checkIn, hostTest, makeHost, status } from "../hosts.ts";

hostTest("what is pending goes through in a preview as it does in up, and nothing of it stays", async (t) => {
  const [a, b] = await Promise.all([makeHost(t, "hosta"), makeHost(t, "hostb", { flat: true })]);
  await a.ok("init");
  await a.write("/etc/set", "set on a\n", 0o640);
  await a.write("/usr/local/bin/tool", "#!/bin/sh\necho tooled $(id -un) $(cat) >/srv/tooled\n", 0o755);
  await a.sh("useradd --create-home newuser; install -d -o newuser /srv");
  await a.ok("lock", "many");
  await a.ok("snap", "/etc/set", "/usr/local/bin/tool");
  await a.ok("exec", "sh", "-c", "id newuser || useradd --create-home newuser; install -d -o newuser /srv");
  // Of a program and a user that come by these very entries.
  await a.must(["isconf", "exec", "-i", "--as", "newuser", "tool"], { stdin: "input" });
  await a.sh("rm /etc/issue");
  await a.ok("snap", "--delete", "/etc/issue");
  await a.ok("ci");
  await carry(a, b);
  const before = await b.sh("sha256sum /etc/passwd /etc/issue; ls -a /srv /home /usr/local/bin");

  const { stdout, stderr } = await b.must(["isconf", "preview", "up"]);
  assert.match(stderr, /entries 1 to 5 of main go through here/);
  for (
    const line of [
      /^\+ \/etc\/set {2}file 0640 0:0 9 B$/m,
      /^\+ \/srv\/tooled {2}file 0644 \d+:\d+ 21 B$/m,
      /^~ \/etc\/passwd .*$/m,
      /^ {4}\+newuser:/m,
      /^- \/etc\/issue {2}file/m,
      /^\+ \/home\/newuser {2}dir/m,
    ]
  ) assert.match(stdout, line);
  assert.equal(await b.sh("sha256sum /etc/passwd /etc/issue; ls -a /srv /home /usr/local/bin"), before);
  assert.equal((await status(b)).at, 0);
  const ran = async () =>
    JSON.parse(await b.sh("isconf --json log --here")).executions.map((
      { verb, state, person, as, seq }: Record<string, unknown>,
    ) => [verb, state, person, as, seq].join(" "));
  const tried = ["preview done root@hosta root ", "preview done root@hosta newuser "];
  assert.deepEqual(await ran(), tried, "what is tried out is on record, too, and is no entry's");

  await b.ok("up", "--rehearse");
  const applied = ["up done root@hosta root 3", "up done root@hosta newuser 4"];
  assert.deepEqual(await ran(), [...tried, ...tried, ...applied]);
  assert.equal(await b.sh("cat /srv/tooled"), "tooled newuser input");
  assert.equal((await status(b)).at, (await status(b)).of);
  assert.match((await b.must(["isconf", "preview", "up"])).stderr, /nothing is pending on main/);
  await b.ok("up", "--rehearse"); // which is no fault there either
  assert.equal((await status(b)).at, (await status(b)).of);

  await checkIn(a, "here only", ["exec", "touch", "/srv/first"], ["exec", "test", "-e", "/srv/tooled"], [
    "exec",
    "touch",
    "/srv/last",
  ]);
  await carry(a, b);
  const at = (await status(b)).at;
  await b.sh("rm /srv/tooled");
  for (const words of [["preview", "up"], ["up", "--rehearse"]]) {
    const failed = await b.isconf(...words);
    assert.equal(failed.status, 1, failed.stderr);
    assert.match(failed.stderr, new RegExp(`entry ${at + 2} fails here with status 1: test -e /srv/tooled`));
    assert.equal((await status(b)).at, at);
    assert.equal(await b.sh("ls /srv"), "");
  }
  await b.ok("preview", "up", "--to", String(at + 1));
  await b.sh("touch /srv/tooled");
  await b.ok("up", "--rehearse");
  assert.equal(await b.sh("ls /srv"), "first\nlast\ntooled");
});

hostTest("a rehearsal ends before a restart, and up with it", async (t) => {
  const [a, b] = await Promise.all([makeHost(t, "hosta"), makeHost(t, "hostb", { flat: true })]);
  await a.ok("init");
  await a.ok("lock", "restart");
  await a.ok("exec", "touch", "/srv/before");
  await a.ok("reboot");
  await a.rebootAs("boot-2");
  await a.ok("exec", "touch", "/srv/after");
  await a.ok("ci");
  await carry(a, b);
  const said = await b.must(["isconf", "preview", "up"]);
  assert.match(
    said.stderr,
    /entries 1 to 1 of main go through here\nentry 2 restarts this host: what follows, to 3, was not tried/,
  );
  await b.ok("up", "--rehearse", "-r");
  assert.deepEqual([(await status(b)).at, await b.sh("ls /srv")], [1, "before"]);
});
