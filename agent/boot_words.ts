// Boot words: what of a machine can stand in the words of a kernel's command line and in scripts for iPXE: typed blanks, {{type name}}, as in
// netboot/script.ts. Not the profiles that have such words (boot_profiles.ts).
import type { BootProfile } from "./boot_profiles.ts";
import { type BootServer, fill, httpPath, type Values } from "./netboot/mod.ts";
import { SAY } from "./netboot/http.ts";

/** What blanks can name. */
export interface BootValues {
  mac: string;
  /** Its MAC address without colons: part of a name. */
  machine: string;
  /** Undefined: the machine has not said any. */
  uuid?: string;
  arch: string;
  /** The boot server, as the machine reaches it. */
  server: string;
  port: string;
  /** Where this machine finds its files by HTTP, without a slash at the end. */
  base: string;
}

/** Values as they could be: what fits with these fits with those of any machine. */
export const SOME: BootValues = {
  mac: "52:54:00:12:34:56",
  machine: "525400123456",
  uuid: "01234567-89ab-cdef-0123-456789abcdef",
  arch: "uefi-x64",
  server: "192.0.2.1",
  port: "8480",
  base: "http://192.0.2.1:8480/boot/52-54-00-12-34-56",
};

/** What a machine is called whose profile does not say. */
export const UNNAMED = "host-{{name machine}}";

/** The values of a machine at a server. */
export function valuesOf(
  { mac, uuid, arch }: { mac: string; uuid?: string; arch: string },
  { address, httpPort }: BootServer,
): BootValues {
  return {
    mac,
    machine: mac.replaceAll(":", ""),
    ...(uuid !== undefined && { uuid }),
    arch,
    server: address,
    port: String(httpPort),
    base: `http://${address}:${httpPort}${httpPath({ mac, name: "" })}`.replace(/\/$/, ""),
  };
}

/** Text with its blanks filled in. Throws a usage fault for a blank that there is not, or that is of another type. */
export function filledFor(text: string, values: BootValues): string {
  const used: Values = Object.fromEntries(
    Object.entries(values).filter(([name]) => new RegExp(`\\{\\{[a-z]+ ${name}\\}\\}`).test(text)),
  );
  return fill(text, used);
}

/** The words of the kernel's command line that a profile makes for a machine: its own, and those that tell `isconf install` what to do. */
export function kernelWords(profile: BootProfile, values: BootValues): string[] {
  const { args, join, host, image, disk, mayWipe } = profile;
  const own = args.map((word) => filledFor(word, values));
  if (join === "") return own;
  return [
    ...own,
    `isconf.join=${join}`,
    `isconf.host=${filledFor(host === "" ? UNNAMED : host, values)}`,
    `isconf.log=${values.base}/${SAY}`,
    ...(image === "" ? [] : [`isconf.image=${filledFor(image, values)}`]),
    ...(disk === "" ? [] : [`isconf.disk=${disk}`]),
    ...(mayWipe ? ["isconf.wipe=yes"] : []),
  ];
}
