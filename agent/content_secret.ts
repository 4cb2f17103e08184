// Content secret: put --secret and get --secret: over the local API, because what is not sealed yet, or not any more, is for
// the half of the agent that no stranger talks to. It ciphers nothing itself.
import * as path from "node:path";
import { needOk, request, textOf } from "./client.ts";
import type { ContentCli } from "./content_client.ts";
import { inert } from "./names.ts";
import { openSource } from "./open_source.ts";
import type { ShelfRow } from "./seam.ts";
import { readAll, writeAll } from "./stdio.ts";
import { writeWhole } from "./whole.ts";

/** Puts a file, or standard input, on the shelf, sealed for the hosts that may read the secrets of a branch. */
export async function putSecret(
  cli: ContentCli,
  file: string,
  label: string | undefined,
  branch: string | undefined,
): Promise<ShelfRow> {
  const query = new URLSearchParams({ label: label ?? (file === "-" ? "" : path.basename(file)) });
  if (branch !== undefined) query.set("branch", branch);
  using source = openSource("put", file, {
    why: "a secret is a file",
    hint: `tar c ${inert(file)} | isconf put --secret -`,
  });
  const body = { stream: readAll(source.fd) };
  const answer = await request(cli.where, "PUT", `/v1/secret?${query}`, { body });
  await needOk(answer);
  return JSON.parse(await textOf(answer)) as ShelfRow;
}

/** Writes an opened secret to a file that only its owner can read, or to standard output. */
export async function getSecret(
  cli: ContentCli,
  { name, file }: { name: string; file: string },
): Promise<number> {
  const target = `/v1/secret/${encodeURIComponent(name)}`;
  const answer = await request(cli.where, "GET", target, { mustEnd: true });
  await needOk(answer);
  if (file !== "-") await writeWhole(file, answer.body, 0o600);
  else for await (const piece of answer.body) await writeAll(1, piece);
  return 0;
}
