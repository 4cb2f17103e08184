// Rebuild check: a twin of a host, made of an image in a virtual machine and taken through the branch, and what is different between the two: whether the
// branch can really be rebuilt. The twin lives in memory, as a host of the domain, for as long as this takes. Not the rebuilding of hosts (rebuild.ts).
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import {
  diffTrees,
  type FileNode,
  type Id,
  readNodeFile,
  restore,
  type Store,
  type TreeDifference,
} from "../fs/mod.ts";
import { Fault, sleep, systemClock, toHex } from "../mq/mod.ts";
import { callVerb } from "./client.ts";
import { type ContentCli, withContent } from "./content_client.ts";
import { type Differences, linesOf, sayDifferences, shownPath } from "./image_diff.ts";
import { findImage } from "./image_find.ts";
import { ADDED, initrdOf } from "./image_initrd.ts";
import { LEFT } from "./image_left.ts";
import { needRoot, standingOf, withHere } from "./image_make.ts";
import { TREE_IS } from "./install.ts";
import { imageTriesMax, twinConsoleBytes, twinMemoryMib, twinStepMs } from "./limits_images.ts";
import { inert } from "./names.ts";
import { patiently } from "./patiently.ts";
import type { LogLine } from "./report.ts";
import { inertJson } from "./term.ts";
import { create, filesOf, placeHere, remove, runningPid, start, stop } from "./vm/mod.ts";

export interface CheckArgs {
  image?: string;
  against?: string;
  except: string[];
  memory?: number;
}

/** What --json prints; also as a schema (scripts/schemas.ts). */
export interface CheckResult extends Differences {
  branch: string;
  /** How many entries of the branch the twin has gone through, or had in its image. */
  at: number;
  /** Names whose extended attributes were not compared: a root in memory that came as an archive has none. */
  withoutXattrs: number;
}

/** What is not compared: such an archive has no room for them, and its times are in whole seconds. */
const NOT_COMPARED = ["xattr", "mtime"];

/** Where nothing is compared: what is in no such archive, what only that has, and what each running machine writes by itself. */
const NOWHERE = ["/boot", "/var/log", ...ADDED.map((name) => `/${name}`)];

interface Twin {
  name: string;
  place: ReturnType<typeof placeHere>;
  /** Where it is to come: the end of its branch as this host has it. */
  branch: string;
  at: number;
  /** Set by ^C: what is waited for ends, and all of it is taken away. */
  isOver: boolean;
  /** What is to be done when it is over, however that is, the last first. */
  undo: [what: string, fn: () => Promise<unknown>][];
}

/** `isconf rebuild --check`. Returns 1 where something is different. */
export async function rebuildCheck(
  cli: ContentCli & { homeOption: string | undefined },
  { image, against, except, memory }: CheckArgs,
): Promise<number> {
  if (image === undefined) {
    throw new Fault("rebuild", "usage", "a check needs the image that hosts of the branch begin with", {
      hint: "isconf rebuild --check --image NAME: isconf image ls",
    });
  }
  needPaths(except);
  needRoot("rebuild", "sudo isconf rebuild --check");
  const twin: Twin = {
    name: `twin-${toHex(systemClock.random(4))}`,
    place: placeHere(cli.homeOption),
    ...needEnd(await standingOf(cli)),
    isOver: false,
    undo: [],
  };
  const { branch, at } = twin;
  const interrupted = () => void (twin.isOver = true);
  process.once("SIGINT", interrupted);
  try {
    const needs = await memoryFor(cli, image, branch);
    const other = against === undefined ? undefined : await rootAtEnd(cli, twin, against);
    await boot(cli, twin, image, memory ?? needs);
    await letIn(cli, twin);
    const id = await says(twin, new RegExp(`${TREE_IS} ([0-9a-f]{64})`));
    needSame(twin, await standingOf(cli));
    cli.term.say(`${twin.name} is at the end of ${inert(branch)}; now the two are compared`);
    const compare = async (own: Id) =>
      await withContent(["rebuild", "get"], cli.where, async (session) => {
        const near = session.near(id);
        await patiently(cli.term, imageTriesMax, () => near.get([id]));
        return await differencesOf(near, own, id, except);
      });
    const found = await (other === undefined ? withHere(cli, compare) : compare(other));
    needSame(twin, await standingOf(cli));
    return told(cli, { branch, at, ...found });
  } finally {
    process.off("SIGINT", interrupted);
    for (const [what, fn] of twin.undo.reverse()) {
      await fn().catch((e) =>
        cli.term.say(`${twin.name}: could not ${what}: ${inert(Fault.from("rebuild", e).message)}`)
      );
    }
  }
}

