// Image make: images of this host and out of files of other tools, into isfs and under a name. Everything with the rights of whoever runs
// the command line. Not what is done with them (content_image.ts).
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { below, type CaptureInto, captureInto, type Id, importTar, showPath } from "../fs/mod.ts";
import { Fault, systemClock } from "../mq/mod.ts";
import { callVerb } from "./client.ts";
import { type ContentCli, type ContentSession, withContent } from "./content_client.ts";
import { leftOut, mountedElsewhere } from "./image_left.ts";
import { type ImageRecord, IMAGES, osOf, PARTS, type Place, RECORD, writeRecord } from "./image_record.ts";
import { imageHeadBytes } from "./limits_images.ts";
import { checkContentName, inert } from "./names.ts";
import { openSource, realPath, type Source } from "./open_source.ts";
import { type Bar, counted, withBar } from "./progress.ts";
import { readAll } from "./stdio.ts";

export interface ImageArgs {
  action: string;
  words: string[];
  root?: string;
  passwords: boolean;
  copies?: number;
  skipSpecial: boolean;
  /** Of a build: which Debian, from where, with what, where it is made, and whether only to show how. */
  suite?: string;
  variant?: string;
  include?: string;
  mirror?: string;
  deb?: string;
  dir?: string;
  plan: boolean;
  /** Of an initrd: which kernel of several, and whether what starts the installer is in it. */
  kernel?: string;
  installer: boolean;
}

/** What went into an image; `skipped`: sockets, fifos and devices, which did not. */
interface Told {
  files: number;
  bytes: number;
  skipped: number;
}

/** An image that was made. */
export interface MadeImage extends Told {
  name: string;
  id: string;
  record: ImageRecord;
}

const { S_IFMT, S_IFREG } = fs.constants;

/** What a node has that holds an image together. Always the same, so that the same contents are the same image. */
export const META = { mode: 0o755, uid: 0, gid: 0, mtime: [0, 0] as [number, number] };

/** What of this host's standing matters here. */
interface Standing {
  host: string;
  domain: string | null;
  branch: string | null;
  state: string;
  at: number;
  wip: number;
  doing: unknown;
}

/** `image capture`: this host as it is, or a root that lies elsewhere on its disk. */
export async function captureImage(cli: ContentCli, args: ImageArgs): Promise<MadeImage> {
  if (args.root !== undefined) return await captureElsewhere(cli, args, realPath("image", args.root));
  needRoot("image", "sudo isconf image capture");
  const before = await standingOf(cli);
  const place = await placeOf(cli, before);
  const name = args.words[0] ?? (place === null ? undefined : `${IMAGES}${place.branch}-${place.seq}`);
  if (name === undefined) {
    throw new Fault("image", "usage", "an image of a host without a journal needs a name", {
      hint: `isconf image capture ${IMAGES}base`,
    });
  }
  return await captureTree(
    cli,
    { ...args, name, place, from: "/", leaves: leftOut(cli.home, mountedHere()) },
    async () => {
      const now = await standingOf(cli);
      const isSame = now.at === before.at && now.branch === before.branch && now.state === before.state;
      if (isSame && now.wip === 0 && now.doing === null) return;
      throw new Fault("image", "refused", "the journal went on while the image was captured", {
        hint: "isconf image capture, again",
      });
    },
  );
}

/**
 * The files of this host as an image has them, for root, in the store for as long as `fn` takes: nobody is told of them and no other
 * host has them, password hashes among them, unless `fn` puts them on the shelf.
 */
export async function withHere<T>(
  cli: ContentCli,
  fn: (id: Id, session: ContentSession) => Promise<T>,
): Promise<T> {
  const leaves = leftOut(cli.home, mountedHere());
  return await withContent(["image", "put"], cli.where, async (session) => {
    const id = await withBar(
      cli,
      undefined,
      (bar) => session.putTree(false, (into) => captureRoot(into, bar, "/", leaves)),
    );
    return await fn(id, session);
  });
}

const mountedHere = () =>
  mountedElsewhere(
    fs.readFileSync("/proc/self/mountinfo", "latin1"),
    fs.readFileSync("/proc/filesystems", "latin1"),
  );

/** A root that nobody runs, as mmdebstrap makes it: all of it, and no journal. */
async function captureElsewhere(cli: ContentCli, args: ImageArgs, from: string): Promise<MadeImage> {
  const [name] = args.words;
  if (name === undefined) {
    throw new Fault("image", "usage", "an image of a directory needs a name", {
      hint: `isconf image capture --root ${inert(from)} ${IMAGES}base`,
    });
  }
  return await captureTree(cli, { ...args, name, place: null, from, leaves: () => undefined });
}

