// libc through FFI, against the kernel: the same expectations on Node and on Deno.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  closeSync,
  constants,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import * as libc from "./libc.ts";
import { syncFd } from "./libc_sync.ts";
import * as xattr from "./xattr.ts";

function withDir(fn: (dir: string) => void): void {
  const dir = mkdtempSync(join(tmpdir(), "isconf-libc-"));
  try {
    fn(dir);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** An open file with `text` in it. */
function file(dir: string, name: string, text = ""): number {
  const fd = openSync(join(dir, name), "w+");
  if (text !== "") writeSync(fd, text);
  return fd;
}

test("an error carries code and syscall", () => {
  assert.throws(() => libc.openAt(libc.AT_FDCWD, "/nonexistent", 0), { code: "ENOENT", syscall: "openat" });
  assert.throws(() => libc.openAt(libc.AT_FDCWD, "/etc/passwd\0x", 0), { code: "EINVAL" });
});

test("errno is never somebody else's, although garbage collection and compilation run in between", () => {
  const wrong = new Map<string, number>();
  let garbage: unknown[] = [];
  for (let i = 0; i < 60_000; i++) {
    garbage.push(new Array(50).fill(i), BigInt(i) ** 3n);
    if (garbage.length > 5_000) garbage = [];
    try {
      if (i % 2 === 0) libc.lseekData(-1, 0);
      else libc.statAt(libc.AT_FDCWD, "/nonexistent");
    } catch (e) {
      const code = libc.errnoCode(e) ?? String(e);
      if (code !== (i % 2 === 0 ? "EBADF" : "ENOENT")) wrong.set(code, (wrong.get(code) ?? 0) + 1);
    }
  }
  assert.deepEqual([...wrong], []);
});

test("names are bytes: any but zero and slash survive", () => {
  withDir((path) => {
    const dir = libc.openAt(libc.AT_FDCWD, path, 0);
    const name = new Uint8Array([0xff, 0xfe, 0x0a, 0x41]);
    libc.symlinkAt(new Uint8Array([0xc3, 0x28]), dir, name);
    assert.deepEqual(libc.readNames(dir)?.map((n) => [...n]), [[...name]]);
    assert.equal(libc.readNames(dir), undefined);
    assert.deepEqual([...libc.readlinkAt(dir, name)], [0xc3, 0x28]);
    libc.unlinkAt(dir, name);
    libc.mkdirAt(dir, "sub", 0o700);
    libc.renameAt(dir, "sub", dir, "sub2");
    assert.equal(libc.statAt(dir, "sub2").mode, 0o40700);
    libc.unlinkAt(dir, "sub2", true);
    libc.closeFd(dir);
  });
});

test("statAt agrees with stat(1)", () => {
  withDir((path) => {
    const fd = file(path, "f", "hello");
    libc.chmodFd(fd, 0o4751);
    libc.utimensAt("", -5n, 123456789, false, fd);
    const s = libc.statAt(fd);
    assert.deepEqual([s.mode, s.size, s.nlink, s.mtime], [0o104751, 5, 1, [-5, 123456789]]);
    assert.deepEqual(libc.statAt(libc.AT_FDCWD, join(path, "f")), s);
    const dir = libc.openAt(libc.AT_FDCWD, path, 0);
    libc.linkAt(dir, "f", dir, "g");
    assert.equal(libc.statAt(dir, "g").ino, s.ino);
    assert.equal(libc.statAt(fd).nlink, 2);
    assert.equal(libc.statAt(libc.AT_FDCWD, "/proc").isMountRoot, true);
    assert.equal(s.isMountRoot, false);
    libc.closeFd(dir);
    closeSync(fd);
  });
});

test("utimensAt sets the link or what it points to, to the nanosecond", () => {
  withDir((path) => {
    closeSync(file(path, "f"));
    libc.symlinkAt("f", libc.AT_FDCWD, join(path, "l"));
    libc.utimensAt(join(path, "l"), 1_000_000_000n, 999_999_999, false);
    libc.utimensAt(join(path, "l"), 2_000_000_000n, 1, true);
    assert.deepEqual(libc.statAt(libc.AT_FDCWD, join(path, "l")).mtime, [1_000_000_000, 999_999_999]);
    assert.deepEqual(libc.statAt(libc.AT_FDCWD, join(path, "f")).mtime, [2_000_000_000, 1]);
  });
});

test("lseekData and lseekHole find data beyond 4 GiB", () => {
  withDir((path) => {
    const fd = file(path, "sparse");
    ftruncateSync(fd, 2 ** 40);
    const at = 2 ** 33;
    writeSync(fd, Buffer.alloc(4096, 1), 0, 4096, at);
    assert.equal(libc.lseekData(fd, 0), at);
    assert.equal(libc.lseekHole(fd, at), at + 4096);
    assert.equal(libc.lseekData(fd, at + 4096), -1);
    closeSync(fd);
  });
});

test("extended attributes: set, list, get, remove, by path and by descriptor", () => {
  withDir((path) => {
    const fd = file(path, "f");
    const name = Buffer.from("user.isconf");
    try {
      xattr.setXattr(fd, name, new Uint8Array([1, 0, 255]));
    } catch (e) {
      if (libc.errnoCode(e) !== "ENOTSUP") throw e;
      console.log("skipped: this file system has no user attributes");
      return;
    }
    const at = Buffer.from(join(path, "f"));
    assert.deepEqual(xattr.listXattr(at).map((n) => Buffer.from(n).toString()), ["user.isconf"]);
    assert.deepEqual([...xattr.getXattr(at, name)], [1, 0, 255]);
    xattr.setXattr(at, name, new Uint8Array(0));
    assert.deepEqual([...xattr.getXattr(fd, name)], []);
    xattr.removeXattr(at, name);
    assert.throws(() => xattr.getXattr(fd, name), { code: "ENODATA" });
    assert.throws(() => xattr.removeXattr(fd, name), { code: "ENODATA" });
    assert.deepEqual(xattr.listXattr(fd), []);
    closeSync(fd);
  });
});

test("flock: a second open file does not get the lock until the first is closed", () => {
  withDir((path) => {
    const [a, b] = [file(path, "f"), openSync(join(path, "f"), "r")];
    assert.equal(libc.flock(a), true);
    assert.equal(libc.flock(b), false);
    closeSync(a);
    assert.equal(libc.flock(b), true);
    closeSync(b);
  });
});

test("memfd holds bytes and is reachable through /proc", () => {
  const fd = libc.memfd("isconf");
  libc.writeAt(fd, Buffer.from("bytes"), 0);
  assert.equal(readFileSync(`/proc/self/fd/${fd}`, "utf8"), "bytes");
  libc.closeFd(fd);
  assert.throws(() => libc.closeFd(fd), { code: "EBADF" });
});

test("readAt and writeAt move bytes beyond 4 GiB; truncateFd and syncFd do what they say", () => {
  withDir((path) => {
    const fd = libc.openAt(libc.AT_FDCWD, join(path, "f"), constants.O_RDWR | constants.O_CREAT, 0o600);
    const at = 2 ** 33;
    libc.writeAt(fd, new Uint8Array([1, 2, 3]), at);
    const into = new Uint8Array(8);
    assert.equal(libc.readAt(fd, into, at), 3);
    assert.deepEqual([...into], [1, 2, 3, 0, 0, 0, 0, 0]);
    assert.equal(libc.readAt(fd, into, at + 3), 0);
    libc.truncateFd(fd, 7);
    syncFd(fd);
    assert.equal(libc.statAt(fd).size, 7);
    libc.closeFd(fd);
    assert.throws(() => syncFd(fd), { code: "EBADF", syscall: "fsync" });
  });
});

test("node:ffi opens without its warning, and other warnings pass", {
  skip: "Deno" in globalThis ? "Node only" : false,
}, () => {
  const script = `import(${JSON.stringify(new URL("./libc.ts", import.meta.url).href)})
    .then((l) => { l.memfd("x"); process.emitWarning("mine", "ExperimentalWarning"); })`;
  const { stderr } = spawnSync(process.execPath, ["-e", script], { encoding: "utf8" });
  assert.match(stderr, /ExperimentalWarning: mine/);
  assert.doesNotMatch(stderr, /FFI/);
});

test("setNonBlocking turns the flag on and off", () => {
  withDir((path) => {
    const fd = file(path, "f");
    const flags = () =>
      parseInt(/flags:\s*(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"))![1]!, 8);
    libc.setNonBlocking(fd, true);
    assert.equal(flags() & 0o4000, 0o4000);
    libc.setNonBlocking(fd, false);
    assert.equal(flags() & 0o4000, 0);
    closeSync(fd);
  });
});
