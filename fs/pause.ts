// pause: lets everything else that is ready in this process run first. Not a timer: no time is asked for.
import { setImmediate } from "node:timers/promises";

/** Resolves in the next turn of the event loop. */
export function pause(): Promise<void> {
  return setImmediate();
}