interface Capture extends ImageArgs {
  name: string;
  place: Place | null;
  from: string;
  leaves: ReturnType<typeof leftOut>;
}

async function captureTree(cli: ContentCli, what: Capture, isSame = async () => {}): Promise<MadeImage> {
  const { from, leaves, passwords } = what;
  checkContentName("image", what.name);
  if (!passwords) needNoPasswords(from);
  return await keep(cli, what, rootRecord(from, what.place), async (into, bar) => {
    const told = await captureRoot(into, bar, from, leaves);
    await isSame();
    return told;
  });
}

/** Tells of a root without what is left out of it. */
async function captureRoot(
  into: CaptureInto,
  bar: Bar,
  from: string,
  leaves: Capture["leaves"],
): Promise<Told> {
  const above = from === "/" ? 1 : Buffer.byteLength(from);
  let skipped = 0;
  const { files, bytes } = await captureInto(into, from, {
    progress: (files, bytes) => bar.at(bytes, `${files} files`),
    leaves: (path, { mode }) =>
      leaves(Buffer.from(path.subarray(above)).toString("latin1"), (mode & S_IFMT) === S_IFREG),
    special: () => skipped++,
  }).catch((e) => {
    throw said(e);
  });
  return { files, bytes, skipped };
}

/** What is said of a file that cannot be captured is said of an image of it. */
function said(e: unknown): Fault {
  const { kind, message } = Fault.from("image", e);
  return new Fault("image", kind, message, {
    hint: "systemctl stop what writes there, then isconf image capture again",
    cause: e,
  });
}

const ARCHITECTURES: Record<string, string> = { x64: "amd64" };
const UNKNOWN = { architecture: "", os: { id: "", version: "" } };

/** What a root says of its system; of this host it is known what it runs on. */
function rootRecord(from: string, place: Place | null): ImageRecord {
  const file = path.join(from, "etc/os-release");
  const system = fs.existsSync(file) ? osOf(fs.readFileSync(file, "utf8")) : UNKNOWN.os;
  const architecture = from === "/" ? ARCHITECTURES[process.arch] ?? process.arch : "";
  return { ...recordOf("root"), os: system, architecture, place };
}

const recordOf = (kind: ImageRecord["kind"]): ImageRecord => ({
  format: 1,
  kind,
  ...UNKNOWN,
  host: os.hostname(),
  madeMs: systemClock.wall(),
  files: 0,
  bytes: 0,
  place: null,
});

/** `image import FILE NAME`: a tar archive of a root, or the bytes of a disk. */
export async function importImage(cli: ContentCli, args: ImageArgs): Promise<MadeImage> {
  const [file, name] = args.words as [string, string];
  checkContentName("image", name);
  using source = openSource("image", file, {
    why: "an image is imported from a file",
    hint: `isconf image capture --root ${inert(file)} ${inert(name)}`,
  });
  const kind = kindOf(source, file);
  return await keep(cli, { ...args, name }, recordOf(kind), async (into, bar) => {
    if (kind === "root") {
      return await importTar(into, counted(readAll(source.fd), bar), { skipSpecial: args.skipSpecial });
    }
    const { files, bytes } = await captureInto(into, realPath("image", file), {
      progress: (_, bytes) => bar.at(bytes),
    });
    return { files, bytes, skipped: 0 };
  });
}

const MAGIC = {
  qcow2: "514649fb",
  xz: "fd377a585a00",
  gzip: "1f8b",
  zstd: "28b52ffd",
  tar: "7573746172",
  boot: "55aa",
};

/** Whether it is an archive or a disk, as its beginning says; of a stream an archive is believed. */
function kindOf(source: Source, file: string): ImageRecord["kind"] {
  if (source.length === undefined) return "root";
  const head = Buffer.alloc(imageHeadBytes);
  fs.readSync(source.fd, head, 0, head.length, 0);
  const has = (magic: string, at: number) =>
    head.subarray(at, at + magic.length / 2).toString("hex") === magic;
  const refuse = (what: string, hint: string) =>
    new Fault("image", "usage", `${inert(file)} is ${what}`, { hint });
  if (has(MAGIC.qcow2, 0)) {
    throw refuse("a disk of QEMU's own kind", `qemu-img convert -O raw ${inert(file)} disk.raw`);
  }
  if (has(MAGIC.xz, 0)) throw refuse("packed with xz", `xz -dc ${inert(file)} | isconf image import - NAME`);
  if (has(MAGIC.gzip, 0) || has(MAGIC.zstd, 0) || has(MAGIC.tar, 257)) return "root";
  if (has(MAGIC.boot, 510)) return "disk";
  throw refuse("no tar archive, and no disk that could be started", "isconf help image");
}

