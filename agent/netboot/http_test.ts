// http: whole files and ranges, who asks, what is refused, and that connections are bounded.
import assert from "node:assert/strict";
import * as http from "node:http";
import * as net from "node:net";
import { test } from "node:test";
import { until } from "../../tests/holder.ts";
import type { BootFile } from "./booter.ts";
import { BootHttp, type Given } from "./http.ts";
import { httpConnectionsPerAddressMax, httpHeadMs, httpSaidBytesMax, httpTellBytes } from "./limits.ts";
import { MemoryBooter } from "./memory_booter.ts";

const KERNEL = new Uint8Array(3000).map((_, i) => i * 3);
const MAC = "52-54-00-12-34-56";
const PATH = `/boot/${MAC}/kernel`;

const memory = new MemoryBooter({
  loaders: { "uefi-x64": { name: "first.efi", bytes: KERNEL.subarray(0, 10) } },
  script: ({ mac, arch }) => arch === "bios" ? "x".repeat(70_000) : `#!ipxe\necho ${mac} ${arch}\n`,
  files: { kernel: { bytes: KERNEL, step: "kernel" }, empty: { bytes: new Uint8Array(0) } },
});

/** Files that trouble who reads them. */
const special: Record<string, BootFile> = {
  short: {
    bytes: 3 * httpTellBytes,
    read: (from, to) => Promise.resolve(new Uint8Array(to - from - 5)),
  },
  broken: { bytes: 5, read: () => Promise.reject(new Error("no store")) },
  nameless: { bytes: 5, read: (from, to) => Promise.resolve(KERNEL.subarray(from, to)) },
  endless: {
    bytes: 2 ** 40,
    async *read(from, to) {
      for (let at = from; at < to; at += 65536) {
        special.endless!.id = String(at);
        yield new Uint8Array(Math.min(65536, to - at));
      }
    },
  },
};

interface Stage {
  boot: BootHttp;
  gave: Given[];
  lines: string[];
  said: string[];
  ask(path: string, headers?: http.OutgoingHttpHeaders, method?: string, body?: string): Promise<Answer>;
}

interface Answer {
  status: number;
  headers: http.IncomingHttpHeaders;
  body: Buffer;
  isWhole: boolean;
}

async function withBoot(fn: (stage: Stage) => Promise<void>): Promise<void> {
  const gave: Given[] = [], lines: string[] = [], said: string[] = [];
  const boot = await BootHttp.open({
    booter: {
      loaderFor: (machine) => memory.loaderFor(machine),
      scriptFor: (machine) => memory.scriptFor(machine),
      fileAt: async (place) =>
        Object.hasOwn(special, place.name) ? special[place.name] : await memory.fileAt(place),
    },
    bind: { address: "127.0.0.1", port: 0 },
    gave: (given) => void gave.push(given),
    said: ({ mac }, text) => said.push(`${mac} ${text}`) > 0 && text !== "nothing",
    log: (line) => void lines.push(line),
  });
  const { port } = boot.end;
  const ask: Stage["ask"] = (path, headers = {}, method = "GET", body = "") =>
    new Promise((resolve, reject) => {
      const req = http.request({ host: "127.0.0.1", port, path, method, headers, agent: false }, (res) => {
        const pieces: Buffer[] = [];
        const end = (isWhole: boolean) => () =>
          resolve({ status: res.statusCode!, headers: res.headers, body: Buffer.concat(pieces), isWhole });
        res.on("data", (piece) => void pieces.push(piece)).on("end", end(true)).on("error", end(false));
      });
      req.on("error", reject).end(body);
    });
  try {
    await fn({ boot, gave, lines, said, ask });
  } finally {
    await boot.close();
  }
}

