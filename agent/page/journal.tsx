// Journal: the entries of a branch as a timeline, and what has run on this host. One entry with all about it is in entry.tsx.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { type Execution, executions as executionsShape, log as logShape, type LogEntry } from "./answers.ts";
import { withQuery } from "./api.ts";
import { CommandDetails, EntryDetails } from "./entry.tsx";
import { inert } from "../inert.ts";
import type { Tone } from "./fleet.ts";
import { entriesFirst, entriesMax } from "./limits.ts";
import { Answer, Badge, Section } from "./parts.tsx";
import { linkTo } from "./route.ts";
import { Ago, Code, Moment, Said } from "./text.tsx";
import { useLive, useView } from "./use.ts";
import { clockTime, day, many, shortId } from "./words.ts";

const CONTROL = "@domain";
/** No branch is called so: what has run on this host, entries or not. */
const COMMANDS = "+commands";

/** How this host stands to an entry, or to a command. */
const TONES: Record<string, Tone> = {
  applied: "ok",
  done: "ok",
  pending: "moving",
  running: "moving",
  restarting: "moving",
  failed: "bad",
  uncertain: "bad",
  refused: "bad",
};

export function Here({ state, status }: { state: string; status?: number | null }): JSX.Element | null {
  if (state === "") return null;
  const text = status === undefined || status === null || status === 0 ? state : `${state}, status ${status}`;
  return <Badge tone={TONES[state] ?? "unknown"} text={text} />;
}

export function JournalView({ rest: [branch, seq] }: { rest: string[] }): JSX.Element {
  const { status } = useLive();
  const own = status.answer?.branch ?? null;
  const shown = branch ?? own;
  const branches = status.answer?.branches.map(({ name }) => name) ?? [];
  const open = seq === undefined ? undefined : Number(seq);
  return (
    <>
      <nav class="tabs" aria-label="Journals">
        {[...branches, ...(branches.length > 0 ? [CONTROL] : []), COMMANDS].map((name) => (
          <a href={linkTo("journal", name)} aria-current={name === shown ? "page" : undefined}>
            {name === COMMANDS ? "commands on this host" : <Said text={name} max={64} />}
          </a>
        ))}
      </nav>
      {shown === COMMANDS
        ? <Commands key={COMMANDS} open={open} />
        : shown === null
        ? <Answer of={status}>{() => <p class="quiet">This host is on no branch.</p>}</Answer>
        : <Entries key={shown} branch={shown} isOwn={shown === own} open={open} />}
    </>
  );
}

function Entries(
  { branch, isOwn, open }: { branch: string; isOwn: boolean; open: number | undefined },
): JSX.Element {
  const [last, setLast] = useState(entriesFirst);
  // Only of its own branch, which goes without saying, does a host say how it stands to each entry.
  const asked = useView(withQuery("/v1/log", { branch: isOwn ? undefined : branch, last }), logShape);
  return (
    <Section
      title={branch === CONTROL ? "The control journal" : `The journal of ${inert(branch.slice(0, 64))}`}
    >
      <Answer of={asked}>
        {({ entries }) => (
          <>
            {entries.length === 0 && <p class="quiet">There are no entries yet.</p>}
            {open !== undefined && !entries.some((e) => e.seq === open) && (
              <div>
                <h3>Entry {open}</h3>
                <EntryDetails branch={isOwn ? undefined : branch} seq={open} />
              </div>
            )}
            <Days entries={entries.toReversed()} branch={branch} isOwn={isOwn} open={open} />
            <More shown={entries.length} first={entries[0]?.seq ?? 1} last={last} setLast={setLast} />
          </>
        )}
      </Answer>
    </Section>
  );
}

function More(
  { shown, first, last, setLast }: { shown: number; first: number; last: number; setLast(n: number): void },
): JSX.Element | null {
  if (shown < last || first <= 1) return null;
  if (last >= entriesMax) {
    return (
      <p class="quiet">
        What is older is shown by <Code text="isconf show SEQ" />.
      </p>
    );
  }
  return (
    <button type="button" onClick={() => setLast(Math.min(entriesMax, last * 4))}>Show older entries</button>
  );
}

