// Patiently: what the agent or other hosts are needed for, who may not be there just now, tried again a few times. Not for what is refused.
import { Fault, sleep, systemClock } from "../mq/mod.ts";
import { joinAgainMs } from "./limits_images.ts";
import { inert } from "./names.ts";
import type { Term } from "./term.ts";

/** Runs `fn`, at most `triesMax` times, as long as it ends because somebody or something is not there. Says each time why. */
export async function patiently<T>(
  term: Pick<Term, "say">,
  triesMax: number,
  fn: () => Promise<T>,
): Promise<T> {
  for (let tries = 1;; tries++) {
    try {
      return await fn();
    } catch (e) {
      const { kind, message } = Fault.from("isconf", e);
      if (!["gone", "notFound", "notRunning"].includes(kind) || tries === triesMax) throw e;
      term.say(`${inert(message)}; it is tried again`);
      await sleep(systemClock, joinAgainMs);
    }
  }
}
