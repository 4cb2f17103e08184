// Net main: what the executable runs as `isconf agent --role net`: the net half. A bundle of its own, so that the root half
// has no code in it that parses what strangers send.
import * as nodeNet from "node:net";
import { systemClock } from "../mq/mod.ts";
import { becomeHalf, log, SEAM_FD, storeDir } from "./half.ts";
import { runNet } from "./net.ts";
import { contentSocketOf, homeOf } from "./paths.ts";

/** Entry of the net half's bundle. Returns the exit code when the root half has closed the seam. */
export async function main(options: { home?: string }): Promise<number> {
  becomeHalf("net");
  const pipe = new nodeNet.Socket({ fd: SEAM_FD, readable: true, writable: true });
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => {}); // root half says when
  const mustDrop = process.env.ISCONF_NET_DROPPED === "1";
  const home = homeOf(options.home);
  await runNet(storeDir(home), pipe, systemClock, { mustDrop, socket: contentSocketOf(home), log });
  return 0;
}
