// Install: what `isconf install` does on a machine that runs in memory, booted from the network: brings it into its domain, and, where an image is
// ordered, makes its disk boot as this host out of that image. Not the boot server (netboot/), not the image (image_make.ts).
import * as fs from "node:fs";
import * as path from "node:path";
import { restore } from "../fs/mod.ts";
import { Fault, sleep, systemClock, toHex } from "../mq/mod.ts";
import { bytesText } from "./bytes_text.ts";
import { callVerb } from "./client.ts";
import { bring, type ContentCli, withContent } from "./content_client.ts";
import { isInMemory } from "./doctor_machine.ts";
import { withHere } from "./image_make.ts";
import { type ImageRecord, writeRecord } from "./image_record.ts";
import { disksIn, onlyDisk, partition } from "./install_disk.ts";
import { firmwareHere, missingRoom, type Wanted, wantedImage } from "./install_image.ts";
import { type Order, readOrder, say } from "./install_order.ts";
import { INSTALL } from "./install_template.ts";
import { come, percentOf, type Way } from "./install_way.ts";
import { handTriesMax, imageTriesMax, joinAgainMs, restartMs, sayMs, twinSaysMax } from "./limits_images.ts";
import { inert, quoted } from "./names.ts";
import { patiently } from "./patiently.ts";
import { withBar } from "./progress.ts";
import { inertJson } from "./term.ts";
import { look, type Missing, missingFault, needDone, placeHere, runScript, scriptsOf } from "./vm/mod.ts";

export interface InstallArgs {
  image?: string;
  disk?: string;
  boot: boolean;
  wipe: boolean;
  plan: boolean;
}

/** What the twin of a host is called on its own shelf, and what it says before the id of its files. */
const TWIN = "twin";
export const TREE_IS = "this machine has become the tree";

/** Where the new root is mounted while it is made. */
const TARGET = "/run/isconf-install";

/** What --json prints of a plan; also as a schema (scripts/schemas.ts). */
export interface InstallResult {
  disk: string;
  scripts: { step: string; text: string }[];
  missing: { why: string; hint: string }[];
}

/** What is done to a disk, before anything is. */
interface Plan extends InstallResult {
  rootId: string;
  espId: string;
}

export async function install(cli: ContentCli, args: InstallArgs): Promise<number> {
  if (args.boot) return await installAtBoot(cli);
  if (args.image === undefined) {
    throw new Fault("install", "usage", "an installation needs an image", { hint: "isconf image ls" });
  }
  const order: Order = {
    ...{ join: "", host: "", log: "", isTwin: false, consoles: [] },
    image: args.image,
    disk: args.disk ?? "",
    mayWipe: args.wipe,
  };
  if (args.plan) {
    const { disk, scripts, missing } = await plan(cli, order, await wantedOr(cli, order.image));
    if (cli.globals.json) {
      cli.term.line(inertJson({ disk, scripts, missing } satisfies InstallResult));
      return missing.length === 0 ? 0 : 1;
    }
    for (const { text } of scripts) cli.term.raw(`${text}\n`);
    if (missing.length > 0) throw missingFault("install", "nothing was installed", missing);
    return 0;
  }
  needMemory();
  const { disk } = await toDisk(cli, order, handTriesMax);
  cli.term.say(`installed: ${inert(order.image)} on ${disk}, as this host; now restart the machine`);
  return 0;
}

/** What a machine does that was booted for it: all by what its kernel was told. It goes on with the same when it is begun again. */
async function installAtBoot(cli: ContentCli): Promise<number> {
  const order = readOrder(fs.readFileSync("/proc/cmdline", "utf8"));
  if (order === undefined) {
    throw new Fault("install", "usage", "this kernel was not told into which domain the machine is to come", {
      hint: "join = in the profile of the boot server; isconf help netboot",
    });
  }
  const told = (step: string, more?: { percent?: number; text?: string }) => say(order.log, step, more);
  try {
    needMemory();
    if (order.image !== "") await holdBack(cli);
    const host = await joined(cli, order);
    await told("joined", { text: host });
    if (order.image === "") {
      await callVerb(cli.where, "up", {}, (e) => e.text !== undefined && cli.term.say(inert(String(e.text))));
      await told("up", { text: host });
      if (order.isTwin) await sayTree(cli);
      return 0;
    }
    const made = await toDisk(cli, order, imageTriesMax);
    await told("installed", { text: made.disk });
    cli.term.say(`installed: ${inert(order.image)} on ${made.disk}; the machine restarts`);
    await run(made.scripts.at(-1)!.text);
    return 0;
  } catch (e) {
    await told("failed", { text: Fault.from("install", e).message });
    throw e;
  }
}

