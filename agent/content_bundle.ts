// Content bundle: the verb bundle: a journal with its contents, between a file of this host and the local API. What is in a
// bundle, and whether it may be taken in, bundle.ts knows.
import * as os from "node:os";
import { Fault } from "../mq/mod.ts";
import { needOk, request, textOf } from "./client.ts";
import type { ContentCli } from "./content_client.ts";
import { inert } from "./names.ts";
import { openSource } from "./open_source.ts";
import { counted, withBar } from "./progress.ts";
import { readAll, writeAll } from "./stdio.ts";
import { inertJson } from "./term.ts";
import { writeWhole } from "./whole.ts";

export interface BundleArgs {
  action: string;
  file: string;
  branch?: string;
  domain?: string;
  host?: string;
}

/** `bundle export FILE` and `bundle import FILE`; `start` starts the agent of a host that is about to get its journal. */
export async function bundle(
  cli: ContentCli,
  args: BundleArgs,
  start: () => Promise<unknown>,
): Promise<number> {
  const query = new URLSearchParams();
  for (const name of ["branch", "domain", "host"] as const) {
    if (args[name] !== undefined) query.set(name, args[name]);
  }
  if (args.action === "export") return await toFile(cli, query, args.file);
  if (args.action === "import") return await fromFile(cli, query, args.file, start);
  throw new Fault("bundle", "usage", `bundle ${inert(args.action)} is not known`, {
    hint: "isconf help bundle",
  });
}

async function toFile(cli: ContentCli, query: URLSearchParams, file: string): Promise<number> {
  const answer = await request(cli.where, "GET", `/v1/bundle?${query}`, { mustEnd: true });
  await needOk(answer);
  await withBar(cli, undefined, async (bar) => {
    const pieces = counted(answer.body, bar);
    if (file !== "-") return await writeWhole(file, pieces);
    for await (const piece of pieces) await writeAll(1, piece);
  });
  return 0;
}

interface Imported {
  entries: number;
  objects: number;
  branch: string;
  joined: boolean;
}

async function fromFile(
  cli: ContentCli,
  query: URLSearchParams,
  file: string,
  start: () => Promise<unknown>,
): Promise<number> {
  if (!query.has("host")) query.set("host", os.hostname().split(".")[0] ?? "host");
  using source = openSource("bundle", file, { why: "a bundle is a file", hint: "isconf help bundle" });
  const { fd, length } = source;
  await start();
  const answer = await withBar(cli, length, (bar) => {
    const stream = counted(readAll(fd), bar);
    const body = { stream, ...(length === undefined ? {} : { length }) };
    return request(cli.where, "PUT", `/v1/bundle?${query}`, { body });
  });
  await needOk(answer);
  const r = JSON.parse(await textOf(answer)) as Imported;
  if (cli.globals.json) cli.term.line(inertJson(r));
  const joined = r.joined ? "joined the domain; " : "";
  cli.term.say(
    `${joined}${r.entries} new entries and ${r.objects} objects of ${inert(r.branch)}; now: isconf up`,
  );
  return 0;
}
