// Image initrd: of the root in an image what a machine boots from the network and runs in memory: its kernel, and all of it as the archive that the
// kernel unpacks. Out of the store into the store, as a stream. Not who gives it to machines (netboot/), and not what installs them.
import * as fs from "node:fs";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { constants, createZstdCompress } from "node:zlib";
import {
  checkCpio,
  type CpioEntry,
  entriesOf,
  type FileNode,
  type Id,
  listTree,
  type Meta,
  type Node,
  putFile,
  readNodeFile,
  type Store,
  writeCpio,
} from "../fs/mod.ts";
import { Fault } from "../mq/mod.ts";
import { type ContentCli, withContent } from "./content_client.ts";
import { findImage, nodeIn } from "./image_find.ts";
import { type ImageArgs, META, nameMade } from "./image_make.ts";
import { pathLinksMax } from "./limits.ts";
import { initrdZstdLevel } from "./limits_images.ts";
import { checkContentName, inert } from "./names.ts";
import { withBar } from "./progress.ts";

/** What was made: a tree with the files `vmlinuz` and `initrd`. */
export interface MadeInitrd {
  name: string;
  id: string;
  /** The kernel's version. */
  kernel: string;
  /** What is in the archive, without directories, and how many bytes of memory the files take. */
  files: number;
  bytes: number;
  /** Bytes of the archive as it is sent. */
  initrdBytes: number;
  /** Names in it whose extended attributes, file capabilities and ACLs among them, such an archive has no room for. */
  without: number;
}

const { S_IFCHR, S_IFDIR, S_IFLNK, S_IFREG } = fs.constants;

/** The root file system of an image; paths in it are latin1, without a slash before them. */
interface Root {
  store: Pick<Store, "get">;
  id: Id;
  /** What the image is called, and what is made of it. */
  image: string;
  name: string;
}

const bytesOf = (text: string) => Buffer.from(text, "latin1");
const textOf = (bytes: Uint8Array) => Buffer.from(bytes).toString("latin1");

const refused = (why: string, hint: string) => new Fault("image", "refused", why, { hint });

/** `image initrd IMAGE NAME`. */
export async function makeInitrd(cli: ContentCli, args: ImageArgs): Promise<MadeInitrd> {
  const [image, name] = args.words as [string, string];
  checkContentName("image", name);
  const made = await initrdOf(cli, image, name, args);
  await nameMade(cli, { ...args, name }, made.id);
  return made;
}

/** The same, on this host's shelf only. */
export async function initrdOf(
  cli: ContentCli,
  image: string,
  name: string,
  args: Pick<ImageArgs, "kernel" | "installer">,
): Promise<MadeInitrd> {
  return await withContent(["image", "get"], cli.where, async (session): Promise<MadeInitrd> => {
    const { record, id } = await findImage(cli, session, image);
    if (record.kind !== "root") {
      throw new Fault(
        "image",
        "usage",
        `${inert(image)} is a disk, an initrd is made of a root file system`,
        {
          hint: "isconf help image",
        },
      );
    }
    const root: Root = { store: session.store(false), id, image: inert(image), name };
    const kernel = await kernelOf(root, args.kernel);
    const added = [...await initFor(root), ...(args.installer ? await installerFor(root) : [])];
    const looked = await lookAt(root, added);
    const told = await keep(cli, root, kernel.node, looked);
    const { files, bytes, without } = looked;
    return { name, kernel: kernel.version, files, bytes, without, ...told };
  });
}

/** How the files of kernels are called, below boot. */
const KERNEL = "vmlinuz-";

/** The image's kernel, the one that is wanted if there are several. */
async function kernelOf(
  root: Root,
  wanted: string | undefined,
): Promise<{ version: string; node: FileNode }> {
  const kernels = new Map<string, FileNode>();
  const boot = await nodeIn(root.store, root.id, bytesOf("boot"));
  if (boot?.node.kind === "dir") {
    for await (const [bytes, node] of entriesOf(root.store, boot.node, boot.id)) {
      const name = textOf(bytes);
      if (!name.startsWith(KERNEL) || typeof node === "string" || node.kind !== "file") continue;
      kernels.set(name.slice(KERNEL.length), node);
    }
  }
  const { image, name } = root;
  if (kernels.size === 0) {
    throw refused(
      `${image} has no kernel: no file /boot/${KERNEL}*`,
      `isconf image build --include linux-image-amd64,systemd-sysv ${image}`,
    );
  }
  const versions = [...kernels.keys()];
  const version = wanted ?? (versions.length === 1 ? versions[0]! : undefined);
  const node = version === undefined ? undefined : kernels.get(version);
  if (version !== undefined && node !== undefined) return { version, node };
  const there = versions.map(inert).join(", ");
  throw refused(
    wanted === undefined
      ? `${image} has ${versions.length} kernels: ${there}`
      : `${image} has no kernel ${inert(wanted)}, but ${there}`,
    `isconf image initrd --kernel ${inert(versions.at(-1)!)} ${image} ${inert(name)}`,
  );
}

