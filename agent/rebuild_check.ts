// Rebuild check: a twin of a host, made of an image in a virtual machine and taken through the branch, and what is different between the two: whether the
// branch can really be rebuilt. The twin lives in memory, as a host of the domain, for as long as this takes. Not the rebuilding of hosts (rebuild.ts).
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import {
  diffTrees,
  type FileNode,
  type Id,
  type Node,
  readNodeFile,
  restore,
  showPath,
  type Store,
} from "../fs/mod.ts";
import { Fault, sleep, systemClock, toHex } from "../mq/mod.ts";
import { callVerb } from "./client.ts";
import { type ContentCli, withContent } from "./content_client.ts";
import { findImage } from "./image_find.ts";
import { ADDED, initrdOf } from "./image_initrd.ts";
import { LEFT } from "./image_left.ts";
import { captureHere, standingOf } from "./image_make.ts";
import { TREE_IS } from "./install.ts";
import { imageDiffMax, joinAgainMs, twinConsoleBytes, twinMemoryMib, twinStepMs } from "./limits_images.ts";
import { inert } from "./names.ts";
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
export interface CheckResult {
  branch: string;
  /** How many entries of the branch the twin has gone through, or had in its image. */
  at: number;
  differences: { path: string; change: "added" | "removed" | "changed"; what: string[] }[];
  isMore: boolean;
  /** Names whose extended attributes were not compared: a root in memory that came as an archive has none. */
  withoutXattrs: number;
}

/** What is not compared: such an archive has no room for them, and its times are in whole seconds. */
const NOT_COMPARED = ["xattr", "mtime"];

/** Where nothing is compared: what is in no such archive, what only that has, and what each running machine writes by itself. */
const NOWHERE = ["/boot", "/var/log", ...ADDED.map((name) => `/${name}`)];

type Place = ReturnType<typeof placeHere>;

interface Twin {
  name: string;
  place: Place;
  /** Set by ^C: what is waited for ends, and all of it is taken away. */
  isOver: boolean;
}

