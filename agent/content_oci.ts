// Content OCI: the verb oci: images as other programs have them, into and out of isfs. What an image is, fs/oci_*.ts knows.
import * as path from "node:path";
import { exportOci, importOci } from "../fs/mod.ts";
import { Fault } from "../mq/mod.ts";
import { type ContentCli, libraryOf, withContent } from "./content_client.ts";
import { locate } from "./locate.ts";
import { inert } from "./names.ts";
import { openSource } from "./open_source.ts";
import { counted, withBar } from "./progress.ts";
import { readAll, writeAll } from "./stdio.ts";
import { inertJson } from "./term.ts";
import { writeWhole } from "./whole.ts";

export interface OciArgs {
  action: string;
  first: string;
  second?: string;
  ref?: string;
  architecture?: string;
  skipSpecial: boolean;
}

/** `oci export NAME FILE` and `oci import FILE`. */
export async function oci(cli: ContentCli, args: OciArgs): Promise<number> {
  if (args.action === "export" && args.second !== undefined) return await toImage(cli, args, args.second);
  if (args.action === "import" && args.second === undefined) return await fromImage(cli, args);
  throw new Fault("oci", "usage", `oci ${inert(args.action)} is not known like this`, {
    hint: "isconf help oci",
  });
}

async function toImage(
  cli: ContentCli,
  { first: name, ref, architecture }: OciArgs,
  file: string,
): Promise<number> {
  await withContent(["oci", "get"], cli.where, async (session) => {
    const found = await locate(libraryOf("oci", cli, session), name);
    if (found.kind === "file" || found.node.kind !== "dir") {
      throw new Fault("oci", "usage", `${inert(name)} is a file, an image is made of a tree`, {
        hint: "isconf put a directory",
      });
    }
    const options = {
      ...(ref === undefined ? {} : { ref }),
      ...(architecture === undefined ? {} : { architecture }),
    };
    await withBar(cli, undefined, async (bar) => {
      const pieces = counted(exportOci(session.store(false), found.at, options), bar);
      if (file !== "-") return await writeWhole(file, pieces);
      for await (const piece of pieces) await writeAll(1, piece);
    });
  });
  return 0;
}

async function fromImage(cli: ContentCli, args: OciArgs): Promise<number> {
  const { first: file, ref, architecture, skipSpecial } = args;
  using source = openSource("oci", file, {
    why: "an image comes as an archive",
    hint: `tar -C ${inert(file)} -c . | isconf oci import -`,
  });
  const options = {
    skipSpecial,
    ...(ref === undefined ? {} : { ref }),
    ...(architecture === undefined ? {} : { architecture }),
  };
  const { row, skipped } = await withContent(["oci", "put"], cli.where, async (session) => {
    const { id, skipped } = await withBar(
      cli,
      undefined,
      (bar) => importOci(session.store(false), counted(readAll(source.fd), bar), options),
    );
    return { row: await session.add(id, file === "-" ? "" : path.basename(file)), skipped };
  });
  if (skipped > 0) cli.term.say(`${skipped} devices and fifos were left out`);
  cli.term.line(cli.globals.json ? inertJson({ ...row, skipped }) : row.id);
  return 0;
}
