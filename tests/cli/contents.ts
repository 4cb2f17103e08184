// contents: a home with contents in it, faults put into its net half, and what has to hold after each of them.
// Not which faults are tried (content_inject_test.ts, content_errors_test.ts), and not a test.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { Buffer } from "node:buffer";
import { createHash, randomBytes } from "node:crypto";
import * as fs from "node:fs";
import * as http from "node:http";
import * as path from "node:path";
import type { Tracer } from "./strace.ts";
import { type Box, ISCONF, type Outcome, run, until } from "./tools.ts";

/** Faults at every place that was counted, every text by itself, instead of some: what `deno task test:every` asks for. */
export const isThorough = process.env.ISCONF_TEST_EVERY !== undefined;

/** The place to try after the n-th, when nobody has counted how many there are: the first few, then ever fewer. */
export const afterPlace = (n: number): number => isThorough || n < 3 ? n + 1 : n * 2;

/** The net half of a home's agent. */
export async function netPid(box: Box): Promise<number> {
  const agent = box.agentPid();
  return await until("the net half", () => {
    const children = fs.readFileSync(`/proc/${agent}/task/${agent}/children`, "utf8").trim().split(" ");
    return children.map(Number).find((pid) => pid > 0 && commOf(pid, pid).startsWith("isconf: net"));
  });
}

function commOf(pid: number, thread: number | string): string {
  try {
    return fs.readFileSync(`/proc/${pid}/task/${thread}/comm`, "utf8").trim();
  } catch {
    return ""; // it has ended
  }
}

/** The threads of a process by what they are called: the content thread, the pool that syncs packs, the half itself. */
export function threadsOf(pid: number): Map<string, string> {
  return new Map(fs.readdirSync(`/proc/${pid}/task`).map((thread) => [thread, commOf(pid, thread)]));
}

