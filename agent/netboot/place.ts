// Place: how files are named by who asks for them: "MAC/NAME" over TFTP, "/boot/MAC/NAME" over HTTP, or the name alone. Names are no paths of any
// disk. The hardware address says who asks, and is no secret: it proves nothing.
import { readMac } from "./address.ts";
import { placeNameMax } from "./limits.ts";

export interface Place {
  /** Whose it is, when the name says so. */
  mac?: string;
  /** Parts of letters, digits and `_ . + -`, none of them beginning with a dot, with one slash between them. */
  name: string;
}

const PART = /^[A-Za-z0-9_][-A-Za-z0-9_.+]*$/;
const HTTP_ROOT = "/boot/";

/** Whether text can name a file here. */
export function isPlaceName(text: string): boolean {
  return text.length <= placeNameMax && text.split("/").every((part) => PART.test(part));
}

/**
 * What a name stands for; undefined when it is none. Slashes in front, and several in a row, are one: shim puts two before the name of what it
 * loads next. No other spelling is mended.
 */
export function placeOf(text: string): Place | undefined {
  if (text.length > 2 * placeNameMax) return undefined;
  const folded = text.replace(/\/+/g, "/").replace(/^\//, "");
  const [first = "", ...rest] = folded.split("/");
  const mac = readMac(first);
  const name = mac === undefined ? folded : rest.join("/");
  return isPlaceName(name) ? { name, ...(mac !== undefined && { mac }) } : undefined;
}

/** The same for the target of an HTTP request, which has to begin with /boot/ and be only a path. */
export function placeOfTarget(target: string): Place | undefined {
  return target.startsWith(HTTP_ROOT) ? placeOf(target.slice(HTTP_ROOT.length)) : undefined;
}

/** A place as a name over TFTP. Colons in names trouble some firmware, so that there are dashes. */
export function tftpName({ mac, name }: Place): string {
  return mac === undefined ? name : `${mac.replaceAll(":", "-")}/${name}`;
}

/** A place as a path over HTTP. */
export function httpPath(place: Place): string {
  return HTTP_ROOT + tftpName(place);
}
