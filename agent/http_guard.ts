// HTTP guard: what is wrong with a request that came over TCP, before anybody looks at what it asks: names that are not ours, as a page elsewhere
// has when its name is made to lead here (DNS rebinding), and whatever a page of another origin sends. Not who may do what.
import type { IncomingMessage } from "node:http";
import { Fault } from "../mq/mod.ts";
import { httpTargetBytesMax } from "./limits_api.ts";
import { HTTP_METHODS } from "./seam.ts";

/** What a request is refused for, with its status, or undefined; `names` are what this place is called, with the port. */
export function wrongWith(
  req: IncomingMessage,
  names: readonly string[],
): { status: number; fault: Fault } | undefined {
  const wrong = (status: number, why: string) => ({
    status,
    fault: new Fault("api", status === 403 ? "denied" : "usage", why, {
      hint: "curl http://127.0.0.1:PORT/v1/… as http in isconf.conf says",
    }),
  });
  const { method = "", url = "", headers } = req;
  const count = (name: string) =>
    req.rawHeaders.filter((n, i) => i % 2 === 0 && n.toLowerCase() === name).length;
  if (!HTTP_METHODS.includes(method)) return wrong(405, "there is no such method here");
  if (!/^\/(?!\/)[\x21-\x7e]*$/.test(url)) return wrong(400, "the target is no path");
  // Parsers of addresses take these out of a path, and turn backslashes into slashes: it would mean two things.
  if (/[/\\](\.|%2e){1,2}([/\\]|$)|\\/i.test(url.split("?", 1)[0]!)) {
    return wrong(400, "the target is no plain path");
  }
  if (url.length > httpTargetBytesMax) return wrong(414, "the target is too long");
  for (const name of ["host", "authorization", "content-type", "origin", "content-length"]) {
    if (count(name) > 1) return wrong(400, `${name} is said more than once`);
  }
  if (headers["transfer-encoding"] !== undefined && headers["content-length"] !== undefined) {
    return wrong(400, "the length of the body is said in two ways");
  }
  const host = headers.host?.toLowerCase();
  if (host === undefined || !names.includes(host)) return wrong(421, "this place is not called that");
  const own = [`http://${host}`, `https://${host}`];
  if (headers.origin !== undefined && !own.includes(headers.origin.toLowerCase())) {
    return wrong(403, "a page of another origin may not ask here");
  }
  const { referer } = headers;
  if (referer !== undefined && !own.some((origin) => `${referer.toLowerCase()}/`.startsWith(`${origin}/`))) {
    return wrong(403, "a page of another origin may not lead here");
  }
  const site = headers["sec-fetch-site"];
  if (
    site !== undefined && site !== "same-origin" && !(site === "none" && ["GET", "HEAD"].includes(method))
  ) {
    return wrong(403, "a page of another site may not ask here");
  }
  for (const name of Object.keys(headers)) {
    if (/^x-(http-)?method(-override)?$/.test(name)) {
      return wrong(400, "the method is what the first line says");
    }
  }
  return undefined;
}
