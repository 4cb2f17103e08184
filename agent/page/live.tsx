// Live: who is on the way to the end of their branch right now, and what the agent tells as it happens. `up` on this host is here.
// Not the list of all hosts (hosts.tsx).
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { inert } from "../inert.ts";
import { Act } from "./act.tsx";
import type { CloudEvent, Status } from "./answers.ts";
import { wall } from "./clock.ts";
import { onTheWay, pageOf } from "./fleet.ts";
import { HowFar } from "./hosts.tsx";
import { rowsPerPage, sayEachMs } from "./limits.ts";
import { Answer, Badge, Pager, Section, State, Table } from "./parts.tsx";
import { Ago, Code, Said } from "./text.tsx";
import { useLive } from "./use.ts";
import { many } from "./words.ts";

export function LiveView(): JSX.Element {
  const { status } = useLive();
  return (
    <>
      <Answer of={status}>
        {(s) => (
          <>
            <ThisHost s={s} />
            <Replay s={s} />
          </>
        )}
      </Answer>
      <Events />
    </>
  );
}

function ThisHost({ s }: { s: Status }): JSX.Element {
  const lacks = s.of - s.at;
  return (
    <Section title="This host">
      <p>
        <strong>
          <Said text={s.host} />
        </strong>{" "}
        is at entry {s.at} of {s.of} <State state={s.state} />
        {s.doing !== null && (
          <>
            , doing <Code text={s.doing} />
          </>
        )}
      </p>
      {s.stopped !== null && (
        <p class="notice bad">
          Entry {s.stopped.seq} is {s.stopped.why}
          {s.stopped.reason !== null && (
            <>
              : <Said text={s.stopped.reason} />
            </>
          )}
        </p>
      )}
      {s.branch !== null && (
        <div class="buttons">
          <Act
            wanted={{
              verb: "up",
              args: {},
              button: lacks > 0 ? `Apply ${many(lacks, "entry", "entries")}…` : "Ask for newer entries…",
              question: "Run up on this host?",
              about:
                "This host applies every entry that it lacks, in order, and stops at the first that fails. Commands run as the entries say, with this host's rights.",
              typed: "isconf up",
            }}
          />
          <Act
            isPlain
            wanted={{
              verb: "up",
              args: { dryRun: true },
              button: "Only say what would be applied…",
              question: "Ask what up would do?",
              about: "Nothing is changed on this host.",
              typed: "isconf up --dry-run",
            }}
          />
        </div>
      )}
    </Section>
  );
}

function Replay({ s }: { s: Status }): JSX.Element {
  const [at, setAt] = useState(0);
  const all = onTheWay(s.hosts);
  const { rows, page, pages } = pageOf(all, at, rowsPerPage);
  return (
    <Section title="On the way">
      <p role="status">
        {many(s.hosts.length - all.length, "host")} at the end of the branch,{" "}
        {all.length.toLocaleString("en")} not.
      </p>
      <Table
        label="Hosts on the way"
        columns={[
          { name: "Host", cell: ({ name }) => <Said text={name} max={128} /> },
          { name: "Entry", cell: (host) => <HowFar host={host} /> },
          { name: "State", cell: ({ state }) => <State state={state} /> },
          { name: "Branch", cell: ({ branch }) => <Said text={branch} max={128} /> },
          {
            name: "Heard",
            cell: ({ reached, saidMs }) => reached ? "now" : saidMs === 0 ? "never" : <Ago ms={saidMs} />,
          },
        ]}
        rows={rows}
        keyOf={({ name }) => name}
        empty="Every host that was heard of has all of its branch."
      />
      <Pager what="host" page={page} pages={pages} rows={all.length} go={setAt} />
    </Section>
  );
}

function Events(): JSX.Element {
  const { events, hears, why } = useLive();
  const [type, setType] = useState("");
  const [isHeld, setHeld] = useState(false);
  const [at, setAt] = useState(0);
  const held = useRef(events);
  if (!isHeld) held.current = events;
  const types = [...new Set(held.current.map((e) => inert(e.type)))].sort();
  const found = held.current.filter((e) => type === "" || inert(e.type) === type);
  const { rows, page, pages } = pageOf(found, at, rowsPerPage);
  return (
    <Section title="Events">
      {hears === "events"
        ? (
          <p>
            <Badge tone="ok" text="heard as they happen" />
          </p>
        )
        : (
          <p>
            <Badge
              tone="unknown"
              text={hears === "connecting" ? "connecting" : "asked for every few seconds"}
            />{" "}
            <Said text={why} />
          </p>
        )}
      <form class="filter" onSubmit={(e) => e.preventDefault()}>
        <label>
          Type{" "}
          <select value={type} onChange={(e) => setType(e.currentTarget.value)}>
            <option value="">all</option>
            {types.map((t) => <option value={t}>{t.slice(0, 64)}</option>)}
          </select>
        </label>
        <button type="button" aria-pressed={isHeld} onClick={() => setHeld(!isHeld)}>
          {isHeld ? "Go on" : "Hold still"}
        </button>
      </form>
      <SaidAloud newest={found[0]} />
      <Table
        label="Events, the newest first"
        columns={[
          { name: "When", cell: (e) => <Ago ms={Date.parse(e.time ?? "")} /> },
          { name: "What", cell: (e) => <Code text={e.type.replace(/^isconf\./, "")} /> },
          { name: "Where", cell: (e) => <Said text={e.host} max={128} /> },
          { name: "Says", cell: (e) => <Said text={eventText(e)} max={400} /> },
        ]}
        rows={rows}
        keyOf={(e) => e.id}
        empty={hears === "events" ? "Nothing has happened since this page was opened." : "None was told."}
      />
      <Pager what="event" page={page} pages={pages} rows={found.length} go={setAt} />
    </Section>
  );
}

/** The newest event for who listens to the page: one at a time, not one upon the other. */
function SaidAloud({ newest }: { newest: CloudEvent | undefined }): JSX.Element {
  const [text, setText] = useState("");
  const saidMs = useRef(0);
  useEffect(() => {
    if (newest === undefined || wall() - saidMs.current < sayEachMs) return;
    saidMs.current = wall();
    setText(`${newest.type}, ${newest.host}: ${eventText(newest)}`);
  }, [newest?.id]);
  return (
    <p class="unseen" role="log" aria-live="polite">
      <Said text={text} max={200} />
    </p>
  );
}

/** What an event says, in a line: each field of it by name. */
export function eventText({ subject, data }: CloudEvent): string {
  if (data === null || typeof data !== "object") return subject ?? "";
  const said = Object.entries(data).filter(([, v]) => v !== null && v !== "");
  return said.map(([name, v]) => `${name} ${typeof v === "string" ? v : JSON.stringify(v)}`).join(", ");
}
