// Progress: how far something is, for people on a terminal as a bar with rate and time left, for programs as JSON lines.
// Nothing of it in a pipe, and nothing for what is done at once.
import { SingleBar } from "cli-progress";
import * as tty from "node:tty";
import { systemClock } from "../mq/mod.ts";
import { progressFirstMs, progressMs } from "./limits.ts";
import { bytesText } from "./bytes_text.ts";
import { inertJson, type Term } from "./term.ts";

/** One thing that is done. */
export interface Bar {
  /** So many bytes are done; `more` is said beside them. `total`, where it becomes known only now. */
  at(bytes: number, more?: string, total?: number): void;
}

export interface BarOptions {
  term: Term;
  globals: { json: boolean; quiet: boolean };
}

/**
 * Shows how far `fn` is with something of `total` bytes; undefined: nobody knows how many. However `fn` ends, what was shown
 * is gone before anybody prints what came of it.
 */
export async function withBar<T>(
  options: BarOptions,
  total: number | undefined,
  fn: (bar: Bar) => Promise<T>,
): Promise<T> {
  const bar = makeBar(options, total);
  try {
    return await fn(bar);
  } finally {
    bar.end();
  }
}

function makeBar({ term, globals }: BarOptions, whole: number | undefined): Bar & { end(): void } {
  if (globals.quiet || !(globals.json || tty.isatty(2))) return { at: () => {}, end: () => {} };
  const beganMs = systemClock.now();
  let nextMs = beganMs + progressFirstMs;
  let show: ((done: Done) => void) | undefined;
  let stop = () => {};
  let shown: number | undefined;
  return {
    at(bytes, more = "", total = whole) {
      const now = systemClock.now();
      if (now < nextMs) return;
      nextMs = now + progressMs;
      if (show === undefined || total !== shown) {
        stop(); // a line becomes a bar
        [show, stop] = globals.json ? jsonLines(term) : terminalBar(term, total);
        shown = total;
      }
      show({ bytes, total, bytesPerSecond: 1000 * bytes / (now - beganMs), more });
    },
    end() {
      nextMs = Infinity; // what goes on in the background, though it has failed, shows nothing any more
      stop();
    },
  };
}

/** The pieces of `source`, the bar telling how far they are. */
export async function* counted(source: AsyncIterable<Uint8Array>, bar: Bar): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const piece of source) {
    bytes += piece.length;
    bar.at(bytes);
    yield piece;
  }
}

interface Done {
  bytes: number;
  total: number | undefined;
  bytesPerSecond: number;
  more: string;
}

function jsonLines(term: Term): [show: (done: Done) => void, stop: () => void] {
  return [({ bytes, total, bytesPerSecond }) => {
    const event = { event: "progress", bytes, ...(total !== undefined && { total }) };
    term.error(inertJson({ ...event, bytesPerSecond: Math.round(bytesPerSecond) }));
  }, () => {}];
}

/** It changes nothing of the terminal that would have to be undone: whoever kills us in between leaves it as it was. */
function terminalBar(
  term: Term,
  total: number | undefined,
): [show: (done: Done) => void, stop: () => void] {
  const stream = new tty.WriteStream(2);
  const isBar = total !== undefined && total > 0;
  const words = "{bytes} at {rate}/s {more}";
  const bar = new SingleBar({
    stream,
    format: isBar ? `{bar} {percentage}% of {whole}, ${words}` : words,
    barCompleteChar: "#",
    barIncompleteChar: ".",
    barsize: 24,
    hideCursor: false,
    linewrap: true,
    clearOnComplete: true,
    fps: 1000 / progressMs,
  });
  const payload = ({ bytes, bytesPerSecond, more }: Done) => ({
    whole: bytesText(total ?? 0),
    bytes: bytesText(bytes),
    rate: bytesText(Math.round(bytesPerSecond)),
    more: isBar && bytesPerSecond > 0 ? `${timeText((total - bytes) / bytesPerSecond)} left` : more,
  });
  const wipe = () => term.status("");
  process.once("exit", wipe); // the process may end amid it, when nobody reads its output any more
  let isBegun = false;
  return [(done) => {
    if (!isBegun) bar.start(total ?? 0, done.bytes, payload(done));
    else bar.update(done.bytes, payload(done));
    isBegun = true;
  }, () => {
    process.off("exit", wipe);
    bar.stop();
    stream.destroy();
  }];
}

/** A time as people read it: "3 s", "2:05 min", "1:02 h". */
function timeText(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  const two = (n: number) => String(n).padStart(2, "0");
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)}:${two(s % 60)} min`;
  return `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)} h`;
}