/** Where a host is that is at the end of its branch, with nothing beside it. Throws refused. */
function needEnd(
  { branch, state, at, wip }: Awaited<ReturnType<typeof standingOf>>,
): Pick<Twin, "branch" | "at"> {
  if (branch !== null && state === "current" && wip === 0) return { branch, at };
  throw new Fault("rebuild", "refused", "this host is not at the end of its branch, with nothing beside it", {
    hint: wip > 0 ? "isconf ci" : "isconf up",
  });
}

/** That this host is still where the twin was to come. Throws refused. */
function needSame({ branch, at }: Twin, now: Parameters<typeof needEnd>[0]): void {
  if (needEnd(now).at === at) return;
  throw new Fault("rebuild", "refused", `${inert(branch)} went on meanwhile`, {
    hint: "isconf rebuild --check, again",
  });
}

function needPaths(paths: readonly string[]): void {
  const odd = paths.find((one) => !/^\/.*[^/]$/s.test(one));
  if (odd === undefined) return;
  throw new Fault("rebuild", "usage", `${inert(odd)} is no path from / on`, {
    hint: "isconf rebuild --check --except /var/lib/systemd",
  });
}

/** MiB that a twin of this image takes. Throws refused, when it cannot go through the branch in memory. */
async function memoryFor(cli: ContentCli, image: string, branch: string): Promise<number> {
  const { entries } = await callVerb(cli.where, "log", { branch }, () => {}) as { entries: LogLine[] };
  const { bytes, place } = await recordOf(cli, image);
  const from = place?.branch === branch ? place.seq : 0;
  const restarts = entries.find(({ seq, ops }) => seq > from && ops.includes("reboot"));
  if (restarts !== undefined) {
    throw new Fault(
      "rebuild",
      "refused",
      `entry ${restarts.seq} restarts the host, and a twin in memory would begin anew`,
      { hint: "isconf image capture behind it, then isconf rebuild --check --image that" },
    );
  }
  // Its files, what of them is put into its store there, and the archive while it is unpacked.
  return twinMemoryMib + 3 * Math.ceil(bytes / 2 ** 20);
}

const recordOf = async (cli: ContentCli, image: string) =>
  await withContent(
    ["rebuild", "get"],
    cli.where,
    async (session) => (await findImage(cli, session, image)).record,
  );

/** The root of an image at the place where the twin will be. Throws refused, notFound. */
async function rootAtEnd(cli: ContentCli, { branch, at }: Twin, image: string): Promise<Id> {
  return await withContent(["rebuild", "get"], cli.where, async (session) => {
    const { record: { kind, place }, id } = await findImage(cli, session, image);
    if (kind === "root" && place?.branch === branch && place.seq === at) return id;
    throw new Fault(
      "rebuild",
      "refused",
      `${inert(image)} is not at entry ${at} of ${inert(branch)}, where the twin will be`,
      { hint: "isconf image capture, on a host at the end of the branch" },
    );
  });
}

const offShelf = (cli: ContentCli, name: string) => callVerb(cli.where, "rm", { name }, () => {});

/** Makes the twin's machine and turns it on. */
async function boot(cli: ContentCli, twin: Twin, image: string, memory: number): Promise<void> {
  const { term, where } = cli;
  const { name, place, branch, undo } = twin;
  term.say(`making ${name} out of ${inert(image)}`);
  const initrd = await initrdOf(cli, image, `${name}-boot`, { installer: true });
  undo.push(["take what it boots off the shelf", () => offShelf(cli, initrd.id)]);
  const dir = path.join(cli.home.state, name);
  undo.push(["remove its directory", () => fs.promises.rm(dir, { recursive: true, force: true })]);
  await withContent(["rebuild", "get"], where, (session) => restore(session.store(false), initrd.id, dir));
  const asks = { open: true, approve: false, branch, hours: 1 };
  const { token } = await callVerb(where, "token", asks, () => {}) as { token: string };
  undo.push(["end its token", () => callVerb(where, "token", { action: "revoke", id: token }, () => {})]);
  undo.push(["remove its machine", async () => {
    if (fs.existsSync(filesOf(place.vms, name).record)) await remove(place, name);
  }]);
  await create(place, {
    name,
    memory,
    cpus: 2,
    kernel: path.join(dir, "vmlinuz"),
    initrd: path.join(dir, "initrd"),
    append: [
      ...["console=ttyS0,115200", "quiet", "loglevel=1"],
      ...[`isconf.join=${token}`, `isconf.host=${name}`, "isconf.twin=yes"],
    ].join(" "),
  });
  undo.push(["stop its machine", () => stop(place, name, true)]);
  const { accelerator } = await start(place, name);
  term.say(`${name} boots${accelerator === "kvm" ? "" : ", without KVM: slowly"}`);
}