/** Attaches strace to those threads of the net half that are called `comm`, or to all of them. */
export async function attachNet(box: Box, args: string[], comm?: string): Promise<Tracer> {
  const pid = await netPid(box);
  const threads = [...threadsOf(pid)].filter(([, name]) => comm === undefined || name === comm);
  const words = threads.flatMap(([thread]) => ["-p", thread]);
  const child = spawn("strace", ["-qq", "-o", "/dev/null", "-e", "signal=none", ...args, ...words], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  const isTraced = (thread: string) => {
    try {
      return /TracerPid:\s+[1-9]/.test(fs.readFileSync(`/proc/${pid}/task/${thread}/status`, "utf8"));
    } catch {
      return true; // a thread may have ended meanwhile
    }
  };
  await until("strace to attach", () => threads.every(([thread]) => isTraced(thread)));
  return {
    async detach(signal = "SIGKILL") {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exit = new Promise<void>((resolve) => child.once("exit", () => resolve()));
      child.kill(signal);
      await exit;
    },
  };
}

/** A place for a fault: the n-th such call of a thread that is called so. */
export interface Point {
  comm: string;
  name: string;
  n: number;
}

/** The places that `job` passes, counted once. Rare calls are all there, of the others as many as make `max` together. */
export async function pointsOfNet(
  box: Box,
  calls: string[],
  max: number,
  job: () => Promise<unknown>,
): Promise<{ points: Point[]; counted: number }> {
  const file = `${box.home}.trace`;
  const comms = threadsOf(await netPid(box));
  const tracer = await attachNet(box, ["-o", file, "-e", `trace=${calls.join(",")}`]);
  await job();
  await tracer.detach("SIGTERM");
  const counts = new Map<string, number>();
  for (const [, thread, name] of fs.readFileSync(file, "utf8").matchAll(/^([0-9]+) +([a-z0-9]+)\(/gm)) {
    const key = `${thread} ${name}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  const most = new Map<string, number>();
  for (const [key, n] of counts) {
    const [thread, name] = key.split(" ") as [string, string];
    const place = `${comms.get(thread)}/${name}`;
    most.set(place, Math.max(most.get(place) ?? 0, n));
  }
  const all = [...most].map(([place, count]) => {
    const [comm, name] = place.split("/") as [string, string];
    return Array.from({ length: count }, (_, i): Point => ({ comm, name, n: i + 1 }));
  });
  const counted = all.reduce((sum, { length }) => sum + length, 0);
  for (let each = counted;; each--) {
    const points = all.flatMap((some) => thinned(some, each));
    if (points.length <= max || each === 1) return { points, counted };
  }
}

/** `count` of them, the first and the last among them. */
function thinned<T>(all: T[], count: number): T[] {
  if (all.length <= count) return all;
  const step = (all.length - 1) / Math.max(1, count - 1);
  return Array.from({ length: count }, (_, i) => all[Math.round(i * step)] as T);
}

/** A file of random bytes, which nothing else has; cut into some three chunks unless `bytes` says otherwise. */
export function randomFile(file: string, bytes = 200_000): string {
  fs.writeFileSync(file, randomBytes(bytes));
  return file;
}

/** A small directory with a link, two names of one file and an empty one. */
export function randomTree(dir: string): string {
  fs.mkdirSync(path.join(dir, "sub"), { recursive: true });
  for (const name of ["one", "two", "sub/three"]) randomFile(path.join(dir, name), 20_000);
  fs.linkSync(path.join(dir, "one"), path.join(dir, "again"));
  fs.symlinkSync("one", path.join(dir, "link"));
  fs.writeFileSync(path.join(dir, "empty"), "");
  return dir;
}

/** All that can be seen of a file or tree: names, kinds, modes, bytes, where links lead, how many names a file has. */
export function digestOf(file: string): string {
  const hash = createHash("sha256");
  const visit = (at: Buffer, shown: Buffer) => {
    const stat = fs.lstatSync(at);
    hash.update(shown).update(`\0${stat.mode} ${stat.isDirectory() ? 0 : stat.nlink} ${stat.mtimeMs}\0`);
    if (stat.isSymbolicLink()) hash.update(fs.readlinkSync(at, { encoding: "buffer" }));
    else if (stat.isFile()) hash.update(fs.readFileSync(at));
    else if (stat.isDirectory()) {
      const names = fs.readdirSync(at, { encoding: "buffer" }) as Buffer[];
      for (const name of names.sort(Buffer.compare)) {
        visit(Buffer.concat([at, Buffer.from("/"), name]), Buffer.concat([shown, Buffer.from("/"), name]));
      }
    }
  };
  visit(Buffer.from(file), Buffer.from(""));
  return hash.digest("hex");
}

/** What a verb answers over HTTP. */
export const verb = async (box: Box, name: string, body: unknown) => {
  const answer = await box.http("POST", `/v1/${name}`, body, {}, 120_000);
  if (answer.status !== 200) throw new Error(`${name}: ${answer.text}`);
  return JSON.parse(answer.text);
};

export interface Row {
  id: string;
  label: string;
  size: number;
}

/** What is on the shelf under `label`; without one, all of it. */
export async function shelf(box: Box, label?: string): Promise<Row[]> {
  const { rows } = JSON.parse((await box.http("GET", "/v1/ls")).text) as { rows: Row[] };
  return label === undefined ? rows : rows.filter((row) => row.label === label);
}

/** Every byte of the store is looked at: what is found wrong throws. */
export async function needSound(box: Box, where: string): Promise<{ objects: number; bytes: number }> {
  const { damaged, missing, database, left, ...rest } = await verb(box, "fsck", { data: true });
  assert.deepEqual(
    { damaged, missing, database, left },
    { damaged: [], missing: [], database: [], left: [] },
    where,
  );
  return rest;
}

/** gc until nobody is waited for; then the packs have what is counted on, and beyond that some blocks. */
export async function needLean(box: Box, where: string): Promise<void> {
  await until("gc", async () => (await verb(box, "gc", {})).waiting === 0);
  const { objects, bytes } = await needSound(box, where);
  const packs = path.join(netDir(box), "packs");
  const used = fs.readdirSync(packs).reduce(
    (sum, name) => sum + fs.statSync(path.join(packs, name)).blocks * 512,
    0,
  );
  const most = bytes + objects * (48 + 2 * 4096) + 2 * 4096;
  assert.ok(used <= most, `${where}: ${used} bytes on the disk for ${bytes} bytes in ${objects} objects`);
  assert.equal((await verb(box, "gc", { dryRun: true })).dropped, 0, where);
}

/** Where the net half keeps its own. */
export const netDir = (box: Box): string => path.join(box.home, "var/store");

/** Things that were acknowledged before, and have to be there whatever happens. */
export class Kept {
  readonly #all = new Map<string, string>();
  #checks = 0;

  async put(box: Box, file: string): Promise<void> {
    await box.ok(["put", file]);
    this.#all.set(path.basename(file), file);
  }

  /** Each is listed and comes out as it went in; trees, which take longer, every third time. */
  async check(box: Box, where: string): Promise<void> {
    const labels = new Set((await shelf(box)).map(({ label }) => label));
    const looksAtTrees = this.#checks++ % 3 === 0;
    for (const [label, file] of this.#all) {
      assert.ok(labels.has(label), `${where}: ${label} is not listed any more`);
      if (looksAtTrees || fs.lstatSync(file).isFile()) await needGet(box, label, file, where);
    }
  }
}

/** What `label` means is what `file` is: a file over the local API, a tree by getting it to a new place. */
export async function needGet(box: Box, label: string, file: string, where: string): Promise<void> {
  if (fs.lstatSync(file).isFile()) {
    assert.ok((await blob(box, label)).equals(fs.readFileSync(file)), `${where}: ${label}: other bytes`);
    return;
  }
  const out = path.join(box.dir, `got-${path.basename(box.home)}-${randomBytes(4).toString("hex")}`);
  try {
    const { status, err } = await box.isconf(["get", label, out]);
    assert.equal(status, 0, `${where}: ${label}: ${err}`);
    assert.equal(digestOf(out), digestOf(file), `${where}: ${label}: another tree`);
  } finally {
    fs.rmSync(out, { recursive: true, force: true });
  }
}

function blob(box: Box, label: string): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const request = { socketPath: box.socket, path: `/v1/blob/${label}`, agent: false };
    http.get(request, (answer) => {
      const pieces: Buffer[] = [];
      answer.on("data", (piece: Buffer) => pieces.push(piece));
      answer.on("end", () => resolve(Buffer.concat(pieces)));
      answer.on("error", reject);
    }).on("error", reject);
  });
}

/** Runs the command line itself under strace with such a fault in it. */
export function faulty(box: Box, inject: string, args: string[]): Promise<Outcome> {
  const name = inject.split(":")[0] as string;
  const words = [
    "-f",
    "-qq",
    "-o",
    "/dev/null",
    "-e",
    "signal=none",
    "-e",
    `trace=${name}`,
    "-e",
    `inject=${inject}`,
  ];
  return run("strace", [...words, ISCONF, ...args], { env: { ISCONF_HOME: box.home } });
}
