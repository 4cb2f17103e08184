// Told: what the agent tells while it works, as lines, and on a terminal how far a replay is. Not results (verbs/), and not the bar of
// contents on their way (progress.ts), which knows bytes and loads more.
import * as tty from "node:tty";
import { inert } from "./names.ts";
import type { Globals } from "./parse.ts";
import type { Term } from "./term.ts";

const BAR_CELLS = 24;

/** Tells one event after the other; at the end nothing of how far it is stays on the screen. */
export function tellerOf(
  { term, globals }: { term: Term; globals: Pick<Globals, "json" | "quiet"> },
  isTerminal = tty.isatty(2) && process.env.TERM !== "dumb",
): { tell(e: Record<string, unknown>): void; end(): void } {
  const isShown = isTerminal && !globals.quiet && !globals.json;
  let bar = "", first: number | undefined;
  const wipe = () => {
    if (bar !== "") term.status("");
  };
  return {
    tell(e) {
      wipe();
      say(term, e);
      if (isShown && e.event === "entry" && typeof e.seq === "number" && typeof e.of === "number") {
        first ??= e.seq;
        bar = barText(e.seq - first, e.of - first + 1, `entry ${e.seq} of ${e.of}`);
      }
      if (bar !== "") term.status(bar);
    },
    end() {
      wipe();
      bar = "";
    },
  };
}

/** Outputs of replayed commands as they are told, the rest for people. */
function say(term: Term, e: Record<string, unknown>): void {
  if (e.event === "output") {
    return void term.more(String(e.text).replace(/\n$/, "").split("\n").map(inert).join("\n"));
  }
  if (e.event === "would") return void term.line(inert(String(e.text)));
  if (e.event === "snapped" || e.event === "verified") return void term.more(inert(String(e.text)));
  if (e.event !== "turn") term.say(inert(String(e.text)));
}

function barText(done: number, total: number, words: string): string {
  if (!(total > 1)) return "";
  const full = Math.floor(BAR_CELLS * Math.min(1, Math.max(0, done / total)));
  return `${"#".repeat(full)}${".".repeat(BAR_CELLS - full)} ${words}`;
}
