// TFTP: its packets as bytes, in and out (RFC 1350, 2347, 2348, 2349, 7440), and the options of a transfer. Not when they are sent (tftp_transfer.ts).
import { concat } from "../../mq/mod.ts";
import { latin1, latin1Text } from "./dhcp.ts";
import {
  tftpAskedSecondsMax,
  tftpBlockBytesMax,
  tftpBlockBytesMin,
  tftpRequestBytesMax,
  tftpWindowBlocksMax,
} from "./limits.ts";

/** The first two bytes of a packet. */
export const TFTP = { read: 1, write: 2, data: 3, ack: 4, error: 5, oack: 6 } as const;

/** What an ERROR says by number (RFC 1350, appendix; RFC 2347). */
export const TFTP_ERROR = { other: 0, noFile: 1, denied: 2, illegal: 4, unknownId: 5, options: 8 } as const;

/** A request to read or write. Names of options are lower case, each is there once. */
export interface TftpRequest {
  op: "read" | "write";
  name: string;
  /** Lower case. */
  mode: string;
  options: Map<string, string>;
}

/** What else comes from a client. */
export type TftpAnswer = { op: "ack"; block: number } | { op: "error"; code: number; text: string };

/** How a file is sent. */
export interface TftpTerms {
  blockBytes: number;
  windowBlocks: number;
  /** How long a client waits, by its own word, in seconds; undefined when it did not say. */
  waitSeconds?: number;
  /** What is acknowledged of the options that were asked for; none: there is nothing to acknowledge. */
  agreed: [name: string, value: string][];
}

/** The request that these bytes are; undefined when they are none: no NUL at the end, an option without value, twice the same, not ASCII. */
export function decodeTftpRequest(bytes: Uint8Array): TftpRequest | undefined {
  if (bytes.length < 4 || bytes.length > tftpRequestBytesMax || bytes[0] !== 0) return undefined;
  if (bytes[1] !== TFTP.read && bytes[1] !== TFTP.write) return undefined;
  if (bytes.at(-1) !== 0 || bytes.subarray(2).some((byte) => byte > 0x7e)) return undefined;
  const [name = "", mode = "", ...rest] = latin1Text(bytes.subarray(2, -1)).split("\0");
  const options = new Map<string, string>();
  if (name === "" || mode === "" || rest.length % 2 !== 0) return undefined;
  for (let i = 0; i < rest.length; i += 2) {
    const option = rest[i]!.toLowerCase();
    if (option === "" || options.has(option)) return undefined;
    options.set(option, rest[i + 1]!);
  }
  return { op: bytes[1] === TFTP.read ? "read" : "write", name, mode: mode.toLowerCase(), options };
}

/** The ACK or ERROR that these bytes are. */
export function decodeTftpAnswer(bytes: Uint8Array): TftpAnswer | undefined {
  if (bytes.length < 4 || bytes.length > tftpRequestBytesMax || bytes[0] !== 0) return undefined;
  const number = bytes[2]! * 256 + bytes[3]!;
  if (bytes[1] === TFTP.ack && bytes.length === 4) return { op: "ack", block: number };
  if (bytes[1] !== TFTP.error) return undefined;
  return { op: "error", code: number, text: latin1Text(bytes.subarray(4)).replace(/\0[^]*$/, "") };
}

/** A block; its number wraps from 65535 to 0. */
export function encodeTftpData(block: number, bytes: Uint8Array): Uint8Array {
  return concat(numbered(TFTP.data, block), bytes);
}

export function encodeTftpError(code: number, text: string): Uint8Array {
  return concat(numbered(TFTP.error, code), latin1(`${text}\0`));
}

export function encodeTftpOack(agreed: readonly [string, string][]): Uint8Array {
  return concat(new Uint8Array([0, TFTP.oack]), latin1(agreed.map(([n, v]) => `${n}\0${v}\0`).join("")));
}

/**
 * What a client's wishes come to. A value that cannot be granted is brought down where its RFC allows that (blksize, windowsize); otherwise the
 * option is passed over, as one that is not known.
 */
export function termsOf(options: ReadonlyMap<string, string>, fileBytes: number): TftpTerms {
  const terms: TftpTerms = { blockBytes: 512, windowBlocks: 1, agreed: [] };
  for (const [name, text] of options) {
    const value = /^[0-9]{1,9}$/.test(text) ? Number(text) : -1;
    if (name === "blksize" && value >= tftpBlockBytesMin && value <= 65_464) {
      terms.blockBytes = Math.min(value, tftpBlockBytesMax);
      terms.agreed.push([name, String(terms.blockBytes)]);
    } else if (name === "windowsize" && value >= 1 && value <= 65_535) {
      terms.windowBlocks = Math.min(value, tftpWindowBlocksMax);
      terms.agreed.push([name, String(terms.windowBlocks)]);
    } else if (name === "timeout" && value >= 1 && value <= tftpAskedSecondsMax) {
      terms.waitSeconds = value;
      terms.agreed.push([name, text]);
    } else if (name === "tsize" && value === 0) terms.agreed.push([name, String(fileBytes)]);
  }
  return terms;
}

function numbered(op: number, number: number): Uint8Array {
  return new Uint8Array([0, op, (number >> 8) & 0xff, number & 0xff]);
}
