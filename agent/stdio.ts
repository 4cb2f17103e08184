// Stdio: reading and writing descriptors 0 to 2 as they are, without process.stdin and process.stdout, which
// cost start-up time and change the descriptors for everybody who shares them.
import * as fs from "node:fs";

const partBytes = 64 * 1024;

/** Everything there is to read from a descriptor, to its end. */
export async function* readAll(fd: number): AsyncIterable<Uint8Array> {
  for (;;) {
    const buffer = new Uint8Array(partBytes);
    const n = await new Promise<number>((resolve, reject) =>
      fs.read(fd, buffer, 0, partBytes, null, (e, bytes) => {
        if (e?.code === "EAGAIN") setImmediate(() => resolve(-1));
        else if (e?.code === "EOF") resolve(0);
        else if (e !== null) reject(e);
        else resolve(bytes);
      })
    );
    if (n === 0) return;
    if (n > 0) yield buffer.subarray(0, n);
  }
}

/** Writes all of it, waiting for a slow reader. A reader that has gone ends this process as SIGPIPE would. */
export async function writeAll(fd: number, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    at += await new Promise<number>((resolve, reject) =>
      fs.write(fd, bytes, at, bytes.length - at, null, (e, n) => {
        if (e?.code === "EPIPE") process.exit(141);
        if (e?.code === "EAGAIN") setImmediate(() => resolve(0));
        else if (e !== null) reject(e);
        else resolve(n);
      })
    );
  }
}
