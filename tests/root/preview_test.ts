// preview: what a command would change is listed, whatever it is, and nothing of it is there afterwards; it ends whole, however
// it ends. What it cannot reach is in preview_apart_test.ts.
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { type Host, hostTest, makeHost, type Outcome, until } from "../hosts.ts";

interface Side {
  kind: string;
  mode: number;
  uid: number;
  size?: number;
  target?: string;
  device?: string;
}
interface Change {
  path: string;
  pathBase64?: string;
  change: string;
  what?: string[];
  before?: Side;
  after?: Side;
  sameFileAs?: string;
  diff?: string;
  noDiff?: string;
}
interface Result {
  status: number;
  changes: Change[];
}

/** A preview's list, and whatever else is said of it. */
async function previewed(host: Host, words: string[], uid?: number): Promise<Result & { outcome: Outcome }> {
  const outcome = await host.run(["isconf", "--json", "preview", ...words], uid === undefined ? {} : { uid });
  assert.ok(outcome.stdout !== "", outcome.stderr);
  return { ...JSON.parse(outcome.stdout), outcome };
}

/** A checksum of all that can be seen of some directories, and of the bytes of every file. */
async function state(host: Host): Promise<string> {
  return await host.sh(
    `for dir in /etc /srv /tmp /home /var/lib/dpkg; do
       find "$dir" -printf '%p %y %m %U:%G %s %l %i %T@\\n' | LC_ALL=C sort
       find "$dir" -type f -exec sha256sum {} + | LC_ALL=C sort
     done | sha256sum`,
  );
}

/** What a preview may not leave: processes, mounts, directories. */
async function remains(host: Host): Promise<string[]> {
  const processes = host.processes().map(({ title }) => title).filter((title) =>
    /preview|unshare|sleep 98|setpriv/.test(title)
  );
  const mounts = (await host.sh("cat /proc/mounts")).split("\n").filter((line) => /^preview /.test(line));
  const run = (await host.sh("ls /run/isconf")).split("\n").filter((name) =>
    !/^(agent\.lock|content|[0-9]+\.sock)$/.test(name)
  );
  return [...processes, ...mounts, ...run];
}

/** Kills the command lines of previews, as a closed terminal would not even do. */
async function killCommandLines(host: Host): Promise<void> {
  for (const { pid, title } of host.processes()) {
    if (title.startsWith("isconf\0preview")) await host.sh('kill -9 "$1"', String(pid));
  }
}

async function needNothingLeft(host: Host): Promise<void> {
  await until("nothing of the preview is left", async () => (await remains(host)).length === 0).catch(
    async () => {
      assert.deepEqual(await remains(host), []);
    },
  );
}

const MAKE = `
mkdir -p /srv/was/deep /srv/gone/in /srv/moved/in /srv/opaque
for name in kept content mode owner touched; do echo old >/srv/was/$name; done
for name in same big; do head -c 100000 /dev/zero >/srv/was/$name; done
printf 'a\\0b' >/srv/was/binary
echo in >/srv/gone/in/file; echo in >/srv/moved/in/file; echo was >/srv/opaque/was; echo both >/srv/opaque/both
ln -s old /srv/was/link; ln -s old /srv/was/tofile; echo old >/srv/was/todir
echo one >/srv/was/twin; ln /srv/was/twin /srv/was/twin2
echo below >/tmp/below
`;
const CHANGE = `
cd /srv/was
echo new >/srv/created; mkdir -m 2750 /srv/dir; echo in >/srv/dir/in
printf 'old\\nmore\\n' >content; chmod 4711 mode; chown 12:34 owner; touch -d 2001-01-01 touched
printf 'a\\0c' >binary; : >>same; cat same >copy && cat copy >same && touch -r kept same && touch -r kept kept
rm /srv/opaque/was; rm -r /srv/gone; mv /srv/moved /srv/renamed
rm -r /srv/opaque; mkdir /srv/opaque; echo both >/srv/opaque/both; echo new >/srv/opaque/new
ln -sfn new link; rm tofile; echo file >tofile; rm todir; mkdir todir
ln kept again; mkfifo fifo; mknod device c 1 3; mknod block b 7 9
perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Local => "/srv/was/socket", Listen => 1) or die'
echo more >/tmp/below; echo new >/tmp/created; echo x >/run/not-listed
printf x >"$(printf 'new\\nline\\033[2J')"; printf x >"$(printf 'b\\377d')"
`;

