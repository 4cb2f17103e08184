// config and hostvars: files that only we can have written, line by line; the ancestor's stanzas.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { test } from "node:test";
import { faultOf } from "../tests/world.ts";
import { readConfig, readRegister } from "./config.ts";
import { hostVariables } from "./hostvars.ts";
import { homeOf, socketOf } from "./paths.ts";

function homeWith(t: { after(fn: () => void): void }, files: Record<string, string>) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "isconf-"));
  t.after(() => fs.rmSync(dir, { recursive: true }));
  const home = homeOf(dir);
  fs.mkdirSync(home.config, { recursive: true });
  for (const [name, text] of Object.entries(files)) fs.writeFileSync(path.join(home.config, name), text);
  return { home, main: path.join(home.config, "main.cf"), conf: path.join(home.config, "isconf.conf") };
}

test("settings are read, without a file the defaults hold", (t) => {
  const { home } = homeWith(t, {
    "isconf.conf": "# a comment\npeers = 192.0.2.1:1 192.0.2.2:2\n\nreboot_command = /bin/systemctl reboot\n",
  });
  const config = readConfig(home);
  assert.deepEqual(config.peers, ["192.0.2.1:1", "192.0.2.2:2"]);
  assert.deepEqual(config.rebootCommand, ["/bin/systemctl", "reboot"]);
  assert.deepEqual(readConfig(homeWith(t, {}).home).peers, []);
});

test("a line that is not understood is named; nothing is guessed", async (t) => {
  for (
    const bad of [
      "peers a:1",
      "peerss = a:1",
      "peers =",
      "constructor = x",
      "__proto__ = x",
      "path = .:/bin",
    ]
  ) {
    const { home } = homeWith(t, { "isconf.conf": `# first\n${bad}\n` });
    const fault = await faultOf(() => readConfig(home));
    assert.equal(fault.exit, 22, bad);
    assert.match(fault.message, /isconf\.conf/);
  }
});

test("a configuration that others can write to, or that is a link, is not read", async (t) => {
  const { home, conf } = homeWith(t, { "isconf.conf": "peers = a:1\n" });
  fs.chmodSync(conf, 0o666);
  assert.equal((await faultOf(() => readConfig(home))).exit, 77);
  fs.rmSync(conf);
  fs.symlinkSync("/etc/passwd", conf);
  await faultOf(() => readConfig(home));
});

test("host variables: DEFAULT, names, expressions, includes, later ones win", (t) => {
  const { main } = homeWith(t, {
    "main.cf":
      "DEFAULT:\n  ROLE = none\n  SITE = here\n\n# web servers\n/web[0-9]+/ proxy:\n  ROLE = web\ninclude more.cf\nweb1:\n  SITE = there # and not here\n",
    "more.cf": "/.*/:\n  MORE = yes\n",
  });
  assert.deepEqual(hostVariables(main, "web1"), { ROLE: "web", SITE: "there", MORE: "yes" });
  assert.deepEqual(hostVariables(main, "proxy"), { ROLE: "web", SITE: "here", MORE: "yes" });
  assert.deepEqual(
    hostVariables(main, "myweb1"),
    { ROLE: "none", SITE: "here", MORE: "yes" },
    "the whole name must match",
  );
  assert.deepEqual(hostVariables(`${main}.none`, "web1"), {});
});

test("host variables: loops, missing includes, loader variables and broken lines are refused by file and line", async (t) => {
  for (
    const bad of [
      "include main.cf\n",
      "include none.cf\n",
      "x:\n  LD_PRELOAD = /tmp/x.so\n",
      "x:\n  PATH = /tmp\n",
      "what is this\n",
      "/(/:\n",
      "x:\n  1A = b\n",
    ]
  ) {
    const { main } = homeWith(t, { "main.cf": bad });
    const fault = await faultOf(() => hostVariables(main, "x"));
    assert.match(fault.message, /\.cf/, bad);
  }
});