/** Keeps the contents that `tell` tells of together with the record, puts that on the shelf, and names it where there is a domain. */
async function keep(
  cli: ContentCli,
  { name, copies }: { name: string; copies?: number },
  record: ImageRecord,
  tell: (into: CaptureInto, bar: Bar) => Promise<Told>,
): Promise<MadeImage> {
  let told: Told | undefined;
  let counted = record;
  const id = await withContent(["image", "put"], cli.where, async (session) => {
    const id = await withBar(cli, undefined, (bar) =>
      session.putTree(false, async ({ tree, store }) => {
        await tree.dir(bytesOf(""), META);
        told = await tell({ tree: below(tree, bytesOf(PARTS[record.kind])), store }, bar);
        counted = { ...record, files: told.files, bytes: told.bytes };
        await tree.file(bytesOf(RECORD), { ...META, mode: 0o644 }, writeRecord(counted));
        await tree.up();
      }));
    await session.add(id, name);
    return id;
  });
  await nameMade(cli, { name, copies }, id);
  return { name, record: counted, id, ...told! };
}

/** Says in the whole domain what was made, where there is one. */
export async function nameMade(
  cli: ContentCli,
  { name, copies }: { name: string; copies?: number | undefined },
  id: Id,
): Promise<void> {
  if ((await standingOf(cli)).domain === null) return;
  await callVerb(
    cli.where,
    "name",
    { name, what: id, ...(copies === undefined ? {} : { copies }) },
    () => {},
  );
}

const bytesOf = (text: string) => new TextEncoder().encode(text);

/** How this host stands, without asking others. */
export const standingOf = async ({ where }: ContentCli): Promise<Standing> =>
  await callVerb(where, "status", { offline: true }, () => {}) as Standing;

/**
 * The place in the journal that this host is at. Throws refused where what is on its disk is no place of any journal.
 */
async function placeOf({ where }: ContentCli, standing: Standing): Promise<Place | null> {
  const { domain, branch, at, state, wip, doing } = standing;
  if (domain === null || branch === null) return null;
  const why = wip > 0
    ? "there is work on this host that is not checked in"
    : !["current", "behind"].includes(state)
    ? `this host is ${state}`
    : doing !== null
    ? "this host is changing at this moment"
    : undefined;
  if (why !== undefined) {
    throw new Fault("image", "refused", `${why}: an image of it would be at no place of the journal`, {
      hint: wip > 0 ? "isconf ci" : "isconf up",
    });
  }
  if (at === 0) return null;
  const { id } = await callVerb(where, "show", { seq: at }, () => {}) as { id: string };
  return { domain, branch, seq: at, entry: id };
}

export function needRoot(op: "image" | "rebuild", hint: string): void {
  if (process.geteuid?.() === 0) return;
  throw new Fault(op, "denied", "all of a host is only root's to read", { hint });
}

/** Where password hashes are, with the copies that passwd(1) and its like leave. */
const SECRETS = ["shadow", "shadow-", "gshadow", "gshadow-"];

/** A hash of crypt(5), of an account that is locked, too. */
const HASH = /^[!*]*(\$|_|[A-Za-z0-9./]{13}$)/;

/** Whoever may get contents can read all of an image, on every host of the domain. */
function needNoPasswords(root: string): void {
  const names = new Set(SECRETS.flatMap((file) => hashedIn(path.join(root, "etc", file))));
  if (names.size === 0) return;
  const some = [...names].slice(0, 5).map((name) => showPath(Buffer.from(name, "latin1"))).join(", ");
  throw new Fault(
    "image",
    "refused",
    `the image would show the password hashes of ${names.size} users (${some}) to everybody in the domain who may get contents`,
    { hint: "isconf image capture --passwords, if they may; else usermod -p ! USER first" },
  );
}

/** Whose lines of such a file have a hash. */
function hashedIn(file: string): string[] {
  try {
    const lines = fs.readFileSync(file, "latin1").split("\n").map((line) => line.split(":"));
    return lines.filter(([, hash = ""]) => HASH.test(hash)).map(([name = ""]) => name);
  } catch (e) {
    if ((e as { code?: string }).code === "ENOENT") return [];
    throw Fault.from("image", e);
  }
}
