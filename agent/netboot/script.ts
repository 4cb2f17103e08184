// Script: texts for iPXE and GRUB made of templates with typed blanks. A value that does not fit its type is a fault, and so is a blank without a
// value. There is no code in templates, and no character with a meaning to iPXE or GRUB gets in by a value. Not when they are given (http.ts).
import { Fault } from "../../mq/mod.ts";
import { isIp4, readMac } from "./address.ts";
import type { Arch } from "./booter.ts";
import { kernelWordsBytesMax, scriptBytesMax, templateBytesMax, templateValuesMax } from "./limits.ts";
import { isPlaceName } from "./place.ts";

/** What values can be. A blank is written {{type name}}; with a star behind the type its line is there once for each of several values. */
export type BlankType = "url" | "path" | "words" | "name" | "mac" | "address" | "number";

/** Several values are several lines; for `words` they are the words of one line. */
export type Values = Readonly<Record<string, string | readonly string[]>>;

/** Characters that iPXE, GRUB and the kernel's command line all take as they are. */
const WORD = /^[A-Za-z0-9_@%+=:,./~-]+$/;
const URL_TEXT = /^http:\/\/([A-Za-z0-9.-]{1,253})(:[1-9][0-9]{0,4})?(\/[A-Za-z0-9_@%+=:,./~-]*)$/;

const FITS: Record<BlankType, (value: string) => boolean> = {
  url: (value) => URL_TEXT.test(value) && !/\/\.\.?(\/|$)/.test(value),
  path: (value) => value.startsWith("/") && isPlaceName(value.slice(1)),
  words: (value) => value === "" || WORD.test(value),
  name: isPlaceName,
  mac: (value) => readMac(value) === value,
  address: isIp4,
  number: (value) => /^(0|[1-9][0-9]{0,8})$/.test(value),
};

const BLANK = /\{\{([a-z]+)(\*?) ([A-Za-z]+)\}\}/g;

/** A template with its blanks filled in. Throws a usage fault for whatever does not fit; a value without a blank is one, too. */
export function fill(template: string, values: Values): string {
  if (template.length > templateBytesMax) throw unfit(`a template has at most ${templateBytesMax} bytes`);
  const used = new Set<string>();
  const lines = template.split("\n").flatMap((line) => fillLine(line, values, used));
  const unused = Object.keys(values).find((name) => !used.has(name));
  if (unused !== undefined) throw unfit(`the template has no blank for ${unused}`);
  const text = lines.join("\n");
  if (text.length > scriptBytesMax) {
    throw unfit(`what comes of a template has at most ${scriptBytesMax} bytes`);
  }
  return text;
}

function fillLine(line: string, values: Values, used: Set<string>): string[] {
  const blanks = [...line.matchAll(BLANK)].map(([, type, star, name]) => ({
    type: type!,
    star: star === "*",
    name: name!,
  }));
  if (/\{\{|\}\}/.test(line.replace(BLANK, ""))) throw unfit("a blank is written {{type name}}");
  for (const { name } of blanks) used.add(name);
  const counts = blanks.filter(({ star }) => star).map(({ name }) => listOf(values, name).length);
  if (new Set(counts).size > 1) throw unfit("blanks with a star in one line have as many values each");
  return Array.from(
    { length: counts[0] ?? 1 },
    (_, i) =>
      line.replace(BLANK, (_, type: string, star: string, name: string) => {
        if (!Object.hasOwn(FITS, type)) throw unfit(`there is no type ${type} of blanks`);
        if (star === "*") return fitting(type as BlankType, name, listOf(values, name)[i]!);
        if (type === "words") return wordsOf(name, listOf(values, name));
        return fitting(type as BlankType, name, oneOf(values, name));
      }),
  );
}

function wordsOf(name: string, words: readonly string[]): string {
  const text = words.map((word) => fitting("words", name, word)).filter((word) => word !== "").join(" ");
  if (text.length > kernelWordsBytesMax) throw unfit(`${name} has more than ${kernelWordsBytesMax} bytes`);
  return text;
}

function fitting(type: BlankType, name: string, value: string): string {
  if (typeof value === "string" && FITS[type](value)) return value;
  throw unfit(`the value of ${name} is no ${type}`);
}

function oneOf(values: Values, name: string): string {
  const value = Object.hasOwn(values, name) ? values[name] : undefined;
  if (value === undefined) throw unfit(`the blank ${name} has no value`);
  if (typeof value !== "string") throw unfit(`the blank ${name} takes one value`);
  return value;
}

function listOf(values: Values, name: string): readonly string[] {
  const value = Object.hasOwn(values, name) ? values[name] : undefined;
  if (value === undefined) throw unfit(`the blank ${name} has no value`);
  const list = typeof value === "string" ? [value] : value;
  if (list.length > templateValuesMax) throw unfit(`${name} has more than ${templateValuesMax} values`);
  return list;
}

function unfit(why: string): Fault {
  return new Fault("script", "usage", why, { hint: "isconf help boot" });
}

/** URLs are literal: what iPXE knows as its next server may be the site's. `exit 1`: a plain exit opens the setup of UEFI firmware. */
const IPXE_KERNEL = `#!ipxe
kernel --name kernel {{url kernel}} {{words args}} || goto failed
initrd --name {{name* initrdNames}} {{url* initrds}} || goto failed
boot || goto failed
:failed
exit 1
`;

const IPXE_DISK: Record<"bios" | "uefi", string> = {
  bios: `#!ipxe
sanboot --no-describe --drive 0x80 || exit 1
`,
  uefi: `#!ipxe
exit 1
`,
};

const GRUB_KERNEL = `set timeout=0
set root=(http,{{address server}}:{{number port}})
menuentry "isconf" {
  linux {{path kernel}} {{words args}}
  initrd {{words initrds}}
}
`;

/** A kernel, words of its command line, and initrds, each padded to four bytes (booter.ts). For iPXE they are URLs. */
export interface KernelBoot {
  kernel: string;
  initrds: readonly string[];
  args: readonly string[];
}

/** The script that boots a kernel. On UEFI the kernel finds an initrd by the name that its own words give; elsewhere they do no harm. */
export function ipxeScript({ kernel, initrds, args }: KernelBoot): string {
  const initrdNames = initrds.map((_, i) => `initrd${i}`);
  return fill(IPXE_KERNEL, {
    kernel,
    initrds,
    initrdNames,
    args: [...initrdNames.map((name) => `initrd=${name}`), ...args],
  });
}

/** The script that goes on with the first disk. */
export function ipxeDiskScript(arch: Arch): string {
  return fill(IPXE_DISK[arch === "bios" ? "bios" : "uefi"], {});
}

/** A configuration for GRUB, in which kernel and initrds are paths (place.ts). */
export function grubConfig(
  { address, httpPort }: { address: string; httpPort: number },
  { kernel, initrds, args }: KernelBoot,
): string {
  return fill(GRUB_KERNEL, { server: address, port: String(httpPort), kernel, args, initrds });
}
