// rules here: the policy of a host as its callers meet it: at each verb, at the start of a command, when files change or break.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { faultOf, grantTo, makeFirstHost, type TestHost, until } from "../tests/world.ts";
import { runVerb } from "./api_verbs.ts";
import type { PolicySaid } from "./rules_say.ts";
import { VERBS } from "./verbs/mod.ts";

const skip = process.geteuid?.() === 0 ? false : "needs root: only its agent lets others in";
/** A user of every Debian, with its number. */
const daemon = [1, "daemon"] as const;

const verb = (name: string) => VERBS.find((verb) => verb.name === name)!;
const as = (
  host: TestHost,
  name: string,
  args: Record<string, unknown>,
  [uid, user] = daemon as [number, string],
) => runVerb(host.call(uid, user), verb(name), args);
const exec = (host: TestHost, ...command: string[]) => as(host, "exec", { command, cwd: "/", callerEnv: {} });
/** Adds a line: another file in the place of the one before, as editors do it. */
function add(host: TestHost, line: string): void {
  const text = fs.readFileSync(file(host), "utf8");
  fs.writeFileSync(`${file(host)}.new`, `${text}${line}\n`, { mode: 0o644 });
  fs.renameSync(`${file(host)}.new`, file(host));
}
const file = (host: TestHost) => path.join(host.home.config, "policy.d/site.policy");
const why = async (host: TestHost, ...words: string[]) =>
  (await as(host, "policy", { action: "why", words }) as PolicySaid).verdict!;

/** A host with a policy, on which daemon has the role. */
async function hostWith(t: { after(fn: () => Promise<void>): void }, policy: string): Promise<TestHost> {
  const host = await makeFirstHost(t, { policy });
  await grantTo(host, ...daemon, "append", "main");
  return host;
}

test(
  "verbs: what a line permits, and reading for who has a way in, unless it is denied",
  { skip },
  async (t) => {
    const host = await hostWith(t, "permit daemon do lock,unlock\n");
    await as(host, "lock", { message: ["work"] });
    for (const name of ["ci", "up"]) {
      const fault = await faultOf(() => as(host, name, {}));
      assert.equal(fault.kind, "denied");
      assert.match(fault.message, /daemon may not (ci|up) on this host: no line of the policy permits it/);
    }
    await as(host, "log", {});
    add(host, "deny daemon do log");
    assert.match((await faultOf(() => as(host, "log", {}))).message, /by site\.policy:2/);
    await as(host, "unlock", {});
    const stranger: [number, string] = [65534, "nobody"];
    assert.equal((await faultOf(() => as(host, "log", {}, stranger))).kind, "denied");
  },
);

test("exec: exactly the command that a line names, by whatever words it is called", { skip }, async (t) => {
  const host = await hostWith(
    t,
    "permit daemon do lock\npermit daemon as root cmd /usr/bin/echo args -n hello\n",
  );
  await as(host, "lock", { message: ["work"] });
  assert.deepEqual(await exec(host, "echo", "-n", "hello"), { status: 0, journaled: true });
  assert.deepEqual(await exec(host, "/usr/bin/../bin/echo", "-n", "hello"), { status: 0, journaled: true });
  for (
    const words of [["echo"], ["echo", "-n", "hello", "x"], ["echo", "-n  hello"], ["/bin/echo2"], ["id"]]
  ) {
    assert.equal((await faultOf(() => exec(host, ...words))).kind, "denied", words.join(" "));
  }
  assert.equal(host.agent.host.wip.count(), 2, "nothing of what was denied has left a row");
});

test("whoever is denied does not learn which files there are", { skip }, async (t) => {
  const host = await hostWith(t, "permit daemon do lock\n");
  fs.writeFileSync(path.join(host.home.state, "secret"), "", { mode: 0o700 });
  await as(host, "lock", { message: ["work"] });
  const said = async (name: string) => {
    const fault = await faultOf(() => exec(host, path.join(host.home.state, name)));
    return [
      fault.kind,
      fault.message.replace(name, "NAME"),
      fault.hint,
      JSON.stringify(await why(host, name)),
    ];
  };
  assert.deepEqual(await said("secret"), await said("nothing"));
});

/** A directory that everybody can come to, and only root change: every directory on the way is root's. Removed after the test. */
function rootsDir(t: { after(fn: () => void): void }): string {
  const dir = fs.mkdtempSync("/root/.isconf-rules-");
  t.after(() => fs.rmSync(dir, { recursive: true }));
  fs.chmodSync(dir, 0o755);
  return dir;
}

