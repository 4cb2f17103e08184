// Contents: what people put into isfs and what names mean, with sizes, and which hosts have it when somebody asks. No bytes of it.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { copies as copiesShape, names as namesShape, shelf as shelfShape } from "./answers.ts";
import { withQuery } from "./api.ts";
import { pageOf } from "./fleet.ts";
import { answerMs, rowsPerPage } from "./limits.ts";
import { Answer, Badge, type Column, Pager, Section, Table } from "./parts.tsx";
import { Ago, Code, Said } from "./text.tsx";
import { useOnce, useView } from "./use.ts";
import { bytesText } from "../bytes_text.ts";
import { many, shortId } from "./words.ts";

export function ContentsView(): JSX.Element {
  return (
    <>
      <Names />
      <Shelf />
    </>
  );
}

/** Which hosts have it: every host that is connected is asked, so only when somebody wants to know. */
function Copies({ id }: { id: string }): JSX.Element {
  const [isWanted, setWanted] = useState(false);
  const asked = useOnce(isWanted ? withQuery("/v1/copies", { name: id }) : null, copiesShape, answerMs);
  if (!isWanted) {
    return (
      <button type="button" aria-label={`Ask who has ${shortId(id)}`} onClick={() => setWanted(true)}>
        Ask
      </button>
    );
  }
  return (
    <Answer of={asked}>
      {({ hosts }) => {
        const having = hosts.filter(({ has }) => has === "yes");
        const unsure = hosts.filter(({ has }) => has === "unknown").length;
        return (
          <details open={hosts.length <= 8}>
            <summary>
              {having.length} of {many(hosts.length, "host")}
              {unsure > 0 && `, ${unsure} did not say`}
            </summary>
            <ul class="copies">
              {having.slice(0, 200).map(({ host, keeps }) => (
                <li>
                  <Said text={host} />
                  {keeps && (
                    <>
                      <Badge tone="ok" text="keeps it" />
                    </>
                  )}
                </li>
              ))}
            </ul>
          </details>
        );
      }}
    </Answer>
  );
}

/** Rows of which some words are looked for, page by page. */
function Found<T>(
  { what, rows, columns, keyOf, textOf, empty }: {
    what: string;
    rows: T[];
    columns: Column<T>[];
    keyOf(row: T): string;
    textOf(row: T): string;
    empty: string;
  },
): JSX.Element {
  const [word, setWord] = useState("");
  const [at, setAt] = useState(0);
  const found = rows.filter((row) => textOf(row).toLowerCase().includes(word.trim().toLowerCase()));
  const { rows: shown, page, pages } = pageOf(found, at, rowsPerPage);
  return (
    <>
      {rows.length > 8 && (
        <form
          class="filter"
          role="search"
          aria-label={`${what}s`}
          onSubmit={(e) => e.preventDefault()}
        >
          <label>
            Find <input type="search" value={word} onInput={(e) => setWord(e.currentTarget.value)} />
          </label>
          <span role="status">{many(found.length, what)}</span>
        </form>
      )}
      <Table
        label={`${what}s`}
        columns={columns}
        rows={shown}
        keyOf={keyOf}
        empty={rows.length === 0 ? empty : `No ${what} is like that.`}
      />
      <Pager what={what} page={page} pages={pages} rows={found.length} go={setAt} />
    </>
  );
}

const TONES: Record<string, "ok" | "moving" | "unknown" | "bad"> = {
  current: "ok",
  beside: "bad",
  replaced: "unknown",
  lapsed: "bad",
};
const STATES: Record<string, string> = { beside: "one of several", lapsed: "key revoked: say it again" };

function Names(): JSX.Element {
  const asked = useView("/v1/names", namesShape);
  return (
    <Section title="Names">
      <Answer of={asked}>
        {({ names }) => (
          <Found
            what="name"
            rows={names}
            keyOf={(n) => `${n.name}@${n.seq} ${n.who} ${n.id}`}
            textOf={(n) => `${n.name} ${n.who} ${n.id}`}
            empty="Nothing has a name yet."
            columns={[
              {
                name: "Name",
                cell: (n) => (
                  <>
                    <Said text={n.name} />@{n.seq}
                  </>
                ),
              },
              { name: "Id", cell: (n) => n.id === "" ? "withdrawn" : <Code text={shortId(n.id)} /> },
              { name: "Kind", cell: (n) => <Said text={n.kind} /> },
              { name: "Size", cell: (n) => n.id === "" ? "" : bytesText(n.size), isNumber: true },
              {
                name: "Wants",
                cell: (n) => n.id === "" ? "" : many(n.copies, "copy", "copies"),
                isNumber: true,
              },
              {
                name: "Said by",
                cell: (n) => (
                  <>
                    <Said text={n.who} />, <Ago ms={n.timeMs} />
                  </>
                ),
              },
              {
                name: "State",
                cell: (n) => <Badge tone={TONES[n.state] ?? "unknown"} text={STATES[n.state] ?? n.state} />,
              },
              { name: "Copies", cell: (n) => n.id === "" ? "" : <Copies id={n.id} key={n.id} /> },
            ]}
          />
        )}
      </Answer>
    </Section>
  );
}

function Shelf(): JSX.Element {
  const asked = useView("/v1/ls", shelfShape);
  return (
    <Section title="The shelf of this host">
      <Answer of={asked}>
        {({ rows }) => (
          <>
            {rows.length > 0 && (
              <p>
                {many(rows.length, "content")}, {bytesText(rows.reduce((sum, { size }) => sum + size, 0))}
                {" "}
                as they were put.
              </p>
            )}
            <Found
              what="content"
              rows={rows}
              keyOf={(r) => `${r.id} ${r.uid} ${r.label}`}
              textOf={(r) => `${r.label} ${r.id}`}
              empty="Nothing was put here yet: isconf put FILE."
              columns={[
                { name: "Label", cell: (r) => <Said text={r.label} max={256} /> },
                { name: "Id", cell: (r) => <Code text={shortId(r.id)} /> },
                { name: "Kind", cell: (r) => <Said text={r.kind} /> },
                { name: "Size", cell: (r) => bytesText(r.size), isNumber: true },
                {
                  name: "Put",
                  cell: (r) => (
                    <>
                      by uid {r.uid}, <Ago ms={r.addedMs} />
                    </>
                  ),
                },
                { name: "Pinned", cell: (r) => r.pinned ? "yes" : "no" },
                { name: "Copies", cell: (r) => <Copies id={r.id} key={r.id} /> },
              ]}
            />
          </>
        )}
      </Answer>
    </Section>
  );
}