/** Says which tree of files this machine has become, again and again, for who reads its console and turns it off then. */
async function sayTree(cli: ContentCli): Promise<void> {
  const id = await withHere(cli, async (id, session) => (await session.add(id, TWIN)).id);
  for (let i = 0; i < twinSaysMax; i++) {
    cli.term.say(`${TREE_IS} ${id}`);
    await sleep(systemClock, joinAgainMs);
  }
}

/** A host that is only on its way to a disk applies nothing where it is now. */
async function holdBack(cli: ContentCli): Promise<void> {
  await patiently(cli.term, imageTriesMax, () => standingOf(cli)); // the agent is just being started
  const file = path.join(cli.home.config, "isconf.conf");
  const text = fs.existsSync(file) ? fs.readFileSync(file, "utf8") : "";
  const rest = text.split("\n").filter((line) => !/^\s*follow\s*=/.test(line)).join("\n");
  fs.writeFileSync(file, `${rest.trimEnd()}\nfollow = no\n`);
  const script = `${quoted(process.execPath)} restart\n`;
  needDone("install", await runScript(placeHere(undefined), script, undefined, restartMs), "isconf restart");
}

/** Asks until this host is let in; returns what it is called. A boot server or a keeper that is restarted is waited for. */
async function joined(cli: ContentCli, order: Order): Promise<string> {
  for (let asked = "";;) {
    const { host, branch } = await patiently(cli.term, imageTriesMax, () => standingOf(cli));
    if (branch !== null) return host;
    try {
      await callVerb(cli.where, "join", { token: order.join, host: order.host }, (e) => {
        cli.term.say(inert(String(e.text ?? "")));
        if (typeof e.fingerprint === "string") asked = e.fingerprint;
        if (asked !== "") {
          void say(order.log, "asks", { text: `as ${order.host}, with the fingerprint ${asked}` });
        }
      });
    } catch (e) {
      const fault = Fault.from("install", e);
      if (fault.kind === "usage") throw fault; // that is no token
      cli.term.say(`${inert(fault.message)}; it is tried again`);
      await say(order.log, "asks", { text: fault.message });
      await sleep(systemClock, joinAgainMs);
    }
  }
}

interface Standing {
  host: string;
  branch: string | null;
}

/**
 * Makes the disk, fills it, makes it boot. The image comes only when there is a disk for it: this machine's memory has no room for it.
 */
async function toDisk(cli: ContentCli, order: Order, triesMax: number): Promise<Plan> {
  const patient = <T>(fn: () => Promise<T>) => patiently(cli.term, triesMax, fn);
  const wanted = await patient(() => wantedImage(cli, order.image));
  const made = await plan(cli, order, wanted);
  if (made.missing.length > 0) throw missingFault("install", "nothing was installed", made.missing);
  const [disk, boot] = made.scripts as [Plan["scripts"][0], Plan["scripts"][0]];
  await run(disk.text);
  const way: Way = { brought: 0, laid: 0, of: wanted.record.bytes };
  await followed(order, way, () => patient(() => fill(cli, wanted, way)));
  await say(order.log, "image", { percent: 100 });
  writeOwn(made, order, wanted.record, (await standingOf(cli)).host);
  await run(boot.text);
  return made;
}

const run = async (text: string) => {
  const ran = await runScript(placeHere(undefined), text, undefined, INSTALL.deadlineSeconds * 1000);
  needDone("install", ran, "isconf install IMAGE --plan");
};

const standingOf = async (cli: ContentCli) =>
  await callVerb(cli.where, "status", { offline: true }, () => {}) as Standing;

/** The image for a plan: why it cannot be looked at is one of the things in the way then. */
async function wantedOr(cli: ContentCli, image: string): Promise<Wanted | Missing> {
  try {
    return await wantedImage(cli, image);
  } catch (e) {
    const { message, hint } = Fault.from("install", e);
    return { why: message, hint };
  }
}

/** Brings the image from whichever hosts have it, and lays it out. */
async function fill(cli: ContentCli, { root, id }: Wanted, way: Way): Promise<void> {
  await withContent(["install", "get"], cli.where, async (session) => {
    await bring(cli, session, root, (brought) => come(way, brought));
    way.brought = 1;
    await withBar(cli, way.of === 0 ? undefined : way.of, async (bar) => {
      const store = await session.walking(id, (bytes) => bar.at(way.laid = bytes));
      await restore(store, id, TARGET, { owners: "kept", durable: "end" });
    });
  });
}

