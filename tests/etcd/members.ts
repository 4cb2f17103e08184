// Members: an etcd cluster on loopback for tests: Debian's own etcd, members that are killed, stopped and begun again, with
// TLS and passwords when asked. Gone with the test, also when that is killed. Not the twin in memory (agent/cells.ts).
import { type ChildProcessByStdio, spawn, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as http from "node:http";
import * as net from "node:net";
import * as os from "node:os";
import * as path from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { freePorts } from "../ports.ts";
import { lacks } from "../programs.ts";
import { until } from "../world.ts";

const cache = process.env.ISCONF_TEST_CACHE ?? "/var/tmp/isconf-test-cache";
const ETCD = `${cache}/etcd/usr/bin/etcd`;

/** Why there can be no etcd here; false when there can: scripts/ci_setup.sh unpacks one. */
export const lacksEtcd = (): string | false => lacks({ files: [ETCD], programs: ["openssl"] });

/** Runs etcd ($@) until standard input ends, and says its number first. */
const HOLD = `"$@" & pid=$!; echo $pid; cat >/dev/null; kill -9 $pid 2>/dev/null`;

interface Member {
  client: string;
  peer: string;
  holder?: ChildProcessByStdio<Writable, Readable, null>;
  pid: number;
}

type Ctx = { after(fn: () => Promise<void>): void };

/** A cluster; its members are known by their numbers, from 0. */
export class Etcd {
  readonly dir: string;
  readonly #members: Member[];
  readonly #isSecure: boolean;

  private constructor(dir: string, members: Member[], isSecure: boolean) {
    this.dir = dir;
    this.#members = members;
    this.#isSecure = isSecure;
  }

  /** Starts a cluster that ends with the test. `isSecure`: it shows a certificate and wants one. */
  static async make(t: Ctx, count = 3, { isSecure = false } = {}): Promise<Etcd> {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), "isconf-etcd-"));
    const ports = await freePorts(2 * count);
    const scheme = isSecure ? "https" : "http";
    const members = Array.from({ length: count }, (_, i): Member => ({
      client: `${scheme}://127.0.0.1:${ports[2 * i]}`,
      peer: `http://127.0.0.1:${ports[2 * i + 1]}`,
      pid: 0,
    }));
    const etcd = new Etcd(dir, members, isSecure);
    t.after(async () => {
      for (let i = 0; i < count; i++) await etcd.kill(i);
      fs.rmSync(dir, { recursive: true, force: true });
    });
    if (isSecure) certify(dir);
    await Promise.all(members.map((_, i) => etcd.start(i)));
    await until("etcd answers", async () => await etcd.#answers());
    return etcd;
  }

  /** Where members are asked. */
  get members(): string[] {
    return this.#members.map(({ client }) => client);
  }

  /** Starts a member that is not running, on what it has on its disk. */
  async start(i: number): Promise<void> {
    const member = this.#members[i]!;
    const tls = ["ca.pem", "cert.pem", "key.pem"].map((file) => path.join(this.dir, file));
    const args = {
      name: `m${i}`,
      "data-dir": path.join(this.dir, `m${i}`),
      "listen-client-urls": member.client,
      "advertise-client-urls": member.client,
      "listen-peer-urls": member.peer,
      "initial-advertise-peer-urls": member.peer,
      "initial-cluster": this.#members.map(({ peer }, n) => `m${n}=${peer}`).join(","),
      "initial-cluster-token": path.basename(this.dir),
      logger: "zap",
      "log-level": "error",
      "log-outputs": path.join(this.dir, `m${i}.log`),
      ...(this.#isSecure && {
        "trusted-ca-file": tls[0],
        "cert-file": tls[1],
        "key-file": tls[2],
        "client-cert-auth": "true",
      }),
    };
    const words = Object.entries(args).map(([name, value]) => `--${name}=${value}`);
    const holder = spawn("sh", ["-c", HOLD, "sh", ETCD, ...words], {
      stdio: ["pipe", "pipe", "ignore"],
      cwd: "/",
    });
    holder.stdin.on("error", () => {});
    const [pid] = await Array.fromAsync(takeOne(createInterface(holder.stdout)));
    member.holder = holder;
    member.pid = Number(pid);
  }

  /** Kills a member as a loss of power does. Harmless when it is not running. */
  async kill(i: number): Promise<void> {
    const member = this.#members[i]!;
    const { holder } = member;
    if (holder === undefined) return;
    delete member.holder;
    const gone = new Promise((resolve) => holder.once("exit", resolve));
    holder.stdin.end();
    await gone;
  }

  /** Lets a member neither read nor say anything, as a cable that is out does; or lets it go on. */
  freeze(i: number, isFrozen: boolean): void {
    process.kill(this.#members[i]!.pid, isFrozen ? "SIGSTOP" : "SIGCONT");
  }

  /** Stops all, puts their directories back as {@link backup} found them, and starts all again. */
  async restore(from: string): Promise<void> {
    await this.#still(() => {
      for (let i = 0; i < this.#members.length; i++) {
        fs.rmSync(path.join(this.dir, `m${i}`), { recursive: true });
        fs.cpSync(path.join(from, `m${i}`), path.join(this.dir, `m${i}`), { recursive: true });
      }
    });
  }

  /** A copy of all that the members have on their disks. */
  async backup(name: string): Promise<string> {
    const to = path.join(this.dir, name);
    await this.#still(() => {
      for (let i = 0; i < this.#members.length; i++) {
        fs.cpSync(path.join(this.dir, `m${i}`), path.join(to, `m${i}`), { recursive: true });
      }
    });
    return to;
  }

  async #still(fn: () => void): Promise<void> {
    for (let i = 0; i < this.#members.length; i++) await this.kill(i);
    fn();
    await Promise.all(this.#members.map((_, i) => this.start(i)));
    await until("etcd answers again", async () => await this.#answers());
  }

  /** Asks the first member something, with JSON, as nobody in particular or with a token. */
  async ask(what: string, body: object, token = ""): Promise<{ status: number; text: string }> {
    return await post(`${this.members[0]}${what}`, body, token);
  }

  /** Whether a read that needs a majority is answered; of a cluster with TLS whether its first port is open. */
  async #answers(): Promise<boolean> {
    if (this.#isSecure) return await isOpen(Number(new URL(this.members[0]!).port));
    try {
      const { status } = await this.ask("/v3/kv/range", { key: "YQ==" });
      return status === 200;
    } catch {
      return false; // not yet
    }
  }
}

async function* takeOne(lines: AsyncIterable<string>): AsyncIterable<string> {
  for await (const line of lines) return void (yield line);
}

/** An authority in `dir`, and one certificate of it that is good for both sides. */
function certify(dir: string): void {
  const run = (...args: string[]) => {
    const { status, stderr } = spawnSync("openssl", args, { cwd: dir });
    if (status !== 0) throw new Error(`openssl ${args[0]}: ${stderr}`);
  };
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  run(
    "req",
    "-x509",
    ...key,
    "-keyout",
    "ca.key",
    "-out",
    "ca.pem",
    "-subj",
    "/CN=isconf-test-ca",
    "-days",
    "2",
  );
  run("req", ...key, "-keyout", "key.pem", "-out", "csr.pem", "-subj", "/CN=isconf-test");
  fs.writeFileSync(
    path.join(dir, "ext"),
    "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n",
  );
  const by = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2"];
  run("x509", "-req", "-in", "csr.pem", "-out", "cert.pem", "-extfile", "ext", ...by);
  fs.chmodSync(path.join(dir, "key.pem"), 0o600);
}

function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, "127.0.0.1", () => resolve(true));
    socket.on("error", () => resolve(false));
    socket.on("connect", () => socket.destroy());
  });
}

/** One request, in two seconds at the most. */
export function post(url: string, body: object, token = ""): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const headers = { "content-type": "application/json", ...(token === "" ? {} : { authorization: token }) };
    const request = http.request(
      url,
      { method: "POST", agent: false, timeout: 2_000, headers },
      (response) => {
        let text = "";
        response.setEncoding("utf8");
        response.on("data", (piece: string) => text += piece);
        response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
        response.on("error", reject);
      },
    );
    request.on("timeout", () => request.destroy(new Error("silent")));
    request.on("error", reject);
    request.end(JSON.stringify(body));
  });
}