test("a file comes whole, with its length and its tag; who is told knows machine and step", () =>
  withBoot(async ({ ask, gave }) => {
    const { status, headers, body } = await ask(PATH);
    assert.deepEqual([status, headers["content-length"], headers["accept-ranges"]], [200, "3000", "bytes"]);
    assert.deepEqual(new Uint8Array(body), KERNEL);
    assert.match(headers.etag ?? "", /^"[0-9a-f]{32}"$/);
    const place = { mac: "52:54:00:12:34:56", name: "kernel" };
    assert.deepEqual(gave, [{ place, address: "127.0.0.1", step: "kernel", bytes: 3000, of: 3000 }]);
    assert.equal((await ask(PATH, { "if-none-match": headers.etag })).status, 304);
    assert.equal((await ask("/boot/empty")).body.length, 0);
    const head = await ask(PATH, {}, "HEAD");
    assert.deepEqual([head.status, head.headers["content-length"], head.body.length], [200, "3000", 0]);
    assert.equal(gave.length, 2, "who only looks has been given nothing");
  }));

test("names of headers are written as GRUB knows them", () =>
  withBoot(async ({ boot }) => {
    const head = await headOf(boot, `GET ${PATH} HTTP/1.1\r\nHost: x\r\n\r\n`);
    assert.match(head, /^Content-Length: 3000$/m);
    assert.match(
      await headOf(boot, "GET /boot/nothing HTTP/1.1\r\nHost: x\r\n\r\n"),
      /^Content-Length: 14$/m,
    );
  }));

test("one range is answered with that part, one beyond the end with 416, several with the whole", () =>
  withBoot(async ({ ask }) => {
    const part = async (range: string, from: number, to: number) => {
      const { status, headers, body } = await ask(PATH, { range });
      assert.deepEqual([status, headers["content-range"]], [206, `bytes ${from}-${to - 1}/3000`]);
      assert.equal(headers["content-length"], String(to - from));
      assert.deepEqual(new Uint8Array(body), KERNEL.subarray(from, to));
    };
    await part("bytes=0-0", 0, 1);
    await part("bytes=1000-1999", 1000, 2000);
    await part("bytes=2990-", 2990, 3000);
    await part("bytes=-7", 2993, 3000);
    await part("bytes=2000-9999", 2000, 3000);
    const beyond = await ask(PATH, { range: "bytes=3000-" });
    assert.deepEqual([beyond.status, beyond.headers["content-range"]], [416, "bytes */3000"]);
    assert.ok(beyond.body.length < 100);
    assert.equal((await ask(PATH, { range: "bytes=0-1,5-6" })).body.length, 3000);
    assert.equal((await ask(PATH, { range: "bytes=0-4", "if-range": '"other"' })).status, 200);
    assert.equal((await ask("/boot/nameless", { range: "bytes=1-2" })).body.length, 2);
    assert.equal((await ask("/boot/nameless", { "if-none-match": "*" })).status, 200);
  }));

test("iPXE gets the script of its machine by a name that says what it can run", () =>
  withBoot(async ({ ask, gave }) => {
    const { status, body } = await ask(`/boot/${MAC}/uefi-x64.ipxe`);
    assert.deepEqual([status, body.toString()], [200, "#!ipxe\necho 52:54:00:12:34:56 uefi-x64\n"]);
    assert.equal(gave[0]?.step, "script");
    assert.equal((await ask("/boot/uefi-x64.ipxe")).status, 404, "nobody's script");
    assert.equal((await ask(`/boot/${MAC}/riscv.ipxe`)).status, 404);
    assert.equal((await ask(`/boot/${MAC}/bios.ipxe`)).status, 500, "a script of 70,000 bytes");
  }));

test("other methods and tricks are refused, and what is not there has a body that says so", () =>
  withBoot(async ({ ask, boot }) => {
    for (const method of ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"]) {
      const { status, headers } = await ask(PATH, {}, method);
      assert.deepEqual([status, headers.allow], [405, "GET, HEAD"], method);
    }
    const raw = [
      "/",
      "/boot/",
      "/boot/../etc/passwd",
      "/boot/%2e%2e/x",
      "/boot/a/../kernel",
      "/boot/kernel?x",
      "/boot/.x",
      "/etc/passwd",
      "http://x/boot/kernel",
      "/boot/a\\b",
    ];
    for (const path of raw) {
      assert.equal(await statusOf(boot, `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`), 400, path);
    }
    const missing = await ask(`/boot/${MAC}/nothing`);
    assert.deepEqual([missing.status, missing.body.toString()], [404, "404 Not Found\n"]);
    assert.equal((await ask("/boot/toString")).status, 404);
    assert.equal(await statusOf(boot, "GET /boot/kernel HTTP/1.0\r\n\r\n"), 200, "firmware of HTTP/1.0");
  }));

