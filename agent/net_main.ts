// Net main: what the executable runs as `isconf agent --role net`: the net half. A bundle of its own, so that the root half
// has no code in it that parses what strangers send.
import * as nodeNet from "node:net";
import { systemClock } from "../mq/mod.ts";
import { confineNet } from "./confine.ts";
import { becomeHalf, SEAM_FD } from "./half.ts";
import { inert } from "./names.ts";
import { runNet } from "./net.ts";
import { contentSocketOf, homeOf, storeDir } from "./paths.ts";

/** Entry of the net half's bundle. Returns the exit code when the root half has closed the seam. */
export async function main(options: { home?: string }): Promise<number> {
  const words = [...options.home === undefined ? [] : ["--home", options.home], "agent", "--role", "net"];
  confineNet(words, log); // before anything is read, and before there is anything that others must not have
  becomeHalf("net");
  const pipe = new nodeNet.Socket({ fd: SEAM_FD, readable: true, writable: true });
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => {}); // root half says when
  const mustDrop = process.env.ISCONF_NET_DROPPED === "1";
  const home = homeOf(options.home);
  await runNet(storeDir(home), pipe, systemClock, { mustDrop, socket: contentSocketOf(home), log });
  return 0;
}

/** One line for the log, which is the root half's: it notes when. */
function log(line: string): void {
  process.stderr.write(`${inert(line)}\n`);
}
