// boot_store: a machine gets what its profile names out of the store, whole or a part of it, and nothing else; changed profiles count at once.
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import * as net from "node:net";
import * as os from "node:os";
import * as path from "node:path";
import { test } from "node:test";
import { capture, type Id, openStoreDatabase, putFile, SqliteStore, windowBytes } from "../fs/mod.ts";
import { parseProfile } from "./boot_profiles.ts";
import { StoreBooter } from "./boot_store.ts";
import { BootHttp } from "./netboot/http.ts";
import { bytesOf, type Machine } from "./netboot/mod.ts";

const MAC = "52:54:00:12:34:56";
const machine: Machine = {
  mac: MAC,
  arch: "bios",
  program: "rom",
  uuid: "01234567-89ab-cdef-0123-456789abcdef",
};
const at = (name: string, mac = MAC) => ({ mac, name });

type Ctx = { after(fn: () => void): void };

/** A booter over a store with a tree `boot`, a file `initrd`, and loaders in a directory. */
async function made(t: Ctx, ...texts: string[]) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "isconf-boot-"));
  t.after(() => fs.rmSync(dir, { recursive: true }));
  const db = openStoreDatabase(path.join(dir, "store.db"));
  t.after(() => db.close());
  fs.mkdirSync(path.join(dir, "boot"));
  fs.writeFileSync(path.join(dir, "boot", "vmlinuz"), "a kernel");
  fs.writeFileSync(path.join(dir, "undionly.kpxe"), "a loader");
  const store = new SqliteStore(db);
  const names: Record<string, Id> = {
    boot: (await capture(store, path.join(dir, "boot"))).id,
    initrd: (await putFile(store, ReadableStream.from([new TextEncoder().encode("ramfs")]))).id,
  };
  const fetched: Id[] = [];
  const settings = { profiles: texts.map((text, i) => parseProfile(`p${i}`, text)), loaders: dir };
  const booter = new StoreBooter({
    server: { address: "192.0.2.1", httpPort: 8480, relays: [] },
    library: {
      op: "netboot",
      store,
      find: (text) => Promise.resolve(names[text] === undefined ? undefined : { id: names[text] }),
      fetch: (id) => Promise.resolve(void fetched.push(id)),
    },
    reading: () => store.reading(),
    settings: () => settings,
  });
  return { booter, settings, fetched, dir, names, store };
}

const text = async (file: Awaited<ReturnType<StoreBooter["fileAt"]>>, from?: number, to?: number) =>
  new TextDecoder().decode(await bytesOf(file!, from, to));

test("loader, script, kernel and initrds of a profile, each where it is asked for", async (t) => {
  const { booter, fetched } = await made(
    t,
    `for = ${MAC}\nkernel = boot:vmlinuz\ninitrd = initrd initrd\nargs = quiet`,
  );
  const loader = await booter.loaderFor(machine);
  assert.deepEqual([loader?.name, await text(loader?.file)], ["undionly.kpxe", "a loader"]);
  const script = await booter.scriptFor({ ...machine, program: "ipxe" });
  assert.match(
    script!,
    /kernel .*http:\/\/192\.0\.2\.1:8480\/boot\/52-54-00-12-34-56\/kernel initrd=initrd0 initrd=initrd1 quiet/,
  );
  const kernel = await booter.fileAt(at("kernel"));
  assert.deepEqual([kernel?.bytes, kernel?.step, await text(kernel), await text(kernel, 2, 5)], [
    8,
    "kernel",
    "a kernel",
    "ker",
  ]);
  const initrd = await booter.fileAt(at("initrd1"));
  assert.deepEqual(
    [initrd?.bytes, initrd?.step, await text(initrd)],
    [8, "initrd", "ramfs\0\0\0"],
    "filled up to four bytes",
  );
  assert.ok(fetched.length > 0, "it was brought here");
  for (const name of ["initrd2", "initrd", "vmlinuz", "loader", "snponly.efix"]) {
    assert.equal(await booter.fileAt(at(name)), undefined, name);
  }
  assert.equal(await booter.fileAt({ name: "kernel" }), undefined, "nobody's");
});

