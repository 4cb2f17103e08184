// UNIX sockets through FFI, against the kernel: who calls, and files that are handed over.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { chmodSync, closeSync, fstatSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { closeFd, statAt, writeAt } from "./libc.ts";
import { checkPeer, filesHandedMax, peerCredentials, receiveFiles, sendFiles } from "./unix_socket.ts";

const isRoot = process.getuid?.() === 0;

test("peerCredentials fails closed", () => {
  const none = 0xffffffff;
  assert.throws(() => checkPeer(new Uint32Array([0, 0, 0]), 12), { code: "EACCES" });
  assert.throws(() => checkPeer(new Uint32Array([7, none, 0]), 12), { code: "EACCES" });
  assert.throws(() => checkPeer(new Uint32Array([7, 0, none]), 12), { code: "EACCES" });
  assert.throws(() => checkPeer(new Uint32Array([7, 0, 0]), 8), { code: "EACCES" });
  assert.deepEqual(checkPeer(new Uint32Array([7, 1, 2]), 12), { pid: 7, uid: 1, gid: 2 });
  const fd = openSync("/dev/null", "r");
  assert.throws(() => peerCredentials(fd), { code: "ENOTSOCK" });
  closeSync(fd);
});

/** Who the server saw, and who the client says that it is, for one connection of a child started by `command`. */
async function seenPeer(
  command: string[],
): Promise<{ seen: { pid: number; uid: number; gid: number }; pid: number }> {
  const dir = mkdtempSync(join(tmpdir(), "isconf-peer-"));
  chmodSync(dir, 0o711);
  const path = join(dir, "s");
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(path, resolve));
  chmodSync(path, 0o666);
  const connected = new Promise<Socket>((resolve) => server.once("connection", resolve));
  const script = `const s = require("node:net").connect(${
    JSON.stringify(path)
  }); s.on("data", () => s.end())`;
  const child = spawn(command[0]!, [...command.slice(1), "node", "-e", script], { stdio: "inherit" });
  try {
    const socket = await connected;
    const fd = (socket as unknown as { _handle: { fd: number } })._handle.fd;
    const seen = peerCredentials(fd);
    socket.end("done");
    await new Promise((resolve) => child.once("exit", resolve));
    return { seen, pid: child.pid! };
  } finally {
    server.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

test("peerCredentials names our own child", async () => {
  const { seen, pid } = await seenPeer(["env"]);
  assert.deepEqual(seen, { pid, uid: process.getuid!(), gid: process.getgid!() });
});

test(
  "peerCredentials names a foreign uid",
  { skip: isRoot ? false : "needs root to become someone else" },
  async () => {
    const { seen, pid } = await seenPeer([
      "setpriv",
      "--reuid",
      "65534",
      "--regid",
      "65533",
      "--clear-groups",
    ]);
    assert.deepEqual(seen, { pid, uid: 65534, gid: 65533 });
  },
);

const fdOf = (socket: Socket) => (socket as unknown as { _handle: { fd: number } })._handle.fd;

/** Two ends of a connection; the server's is not read from. */
async function pair(fn: (client: Socket, server: Socket, dir: string) => Promise<void>): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), "isconf-pair-"));
  const server = createServer({ pauseOnConnect: true });
  await new Promise<void>((resolve) => server.listen(join(dir, "s"), resolve));
  const accepted = new Promise<Socket>((resolve) => server.once("connection", resolve));
  const client = connect(join(dir, "s"));
  try {
    await fn(client, await accepted, dir);
  } finally {
    client.destroy();
    (await accepted).destroy();
    server.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

test("open files are handed over, and the connection goes on behind them", async () => {
  await pair(async (client, server, dir) => {
    assert.equal(receiveFiles(fdOf(server)), undefined, "nothing has come");
    const fds = [0, 1].map((i) => openSync(join(dir, `f${i}`), "w+"));
    sendFiles(fdOf(client), fds);
    client.write("and more");
    const got = receiveFiles(fdOf(server))!;
    assert.equal(got.length, 2);
    for (const [i, fd] of got.entries()) {
      assert.notEqual(fd, fds[i]);
      assert.equal(statAt(fd).ino, BigInt(fstatSync(fds[i]!).ino));
      assert.match(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"), /flags:\s*02/, "close-on-exec");
      writeAt(fd, Buffer.from(`by ${i}`), 0);
      closeFd(fd);
    }
    fds.forEach((fd) => closeSync(fd));
    assert.equal(readFileSync(join(dir, "f1"), "utf8"), "by 1");
    const text = await new Promise<string>((resolve) => {
      server.once("data", (bytes) => resolve(String(bytes)));
      server.resume();
    });
    assert.equal(text, "and more");
  });
});

test("no files, many files, other bytes, and an end", async () => {
  await pair(async (client, server) => {
    sendFiles(fdOf(client), []);
    assert.deepEqual(receiveFiles(fdOf(server)), []);
    const many = Array.from({ length: filesHandedMax }, () => openSync("/dev/null", "r"));
    sendFiles(fdOf(client), many);
    const got = receiveFiles(fdOf(server))!;
    assert.equal(got.length, filesHandedMax);
    many.forEach((fd) => closeSync(fd));
    got.forEach(closeFd);
    assert.throws(() => sendFiles(fdOf(client), new Array(filesHandedMax + 1).fill(0)), RangeError);
    await new Promise<void>((resolve) => client.end(() => resolve()));
    assert.throws(() => receiveFiles(fdOf(server)), { code: "EPROTO" });
  });
});