/** What an archive has that its tree has not: a file, link or directory of root's. */
type Added = CpioEntry & { at: string };

function add(at: string, mode: number, text = ""): Added {
  const bytes = bytesOf(text);
  return { at, path: bytesOf(at), mode, uid: 0, gid: 0, mtime: 0, size: bytes.length, content: [bytes] };
}

/** What a kernel starts that has unpacked a root into memory; and what it may be, the first that is there. */
const INIT = "init";
const INITS = ["sbin/init", "usr/sbin/init", "lib/systemd/systemd"];

async function initFor(root: Root): Promise<Added[]> {
  if (await nodeIn(root.store, root.id, bytesOf(INIT)) !== undefined) return [];
  for (const at of INITS) {
    if ((await resolve(root, at))?.kind === "file") return [add(INIT, S_IFLNK | 0o777, `/${at}`)];
  }
  throw refused(
    `${root.image} has nothing that a kernel could start: no /${INIT}, and none of ${
      INITS.map((at) => `/${at}`).join(", ")
    }`,
    `isconf image build --include linux-image-amd64,systemd-sysv ${root.image}`,
  );
}

const ISCONF = "usr/bin/isconf";
const UNITS = "etc/systemd/system";
const UNIT = "isconf-install.service";
const WANTS = `${UNITS}/multi-user.target.wants`;
/** Names that a machine has in memory, and its image has not. */
export const ADDED: readonly string[] = [INIT, `${UNITS}/${UNIT}`, `${WANTS}/${UNIT}`];

/** A machine that is booted with isconf.join on its command line brings itself into a domain. */
const UNIT_TEXT = `[Unit]
Description=isconf: brings this machine into its domain
ConditionKernelCommandLine=isconf.join
After=network-online.target isconf.service
Wants=network-online.target

[Service]
Type=oneshot
ExecStart=/${ISCONF} install --boot
StandardOutput=journal+console
StandardError=journal+console
TimeoutStartSec=infinity
`;

async function installerFor(root: Root): Promise<Added[]> {
  if ((await resolve(root, ISCONF))?.kind !== "file") {
    throw refused(
      `${root.image} has no /${ISCONF}, which --installer starts`,
      "isconf image capture --root a root in which the package isconf is installed",
    );
  }
  const names = WANTS.split("/");
  const added: Added[] = [];
  for (const [i] of names.entries()) {
    const at = names.slice(0, i + 1).join("/");
    if (await resolve(root, at) === undefined) added.push(add(at, S_IFDIR | 0o755));
  }
  return [
    ...added,
    add(`${UNITS}/${UNIT}`, S_IFREG | 0o644, UNIT_TEXT),
    add(`${WANTS}/${UNIT}`, S_IFLNK | 0o777, `/${UNITS}/${UNIT}`),
  ];
}

/** What is at a path where the image is the root, its links followed; undefined: nothing, or links in a circle. */
async function resolve(root: Root, path: string): Promise<Node | undefined> {
  let at: string[] = [];
  let rest = path.split("/");
  let found: Node | undefined;
  for (let links = 0; rest.length > 0;) {
    const [name = "", ...more] = rest;
    rest = more;
    if (name === "..") at.pop();
    if (["", ".", ".."].includes(name)) continue;
    found = (await nodeIn(root.store, root.id, bytesOf([...at, name].join("/"))))?.node;
    if (found === undefined) return undefined;
    if (found.kind !== "link") {
      at.push(name);
      continue;
    }
    if (++links > pathLinksMax) return undefined;
    const target = textOf(found.target);
    if (target.startsWith("/")) at = [];
    rest = [...target.split("/"), ...rest];
  }
  return found;
}

/** What one look at a root tells of the archive of it. */
interface Looked {
  files: number;
  bytes: number;
  without: number;
  /** Names of each file with several. */
  names: Map<number, number>;
  dev: Meta;
  added: Added[];
}

const DEV = "dev";
const CONSOLE = "dev/console";

/** Every name of a root that goes into the archive as it is: not what is in boot, which is for other ways to boot. */
async function* namesIn(
  root: Root,
  added: Added[],
): AsyncGenerator<{ at: string; path: Uint8Array; node: Node }> {
  const instead = new Set([DEV, CONSOLE, ...added.map(({ at }) => at)]);
  for await (const { path, node } of listTree(root.store, root.id)) {
    const at = textOf(path);
    if (!at.startsWith("boot/") && !instead.has(at)) {
      yield { at, path: at === "" ? bytesOf(".") : path, node };
    }
  }
}

