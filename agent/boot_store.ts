// Boot store: what a machine gets, by the profiles of this host and out of its store: a Booter. What packets say is in netboot/; which profiles
// there are is root's to say (boot_profiles.ts).
import * as fs from "node:fs";
import * as path from "node:path";
import { readChunks, readNodeFile, type Store, windowBytes } from "../fs/mod.ts";
import { Fault } from "../mq/mod.ts";
import { filledFor, kernelWords, valuesOf } from "./boot_words.ts";
import { type BootMachine, type BootProfile, profileFor } from "./boot_profiles.ts";
import { type Library, locate } from "./locate.ts";
import { inert } from "./names.ts";
import {
  type Arch,
  type Booter,
  type BootFile,
  type BootServer,
  bytesOf,
  type FileStep,
  ipxeDiskScript,
  ipxeScript,
  type Loader,
  type Machine,
  memoryFile,
  padded,
  type Place,
} from "./netboot/mod.ts";
import { logMachinesMax, templateBytesMax, tftpFileBytesMax } from "./netboot/limits.ts";

/** Where Debian's package ipxe has its loaders, and what firmware of each kind can run of them. */
const LOADERS: Partial<Record<Arch, string>> = { bios: "undionly.kpxe", "uefi-x64": "snponly.efi" };

/** What a file of a machine is called where it is asked for. */
const KERNEL = "kernel", INITRD = /^initrd([0-9]{1,3})$/;

export interface StoreBooterParts {
  server: BootServer;
  /** Where names are looked up, and contents come from. */
  library: Library;
  /** The same store for who reads a large file through, as of {@link SqliteStore.reading}. */
  reading(): Pick<Store, "get">;
  /** The profiles, and the directory that has loaders, as they are now. */
  settings(): { profiles: readonly BootProfile[]; loaders: string };
}

export class StoreBooter implements Booter {
  readonly #p: StoreBooterParts;
  /** What machines have said of themselves, the last heard of last: who asks for a file says only its address. */
  readonly #machines = new Map<string, BootMachine>();

  constructor(parts: StoreBooterParts) {
    this.#p = parts;
  }

  async loaderFor(machine: Machine): Promise<Loader | undefined> {
    const profile = this.#profileOf(this.#remember(machine));
    if (profile === undefined) return undefined;
    if (profile.loader !== "") return { name: "loader", file: await this.#open(profile.loader, "loader") };
    const name = LOADERS[machine.arch];
    return name === undefined ? undefined : { name, file: this.#loaderFile(name) };
  }

  async scriptFor(machine: Machine): Promise<string | undefined> {
    const known = this.#remember(machine);
    const profile = this.#profileOf(known);
    if (profile === undefined) return undefined;
    if (profile.isDisk) return ipxeDiskScript(machine.arch);
    const values = valuesOf(known, this.#p.server);
    if (profile.script !== "") {
      const file = await this.#open(profile.script);
      if (file.bytes > templateBytesMax) {
        throw new Fault("netboot", "usage", `${inert(profile.script)} is too large for a script`, {
          hint: `isconf boot show ${machine.mac}`,
        });
      }
      return filledFor(new TextDecoder("utf-8", { fatal: true }).decode(await bytesOf(file)), values);
    }
    const url = (name: string) => `${values.base}/${name}`;
    const initrds = profile.initrds.map((_, i) => url(`initrd${i}`));
    return ipxeScript({ kernel: url(KERNEL), initrds, args: kernelWords(profile, values) });
  }

  async fileAt({ mac, name }: Place): Promise<BootFile | undefined> {
    if (mac === undefined) return undefined;
    const machine = this.#machines.get(mac) ?? { mac, arch: "" };
    const profile = this.#profileOf(machine);
    if (profile === undefined) return undefined;
    if (name === "loader" && profile.loader !== "") return await this.#open(profile.loader, "loader");
    if (profile.loader === "" && Object.values(LOADERS).includes(name)) return this.#loaderFile(name);
    if (name === KERNEL && profile.kernel !== "") return await this.#open(profile.kernel, "kernel");
    const initrd = profile.initrds[Number(INITRD.exec(name)?.[1] ?? -1)];
    return initrd === undefined ? undefined : padded(await this.#open(initrd, "initrd"));
  }

  #profileOf(machine: BootMachine): BootProfile | undefined {
    return profileFor(this.#p.settings().profiles, machine);
  }

  /** What is known of a machine, with what it says now: iPXE's question for its script does not say the UUID again. */
  #remember({ mac, arch, uuid = this.#machines.get(mac)?.uuid }: Machine): BootMachine {
    const machine = { mac, arch, ...(uuid !== undefined && { uuid }) };
    this.#machines.delete(mac);
    this.#machines.set(mac, machine);
    if (this.#machines.size > logMachinesMax) this.#machines.delete(this.#machines.keys().next().value!);
    return machine;
  }

  #loaderFile(name: string): BootFile {
    const file = path.join(this.#p.settings().loaders, name);
    try {
      const { size } = fs.statSync(file);
      if (size > tftpFileBytesMax) throw new Error("it is too large for a first loader");
      return memoryFile(new Uint8Array(fs.readFileSync(file)), "loader");
    } catch (e) {
      throw new Fault("netboot", "notFound", `${inert(file)}: ${(e as Error).message}`, {
        hint: "apt-get install ipxe, or loader = NAME in the profile",
      });
    }
  }

  /** A content, or a file in a tree, as bytes to boot. */
  async #open(text: string, step?: FileStep): Promise<BootFile> {
    const { library } = this.#p;
    const found = await locate(library, text);
    const node = found.kind === "tree" ? found.node : undefined;
    if (node !== undefined && node.kind !== "file") {
      throw new Fault("netboot", "usage", `${inert(text)} is no file`, {
        hint: `isconf tree ${inert(text)}`,
      });
    }
    const [id, bytes] = node === undefined ? [found.id, found.size] : [node.content, node.size];
    return {
      bytes,
      ...(step !== undefined && { step }),
      id: id.slice(0, 32),
      read: (from, to) => {
        const range = { offset: from, length: to - from };
        if (node !== undefined) return readNodeFile(library.store, node, range);
        // What is read through has memory of its own, which a short look is not worth.
        return readChunks(to - from > windowBytes ? this.#p.reading() : library.store, id, range);
      },
    };
  }
}
