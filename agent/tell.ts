// Tell: a command's output told as progress, to who called by JSON. Not over a connection of its own (stream.ts).
import type { Progress } from "./host.ts";
import { maskedText } from "./mask.ts";
import type { Sink } from "./run.ts";

/** A sink whose reader is never waited for; `more` stands in each line of progress. */
export function tellOutput(emit: (event: Progress) => void, more: Record<string, unknown> = {}): Sink {
  return {
    write(fd, bytes) {
      emit({ event: "output", text: maskedText(Buffer.from(bytes).toString("utf8")), fd, ...more });
      return true;
    },
    drained: () => Promise.resolve(),
  };
}
