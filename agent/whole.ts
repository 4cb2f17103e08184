// Whole: a stream as a file of this host that is there complete or not at all. Not for what the agent writes as root (fs/).
import * as fs from "node:fs";
import { systemClock, toHex } from "../mq/mod.ts";
import { writeAll } from "./stdio.ts";

/** Written beside, with this mode, and renamed when whole, so that what bears the name is never half. */
export async function writeWhole(
  file: string,
  source: AsyncIterable<Uint8Array>,
  mode = 0o666,
): Promise<void> {
  const beside = `${file}.isconf-${toHex(systemClock.random(6))}`;
  const fd = fs.openSync(beside, "wx", mode);
  try {
    for await (const chunk of source) await writeAll(fd, chunk);
    fs.fsyncSync(fd);
    fs.closeSync(fd);
    fs.renameSync(beside, file);
  } catch (e) {
    fs.rmSync(beside, { force: true });
    throw e;
  }
}