/** `isconf rebuild --check`. Returns 1 where something is different. */
export async function rebuildCheck(
  cli: ContentCli & { homeOption: string | undefined },
  args: CheckArgs,
): Promise<number> {
  const { term, where } = cli;
  if (args.image === undefined) {
    throw new Fault("rebuild", "usage", "a check needs the image that hosts of the branch begin with", {
      hint: "isconf rebuild --check --image NAME: isconf image ls",
    });
  }
  const standing = await standingOf(cli);
  if (standing.branch === null || standing.state !== "current" || standing.wip > 0) {
    throw new Fault(
      "rebuild",
      "refused",
      "this host is not at the end of its branch, with nothing beside it",
      {
        hint: standing.wip > 0 ? "isconf ci" : "isconf up",
      },
    );
  }
  const { branch, at } = standing;
  const twin: Twin = {
    name: `twin-${toHex(systemClock.random(4))}`,
    place: placeHere(cli.homeOption),
    isOver: false,
  };
  const after: [what: string, fn: () => Promise<unknown>][] = [];
  const rm = (name: string) => callVerb(where, "rm", { name }, () => {});
  const interrupted = () => void (twin.isOver = true);
  process.once("SIGINT", interrupted);
  try {
    const { own, memory } = await compared(cli, args, { branch, at, name: `${twin.name}-own` });
    if (args.against === undefined) after.push(["take its files off the shelf", () => rm(own)]);
    term.say(`making ${twin.name} out of ${inert(args.image)}`);
    const initrd = await initrdOf(cli, args.image, `${twin.name}-boot`, { installer: true });
    after.push(["take what it boots off the shelf", () => rm(initrd.id)]);
    const dir = path.join(cli.home.state, twin.name);
    after.push(["remove its directory", () => fs.promises.rm(dir, { recursive: true, force: true })]);
    await withContent(["rebuild", "get"], where, (session) => restore(session.store(false), initrd.id, dir));
    const { token } = await callVerb(
      where,
      "token",
      { open: true, approve: false, branch, hours: 1 },
      () => {},
    ) as { token: string };
    const withdraw = { action: "revoke", id: token };
    after.push(["end its token", () => callVerb(where, "token", withdraw, () => {})]);
    await create(twin.place, {
      name: twin.name,
      memory: args.memory ?? memory,
      cpus: 2,
      kernel: path.join(dir, "vmlinuz"),
      initrd: path.join(dir, "initrd"),
      append: [
        ...["console=ttyS0,115200", "quiet", "loglevel=1"],
        ...[`isconf.join=${token}`, `isconf.host=${twin.name}`, "isconf.twin=yes"],
      ].join(" "),
    });
    after.push(["remove its machine", () => remove(twin.place, twin.name)]);
    after.push(["stop its machine", () => stop(twin.place, twin.name, true)]);
    const { accelerator } = await start(twin.place, twin.name);
    term.say(`${twin.name} boots${accelerator === "kvm" ? "" : ", without KVM: slowly"}`);
    // On its own console, which only root and the machine write: whoever else asks with that token is let in by nobody.
    const mark = await says(twin, /this host's fingerprint is ([0-9a-f]{4}(?:-[0-9a-f]{4}){3})/);
    await patiently(twin, () => callVerb(where, "approve", { host: mark, replace: false }, () => {}));
    after.push([
      "evict it",
      () => callVerb(where, "evict", { host: twin.name, reason: ["a twin"] }, () => {}),
    ]);
    term.say(`${twin.name} is let in, and goes through ${inert(branch)}`);
    const id = await says(twin, new RegExp(`${TREE_IS} ([0-9a-f]{64})`));
    term.say(`${twin.name} is at the end of ${inert(branch)}; now the two are compared`);
    const result = await withContent(["rebuild", "get"], where, async (session) => {
      const near = session.near(id);
      await patiently(twin, () => near.get([id]));
      return { branch, at, ...await differences(near, own, id, args.except) };
    });
    return told(cli, result);
  } finally {
    process.off("SIGINT", interrupted);
    for (const [what, fn] of after.reverse()) {
      await fn().catch((e) =>
        term.say(`${twin.name}: could not ${what}: ${inert(Fault.from("rebuild", e).message)}`)
      );
    }
  }
}

/** What the twin is compared with: this host, or an image at the same place of the branch. And MiB of memory that a twin takes. */
async function compared(
  cli: ContentCli,
  { image, against }: CheckArgs,
  { branch, at, name }: { branch: string; at: number; name: string },
): Promise<{ own: Id; memory: number }> {
  const { entries } = await callVerb(cli.where, "log", { branch }, () => {}) as { entries: LogLine[] };
  return await withContent(["rebuild", "get"], cli.where, async (session) => {
    const { record } = await findImage(cli, session, image!);
    const from = record.place?.branch === branch ? record.place.seq : 0;
    const restarts = entries.find(({ seq, ops }) => seq > from && ops.includes("reboot"));
    if (restarts !== undefined) {
      throw new Fault(
        "rebuild",
        "refused",
        `entry ${restarts.seq} restarts the host, and a twin in memory would begin anew`,
        {
          hint: `isconf image capture behind it, then isconf rebuild --check --image that`,
        },
      );
    }
    // Its files in memory, and what of them is put into its store there, and the archive while it is unpacked.
    const memory = twinMemoryMib + 3 * Math.ceil(record.bytes / 2 ** 20);
    if (against === undefined) return { own: await captureHere(cli, name), memory };
    const other = await findImage(cli, session, against);
    const { place } = other.record;
    if (other.record.kind === "root" && place?.branch === branch && place.seq === at) {
      return { own: other.id, memory };
    }
    throw new Fault(
      "rebuild",
      "refused",
      `${inert(against)} is not at entry ${at} of ${inert(branch)}, where the twin will be`,
      {
        hint: "isconf image capture, on a host at the end of the branch",
      },
    );
  });
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

/** What others may not have heard of yet is tried a few times. */
async function patiently<T>(twin: Twin, fn: () => Promise<T>): Promise<T> {
  for (let tries = 1;; tries++) {
    try {
      return await fn();
    } catch (e) {
      if (Fault.from("rebuild", e).kind !== "notFound" || tries === 6 || twin.isOver) throw e;
      await sleep(systemClock, joinAgainMs);
    }
  }
}

/** How the twin differs, but for what is not compared. */
export async function differences(
  store: Pick<Store, "get">,
  own: Id,
  twin: Id,
  except: readonly string[],
): Promise<Pick<CheckResult, "differences" | "isMore" | "withoutXattrs">> {
  const lines: CheckResult["differences"] = [];
  const isExcepted = (at: string) =>
    LEFT[at] !== undefined || [...NOWHERE, ...except].some((one) => at === one || at.startsWith(`${one}/`));
  let withoutXattrs = 0;
  for await (const { path, before, after, what: all } of diffTrees(store, own, twin)) {
    const at = `/${showPath(path)}`;
    if (isExcepted(at)) continue;
    const what = await isSameButHoles(store, before, after) ? all.filter((one) => one !== "content") : all;
    const change = before === undefined ? "added" : after === undefined ? "removed" : "changed";
    if (what.includes("xattr")) withoutXattrs++;
    const left = what.filter((one) => !NOT_COMPARED.includes(one));
    if (change === "changed" && left.length === 0) continue;
    if (lines.length === imageDiffMax) return { differences: lines, isMore: true, withoutXattrs };
    lines.push({ path: at, change, what: left });
  }
  return { differences: lines, isMore: false, withoutXattrs };
}

/** Whether two files have the same bytes, of which one may have holes where the other has noughts. */
async function isSameButHoles(store: Pick<Store, "get">, a?: Node, b?: Node): Promise<boolean> {
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
  const { branch, at, differences, isMore, withoutXattrs } = result;
  if (globals.json) term.line(inertJson(result));
  else {
    const SIGNS = { added: "+", removed: "-", changed: "~" };
    for (const { path, change, what } of differences) {
      term.line(`${SIGNS[change]} ${path}${what.length === 0 ? "" : `  ${what.join(", ")}`}`);
    }
    if (isMore) term.say(`there are more than ${imageDiffMax}`);
    if (withoutXattrs > 0) term.say(`extended attributes of ${withoutXattrs} names were not compared`);
    term.say(
      differences.length === 0
        ? `the twin at entry ${at} of ${inert(branch)} is the same`
        : `the twin at entry ${at} of ${inert(branch)} has ${differences.length} differences`,
    );
  }
  return differences.length === 0 ? 0 : 1;
}
