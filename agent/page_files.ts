// Page files: the web page's static files with their headers: the one door for who serves them. Out of the executable, or from dist/page
// in development and tests. It listens nowhere and knows no token: there is nothing in them that anybody may not see.
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { asset, isSea } from "./sea.ts";

/** All of them: the build packs in these and no others. */
export const PAGE_FILES = ["index.html", "page.js", "page.css", "icon.svg"] as const;
export type PageFile = typeof PAGE_FILES[number];

const TYPES: Record<PageFile, string> = {
  "index.html": "text/html; charset=utf-8",
  "page.js": "text/javascript; charset=utf-8",
  "page.css": "text/css; charset=utf-8",
  "icon.svg": "image/svg+xml",
};

/**
 * What a browser may do with the page: run this one script, ask this one agent, be framed by nobody. Nothing is made of text: there is
 * no trusted type, so that not even a mistake of ours could make markup of what somebody wrote.
 */
const CSP = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join("; ");

/** What every answer with a file of the page has, also one that says that nothing has changed. */
export const PAGE_HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy": CSP,
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
  "cross-origin-resource-policy": "same-origin",
  "permissions-policy": "camera=(), geolocation=(), microphone=(), usb=()",
  // Asked for anew each time by its ETag, so that an upgraded agent is not spoken to by the page of the one before.
  "cache-control": "no-cache",
};

/** One file as it is served. */
export interface Served {
  body: Uint8Array;
  /** Content-Type and ETag among them, a strong one. */
  headers: Record<string, string>;
}

/** Where the bytes of a file are. */
export type ReadPage = (name: PageFile) => Uint8Array;

const built: ReadPage = (name) =>
  isSea() ? asset(`page/${name}`) : fs.readFileSync(new URL(`../dist/page/${name}`, import.meta.url));

const kept = new Map<PageFile, Served>();

/**
 * The file that a path of the page means; undefined where there is none. `path` is what a request names, without its query; it is
 * compared with the few that there are, and leads to no other file.
 */
export function pageFile(path: string, read: ReadPage = built): Served | undefined {
  const name = path === "/" ? "index.html" : PAGE_FILES.find((file) => path === `/${file}`);
  if (name === undefined) return undefined;
  if (read !== built) return serve(name, read);
  const served = kept.get(name) ?? serve(name, read);
  if (isSea()) kept.set(name, served); // in development it may be built again
  return served;
}

function serve(name: PageFile, read: ReadPage): Served {
  const body = read(name);
  const etag = `"${createHash("sha256").update(body).digest("base64url")}"`;
  return { body, headers: { ...PAGE_HEADERS, "content-type": TYPES[name], etag } };
}