/** Says while `fn` runs how much is on the new disk: first the contents come into this host's store there, then they become files. */
async function followed<T>(order: Order, way: Way, fn: () => Promise<T>): Promise<T> {
  let isOver = false, cancel = () => {};
  const look = () => {
    const { bsize, blocks, bfree } = fs.statfsSync(TARGET);
    const percent = percentOf(way);
    void say(order.log, "image", { percent, text: `${bytesText((blocks - bfree) * bsize)} on the disk` });
    if (!isOver) cancel = systemClock.after(sayMs, look);
  };
  look();
  try {
    return await fn();
  } finally {
    isOver = true;
    cancel();
  }
}

/** What makes the new root this host's: its name, its file systems, and at which place of the journal it is. */
function writeOwn({ rootId, espId }: Plan, { consoles }: Order, record: ImageRecord, host: string): void {
  const dosId = `${espId.slice(0, 4)}-${espId.slice(4)}`.toUpperCase();
  const files: [name: string, text: string | Uint8Array][] = [
    ["etc/hostname", `${host}\n`],
    [
      "etc/fstab",
      `UUID=${rootId} / ext4 errors=remount-ro 0 1\nUUID=${dosId} /boot/efi vfat umask=0077,nofail 0 2\n`,
    ],
    ["etc/default/grub.d/isconf.cfg", grubSettings(consoles)],
    ["etc/isconf/image", writeRecord(record)],
  ];
  for (const [name, text] of files) {
    const file = path.join(TARGET, name);
    const dir = path.dirname(file);
    let above = dir;
    while (!fs.existsSync(above)) above = path.dirname(above);
    if (!`${fs.realpathSync(above)}/`.startsWith(`${TARGET}/`)) {
      throw new Fault("install", "refused", `/${path.dirname(name)} of the image leads out of it`, {
        hint: "isconf image capture, without that link",
      });
    }
    fs.mkdirSync(dir, { recursive: true, mode: 0o755 });
    fs.rmSync(file, { force: true }); // a link is not followed
    fs.writeFileSync(file, text, { mode: 0o644, flag: "wx" });
    fs.chmodSync(file, 0o644);
  }
}

/** GRUB on the consoles that this kernel has. Not its graphics: where there is no screen it waits for one for ever. */
export function grubSettings(consoles: readonly string[]): string {
  const [, unit, speed = "9600"] = /console=ttyS([0-9])(?:,([0-9]+))?/.exec(consoles.join(" ")) ?? [];
  const lines = [
    "GRUB_TIMEOUT=2",
    `GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX ${consoles.join(" ")}"`,
    `GRUB_TERMINAL="console${unit === undefined ? "" : " serial"}"`,
    ...(unit === undefined ? [] : [`GRUB_SERIAL_COMMAND="serial --unit=${unit} --speed=${speed}"`]),
  ];
  return `${lines.join("\n")}\n`;
}

/** What would be done, and what is in the way, all of it. */
async function plan(cli: ContentCli, order: Order, wanted: Wanted | Missing): Promise<Plan> {
  const disk = order.disk === "" ? onlyDisk(disksIn("/sys/block")) : order.disk;
  const hex = toHex(systemClock.random(16));
  const rootId = hex.replace(/^(.{8})(.{4}).(.{3}).(.{3})(.{12})$/, "$1-$2-4$3-8$4-$5");
  const espId = toHex(systemClock.random(4));
  const place = placeHere(undefined);
  const given = {
    disk,
    esp: partition(disk, 2),
    root: partition(disk, 3),
    rootId,
    espId,
    target: TARGET,
    state: cli.home.state,
    isconf: place.isconf,
    [firmwareHere()]: "yes",
    ...(!order.mayWipe && { keep: "yes" }),
  };
  const { values, missing } = await look(place, INSTALL, given);
  missing.push(
    ...("why" in wanted
      ? [wanted]
      : [...wanted.missing, ...missingRoom(wanted.record, disk, "/sys/class/block")]),
  );
  return { disk, rootId, espId, scripts: scriptsOf(INSTALL, "install", values), missing };
}

/** A host that runs from a disk is not moved to another by this: there would be two of it. */
function needMemory(): void {
  if (process.geteuid?.() !== 0) {
    throw new Fault("install", "denied", "a disk is root's", { hint: "sudo isconf install" });
  }
  if (isInMemory(fs.statfsSync("/"))) return;
  throw new Fault("install", "refused", "this machine runs from a disk, and is no installer", {
    hint: "isconf image initrd --installer, and boot that from the network: docs/netboot.md",
  });
}