/** Looks at all of a root before anything is stored. Throws refused, for what an archive has no room for. */
async function lookAt(root: Root, added: Added[]): Promise<Looked> {
  const dev = (await nodeIn(root.store, root.id, bytesOf(DEV)))?.node ?? { kind: "dir", ...META };
  if (dev.kind !== "dir") {
    throw refused(`/${DEV} is no directory in ${root.image}`, `isconf get ${root.image}:fs DIRECTORY`);
  }
  const looked: Looked = { files: 0, bytes: 0, without: 0, names: new Map(), dev, added };
  const files = added.filter(({ mode }) => (mode & S_IFDIR) === 0).length;
  looked.files = files + 1; // and the console
  for await (const { path, node } of namesIn(root, added)) {
    checkCpio({ path, size: sizeOf(node) });
    if ((node.xattrs ?? []).length > 0) looked.without++;
    if (node.kind !== "dir") looked.files++;
    if (node.kind !== "file") continue;
    const before = node.hard === undefined ? 0 : looked.names.get(node.hard) ?? 0;
    if (before === 0) looked.bytes += node.size;
    if (node.hard !== undefined) looked.names.set(node.hard, before + 1);
  }
  return looked;
}

const sizeOf = (node: Node) =>
  node.kind === "file" ? node.size : node.kind === "link" ? node.target.length : 0;

const KINDS = { file: S_IFREG, link: S_IFLNK, dir: S_IFDIR } as const;

/**
 * The archive, in order. It begins with what the kernel opens before anything runs, since no image has devices. `read` hears of
 * bytes of files as they are read.
 */
async function* archiveOf(
  root: Root,
  looked: Looked,
  read: (bytes: number) => void,
): AsyncGenerator<CpioEntry> {
  const { dev, names, added } = looked;
  yield entryOf(bytesOf(DEV), dev, S_IFDIR, 0);
  yield { ...entryOf(bytesOf(CONSOLE), { ...META, mode: 0o600 }, S_IFCHR, 0), device: [5, 1] };
  for await (const { path, node } of namesIn(root, added)) {
    const entry = entryOf(path, node, KINDS[node.kind], sizeOf(node));
    if (node.kind === "link") entry.content = [node.target];
    if (node.kind === "file") {
      entry.content = told(readNodeFile(root.store, node), read);
      if (node.hard !== undefined) entry.hard = { file: node.hard, names: names.get(node.hard) ?? 1 };
    }
    yield entry;
  }
  yield* added;
}

function entryOf(path: Uint8Array, { mode, uid, gid, mtime }: Meta, kind: number, size: number): CpioEntry {
  return { path, mode: kind | mode, uid, gid, mtime: mtime[0], size };
}

async function* told(
  source: AsyncIterable<Uint8Array>,
  read: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  for await (const piece of source) {
    read(piece.length);
    yield piece;
  }
}

/** With zstd, and a sum by which the kernel sees what was damaged on its way. */
async function* packed(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const { ZSTD_c_compressionLevel, ZSTD_c_checksumFlag } = constants;
  const zstd = createZstdCompress({
    params: { [ZSTD_c_compressionLevel]: initrdZstdLevel, [ZSTD_c_checksumFlag]: 1 },
  });
  const feeding = pipeline(Readable.from(source), zstd);
  feeding.catch(() => {}); // awaited below, unless its reader stops early and does not want to know
  try {
    for await (const piece of zstd) yield piece as Uint8Array;
    await feeding;
  } catch (e) {
    await feeding; // it says what was wrong with the source
    throw e;
  } finally {
    zstd.destroy();
  }
}

/** Puts the kernel and the archive into a tree, and that on the shelf. Always the same of the same image. */
async function keep(
  cli: ContentCli,
  root: Root,
  kernel: FileNode,
  looked: Looked,
): Promise<{ id: Id; initrdBytes: number }> {
  return await withContent(["image", "put"], cli.where, async (session) => {
    let initrdBytes = 0;
    const id = await withBar(cli, looked.bytes, (bar) => {
      let bytes = 0;
      const archive = archiveOf(root, looked, (more) => bar.at(bytes += more));
      return session.putTree(false, async ({ tree, store }) => {
        const initrd = await putFile(store, packed(writeCpio(archive)));
        initrdBytes = initrd.size;
        const meta = { ...META, mode: 0o644 };
        const { size, content, runs } = kernel;
        await tree.dir(bytesOf(""), META);
        await tree.node(bytesOf("initrd"), { kind: "file", ...meta, size: initrd.size, content: initrd.id });
        await tree.node(bytesOf("vmlinuz"), {
          kind: "file",
          ...meta,
          size,
          content,
          ...(runs !== undefined && { runs }),
        });
        await tree.up();
      });
    });
    await session.add(id, root.name);
    return { id, initrdBytes };
  });
}