test("a command that the caller could change is refused, and why says so", { skip }, async (t) => {
  const dir = rootsDir(t);
  const tool = path.join(dir, "tool");
  fs.writeFileSync(tool, "#!/bin/sh\n", { mode: 0o755 });
  const host = await hostWith(t, `permit daemon do lock\npermit daemon cmd ${tool}\n`);
  await as(host, "lock", { message: ["work"] });
  assert.deepEqual(await exec(host, tool), { status: 0, journaled: true });
  fs.chmodSync(dir, 0o777);
  assert.match((await faultOf(() => exec(host, tool))).message, /could be changed/);
  assert.deepEqual((await why(host, tool)).permit, false);
});

test("files that break: what was read before holds, and is said; at the start nobody but root is let in", {
  skip,
}, async (t) => {
  const host = await hostWith(t, "permit daemon do lock,unlock\n");
  const may = async () => {
    await as(host, "lock", { message: ["work"] });
    await as(host, "unlock", {});
  };
  await may();
  const breaks: [string, () => void][] = [
    ["no rule", () => add(host, "permit daemon do everything")],
    ["a line that is half written, and would permit more than the whole", () => {
      fs.writeFileSync(file(host), "permit daemon do lock,unlock\npermit daemon", { mode: 0o644 });
    }],
    ["no text", () => fs.writeFileSync(file(host), Uint8Array.of(0x70, 0xff, 0x0a))],
    ["a NUL", () => fs.writeFileSync(file(host), "permit daemon\0\n")],
    ["others may write", () => fs.chmodSync(file(host), 0o666)],
    ["somebody else's", () => fs.chownSync(file(host), 1, 1)],
    ["a link", () => {
      fs.renameSync(file(host), `${file(host)}.old`);
      fs.symlinkSync(`${file(host)}.old`, file(host));
    }],
    ["a link that leads to itself", () => {
      fs.rmSync(file(host));
      fs.symlinkSync(file(host), file(host));
    }],
    ["a fifo", () => {
      fs.rmSync(file(host));
      execFileSync("mkfifo", [file(host)]);
    }],
    ["a directory", () => {
      fs.rmSync(file(host));
      fs.mkdirSync(file(host));
    }],
    ["a directory that others may write to", () => {
      fs.rmdirSync(file(host));
      fs.chmodSync(path.dirname(file(host)), 0o777);
    }],
  ];
  for (const [what, make] of breaks) {
    make();
    await may();
    assert.notEqual((await as(host, "policy", { words: [] }) as PolicySaid).wrong, null, what);
    assert.equal((await faultOf(() => as(host, "up", {}))).kind, "denied", what);
  }
  await host.stop();
  await host.start();
  assert.equal((await faultOf(may)).kind, "denied");
  assert.deepEqual(host.agent.host.rules.uids(), [0]);
  fs.chmodSync(path.dirname(file(host)), 0o755);
  fs.writeFileSync(file(host), "permit daemon do lock,unlock\n");
  await may();
  fs.writeFileSync(file(host), ""); // nothing is wrong with an empty one: it permits nothing
  assert.equal((await faultOf(may)).kind, "denied");
});

test(
  "a command that is denied is denied by every other name of its file, and its directory by every way to it",
  { skip },
  async (t) => {
    const dir = rootsDir(t);
    const at = (name: string) => path.join(dir, name);
    for (const name of ["tools", "bin"]) fs.mkdirSync(at(name));
    fs.copyFileSync("/bin/true", at("bin/tool"));
    fs.copyFileSync("/bin/true", at("tools/other"));
    fs.linkSync(at("bin/tool"), at("hard"));
    fs.symlinkSync(at("bin/tool"), at("soft"));
    fs.symlinkSync(at("bin"), at("sbin"));
    fs.symlinkSync(at("tools/other"), at("into"));
    fs.symlinkSync("tools", at("way"));
    const lines = [
      "permit daemon",
      `deny daemon cmd ${at("bin/tool")}`,
      `deny daemon cmd ${at("tools/")}`,
      "deny daemon cmd /bin/id args -u",
    ];
    const host = await hostWith(t, `${lines.join("\n")}\n`);
    await as(host, "lock", { message: ["work"] });
    for (
      const name of [
        "bin/tool",
        "hard",
        "soft",
        "sbin/tool",
        "bin/../bin/tool",
        "tools/other",
        "into",
        "way/other",
      ]
    ) {
      assert.equal((await faultOf(() => exec(host, at(name)))).kind, "denied", name);
      assert.equal((await why(host, at(name))).permit, false, name);
    }
    assert.equal((await faultOf(() => exec(host, `/proc/self/root${at("bin/tool")}`))).kind, "denied");
    for (const name of ["/usr/bin/id", "/bin/id", "id"]) {
      assert.equal((await faultOf(() => exec(host, name, "-u"))).kind, "denied", name);
      assert.deepEqual(await exec(host, name, "-g"), { status: 0, journaled: true }, name);
    }
    // What permits goes by the name alone.
    fs.writeFileSync(file(host), `permit daemon do lock,unlock\npermit daemon cmd ${at("bin/tool")}\n`);
    assert.deepEqual(await exec(host, at("bin/tool")), { status: 0, journaled: true });
    for (const name of ["hard", "soft", "sbin/tool"]) {
      assert.equal((await faultOf(() => exec(host, at(name)))).kind, "denied", name);
    }
  },
);

