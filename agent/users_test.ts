// users, environment, keys: strict parsing, allow-lists, and private keys that others could have read.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { test } from "node:test";
import { systemClock, toHex } from "../mq/mod.ts";
import { faultOf } from "../tests/world.ts";
import { commandEnv, journaledEnv } from "./environment.ts";
import { KeyRing } from "./keys.ts";
import { parseUid, userByName, userByUid } from "./users.ts";

test("uids are plain decimal digits and nothing else", () => {
  for (
    const bad of ["-1", "4294967295", "0x0", "00", " 0", "1000 ", "", "1e3", "99999999999", "٣", "+1", "1.0"]
  ) {
    assert.equal(parseUid(bad), undefined, bad);
  }
  assert.deepEqual([parseUid("0"), parseUid("1000"), parseUid("4294967294")], [0, 1000, 4294967294]);
});

test("names made of digits, with slashes, dots or newlines are nobody; known ones are found", async () => {
  for (const bad of ["0", "1000", "-1", "../root", "root/", "root\n", "", "no-such-user-here", "--help"]) {
    assert.equal((await faultOf(() => userByName("exec", bad))).exit, 2, bad);
  }
  assert.equal(userByName("exec", "root").uid, 0);
  assert.equal(userByUid(0)?.name, "root");
  assert.equal(userByUid(4_000_000_001), undefined);
});

test("--env takes what is asked for, and never what loaders, shells and interpreters obey", async () => {
  assert.deepEqual(journaledEnv({ FOO: "bar", BAZ: "x" }, ["FOO"]), { FOO: "bar" });
  const forbidden = [
    "LD_PRELOAD",
    "LD_AUDIT",
    "GLIBC_TUNABLES",
    "BASH_ENV",
    "ENV",
    "PATH",
    "HOME",
    "USER",
    "IFS",
    "PS4",
    "NODE_OPTIONS",
    "PERL5OPT",
    "PYTHONPATH",
    "RUBYOPT",
    "GIT_SSH",
    "APT_CONFIG",
    "SUDO_USER",
    "ISCONF_HOST",
    "ld_preload",
    "JAVA_TOOL_OPTIONS",
    "GCONV_PATH",
  ];
  for (const name of forbidden) {
    assert.equal((await faultOf(() => journaledEnv({ [name]: "x" }, [name]))).exit, 22, name);
  }
  for (const bad of ["", "A B", "A=B", "1A", "A-B", "é", "__proto__"]) {
    assert.equal((await faultOf(() => journaledEnv({ A: "x" }, [bad]))).exit, 22, bad);
  }
  for (const value of ["() { id; }", "a\0b", "x".repeat(100_000)]) {
    assert.equal((await faultOf(() => journaledEnv({ FOO: value }, ["FOO"]))).exit, 22);
  }
});

test("what was journaled under another rule is filtered again at replay", () => {
  const user = { name: "root", uid: 0, gid: 0, home: "/root", shell: "/bin/sh" };
  const env = commandEnv(user, "/bin", { ROLE: "web" }, {
    LD_PRELOAD: "x",
    FOO: "bar",
    PATH: "/tmp",
    HOME: "/tmp",
  });
  assert.deepEqual(env, {
    ROLE: "web",
    FOO: "bar",
    PATH: "/bin",
    HOME: "/root",
    USER: "root",
    LOGNAME: "root",
    SHELL: "/bin/sh",
  });
});

test("a key is made once, kept at 0600, and refused when others could have read it", async (t) => {
  const dir = path.join(fs.mkdtempSync(path.join(os.tmpdir(), "isconf-")), "keys");
  t.after(() => fs.rmSync(path.dirname(dir), { recursive: true }));
  const made = new KeyRing(dir, systemClock).obtain("host");
  const file = path.join(dir, "host.key");
  assert.equal(fs.statSync(file).mode & 0o7777, 0o600);
  assert.equal(toHex(new KeyRing(dir, systemClock).obtain("host").publicKey), toHex(made.publicKey));
  for (const mode of [0o644, 0o640, 0o604, 0o660]) {
    fs.chmodSync(file, mode);
    assert.equal((await faultOf(() => new KeyRing(dir, systemClock))).exit, 77, mode.toString(8));
  }
  fs.chmodSync(file, 0o600);
  fs.chmodSync(dir, 0o755);
  assert.equal((await faultOf(() => new KeyRing(dir, systemClock))).exit, 77);
  fs.chmodSync(dir, 0o700);
  fs.writeFileSync(file, "garbage\n");
  assert.equal((await faultOf(() => new KeyRing(dir, systemClock))).exit, 226);
  fs.rmSync(file);
  fs.symlinkSync("/etc/passwd", file);
  assert.equal((await faultOf(() => new KeyRing(dir, systemClock))).exit, 77);
});