/** Lets the twin in by what its own console says, which only root and the machine write: whoever else asks with that token waits. */
async function letIn(cli: ContentCli, twin: Twin): Promise<void> {
  const { name, branch, undo } = twin;
  const { term, where } = cli;
  const mark = await says(twin, /this host's fingerprint is ([0-9a-f]{4}(?:-[0-9a-f]{4}){3})/);
  const args = { host: mark, replace: false };
  await patiently(term, imageTriesMax, () => callVerb(where, "approve", args, () => {}));
  undo.push(["evict it", () => callVerb(where, "evict", { host: name, reason: ["a twin"] }, () => {})]);
  term.say(`${name} is let in, and goes through ${inert(branch)}`);
}

/** What the twin's console says, when it says it. Throws what its installation fails with; gone. */
async function says(twin: Twin, what: RegExp): Promise<string> {
  const { console, pidFile } = filesOf(twin.place.vms, twin.name);
  for (const end = systemClock.now() + twinStepMs; systemClock.now() < end;) {
    const isThere = runningPid(pidFile) !== undefined;
    const text = lastOf(console);
    const [, found] = what.exec(text) ?? [];
    if (found !== undefined) return found;
    const [, failed] = /\bisconf\[[0-9]+\]: isconf [a-z]+: (.+)$/m.exec(text.replaceAll("\r", "")) ?? [];
    if (failed !== undefined) {
      throw new Fault("rebuild", "refused", `the twin says: ${inert(failed)}`, { hint: "isconf log" });
    }
    if (twin.isOver) {
      throw new Fault("rebuild", "refused", "interrupted", { hint: "isconf rebuild --check, again" });
    }
    if (!isThere) throw gone(twin, "is gone", text);
    await sleep(systemClock, 1_000);
  }
  throw gone(
    twin,
    `has not come that far in ${twinStepMs / 60_000} minutes`,
    lastOf(console),
  );
}

/** The last part of what a console has said; "" when it has said nothing yet. */
function lastOf(console: string): string {
  if (!fs.existsSync(console)) return "";
  const fd = fs.openSync(console, "r");
  try {
    const bytes = Buffer.alloc(twinConsoleBytes);
    const n = fs.readSync(fd, bytes, 0, bytes.length, Math.max(0, fs.fstatSync(fd).size - bytes.length));
    return bytes.toString("latin1", 0, n);
  } finally {
    fs.closeSync(fd);
  }
}

const gone = ({ name }: Twin, why: string, text: string) =>
  new Fault(
    "rebuild",
    "gone",
    `${name} ${why}; it said last: ${inert(text.trimEnd().split("\n").at(-1) ?? "")}`,
    {
      hint: "isconf rebuild --check --memory MIB, with more",
    },
  );

/** How the twin differs, but for what is not compared. */
export async function differencesOf(
  store: Pick<Store, "get">,
  own: Id,
  twin: Id,
  except: readonly string[],
): Promise<Differences & { withoutXattrs: number }> {
  let withoutXattrs = 0;
  const isExcepted = (at: string) =>
    LEFT[at] !== undefined || [...NOWHERE, ...except].some((one) => at === one || at.startsWith(`${one}/`));
  async function* compared(): AsyncGenerator<TreeDifference> {
    for await (const one of diffTrees(store, own, twin)) {
      if (isExcepted(shownPath(one.path))) continue;
      if (one.what.includes("xattr")) withoutXattrs++;
      const isSame = one.what.includes("content") && await isSameButHoles(store, one);
      const what = one.what.filter((word) => !NOT_COMPARED.includes(word) && !(isSame && word === "content"));
      if (one.what.length === 0 || what.length > 0) yield { ...one, what };
    }
  }
  return { ...await linesOf(compared()), withoutXattrs };
}

/** Whether two files have the same bytes, of which one may have holes where the other has noughts. */
async function isSameButHoles(
  store: Pick<Store, "get">,
  { before: a, after: b }: TreeDifference,
): Promise<boolean> {
  if (a?.kind !== "file" || b?.kind !== "file" || a.size !== b.size) return false;
  if (a.runs === undefined && b.runs === undefined) return false;
  const sha256 = async (node: FileNode) => {
    const hash = createHash("sha256");
    for await (const piece of readNodeFile(store, node)) hash.update(piece);
    return hash.digest("hex");
  };
  return await sha256(a) === await sha256(b);
}

function told({ term, globals }: ContentCli, result: CheckResult): number {
  const { branch, at, differences: { length }, withoutXattrs } = result;
  if (globals.json) term.line(inertJson(result));
  else {
    sayDifferences(term, result);
    if (withoutXattrs > 0) term.say(`extended attributes of ${withoutXattrs} names were not compared`);
    const how = length === 0 ? "is the same" : `has ${length} differences`;
    term.say(`the twin at entry ${at} of ${inert(branch)} ${how}`);
  }
  return length === 0 ? 0 : 1;
}