/** Entries day by day, the newest first. */
function Days(
  { entries, branch, isOwn, open }: {
    entries: LogEntry[];
    branch: string;
    isOwn: boolean;
    open: number | undefined;
  },
): JSX.Element {
  const days = Map.groupBy(entries, ({ timeMs }) => day(timeMs));
  return (
    <>
      {[...days].map(([date, of]) => (
        <div class="day" key={date}>
          <h3>{date}</h3>
          <ol class="timeline" reversed start={of[0]?.seq}>
            {of.map((entry) => (
              <li key={entry.seq} class={TONES[entry.here] ?? ""}>
                <EntryLine entry={entry} branch={branch} isOpen={entry.seq === open} />
                {entry.seq === open && <EntryDetails branch={isOwn ? undefined : branch} seq={entry.seq} />}
              </li>
            ))}
          </ol>
        </div>
      ))}
    </>
  );
}

function EntryLine(
  { entry, branch, isOpen }: { entry: LogEntry; branch: string; isOpen: boolean },
): JSX.Element {
  const { seq, timeMs, message, author, origin, ops, here, proofs } = entry;
  return (
    <article aria-label={`Entry ${seq}`}>
      <p class="line">
        <a href={isOpen ? linkTo("journal", branch) : linkTo("journal", branch, seq)} aria-expanded={isOpen}>
          <span class="seq">{seq}</span>{" "}
          <span class="message">
            {message === "" ? <em>no message</em> : <Said text={message} max={300} />}
          </span>
        </a>{" "}
        <Here state={here} />
      </p>
      <p class="quiet">
        {clockTime(timeMs)} by <Said text={author} max={128} /> on <Said text={origin} max={128} />,{" "}
        <Code text={shortId(entry.id)} />
      </p>
      <ul class="ops">
        {ops.slice(0, isOpen ? undefined : 4).map((op) => (
          <li>
            <Code text={op} />
          </li>
        ))}
      </ul>
      {!isOpen && ops.length > 4 && <p class="quiet">and {many(ops.length - 4, "more operation")}</p>}
      {proofs.map((text) => (
        <p class="notice bad">
          <Said text={text} />
        </p>
      ))}
    </article>
  );
}

function Commands({ open }: { open: number | undefined }): JSX.Element {
  const [last, setLast] = useState(entriesFirst);
  const asked = useView(withQuery("/v1/log", { here: true, last }), executionsShape);
  return (
    <Section title="Commands on this host">
      <p>What exec and up have run here, and what was refused: your own, to root everybody's.</p>
      <Answer of={asked}>
        {({ executions }) => (
          <>
            {executions.length === 0 && <p class="quiet">Nothing is on record here yet.</p>}
            <ol class="timeline" reversed>
              {executions.toReversed().map((e) => (
                <li key={e.n} class={TONES[e.state] ?? ""}>
                  <CommandLine e={e} isOpen={e.n === open} />
                  {e.n === open && <CommandDetails n={e.n} />}
                </li>
              ))}
            </ol>
            <More shown={executions.length} first={executions[0]?.n ?? 1} last={last} setLast={setLast} />
          </>
        )}
      </Answer>
    </Section>
  );
}

function CommandLine({ e, isOpen }: { e: Execution; isOpen: boolean }): JSX.Element {
  const target = isOpen ? linkTo("journal", COMMANDS) : linkTo("journal", COMMANDS, e.n);
  return (
    <article aria-label={`Command ${e.n}`}>
      <p class="line">
        <a href={target} aria-expanded={isOpen}>
          <span class="seq">{e.n}</span>{" "}
          <span class="message">
            <Code text={e.argv.join(" ").slice(0, 300) || e.verb} />
          </span>
        </a>{" "}
        <Here state={e.state} status={e.status} />
      </p>
      <p class="quiet">
        <Moment ms={e.startedMs} />, <Ago ms={e.startedMs} />: <Said text={e.user} /> as{" "}
        <Said text={e.as} />, by <Said text={e.verb} />
        {e.seq !== null && <>, entry {e.seq}</>}
      </p>
      {e.why !== null && (
        <p class="notice bad">
          <Said text={e.why} />
        </p>
      )}
    </article>
  );
}
