// UDP sockets through FFI, against the kernel: where they are bound, what they hear, and what is refused.
import assert from "node:assert/strict";
import dgram from "node:dgram";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { closeFd } from "./libc.ts";
import { bindUdp } from "./udp_socket.ts";

const LO = { address: "127.0.0.1", device: "lo" };
const isRoot = process.geteuid?.() === 0;

/** A port of loopback that nobody has at this moment. */
async function freePort(): Promise<number> {
  const socket = dgram.createSocket("udp4");
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
  const { port } = socket.address();
  await new Promise<void>((resolve) => socket.close(resolve));
  return port;
}

test("what is sent to the place where it is bound is there, and it is closed for programs", async () => {
  const port = await freePort();
  const fd = bindUdp({ ...LO, port });
  try {
    const sender = dgram.createSocket("udp4");
    await new Promise<void>((resolve, reject) =>
      sender.send("x", port, "127.0.0.1", (e) => e ? reject(e) : resolve())
    );
    sender.close();
    const flags = /^flags:\t(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"))?.[1] ?? "0";
    assert.equal(parseInt(flags, 8) & 0o2000000, 0o2000000, "close-on-exec");
    const line = readFileSync("/proc/net/udp", "utf8").split("\n").find((l) =>
      l.includes(`0100007F:${port.toString(16).toUpperCase().padStart(4, "0")}`)
    );
    assert.match(line ?? "", / 00000000:0*[1-9A-F][0-9A-F]* /, "one packet waits");
  } finally {
    closeFd(fd);
  }
});

test("two of us share a port; a device that is not there, or an address that is not ours, is refused", async () => {
  const port = await freePort();
  const [a, b] = [bindUdp({ ...LO, port }), bindUdp({ ...LO, address: "0.0.0.0", port })];
  closeFd(a);
  closeFd(b);
  assert.throws(() => bindUdp({ ...LO, device: "no-such-0", port }), { code: "ENODEV" });
  assert.throws(() => bindUdp({ address: "192.0.2.1", device: "lo", port }), { code: "EADDRNOTAVAIL" });
});

test("a port below 1024 needs the right to it", { skip: isRoot ? "root has it" : false }, () => {
  assert.throws(() => bindUdp({ ...LO, port: 69 }), { code: "EACCES" });
});
