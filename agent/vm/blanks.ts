// Blanks: the types of what is filled into templates: what fits, in words and as a test, and how it is written. Not the quoting for
// the shell (agent/names.ts), which comes after and for all alike.
import { Buffer } from "node:buffer";
import { Fault } from "../../mq/mod.ts";
import { pathBytesMax } from "../limits.ts";
import { inert } from "../names.ts";
import { appendBytesMax, socketPathBytesMax } from "./limits.ts";

export interface Blank {
  /** What it wants, for who gave something else. */
  wants: string;
  fits(text: string): boolean;
  /** How it is written into its word, where that is not as it is. */
  write?(text: string): string;
}

/** A comma ends a value in an option of QEMU; two of them are one in it (qemu(1), "Device options"). */
const commas = (text: string) => text.replaceAll(",", ",,");

/** Text on one line in which nothing is hidden: else it would have to be escaped in a way that not each shell knows. */
const isLine = (text: string) => text.isWellFormed() && inert(text) === text;

function isPath(text: string): boolean {
  return text.startsWith("/") && isLine(text) && Buffer.byteLength(text) <= pathBytesMax &&
    text.slice(1).split("/").every((part) => part !== "" && part !== "." && part !== "..");
}

/** Whole numbers as people write them, from `least` to `most`. */
function count(unit: string, least: number, most: number): Blank {
  return {
    wants: `a whole number ${unit} from ${least} to ${most}`,
    fits: (text) => /^(0|[1-9][0-9]{0,8})$/.test(text) && Number(text) >= least && Number(text) <= most,
  };
}

const matching = (wants: string, pattern: RegExp): Blank => ({ wants, fits: (text) => pattern.test(text) });

const path: Blank = {
  wants: "an absolute path of plain characters, without empty, . or .. parts",
  fits: isPath,
};

const socket: Blank = {
  wants: `an absolute path of at most ${socketPathBytesMax} bytes, as UNIX sockets have it`,
  fits: (text) => isPath(text) && Buffer.byteLength(text) <= socketPathBytesMax,
};

const OCTET = "(25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])";
const PORT = "(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3})";

const PORTS = new RegExp(`^${PORT}:${PORT}(,${PORT}:${PORT}){0,31}$`);
const ports = matching("HERE:THERE, two ports, with commas between several", PORTS);

/** Every type of a blank, by the name that stands behind its colon. */
export const BLANKS: Readonly<Record<string, Blank>> = {
  name: matching(
    "letters, digits, _, . and -, at most 48, the first a letter or a digit",
    /^[A-Za-z0-9][\w.-]{0,47}$/,
  ),
  path,
  "qemu-path": { ...path, write: commas },
  "bhyve-path": {
    wants: "an absolute path of plain characters without a comma, which bhyve could not tell from its own",
    fits: (text) => isPath(text) && !text.includes(","),
  },
  socket,
  "qemu-socket": { ...socket, write: commas },
  mib: count("of MiB", 16, 4_194_304),
  gib: count("of GiB", 1, 65_536),
  cpus: count("of processors", 1, 255),
  order: count("in the order of booting", 0, 9),
  pid: count("of a process", 2, 4_194_304),
  mac: matching(
    "six pairs of 0-9 and a-f with : between them, of one machine (the first pair is even)",
    /^[0-9a-f][02468ace](:[0-9a-f]{2}){5}$/,
  ),
  interface: matching(
    "a network interface: at most 15 letters, digits, _, . and -",
    /^[A-Za-z0-9][\w.-]{0,14}$/,
  ),
  endpoint: matching(
    "listen=, connect= or mcast= with ADDRESS:PORT of IPv4",
    new RegExp(`^(listen|connect|mcast)=(${OCTET}\\.){3}${OCTET}:${PORT}$`),
  ),
  ports,
  "qemu-ports": {
    ...ports,
    write: (text) =>
      text.split(",").map((pair) => `,hostfwd=tcp:127.0.0.1:${pair.replace(":", "-:")}`).join(""),
  },
  suite: matching("the name of a release, like bookworm", /^[a-z][a-z0-9-]{1,31}$/),
  variant: matching(
    "minbase, apt, buildd, important or standard",
    /^(minbase|apt|buildd|important|standard)$/,
  ),
  packages: matching(
    "names of packages with commas between them",
    /^[a-z0-9][a-z0-9+.-]{1,99}(,[a-z0-9][a-z0-9+.-]{1,99}){0,199}$/,
  ),
  url: matching(
    "a URL of http, https or file, of plain characters",
    /^(https?|file):\/\/[A-Za-z0-9._~:/@%+=,-]{1,500}$/,
  ),
  uuid: matching("a UUID in small letters", /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/),
  serial: matching("eight digits and letters a to f", /^[0-9a-f]{8}$/),
  accelerator: matching("kvm or tcg", /^(kvm|tcg)$/),
  line: {
    wants: `one line of at most ${appendBytesMax} bytes of plain characters`,
    fits: (text) => text !== "" && isLine(text) && Buffer.byteLength(text) <= appendBytesMax,
  },
};

/**
 * What stands in a word for a value.
 * @throws {Fault} usage, when the value does not fit: it names the blank
 */
export function written(name: string, type: string, value: string): string {
  const blank = BLANKS[type];
  if (blank === undefined) throw new Error(`no blank has the type ${type}`);
  if (!blank.fits(value)) {
    throw new Fault("vm", "usage", `${name} is ${inert(value.slice(0, 200))}, and must be ${blank.wants}`, {
      hint: "isconf help vm",
    });
  }
  return blank.write?.(value) ?? value;
}