hostTest("whatever a command changes is listed, and nothing of it is there afterwards", async (t) => {
  const host = await makeHost(t, "looked-at", { flat: true });
  await host.ok("start");
  await host.sh(MAKE);
  const before = await state(host);
  const { status, changes, outcome } = await previewed(host, ["exec", "sh", "-euc", CHANGE]);
  assert.deepEqual([status, outcome.status, outcome.stderr], [0, 0, ""]);
  assert.equal(await state(host), before);
  await needNothingLeft(host);

  const of = new Map(changes.map((change) => [change.path, change]));
  const short = (path: string) => {
    const { change, what, before, after, sameFileAs } = of.get(path) ?? assert.fail(`${path} is not listed`);
    return [change, ...what ?? [(after ?? before)!.kind], ...(sameFileAs ? [sameFileAs] : [])].join(" ");
  };
  const expected: Record<string, string> = {
    "/srv/created": "created file",
    "/srv/dir": "created dir",
    "/srv/dir/in": "created file",
    "/srv/gone": "removed dir",
    "/srv/moved": "removed dir",
    "/srv/opaque/new": "created file",
    "/srv/opaque/was": "removed file",
    "/srv/opaque/both": "changed mtime",
    "/srv/renamed": "created dir",
    "/srv/renamed/in": "created dir",
    "/srv/renamed/in/file": "created file",
    "/srv/was/again": "created file",
    "/srv/was/binary": "changed content mtime",
    "/srv/was/block": "created device",
    "/srv/was/b\\xffd": "created file",
    "/srv/was/content": "changed content mtime",
    "/srv/was/copy": "created file",
    "/srv/was/device": "created device",
    "/srv/was/fifo": "created fifo",
    "/srv/was/kept": "changed /srv/was/again",
    "/srv/was/link": "changed content mtime",
    "/srv/was/mode": "changed mode",
    "/srv/was/new\\u{a}line\\u{1b}[2J": "created file",
    "/srv/was/owner": "changed owner",
    "/srv/was/same": "changed mtime",
    "/srv/was/socket": "created socket",
    "/srv/was/todir": "changed kind mode",
    "/srv/was/tofile": "changed kind mode mtime",
    "/srv/was/touched": "changed mtime",
    "/tmp/below": "changed content mtime",
    "/tmp/created": "created file",
  };
  assert.deepEqual([...of.keys()].sort(), Object.keys(expected).sort());
  for (const [path, said] of Object.entries(expected)) assert.equal(short(path), said, path);

  assert.deepEqual(of.get("/srv/dir")?.after, { kind: "dir", mode: 0o2750, uid: 0, gid: 0 });
  assert.equal(of.get("/srv/was/mode")?.after?.mode, 0o4711);
  assert.equal(of.get("/srv/was/owner")?.after?.uid, 12);
  assert.deepEqual([of.get("/srv/was/link")?.before?.target, of.get("/srv/was/link")?.after?.target], [
    "old",
    "new",
  ]);
  assert.deepEqual(["device", "block"].map((n) => of.get(`/srv/was/${n}`)?.after?.device), [
    "c 1:3",
    "b 7:9",
  ]);
  assert.match(of.get("/srv/was/content")?.diff ?? "", /^@@ .*\n old\n\+more\n$/);
  assert.equal(of.get("/srv/was/binary")?.noDiff, "it is binary");
  const name = of.get("/srv/was/b\\xffd")?.pathBase64 ?? "";
  assert.equal(Buffer.from(name, "base64").toString("latin1"), "/srv/was/b\xffd");
  const told = await host.isconf("preview", "exec", "sh", "-euc", CHANGE);
  assert.match(told.stdout, /^\+ \/srv\/was\/new\\u\{a\}line\\u\{1b\}\[2J {2}file 0644 0:0 1 B$/m);
  assert.doesNotMatch(told.stdout + told.stderr, /[\x00-\x09\x0b-\x1f\x7f]/);
}, "perl");

hostTest(
  "nothing runs any more while the list is made: what the command left behind is ended before",
  async (t) => {
    const host = await makeHost(t, "still", { flat: true });
    await host.ok("start");
    // Two files that grow line by line in turn, at both ends of a list that takes its time.
    const busy = "while :; do echo x >>0; echo x >>z; done";
    const script =
      `mkdir /srv/m; cd /srv/m; seq -f %05g 1 4000 | xargs touch; (${busy}) & setsid sh -c 'trap "" TERM HUP; ${busy}' & sleep 0.3`;
    const { status, changes } = await previewed(host, ["exec", "sh", "-euc", script]);
    assert.equal(status, 0);
    const size = (name: string) => changes.find(({ path }) => path === `/srv/m/${name}`)?.after?.size ?? -1;
    assert.ok(size("0") > 0 && Math.abs(size("0") - size("z")) <= 4, `${size("0")} and ${size("z")} bytes`);
    assert.equal(changes.length, 4003);
    await needNothingLeft(host);
  },
);

hostTest("a preview runs as exec would: status, streams, input, terminal, user, environment", async (t) => {
  const host = await makeHost(t, "alike", { flat: true, users: ["alice"] });
  await host.ok("start");
  const run = async (words: string[], stdin?: string) =>
    await host.run(["isconf", "preview", "exec", ...words], stdin === undefined ? {} : { stdin });
  const both = await run(["sh", "-c", "echo out; echo err >&2; echo named >/dev/stdout; exit 7"]);
  assert.equal(both.status, 7);
  assert.match(both.stdout, /^out\nnamed\n/);
  assert.match(both.stderr, /^err\nstatus 7: nothing would be different\n$/);
  assert.equal((await run(["sh", "-c", "kill -TERM $$"])).status, 143);
  assert.equal((await run(["no-such-command"])).status, 127);
  assert.match((await run(["-i", "sha256sum"], "x".repeat(300_000))).stdout, /^[0-9a-f]{64} /);
  assert.match((await run(["-t", "sh", "-c", "stty size </dev/tty"])).stdout, /^24 80\r?\n/);
  const look = "id -u; id -G; umask; pwd; env | grep -E '^(HOME|USER|ISCONF_HOST|SECRET)='";
  const line = `umask 027; cd /srv; SECRET=x isconf preview exec --as alice sh -c "${look}; touch /tmp/hers"`;
  const as = (await host.must(["sh", "-c", line])).stdout.split("\n");
  const uid = String(await host.uidOf("alice"));
  assert.deepEqual(as.slice(0, 4), [uid, uid, "0027", "/srv"]);
  assert.deepEqual(as.slice(4, 7).sort(), ["HOME=/home/alice", "ISCONF_HOST=this host", "USER=alice"]);
  assert.match(as[7] ?? "", new RegExp(`^\\+ /tmp/hers {2}file 0640 ${uid}:${uid} 0 B$`));
  const api = ["curl", "-sS", "--unix-socket", "/run/isconf/0.sock", "-H", "content-type: application/json"];
  const body = '{"what":"exec","command":["touch","/srv/api"]}';
  const said = JSON.parse((await host.must([...api, "-d", body, "http://isconf/v1/preview"])).stdout);
  assert.deepEqual(said.changes.map((c: Change) => c.path), ["/srv/api"]);
  assert.equal(await host.sh("find /tmp/hers /srv/api 2>/dev/null || true"), "");
  const record = (await host.ok("log", "--here")).trimEnd().split("\n");
  assert.match(record[0] ?? "", / root as root +failed 7 +preview +sh -c /);
  assert.match(record.at(-1) ?? "", / root as root +done +preview +touch \/srv\/api$/);
  assert.equal(record.length, 6, "whatever ran, and not what was not found");
  await needNothingLeft(host);
}, "curl");

hostTest("however a preview ends, no process, mount or directory of it is left", async (t) => {
  const host = await makeHost(t, "ending", { flat: true });
  await host.ok("start");
  const before = await state(host);

  const late = await previewed(host, [
    "exec",
    "--timeout",
    "1",
    "sh",
    "-c",
    "echo x >/srv/late; trap '' TERM; sleep 98",
  ]);
  assert.deepEqual([late.status, late.changes.map(({ path }) => path)], [124, ["/srv/late"]]);

  const forks =
    "setsid sh -c 'trap \"\" HUP TERM; while :; do sleep 98; done' >/dev/null 2>&1 & sleep 0.2; echo x >/srv/forked";
  const daemon = await previewed(host, ["exec", "sh", "-c", forks]);
  assert.deepEqual(daemon.changes.map(({ path }) => path), ["/srv/forked"]);

  const full = await previewed(host, ["exec", "sh", "-c", "head -c 3G /dev/zero >/srv/full || exit 9"]);
  assert.deepEqual([full.status, full.changes[0]?.path], [9, "/srv/full"]);
  assert.ok((full.changes[0]?.after?.size ?? 0) <= 1024 ** 3);
  await needNothingLeft(host);

  for (const how of ["its command line is killed", "the agent is killed", "the agent is stopped"]) {
    const long = host.spawn([
      "isconf",
      "preview",
      "exec",
      "sh",
      "-c",
      "trap '' HUP TERM; echo x >/srv/x; echo up; sleep 98",
    ]);
    await until("it runs", () => long.said().includes("up"));
    assert.ok((await remains(host)).length > 0);
    if (how.startsWith("its")) await killCommandLines(host);
    else if (how.endsWith("killed")) await host.kill9Agent();
    else await host.ok("stop");
    await long.ended.catch(() => {});
    await needNothingLeft(host);
    if (!how.startsWith("its")) await host.ok("start");
  }
  assert.equal(await state(host), before);
  assert.equal((await previewed(host, ["exec", "true"])).status, 0);
});

hostTest(
  "a preview of a snap shows what is other in files, to whom it may concern, and keeps nothing",
  async (t) => {
    const host = await makeHost(t, "snapped", {
      flat: true,
      users: ["alice"],
      policy: "permit alice do preview\n",
    });
    await host.ok("init");
    await host.sh(`mkdir /srv/tree; cd /srv/tree
    seq 100 >text; echo old >secret; chmod 640 secret; printf 'a\\0b' >binary; cat text text >long; ln -s text link
    truncate -s 100K holes; echo end >>holes`);
    await host.ok("lock", "work");
    await host.ok("snap", "/srv/tree");
    await host.ok("ci");
    await host.sh(`cd /srv/tree; sed -i s/^50$/fifty/ text; echo new >secret; printf 'a\\0c' >binary
    seq 400000 | sed s/$/x/ >long; ln -sfn long link; echo more >>holes; echo made >made; chmod 600 holes; chmod 644 holes`);
    const { changes, status } = await previewed(host, ["snap", "/srv/tree"]);
    assert.equal(status, 0);
    const of = new Map(changes.map((change) => [change.path.slice("/srv/tree".length), change]));
    assert.deepEqual([...of].map(([path, { change }]) => `${change} ${path}`).sort(), [
      "changed /binary",
      "changed /holes",
      "changed /link",
      "changed /long",
      "changed /secret",
      "changed /text",
      "created /made",
    ]);
    assert.match(of.get("/text")!.diff!, /^-50\n\+fifty$/m);
    assert.match(of.get("/secret")!.diff!, /^-old\n\+new$/m, "root may see it");
    assert.equal(of.get("/binary")!.noDiff, "it is binary");
    assert.equal(of.get("/long")!.noDiff, "it is too long");
    assert.equal(of.get("/holes")!.noDiff, "it is binary");
    assert.deepEqual([of.get("/link")!.diff, of.get("/made")!.diff], [undefined, undefined]);
    const shown = await host.isconf("preview", "snap", "/srv/tree/text");
    assert.match(shown.stdout, /^~ \/srv\/tree\/text {2}.*\n( {4}.*\n)* {4}-50\n {4}\+fifty$/m);
    const alices = await previewed(host, ["snap", "/srv/tree/secret"], await host.uidOf("alice"));
    assert.deepEqual(alices.changes.map(({ diff, noDiff }) => [diff, noDiff]), [[
      undefined,
      "not everybody may read it",
    ]]);
    await needNothingLeft(host);
  },
);

hostTest("a preview waits for no exec, and no more than four run at a time", async (t) => {
  const host = await makeHost(t, "beside", { flat: true });
  await host.ok("init");
  await host.ok("lock", "beside");
  const exec = host.spawn(["isconf", "exec", "sh", "-c", "echo up; sleep 98"]);
  await until("exec runs", () => exec.said().includes("up"));
  assert.deepEqual((await previewed(host, ["exec", "touch", "/srv/x"])).changes.map(({ path }) => path), [
    "/srv/x",
  ]);
  const four = [1, 2, 3, 4].map(() =>
    host.spawn(["isconf", "preview", "exec", "sh", "-c", "echo up; sleep 98"])
  );
  for (const one of four) await until("a preview runs", () => one.said().includes("up"));
  const fifth = await host.isconf("preview", "exec", "true");
  assert.deepEqual([fifth.status, /4 previews are running already/.test(fifth.stderr)], [1, true]);
  await killCommandLines(host);
  await until("one may run again", async () => (await host.isconf("preview", "exec", "true")).status === 0);
  assert.equal(exec.child.exitCode, null);
  exec.child.kill("SIGINT");
});
