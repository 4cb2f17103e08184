// rules here: the policy of a host as its callers meet it: at each verb, at the start of a command, when files change or break.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { faultOf, grantTo, makeFirstHost, type TestHost, until } from "../tests/world.ts";
import { runVerb } from "./api.ts";
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

test("a command that the caller could change is refused, and why says so", { skip }, async (t) => {
  const dir = fs.mkdtempSync("/root/.isconf-rules-");
  t.after(() => fs.rmSync(dir, { recursive: true }));
  const tool = path.join(dir, "tool");
  fs.chmodSync(dir, 0o755);
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
    ["others may write", () => fs.chmodSync(file(host), 0o666)],
    ["somebody else's", () => fs.chownSync(file(host), 1, 1)],
    ["a link", () => {
      fs.renameSync(file(host), `${file(host)}.old`);
      fs.symlinkSync(`${file(host)}.old`, file(host));
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
  }
  await host.stop();
  await host.start();
  assert.equal((await faultOf(may)).kind, "denied");
  assert.deepEqual(host.agent.host.rules.uids(), [0]);
  fs.chmodSync(path.dirname(file(host)), 0o755);
  fs.writeFileSync(file(host), "permit daemon do lock,unlock\n");
  await may();
});

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
