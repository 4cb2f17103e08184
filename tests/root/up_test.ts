// up: on a second host the journal is applied in order, at most once, and every stop says how to go on. Not its
// contents (tree_test.ts).
import assert from "node:assert/strict";
import { carry, checkIn, type Host, hostTest, makePair, status, until } from "../hosts.ts";

/** Adds a line to a file: shows how often and in which order entries ran. */
const note = (word: string) => ["exec", "sh", "-c", `echo ${word} >>/var/log/notes`];

const notes = (host: Host) => host.sh("cat /var/log/notes 2>/dev/null | tr '\\n' ' '");

async function refused(host: Host, code: number, said: RegExp, ...words: string[]): Promise<void> {
  const { status, stdout, stderr } = await host.isconf(...words);
  assert.equal(status, code, `isconf ${words.join(" ")}\n${stdout}${stderr}`);
  assert.match(stderr, said);
}

hostTest("a restart in the journal is a barrier; up -r goes through it once and on by itself", async (t) => {
  const [a, b] = await makePair(t);
  await a.ok("lock", "with a restart");
  await a.ok(...note("before"));
  await a.ok("reboot");
  assert.equal(await a.sh("cat /var/log/restarts"), "restart");
  await refused(a, 1, /has not restarted/, "ci");
  await a.rebootAs("boot-a2");
  await a.ok(...note("after"));
  await a.ok("ci");
  await carry(a, b);

  await refused(b, 1, /entry 2 restarts this host\n.*isconf up -r/, "up");
  await refused(b, 1, /entry 2 restarts this host/, "up");
  assert.equal(await notes(b), "before ");
  assert.match(await b.ok("up", "-r"), /restarting at entry 2 of 3/);
  assert.equal(await b.sh("cat /var/log/restarts"), "restart");
  assert.equal(await notes(b), "before ", "a later entry overtook the restart");

  await b.rebootAs("boot-b2");
  await until("b is at the end", async () => (await status(b)).state === "current");
  assert.equal(await notes(b), "before after ");
  assert.equal(await b.sh("cat /var/log/restarts"), "restart", "restarted twice");
  assert.match(await b.ok("up"), /nothing to do; at entry 3/);
  assert.equal(await notes(b), "before after ");
});

hostTest("an agent that comes back without a restart does not take it for one", async (t) => {
  const [a, b] = await makePair(t);
  await a.ok("lock", "with a restart");
  await a.ok("reboot");
  await a.rebootAs("boot-a2");
  await a.ok(...note("after"));
  await a.ok("ci");
  await carry(a, b);
  await b.ok("up", "-r");
  await b.kill9Agent();
  await b.ok("start");
  await until("b has looked", async () => (await status(b)).doing === null);
  assert.equal(await notes(b), "", "went on without a restart");
});

hostTest("up stops at the first failure, and nothing overtakes it until it is started again", async (t) => {
  const [a, b] = await makePair(t);
  const needsFile = [
    "exec",
    "sh",
    "-c",
    "echo tried >>/var/log/notes; echo no such file >&2; test -e /etc/mended",
  ];
  await a.sh("touch /etc/mended");
  await checkIn(a, "three", note("one"), needsFile, note("three"));
  await carry(a, b);
  const failed = /entry 2 failed here with status 1: sh -c .*\n.*isconf up --again 2/;
  await refused(b, 1, failed, "up");
  await refused(b, 1, failed, "up");
  await refused(b, 1, failed, "up", "--to", "3");
  await refused(b, 2, /entry 3 is neither/, "up", "--again", "3");
  assert.equal(await notes(b), "one tried ");
  assert.match(await b.ok("show", "2"), /failed, status 1[^]*no such file/);
  assert.equal((await status(b)).state, "failed");
  await refused(b, 1, failed, "up", "--again", "2");
  await b.sh("touch /etc/mended");
  await b.ok("up", "--again", "2");
  assert.equal(await notes(b), "one tried tried tried three ");
  assert.equal((await status(b)).state, "current");
});

/** A host whose agent was killed while it ran entry 2 of 3, which is a command that can be made to end. */
async function killedWithin(t: Parameters<Parameters<typeof hostTest>[1]>[0]): Promise<Host> {
  const [a, b] = await makePair(t);
  const slow = [
    "exec",
    "sh",
    "-c",
    "echo begun >>/var/log/notes; while test -e /run/slow; do sleep 0.1; done",
  ];
  await checkIn(a, "slow", note("one"), slow, note("three"));
  await carry(a, b);
  await b.sh("touch /run/slow");
  const up = b.spawn(["isconf", "up"]);
  await until("entry 2 runs", async () => (await notes(b)) === "one begun ");
  await b.kill9Agent();
  assert.equal((await up.ended).status, 104, up.said());
  await b.sh("rm /run/slow");
  await b.ok("start");
  const uncertain = /entry 2 .*its end is not known\n.*isconf up --done 2 or isconf up --again 2/;
  await refused(b, 227, uncertain, "up");
  await refused(b, 227, uncertain, "up");
  assert.equal((await status(b)).state, "uncertain");
  assert.equal(await notes(b), "one begun ");
  return b;
}

hostTest("an agent killed while an entry ran leaves it uncertain; up --done accepts it", async (t) => {
  const b = await killedWithin(t);
  await b.ok("up", "--done", "2");
  assert.equal(await notes(b), "one begun three ");
  assert.equal((await status(b)).state, "current");
});

hostTest("an agent killed while an entry ran leaves it uncertain; up --again runs it", async (t) => {
  const b = await killedWithin(t);
  await b.ok("up", "--again", "2");
  assert.equal(await notes(b), "one begun begun three ");
  assert.equal((await status(b)).state, "current");
});
