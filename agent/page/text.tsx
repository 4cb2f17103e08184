// Text: what people, hosts and commands wrote, as text nodes and nothing else: what could move, hide or reorder what stands around
// it is shown as an escape, marked as such. Also moments, ages and outputs. Nothing here makes markup of anything.
import type { ComponentChildren, JSX } from "preact";
import { useState } from "preact/hooks";
import { escapeOf, UNSAFE } from "../inert.ts";
import { wall } from "./clock.ts";
import { outputMax, shortMax, textMax } from "./limits.ts";
import { ago, machineTime, many, moment } from "./words.ts";

/** Text from outside, on one line, apart from the direction of what stands around it. */
export function Said({ text, max = textMax }: { text: string; max?: number }): JSX.Element {
  const shown = pieces(cut(text, max));
  const more = Math.max(0, text.length - max);
  return (
    <bdi class={typeof shown === "string" && shown.length <= shortMax ? "said short" : "said"}>
      {shown}
      {more > 0 && <span class="esc">… {many(more, "more character")}</span>}
    </bdi>
  );
}

/** No half of a character at the end. */
function cut(text: string, max: number): string {
  return text.length <= max ? text : text.slice(0, max).replace(/[\ud800-\udbff]$/, "");
}

function pieces(text: string): ComponentChildren {
  const whole = text.toWellFormed();
  const out: ComponentChildren[] = [];
  let at = 0;
  for (const found of whole.matchAll(UNSAFE)) {
    if (found.index > at) out.push(whole.slice(at, found.index));
    out.push(<span class="esc">{escapeOf(found[0])}</span>);
    at = found.index + found[0].length;
  }
  return out.length === 0 ? whole : [...out, whole.slice(at)];
}

/** What a command printed: its lines, each inert, in a region of its own that scrolls and can be reached by keyboard. */
export function Output({ text, label }: { text: string; label: string }): JSX.Element {
  const [isWhole, setWhole] = useState(false);
  if (text === "") return <p class="quiet">It printed nothing.</p>;
  const shown = isWhole ? text : cut(text, outputMax);
  const lines = shown.replace(/\n$/, "").split("\n");
  return (
    <>
      <pre class="output" tabIndex={0} role="region" aria-label={label}>
        {lines.map((line, i) => <>{i > 0 && "\n"}{pieces(line.replace(/\r$/, ""))}</>)}
      </pre>
      {shown.length < text.length && (
        <button type="button" onClick={() => setWhole(true)}>
          Show {many(text.length - shown.length, "more character")}
        </button>
      )}
    </>
  );
}

/** A moment, to the second. */
export function Moment({ ms }: { ms: number }): JSX.Element {
  return <time dateTime={machineTime(ms)}>{moment(ms)}</time>;
}

/** How long ago that was; the moment itself is its title. */
export function Ago({ ms }: { ms: number }): JSX.Element {
  return <time dateTime={machineTime(ms)} title={moment(ms)}>{ago(ms, wall())}</time>;
}

/** Words of isconf that are typed or compared: ids, verbs, paths. */
export function Code({ text }: { text: string }): JSX.Element {
  return (
    <code>
      <Said text={text} />
    </code>
  );
}
