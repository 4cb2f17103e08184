// Servers: what else brings a file from one host to another: rsync's daemon and an HTTP server of Node, in the network of a
// host, and the commands that fetch from them. Not isconf, except for its command among them.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import type { Host } from "../../tests/hosts.ts";
import { nodeOfOurs } from "./host.ts";

const httpPort = 8080;

/** Where the executable is in a host. */
export const isconfThere = "/usr/local/sbin/isconf";

/** The commands, run on the receiving host: from which address, and which file. */
export const ROUTES = {
  isconf: () => [isconfThere, "-q", "up"],
  rsync: (address: string, file: string) => rsync(address, file),
  "rsync --fsync": (address: string, file: string) => rsync(address, file, "--fsync"),
  http: (address: string, file: string) => [
    "curl",
    "-sSf",
    "-o",
    `${file}.copy`,
    `http://${address}:${httpPort}${file}`,
  ],
} satisfies Record<string, (address: string, file: string) => string[]>;

const rsync = (address: string, file: string, ...more: string[]) => [
  "rsync",
  "--whole-file",
  ...more,
  `rsync://${address}/all${file}`,
  `${file}.copy`,
];

/** Serves every file below a directory; the directory and the port are its arguments. */
const HTTP = `
const fs = require("node:fs");
const [root, port] = process.argv.slice(1);
require("node:http").createServer((request, response) => {
  fs.createReadStream(root + request.url, { highWaterMark: 1 << 20 }).pipe(response);
}).listen(Number(port), () => console.log("ready"));
`;

const RSYNCD = `
uid = root
gid = root
use chroot = no
pid file = /run/rsyncd.pid
[all]
  path = /
  read only = yes
`;

/** Starts rsync's daemon in a host, with which it ends. */
export async function beginRsync(host: Host): Promise<void> {
  await host.write("/etc/rsyncd.bench", RSYNCD);
  await host.must(["rsync", "--daemon", "--config=/etc/rsyncd.bench"]);
}

/** An HTTP server that ends with its block. Node is not in the host: it runs outside, in its network, with its files. */
export class HttpServer implements AsyncDisposable {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  static async begin(host: Host): Promise<HttpServer> {
    const words = [
      "-t",
      String(host.pid),
      "-n",
      "--",
      nodeOfOurs,
      "-e",
      HTTP,
      host.path(""),
      String(httpPort),
    ];
    const child = spawn("nsenter", words, { stdio: ["ignore", "pipe", "inherit"] });
    await once(child.stdout as NonNullable<typeof child.stdout>, "data");
    return new HttpServer(child);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#child, "close");
    this.#child.kill("SIGTERM");
    await ended;
  }
}
