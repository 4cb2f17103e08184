// demo: the tour of scripts/demo.ts as a person runs it, and that its proof can fail. Not the tour itself.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { test } from "node:test";
import { factsOf, sideBySide } from "../../scripts/demo_proof.ts";
import { fleetTest } from "../fleet/fleet.ts";
import { EXECUTABLE, until } from "../hosts.ts";
import { lacks } from "../programs.ts";

const demo = new URL("../../scripts/demo.ts", import.meta.url).pathname;

function runDemo(env: Record<string, string> = {}) {
  const { status, stdout, stderr } = spawnSync(process.execPath, ["run", "-A", demo], {
    env: { ...process.env, ...env },
    timeout: 240_000,
    encoding: "utf8",
  });
  return { status, text: `${stdout}${stderr}` };
}

fleetTest("the demo on three whole hosts ends in the proof, without colour in a pipe", () => {
  const { status, text } = runDemo();
  assert.equal(status, 0, text);
  assert.match(text, /^hosta# isconf approve ([0-9a-f]{4}-){3}[0-9a-f]{4}\napproved: hostb, /m);
  assert.match(text, /^hosta# isconf exec dpkg -i /m);
  assert.match(text, /^hostb .* heard /m);
  for (const host of ["hosta", "hostb", "hostc"]) {
    assert.match(text, new RegExp(`^${host} +main +6 of 6 +current .* here now$`, "m"), host);
  }
  assert.match(text, /^greeter: ready$/m);
  assert.match(text, /^dpkg -s greeter .* same$/m);
  assert.match(text, /^getent passwd greeter .* same$/m);
  assert.match(text, /^\/opt\/demo\/share\/sparse +sparse .* same$/m);
  assert.match(text, /^proof: all [0-9]+ are the same on hosta, hostb and hostc$/m);
  assert.ok(!text.includes("\x1b"), "escape sequences in a pipe");
  return Promise.resolve();
}, { programs: ["dpkg-deb"] });

const reason = lacks({ files: [EXECUTABLE] });
test("without whole hosts the demo says why and goes through three homes", { skip: reason }, () => {
  const { status, text } = runDemo({ ISCONF_DEMO_HOMES: "1" });
  assert.equal(status, 0, text);
  assert.match(text, /^── homes on this machine \(.*\); packages and users are left out$/m);
  assert.match(text, /^hostc\$ isconf join --host hostc isconf1\./m);
  assert.match(text, /^proof: all [0-9]+ are the same on hosta, hostb and hostc$/m);
});

test(
  "dev leaves two joined hosts to look at, and nothing when it is interrupted",
  { skip: reason },
  async () => {
    const script = new URL("../../scripts/dev.ts", import.meta.url).pathname;
    const dev = spawn(process.execPath, ["run", "-A", script], { stdio: ["ignore", "pipe", "inherit"] });
    let text = "";
    dev.stdout.on("data", (bytes) => text += bytes);
    try {
      await until("both are there", () => text.includes("── ^C ends both"));
      assert.match(text, /^hostb .* connected$/m);
      const [line] = /^curl --unix-socket .*hostb\/run.*\/v1\/status$/m.exec(text) as RegExpExecArray;
      const { stdout } = spawnSync("sh", ["-c", line], { encoding: "utf8" });
      assert.deepEqual(JSON.parse(stdout).hosts.map((h: { name: string }) => h.name), ["hosta", "hostb"]);
    } finally {
      const ended = once(dev, "close");
      dev.kill("SIGINT");
      await ended;
    }
    const [, home] = /ISCONF_HOME=(\S+)/.exec(text) as RegExpExecArray;
    assert.equal(fs.existsSync(path.dirname(home as string)), false);
  },
);

test("the proof sees every difference", () => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "isconf-proof-"));
  try {
    const facts = (change: (file: string) => void) => {
      const tree = path.join(dir, "x");
      fs.rmSync(tree, { recursive: true, force: true });
      fs.mkdirSync(tree);
      fs.writeFileSync(`${tree}/f`, "bytes");
      fs.linkSync(`${tree}/f`, `${tree}/g`);
      fs.symlinkSync("f", `${tree}/l`);
      change(tree);
      if (fs.existsSync(`${tree}/f`)) fs.utimesSync(`${tree}/f`, 1, change.name === "late" ? 3 : 2);
      fs.utimesSync(tree, 1, 2);
      fs.lutimesSync(`${tree}/l`, 1, 2);
      return factsOf([{ path: "/x", snapped: true }], (file) => path.join(dir, file));
    };
    const as = facts(() => {});
    const changes: [string[], (tree: string) => void][] = [
      [[], () => {}],
      [["/x/f content", "/x/g content"], (tree) => fs.writeFileSync(`${tree}/f`, "bytez")],
      [["/x/f mode", "/x/g mode"], (tree) => fs.chmodSync(`${tree}/f`, 0o4755)],
      [["/x/f mtime", "/x/g mtime"], function late() {}],
      [["/x/h missing"], (tree) => fs.mkdirSync(`${tree}/h`)],
      [["/x/l content"], (tree) => {
        fs.rmSync(`${tree}/l`);
        fs.symlinkSync("g", `${tree}/l`);
      }],
    ];
    for (const [expected, change] of changes) {
      const rows = sideBySide(as, facts(change)).filter((row) => row.differs.length > 0);
      assert.deepEqual(rows.map((row) => `${row.path} ${row.differs}`), expected);
    }
  } finally {
    fs.rmSync(dir, { recursive: true });
  }
});
