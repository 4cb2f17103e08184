// Content main: the verbs that move contents between this host and the store: put, get, cat. With oci and bundle a script of
// its own, because it reads and makes trees. Everything here has the rights of whoever runs the command line, and no others.
import * as fs from "node:fs";
import * as path from "node:path";
import {
  captureInto,
  type FileNode,
  PutBatch,
  putFile,
  readFile,
  readNodeFile,
  restore,
  type RootKind,
  sweepPath,
  temporaryNames,
} from "../fs/mod.ts";
import { Fault, flock, systemClock } from "../mq/mod.ts";
import { callVerb } from "./client.ts";
import { type ContentCli, type ContentSession, libraryOf, withContent } from "./content_client.ts";
import { getSecret, putSecret } from "./content_secret.ts";
import { sparseBytesMin } from "./limits.ts";
import { locate } from "./locate.ts";
import { inert } from "./names.ts";
import { openSource, realPath } from "./open_source.ts";
import { counted, withBar } from "./progress.ts";
import type { ShelfRow } from "./seam.ts";
import { readAll, writeAll } from "./stdio.ts";
import { inertJson } from "./term.ts";

export interface PutArgs {
  file?: string;
  label?: string;
  compress: boolean;
  name?: string;
  copies?: number;
  secret: boolean;
  branch?: string;
}

/** Puts a file, a tree or standard input on the shelf, names it when that is wanted, and prints its id. */
export async function put(cli: ContentCli, args: PutArgs): Promise<number> {
  const { file = "-", label = args.name, compress, name, copies, secret } = args;
  if (args.branch !== undefined && !secret) {
    throw new Fault("put", "usage", "a branch is that of a secret", {
      hint: "isconf put --secret --branch BRANCH FILE",
    });
  }
  if (copies !== undefined && name === undefined) {
    throw new Fault("put", "usage", "what shall have copies needs a name", {
      hint: "isconf put --name NAME --copies N",
    });
  }
  const row = secret
    ? await putSecret(cli, file, label, args.branch)
    : await (file === "-" ? putStream(cli, 0, label ?? "", compress) : putPath(cli, file, label, compress));
  if (name !== undefined) {
    const words = { name, what: row.id, ...(copies === undefined ? {} : { copies }) };
    await callVerb(cli.where, "name", words, () => {});
  }
  cli.term.line(cli.globals.json ? inertJson(row) : row.id);
  return 0;
}

async function putPath(
  cli: ContentCli,
  file: string,
  label: string | undefined,
  compress: boolean,
): Promise<ShelfRow> {
  const name = label ?? path.basename(path.resolve(file));
  const real = realPath("put", file);
  const stat = fs.statSync(real);
  const isSparse = stat.isFile() && stat.size - stat.blocks * 512 >= sparseBytesMin;
  if (stat.isDirectory() || isSparse) return await putTree(cli, real, name, compress);
  using source = openSource("put", real);
  if (!stat.isFile()) return await putStream(cli, source.fd, name, compress);
  const transfer = async (session: ContentSession) =>
    await session.add(await session.putFile(compress), name);
  return await withBar(
    cli,
    stat.size,
    (bar) => withContent(["put", "put"], cli.where, transfer, source.fd, (bytes) => bar.at(bytes)),
  );
}

async function putTree(cli: ContentCli, dir: string, label: string, compress: boolean): Promise<ShelfRow> {
  return await withContent(["put", "put"], cli.where, async (session) => {
    const id = await withBar(cli, undefined, (bar) => {
      const progress = (files: number, bytes: number) => bar.at(bytes, `${files} files`);
      return session.putTree(compress, (into) => captureInto(into, dir, { progress }));
    });
    return await session.add(id, label);
  });
}

async function putStream(cli: ContentCli, fd: number, label: string, compress: boolean): Promise<ShelfRow> {
  return await withContent(["put", "put"], cli.where, async (session) => {
    const store = new PutBatch(session.store(compress));
    const id = await withBar(cli, undefined, async (bar) => {
      const { id } = await putFile(store, counted(readAll(fd), bar));
      await store.flush();
      return id;
    });
    return await session.add(id, label);
  });
}

