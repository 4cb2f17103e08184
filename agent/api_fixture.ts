// API callers for the tests of blobs: requests without a socket, contents and trees to ask for. Not a test by itself.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import { capture } from "../fs/mod.ts";
import { makeHost, type TestHost } from "../tests/world.ts";
import { makeApi } from "./api.ts";

export type Headers = Record<string, string>;
/** One request to a host's API. */
export type Send = (method: string, path: string, headers?: Headers, body?: Uint8Array) => Promise<Response>;

/** The way to the API of this host, without a socket. */
export function sender(host: TestHost): Send {
  const app = makeApi(host.agent.host, host.acts);
  return async (method, path, headers = {}, body) => {
    const init = {
      method,
      headers,
      ...(body === undefined ? {} : { body: body as Uint8Array<ArrayBuffer> }),
    };
    return await app.fetch(new Request(`http://isconf${path}`, init), { actor: host.call().actor });
  };
}

/** A host of its own, and the way to its API. */
export async function api(t: Parameters<typeof makeHost>[0]): Promise<{ host: TestHost; send: Send }> {
  const host = await makeHost(t);
  return { host, send: sender(host) };
}

export const bytesOf = async (answer: Response) => Buffer.from(await answer.arrayBuffer());
export const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

/** Puts bytes on the shelf by the API. */
export async function put(
  send: Send,
  bytes: Uint8Array,
  label: string,
): Promise<{ id: string; sha256: string }> {
  const answer = await send("PUT", `/v1/blob?label=${encodeURIComponent(label)}`, {}, bytes);
  assert.ok(answer.ok, await answer.clone().text());
  return await answer.json();
}

/** A tree on the shelf, made of what `script` leaves in its directory. */
export async function tree(host: TestHost, label: string, script: string): Promise<string> {
  const dir = path.join(host.dir, `dir-${label}`);
  fs.mkdirSync(dir);
  const { status, stderr } = spawnSync("sh", ["-c", script], { cwd: dir, encoding: "utf8" });
  assert.equal(status, 0, stderr);
  const { store, shelf } = host.agent.host;
  const { id } = await capture(store, dir);
  await shelf.add({ id, label, uid: 0, pinned: false });
  return id;
}