test("a home whose socket path would not fit is refused in words", async () => {
  assert.equal((await faultOf(() => socketOf(homeOf(`/tmp/${"x".repeat(100)}`), 0))).exit, 22);
});

test("journal_copies is all or a number of hosts", (t) => {
  const read = (text: string) => readConfig(homeWith(t, { "isconf.conf": text }).home);
  assert.deepEqual(
    ["", "journal_copies = all", "journal_copies = 3"].map((text) => read(text).journalCopies),
    [
      Infinity,
      Infinity,
      3,
    ],
  );
  for (const word of ["0", "-1", "1.5", "some", "1025", "99999", "3x"]) {
    assert.throws(() => read(`journal_copies = ${word}\n`), { kind: "usage" }, word);
  }
});

test("quota and reserve are bytes with a unit", (t) => {
  const read = (text: string) => readConfig(homeWith(t, { "isconf.conf": text }).home);
  assert.deepEqual([read("").quotaBytes, read("").reserveBytes], [Infinity, 64 * 2 ** 20]);
  const config = read("quota = 20G\nreserve = 500M\n");
  assert.deepEqual([config.quotaBytes, config.reserveBytes], [20 * 2 ** 30, 500 * 2 ** 20]);
  assert.equal(read("quota = none\n").quotaBytes, Infinity);
  for (const wrong of ["20", "G", "-1G", "1.5G", "1GB", "9999999K"]) {
    assert.throws(() => read(`quota = ${wrong}\n`), { kind: "usage" }, wrong);
  }
});

test("the etcd that decides: members, files and who can read them", async (t) => {
  const read = (conf: string, files: Record<string, [string, number]> = {}) => {
    const { home } = homeWith(t, { "isconf.conf": "" });
    const names = Object.entries(files).map(([name, [text, mode]]) => {
      const file = path.join(home.config, name);
      fs.writeFileSync(file, text);
      fs.chmodSync(file, mode);
      return `register_${name} = ${file}\n`;
    });
    fs.writeFileSync(path.join(home.config, "isconf.conf"), conf + names.join(""));
    return readRegister(readConfig(home));
  };
  assert.equal(read(""), null);
  const members = ["https://192.0.2.1:2379", "https://[2001:db8::1]:2379", "http://127.0.0.1:2379"];
  assert.deepEqual(read(`register = ${members[0]}, ${members[1]} ${members[2]}\n`)?.members, members);
  const files: Record<string, [string, number]> = { ca: ["C", 0o644], cert: ["D", 0o644], key: ["K", 0o600] };
  const got = read("register = https://a:1\nregister_user = u\n", {
    ...files,
    password: ["secret\n", 0o400],
  });
  assert.deepEqual({ ...got, members: [] }, {
    members: [],
    ca: "C",
    cert: "D",
    key: "K",
    user: "u",
    password: "secret",
  });
  const wrong = [
    "http://192.0.2.1:2379",
    "ftp://a:1",
    "https://a",
    "https://a:1/x",
    "https://u:p@a:1",
    "a:1",
  ];
  for (const member of wrong) {
    const fault = await faultOf(() => read(`register = ${member}\n`));
    assert.equal(fault.kind, "usage", member);
    assert.match(fault.hint, /isconf restart/);
  }
  assert.equal(
    (await faultOf(() => read(`register = ${Array(10).fill("https://a:1").join(" ")}\n`))).kind,
    "usage",
  );
  for (const [name, mode] of [["key", 0o640], ["password", 0o604], ["ca", 0o666]] as const) {
    const fault = await faultOf(() => read("register = https://a:1\n", { [name]: ["x", mode] }));
    assert.equal(fault.kind, "denied", name);
    assert.match(fault.message, name === "ca" ? /can write to/ : /can read/);
  }
  const missing = await faultOf(() => read("register = https://a:1\nregister_key = /nowhere/at/all\n"));
  assert.equal(missing.kind, "notFound");
});
