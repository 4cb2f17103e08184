// Console: what a machine says on its serial port, as it says it. Only listens; what a guest sends can do nothing to a terminal.
import * as fs from "node:fs";
import { StringDecoder } from "node:string_decoder";
import { Fault, sleep } from "../../mq/mod.ts";
import { inert } from "../names.ts";
import { lookMs, outputBytesMax } from "./limits.ts";
import type { Place } from "./place.ts";

/** Told line by line until the machine is gone, from the last part of what is there on; a line without an end is told when it pauses. */
export async function follow(
  place: Place,
  file: string,
  isRunning: () => boolean,
  tell: (line: string) => void,
): Promise<void> {
  let fd: number;
  try {
    fd = fs.openSync(file, fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW);
  } catch (e) {
    if ((e as { code?: string }).code !== "ENOENT") throw Fault.from("vm", e);
    throw new Fault("vm", "notFound", "the machine has said nothing yet", { hint: "isconf vm start NAME" });
  }
  try {
    const decoder = new StringDecoder("utf8");
    const buffer = new Uint8Array(outputBytesMax);
    let at = Math.max(0, fs.fstatSync(fd).size - outputBytesMax);
    let rest = "";
    for (;;) {
      const wasRunning = isRunning(); // before the look: what comes after the last look is looked for once more
      const n = fs.readSync(fd, buffer, 0, buffer.length, at);
      at += n;
      const lines = (rest + decoder.write(buffer.subarray(0, n))).split("\n");
      rest = lines.pop()!;
      for (const line of lines) tell(inert(line.replace(/\r+$/, "")));
      if (n === 0 && rest !== "") {
        tell(inert(rest.replace(/\r+$/, "")));
        rest = "";
      }
      if (n === 0 && !wasRunning) return;
      if (n === 0) await sleep(place.clock, lookMs);
    }
  } finally {
    fs.closeSync(fd);
  }
}