test(
  "a file swapped between check and start, ten thousand times: never does the other run",
  { skip },
  async (t) => {
    const dir = rootsDir(t);
    const theirs = path.join(dir, "theirs"), mark = path.join(dir, "mark");
    fs.mkdirSync(theirs);
    fs.copyFileSync("/bin/true", path.join(dir, "good"));
    fs.writeFileSync(path.join(theirs, "evil"), `#!/bin/sh\ntouch ${mark}\n`, { mode: 0o755 });
    fs.symlinkSync("../good", path.join(theirs, "tool"));
    fs.chownSync(theirs, 1, 1);
    // What root's is behind their link, what they name differently, and the link itself: whatever it points to at the moment.
    const policy = ["good", "theirs/tool", "theirs/"].map((name) =>
      `permit daemon cmd ${path.join(dir, name)}\n`
    ).join("");
    const host = await hostWith(t, `permit daemon do lock\n${policy}`);
    await as(host, "lock", { message: ["work"] });
    const script =
      "while (1) { symlink 'evil', 'new'; rename 'new', 'tool'; symlink '../good', 'new'; rename 'new', 'tool' }";
    const swap = spawn("setpriv", ["--reuid=1", "--regid=1", "--clear-groups", "perl", "-e", script], {
      cwd: theirs,
    });
    try {
      await until("it swaps", () => fs.readlinkSync(path.join(theirs, "tool")) === "evil");
      const seen = new Map<string, number>();
      for (let i = 0; i < 10_000; i++) {
        const fault = await faultOf(() => exec(host, path.join(theirs, "tool")));
        seen.set(fault.kind, (seen.get(fault.kind) ?? 0) + 1);
      }
      assert.equal(seen.get("denied"), 10_000, JSON.stringify([...seen]));
      assert.deepEqual(await exec(host, path.join(dir, "good")), { status: 0, journaled: true });
    } finally {
      const gone = once(swap, "exit");
      swap.kill("SIGKILL");
      await gone;
    }
    assert.equal(fs.existsSync(mark), false);
  },
);

test("a command that waits for its turn is judged again when it comes", { skip }, async (t) => {
  const host = await hostWith(t, "permit daemon\n");
  await as(host, "lock", { message: ["work"] });
  let go = () => {};
  const before = host.agent.host.turn.take("test", () => new Promise<void>((resolve) => go = resolve));
  const waits = faultOf(() => exec(host, "touch", path.join(host.dir, "ran")));
  await until("it waits", () => host.agent.host.turn.isWaiting("exec"));
  fs.writeFileSync(file(host), "permit daemon do lock\n");
  go();
  await before;
  assert.equal((await waits).kind, "denied");
  assert.equal(fs.existsSync(path.join(host.dir, "ran")), false);
});

test("people see the lines that speak of them, root sees all", { skip }, async (t) => {
  const host = await hostWith(t, "permit daemon do lock\ndeny nobody\npermit :daemon do ci\n");
  const lines = async (who: [number, string]) =>
    (await as(host, "policy", { words: [] }, who) as PolicySaid).lines!.map(({ text }) => text);
  assert.deepEqual(await lines([1, "daemon"]), ["permit daemon do lock", "permit :daemon do ci"]);
  assert.deepEqual((await lines([0, "root"])).length, 4);
});