export interface GetArgs {
  by?: string;
  secret: boolean;
  name: string;
  file: string;
}

/** Writes what a name means to a place on this host's disk: a file, or a whole tree. */
export async function get(cli: ContentCli, args: GetArgs): Promise<number> {
  if (args.secret) return await getSecret(cli, args);
  if (args.file === "-") return await cat(cli, args);
  const found = await withContent(["get", "get"], cli.where, async (session) => {
    const what = await locate(libraryOf("get", cli, session, args.by), args.name);
    if (what.kind === "file") return what;
    const owners = process.geteuid?.() === 0 ? "kept" : "own";
    await withBar(cli, undefined, async (bar) => {
      const isTree = what.node.kind === "dir";
      const store = isTree ? await session.walking(what.at, (bytes) => bar.at(bytes)) : session.store(false);
      const tree = isTree ? what.at : what.node;
      await restore(store, tree, path.resolve(args.file), { owners, durable: "end" });
    });
    return undefined;
  });
  if (found !== undefined) await getFile(cli, found, args.file);
  return 0;
}

/**
 * Written beside and renamed when whole and durable, so that what bears the name is never half. What a crash left beside is
 * known by its name and that nobody has its lock, and goes when it is old.
 */
async function getFile(cli: ContentCli, root: RootKind, file: string): Promise<void> {
  const dir = path.dirname(path.resolve(file));
  const beside = path.join(dir, Buffer.from(temporaryNames(systemClock)()).toString());
  let fd: number;
  try {
    sweepPath(dir, systemClock);
    fd = fs.openSync(beside, "wx+", 0o666);
  } catch (e) {
    throw Fault.from("get", e);
  }
  try {
    flock(fd);
    const transfer = (session: ContentSession) => session.getFile(root.id);
    await withBar(
      cli,
      root.size,
      (bar) => withContent(["get", "get"], cli.where, transfer, fd, (bytes) => bar.at(bytes)),
    );
    fs.renameSync(beside, file);
    syncName(dir);
  } catch (e) {
    fs.rmSync(beside, { force: true });
    const { kind, message, hint } = Fault.from("get", e);
    const names = kind === "environment" && !message.includes(file) ? `${inert(file)}: ${message}` : message;
    throw new Fault("get", kind, names, { hint, cause: e });
  } finally {
    fs.closeSync(fd);
  }
}

/** Makes the names in a directory durable, where who runs this may open it. */
function syncName(dir: string): void {
  try {
    const fd = fs.openSync(dir, "r");
    try {
      fs.fsyncSync(fd);
    } finally {
      fs.closeSync(fd);
    }
  } catch (e) {
    if ((e as { code?: string }).code !== "EACCES") throw e;
  }
}

export interface CatArgs {
  by?: string;
  name: string;
  offset?: number;
  length?: number;
}

/** Writes a file, or a range of it, to standard output. */
export async function cat(cli: ContentCli, { name, by, offset, length }: CatArgs): Promise<number> {
  await withContent(["cat", "get"], cli.where, async (session) => {
    const what = await locate(libraryOf("cat", cli, session, by), name);
    const store = session.store(false);
    if (what.kind === "tree" && what.node.kind !== "file") {
      throw new Fault("cat", "usage", `${inert(name)} is no file`, { hint: `isconf tree ${inert(name)}` });
    }
    const node = what.kind === "tree" ? what.node as FileNode : undefined;
    const size = node?.size ?? what.size;
    const range = { offset: offset ?? 0, length: length ?? size };
    const pieces = node === undefined ? readFile(store, what.id, range) : readNodeFile(store, node, range);
    await withBar(cli, Math.max(0, Math.min(range.length, size - range.offset)), async (bar) => {
      for await (const piece of counted(pieces, bar)) await writeAll(1, piece);
    });
  });
  return 0;
}

export { bundle } from "./content_bundle.ts";
export { image } from "./content_image.ts";
export { install } from "./install.ts";
export { rebuildCheck } from "./rebuild_check.ts";
export { oci } from "./content_oci.ts";