test("a file that cannot be read, or is shorter than it said, never looks whole", () =>
  withBoot(async ({ ask, lines }) => {
    const broken = await ask("/boot/broken").catch(() => undefined);
    assert.ok(broken === undefined || !broken.isWhole || broken.status === 500);
    const short = await ask("/boot/short").catch(() => undefined);
    assert.ok(short === undefined || !short.isWhole);
    assert.match(lines.join("\n"), /no store[^]*not as long as/);
  }));

test("who reads slowly keeps nobody waiting, and no more is read for it than it takes", () =>
  withBoot(async ({ boot, ask }) => {
    const slow = net.connect(boot.end.port, "127.0.0.1");
    slow.on("error", () => {});
    slow.write("GET /boot/endless HTTP/1.1\r\nHost: x\r\n\r\n");
    slow.once("data", () => slow.pause());
    await until("it has begun", () => special.endless!.id !== undefined, 20_000);
    await new Promise((resolve) => setTimeout(resolve, 200));
    const read = Number(special.endless!.id);
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.equal(Number(special.endless!.id), read, "it is still being read");
    assert.equal((await ask(PATH)).status, 200);
    slow.destroy();
  }));

test("connections from one address are bounded, and one that ends makes room", () =>
  withBoot(async ({ boot, ask }) => {
    let cut = 0;
    const sockets = Array.from({ length: httpConnectionsPerAddressMax + 5 }, () => {
      const socket = net.connect(boot.end.port, "127.0.0.1");
      socket.on("error", () => {}).on("close", () => void cut++).resume();
      return socket;
    });
    await until("five are cut off", () => cut === 5, 20_000);
    sockets.forEach((socket) => socket.destroy());
    await until("there is room", () => ask(PATH).then(({ status }) => status === 200, () => false), 20_000);
  }));

/** The beginning of what bytes sent as they are get. */
function headOf(boot: BootHttp, request: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(boot.end.port, "127.0.0.1", () => socket.write(request));
    socket.once("data", (bytes) => {
      socket.destroy();
      resolve(bytes.toString("latin1").replaceAll("\r", ""));
    });
    socket.on("error", reject);
  });
}

async function statusOf(boot: BootHttp, request: string): Promise<number> {
  return Number(/^HTTP\/1\.1 ([0-9]{3})/.exec(await headOf(boot, request))?.[1]);
}

test("a machine says by POST how far it has come, in a few words, and under its own address only", async () => {
  await withBoot(async ({ ask, said, boot }) => {
    const post = async (path: string, body: string) => (await ask(path, {}, "POST", body)).status;
    assert.equal(await post(`/boot/${MAC}/log`, "image 40%"), 200);
    assert.equal(await post(`/boot/${MAC}/log`, "nothing"), 400);
    assert.equal(await post(`/boot/${MAC}/log`, "x".repeat(httpSaidBytesMax + 1)), 413);
    assert.deepEqual(said, ["52:54:00:12:34:56 image 40%", "52:54:00:12:34:56 nothing"]);
    assert.equal(await post("/boot/log", "image"), 405, "nobody's log");
    assert.equal(await post(PATH, "image"), 405);
    assert.equal((await ask(`/boot/${MAC}/log`)).status, 405, "it cannot be read here");
    const { port } = boot.end;
    const slow = net.connect(port, "127.0.0.1");
    slow.write(`POST /boot/${MAC}/log HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nim`);
    slow.on("error", () => {}).resume();
    await until("who does not go on is cut off", () => slow.closed || slow.readableEnded, 3 * httpHeadMs);
    assert.equal(said.length, 2);
  });
});
