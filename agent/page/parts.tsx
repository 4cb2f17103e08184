// Parts: what views are made of: states as badges, bars, tables, pages of rows, and what is said while there is no answer. No view.
import type { ComponentChildren, JSX } from "preact";
import { type Tone, toneOf } from "./fleet.ts";
import type { Problem } from "./api.ts";
import { Moment, Said } from "./text.tsx";
import type { Asked } from "./use.ts";
import { many } from "./words.ts";

/** The shape of a tone, so that it is told by more than its colour. */
function Mark({ tone }: { tone: Tone }): JSX.Element {
  return (
    <svg class="mark" viewBox="0 0 12 12" width="12" height="12" aria-hidden="true">
      {tone === "ok" && <path d="M2 6.5 5 9.5 10 3" fill="none" stroke="currentColor" stroke-width="2" />}
      {tone === "moving" && <path d="M3 1.5 10 6 3 10.5Z" fill="currentColor" />}
      {tone === "unknown" && (
        <circle
          cx="6"
          cy="6"
          r="4"
          fill="none"
          stroke="currentColor"
          stroke-width="2"
        />
      )}
      {tone === "bad" && <path d="M6 .8 11.6 11H.4Z" fill="currentColor" />}
    </svg>
  );
}

/** A word with its tone. */
export function Badge({ tone, text }: { tone: Tone; text: string }): JSX.Element {
  return (
    <span class={`badge ${tone}`}>
      <Mark tone={tone} /> <Said text={text} />
    </span>
  );
}

/** A state of a host. */
export function State({ state }: { state: string }): JSX.Element {
  return <Badge tone={toneOf(state)} text={state} />;
}

/** How far something is, as a bar; what stands beside it says it in words. */
export function Bar({ at, of, tone }: { at: number; of: number; tone: Tone }): JSX.Element {
  const part = of <= 0 ? 100 : Math.max(0, Math.min(100, at / of * 100));
  return (
    <svg class={`bar ${tone}`} width="100%" height="6" aria-hidden="true">
      <rect class="rest" width="100%" height="6" rx="3" />
      {part > 0 && <rect class="done" width={`${part}%`} height="6" rx="3" />}
    </svg>
  );
}

/** Parts of a whole, side by side; what stands beside it says them in words. */
export function Parts({ parts }: { parts: { tone: Tone; n: number }[] }): JSX.Element {
  const all = parts.reduce((sum, { n }) => sum + n, 0);
  let x = 0;
  return (
    <svg class="bar parts" width="100%" height="10" aria-hidden="true">
      {parts.map(({ tone, n }) => {
        const width = all === 0 ? 0 : n / all * 100;
        const at = x;
        x += width;
        return <rect class={tone} x={`${at}%`} width={`${width}%`} height="10" />;
      })}
    </svg>
  );
}

export interface Column<T> {
  name: string;
  cell(row: T): ComponentChildren;
  /** Numbers stand at the right. */
  isNumber?: boolean;
}

/**
 * A table that becomes a list of cards where there is no room. The roles are said, because browsers forget them when a table is
 * laid out as something else. The first column names the row.
 */
export function Table<T>(
  { label, columns, rows, keyOf, empty }: {
    label: string;
    columns: Column<T>[];
    rows: readonly T[];
    keyOf(row: T): string;
    empty: string;
  },
): JSX.Element {
  if (rows.length === 0) return <p class="quiet">{empty}</p>;
  const classOf = ({ isNumber }: Column<T>) => isNumber ? "number" : undefined;
  return (
    <table role="table" aria-label={label}>
      <thead role="rowgroup">
        <tr role="row">
          {columns.map((c) => <th role="columnheader" scope="col" class={classOf(c)}>{c.name}</th>)}
        </tr>
      </thead>
      <tbody role="rowgroup">
        {rows.map((row) => (
          <tr role="row" key={keyOf(row)}>
            {columns.map((c, i) =>
              i === 0
                ? <th role="rowheader" scope="row" class={classOf(c)}>{c.cell(row)}</th>
                : <td role="cell" data-label={c.name} class={classOf(c)}>{c.cell(row)}</td>
            )}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** Which page of rows is shown, and the way to the others. */
export function Pager(
  { what, page, pages, rows, go }: {
    what: string;
    page: number;
    pages: number;
    rows: number;
    go(page: number): void;
  },
): JSX.Element | null {
  if (pages <= 1) return null;
  return (
    <nav class="pager" aria-label={`Pages of ${what}s`}>
      <button type="button" disabled={page === 0} onClick={() => go(page - 1)}>Before</button>
      <span>Page {page + 1} of {pages}, {many(rows, what)}</span>
      <button type="button" disabled={page >= pages - 1} onClick={() => go(page + 1)}>Next</button>
    </nav>
  );
}

/** What went wrong, and what to do. */
export function ProblemBox(
  { problem, again }: { problem: Problem; again?: (() => void) | undefined },
): JSX.Element {
  return (
    <div class="notice bad" role="alert">
      <p>
        {problem.kind !== "" && (
          <strong>
            <Said text={problem.kind} />:{" "}
          </strong>
        )}
        <Said text={problem.message} />
      </p>
      {problem.hint !== "" && (
        <p class="hint">
          Next: <Said text={problem.hint} />
        </p>
      )}
      {again !== undefined && <button type="button" onClick={again}>Try again</button>}
    </div>
  );
}

/** An answer with what is to be said of it: that it is on its way, that it takes long, that it is old, that it failed. */
export function Answer<T>(
  { of, children }: { of: Asked<T>; children: (answer: T) => ComponentChildren },
): JSX.Element {
  return (
    <>
      {of.problem !== undefined && !of.problem.isTokenRefused && (
        <ProblemBox problem={of.problem} again={of.again} />
      )}
      {of.answer !== undefined && of.problem !== undefined && (
        <p class="quiet">
          What follows is as of <Moment ms={of.asOfMs} />.
        </p>
      )}
      {of.isAsking && of.isSlow && (
        <p class="notice" role="status">The agent takes long to answer. Still waiting…</p>
      )}
      {of.answer === undefined && of.isAsking && !of.isSlow && <p class="quiet">Asking the agent…</p>}
      {of.answer !== undefined && children(of.answer)}
    </>
  );
}

/** Names and what they stand for. What is null is left out. */
export function Facts({ rows }: { rows: [name: string, value: ComponentChildren][] }): JSX.Element {
  return (
    <dl class="facts">
      {rows.filter(([, value]) => value !== null).map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

/** A part of a view, under a heading, which is plain text: what somebody wrote is made inert before. */
export function Section(
  { title, actions, children }: { title: string; actions?: ComponentChildren; children: ComponentChildren },
): JSX.Element {
  return (
    <section class="card" aria-label={title}>
      <header>
        <h2>{title}</h2>
        {actions}
      </header>
      {children}
    </section>
  );
}