test("a machine that no profile names gets nothing; one by its UUID gets files, too, when it has said it before", async (t) => {
  const { booter, settings } = await made(t, `for = ${machine.uuid}\nkernel = boot:vmlinuz`);
  assert.equal(await booter.fileAt(at("kernel")), undefined);
  await booter.loaderFor(machine);
  assert.equal(await text(await booter.fileAt(at("kernel"))), "a kernel");
  const { uuid: _, ...silent } = machine;
  assert.ok(await booter.scriptFor({ ...silent, program: "ipxe" }), "iPXE does not say it again");
  for (const other of ["00:00:00:00:00:01", "00:00:00:00:00:02"]) {
    assert.equal(await booter.loaderFor({ ...silent, mac: other }), undefined);
    assert.equal(await booter.fileAt(at("kernel", other)), undefined);
  }
  settings.profiles = [parseProfile("disk", "for = any\nboot = disk")];
  assert.match((await booter.scriptFor(machine))!, /sanboot/);
  assert.equal(await booter.fileAt(at("kernel")), undefined);
});

test("a loader of its own, and what is not there, is a directory, or is too large", async (t) => {
  const { booter, settings, dir } = await made(t, `for = any\nkernel = boot\nloader = boot:vmlinuz`);
  const loader = await booter.loaderFor(machine);
  assert.deepEqual([loader?.name, await text(loader?.file), loader?.file.step], [
    "loader",
    "a kernel",
    "loader",
  ]);
  assert.equal(await text(await booter.fileAt(at("loader"))), "a kernel");
  await assert.rejects(() => booter.fileAt(at("kernel")), /boot is no file/);
  settings.profiles = [parseProfile("x", "for = any\nkernel = nothing")];
  await assert.rejects(() => booter.fileAt(at("kernel")), { kind: "notFound" });
  fs.truncateSync(path.join(dir, "undionly.kpxe"), 9 * 1024 * 1024);
  await assert.rejects(() => booter.loaderFor(machine), /too large/);
  assert.equal(
    await booter.loaderFor({ ...machine, arch: "uefi-arm64" }),
    undefined,
    "Debian has none for it",
  );
});

test("a profile's own script is a content with blanks, filled for the machine that asks", async (t) => {
  const { booter, names, store } = await made(t, "for = any\nscript = own");
  const put = async (text: string) =>
    void (names.own = (await putFile(store, ReadableStream.from([new TextEncoder().encode(text)]))).id);
  await put("#!ipxe\nchain {{url base}}/next?{{mac mac}}\n");
  assert.equal(
    await booter.scriptFor({ ...machine, program: "ipxe" }),
    `#!ipxe\nchain http://192.0.2.1:8480/boot/52-54-00-12-34-56/next?${MAC}\n`,
  );
  await put("x".repeat(20_000));
  await assert.rejects(booter.scriptFor({ ...machine, program: "ipxe" }), /own is too large for a script/);
});

test("a large file comes right to who reads slowly: memory is used again when its bytes have left", async (t) => {
  const { booter, names, store } = await made(t, "for = any\nkernel = large");
  const bytes = randomBytes(6 * windowBytes + 12_345);
  names.large = (await putFile(store, ReadableStream.from([bytes]))).id;
  const bind = { address: "127.0.0.1", port: 0 };
  const http = await BootHttp.open({ booter, bind, gave() {}, said: () => true, log() {} });
  try {
    const socket = net.connect(http.end.port, "127.0.0.1");
    socket.write("GET /boot/52-54-00-12-34-56/kernel HTTP/1.0\r\n\r\n");
    const pieces: Buffer[] = [];
    for await (const piece of socket) {
      pieces.push(piece);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    const all = Buffer.concat(pieces);
    assert.ok(all.subarray(all.indexOf("\r\n\r\n") + 4).equals(bytes));
  } finally {
    await http.close();
  }
});
