// Net life: one net half as a process: its pipe, what it writes for the log, and its end. Whose pipe is cut, because it ends or
// because it does not keep to the seam's rules, is killed after a moment. Not what comes after it (lasting_seam.ts).
import type { ChildProcess } from "node:child_process";
import type { Duplex, Readable } from "node:stream";
import type { Clock } from "../mq/mod.ts";
import { SEAM_FD } from "./half.ts";
import type { NetLife } from "./lasting_seam.ts";
import { netEndMs, netLineBytesMax, netLinesMax, netLinesMs } from "./limits.ts";
import { type Answers, type NetRequest, openSeam, type RootRequest } from "./seam.ts";

/** The life of a process that was started with a pipe as its descriptor SEAM_FD and another as its stderr. */
export function netLife(
  child: ChildProcess,
  answers: Answers<RootRequest>,
  { clock, log }: { clock: Clock; log(line: string): void },
): NetLife {
  const pipe = child.stdio[SEAM_FD] as Duplex;
  const seam = openSeam<RootRequest, NetRequest>(pipe, clock, answers, "the net half");
  if (child.stderr !== null) tellLines(child.stderr, clock, log);
  let isOver = false;
  const ended = new Promise<string>((resolve) => {
    const over = (how: string) => {
      isOver = true;
      pipe.destroy(); // it may have given its end to somebody who goes on
      resolve(how);
    };
    child.once("exit", (code, signal) => over(signal ?? `status ${code}`));
    child.once("error", (e) => child.pid === undefined && over(`it cannot be started: ${e.message}`));
  });
  void seam.ended.then((why) => {
    if (isOver) return;
    const cancel = clock.after(netEndMs, () => {
      log(`${why}; its process is killed`);
      child.kill("SIGKILL");
    });
    void ended.then(cancel);
  });
  return {
    ask: seam.ask,
    ended,
    pid: child.pid,
    async close() {
      pipe.end();
      const cancel = clock.after(netEndMs, () => child.kill("SIGKILL"));
      await ended;
      cancel();
    },
  };
}

/** Writes down what comes line by line, each bounded, and so many in a while: a log is not for the net half to fill or to forge. */
function tellLines(stream: Readable, clock: Clock, log: (line: string) => void): void {
  let line = "";
  let [told, sinceMs] = [0, clock.now()];
  const tell = () => {
    if (clock.now() - sinceMs >= netLinesMs) [told, sinceMs] = [0, clock.now()];
    if (told++ < netLinesMax) log(`net: ${line}`);
    else if (told === netLinesMax + 1) log("net: it writes too much; the rest of this minute is left out");
  };
  stream.setEncoding("utf8");
  stream.on("data", (text: string) => {
    const [first = "", ...others] = text.split("\n");
    line += first.slice(0, netLineBytesMax - line.length);
    for (const next of others) {
      tell();
      line = next.slice(0, netLineBytesMax);
    }
  });
  stream.once("end", () => line !== "" && tell());
  stream.on("error", () => {}); // it has ended
}
