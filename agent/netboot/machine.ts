// Machine: what the packet of a client that boots says about it: PXE 2.1, RFC 4578 and UEFI's HTTP boot. Not what it gets.
import { toHex } from "../../mq/mod.ts";
import type { Arch, Machine, Program } from "./booter.ts";
import { latin1Text, OPTION, type Packet } from "./dhcp.ts";

/** Option 93: architectures that boot here (RFC 4578, 2.1, and IANA's list). All others are left alone. */
const ARCH_CODES: Record<number, Arch> = {
  0: "bios",
  7: "uefi-x64",
  9: "uefi-x64",
  11: "uefi-arm64",
  16: "uefi-x64",
  19: "uefi-arm64",
};

/** What option 60 begins with, of clients and of answers. */
export const PXE_CLIENT = "PXEClient";
export const HTTP_CLIENT = "HTTPClient";

const UNDI = 1, UUID = 0, UUID_BYTES = 16;

/** The machine that asks to boot; `none` when it asks for nothing of the kind or cannot boot here; `malformed` when no answer is due. */
export function machineIn({ mac, options }: Packet): Machine | "none" | "malformed" {
  const program = programIn(options);
  const arches = options.get(OPTION.arch), network = options.get(OPTION.networkInterface);
  const id = options.get(OPTION.machineId);
  if (program === undefined) return "none";
  if (arches === undefined || arches.length === 0 || arches.length % 2 !== 0) return "malformed";
  if (network !== undefined && (network.length !== 3 || network[0] !== UNDI)) return "malformed";
  if (id !== undefined && (id.length !== 1 + UUID_BYTES || id[0] !== UUID)) return "malformed";
  const arch = archIn(arches);
  if (arch === undefined) return "none";
  return { mac, arch, program, ...(id !== undefined && { uuid: uuidText(id.subarray(1)) }) };
}

function programIn(options: Packet["options"]): Program | undefined {
  const vendorClass = latin1Text(options.get(OPTION.vendorClass)?.subarray(0, 64) ?? new Uint8Array(0));
  const begins = (name: string) => vendorClass === name || vendorClass.startsWith(`${name}:`);
  if (begins(HTTP_CLIENT)) return "http";
  if (!begins(PXE_CLIENT)) return undefined;
  return options.has(OPTION.ipxe) || isIpxe(options.get(OPTION.userClass)) ? "ipxe" : "rom";
}

/** Option 77 as iPXE writes it, plain, or with its length in front as RFC 3004 has it. */
function isIpxe(userClass: Uint8Array | undefined): boolean {
  return userClass !== undefined && userClass.length <= 5 && /^\x04?iPXE$/.test(latin1Text(userClass));
}

/** The first of those that a client can run which boots here. */
function archIn(codes: Uint8Array): Arch | undefined {
  for (let at = 0; at < codes.length; at += 2) {
    const arch = ARCH_CODES[codes[at]! * 256 + codes[at + 1]!];
    if (arch !== undefined) return arch;
  }
  return undefined;
}

/** Firmware sends it as SMBIOS has it: the first three numbers have their last byte first. As text it is what dmidecode shows. */
function uuidText(bytes: Uint8Array): string {
  const hex = toHex(bytes);
  const turned = (from: number, to: number) => hex.slice(from, to).match(/../g)!.reverse().join("");
  return [turned(0, 8), turned(8, 12), turned(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
