// Drift: where hosts differ from what the journal says: what was noticed when entries were applied, and, when somebody asks, this host's
// disk as it is now. Asking reads the disk, so nothing is asked before.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { filesVerified } from "./answers.ts";
import { pageOf } from "./fleet.ts";
import { rowsPerPage, workMs } from "./limits.ts";
import { Answer, Badge, Pager, Section, State, Table } from "./parts.tsx";
import { linkTo } from "./route.ts";
import { Code, Moment, Said } from "./text.tsx";
import { useLive, useOnce } from "./use.ts";
import { many } from "./words.ts";

export function DriftView(): JSX.Element {
  const { status } = useLive();
  return (
    <>
      <DiskNow />
      <Section title="Noticed when entries were applied">
        <Answer of={status}>
          {(s) => (
            <>
              {s.differing.entries === 0
                ? <p>On this host every applied entry had the effects that it had on its origin.</p>
                : (
                  <p class="notice bad">
                    This host is not as the origin after{" "}
                    {many(s.differing.entries, "entry", "entries")}, the last:{" "}
                    <a href={linkTo("journal", s.branch ?? "", s.differing.last)}>entry {s.differing.last}
                    </a>.
                  </p>
                )}
              {s.diverged !== null && (
                <p class="notice bad">
                  Diverged: <Said text={s.diverged} />
                </p>
              )}
              <Table
                label="Hosts that differ"
                columns={[
                  { name: "Host", cell: ({ name }) => <Said text={name} max={128} /> },
                  { name: "State", cell: ({ state }) => <State state={state} /> },
                  { name: "What it says", cell: ({ why }) => <Said text={why} max={400} /> },
                ]}
                rows={s.hosts.filter((h) => h.state === "diverged" || h.why.startsWith("differs"))}
                keyOf={({ name }) => name}
                empty="No host that was heard of says that it differs."
              />
            </>
          )}
        </Answer>
      </Section>
    </>
  );
}

function DiskNow(): JSX.Element {
  const [isWanted, setWanted] = useState(false);
  const [at, setAt] = useState(0);
  const asked = useOnce(isWanted ? "/v1/verify?files=true" : null, filesVerified, workMs);
  const go = () => isWanted ? asked.again() : setWanted(true);
  return (
    <Section title="This host's disk now">
      <p>
        Every path that the applied entries snapped, deleted or changed, compared with what is on the disk. It
        reads them all.
      </p>
      <p>
        <button type="button" disabled={asked.isAsking} onClick={go}>
          {asked.asOfMs === 0 ? "Compare now" : "Compare again"}
        </button>
      </p>
      {isWanted && (
        <Answer of={asked}>
          {({ files }) => {
            const { rows, page, pages } = pageOf(files.drifted, at, rowsPerPage);
            const isSame = files.drifted.length === 0;
            return (
              <>
                <p role="status">
                  <Badge
                    tone={isSame ? "ok" : "bad"}
                    text={isSame
                      ? "no drift"
                      : `${many(files.drifted.length, "path differs", "paths differ")}`}
                  />{" "}
                  of {many(files.paths, "path")}, at entry {files.at} of <Said text={files.branch} />,{" "}
                  <Moment ms={asked.asOfMs} />.
                </p>
                {files.skipped.length > 0 && (
                  <p>
                    Nothing could be compared of {many(files.skipped.length, "entry", "entries")}:{" "}
                    {files.skipped.slice(0, 20).join(", ")}. Their contents are not here any more.
                  </p>
                )}
                {!isSame && (
                  <Table
                    label="Paths that differ"
                    columns={[
                      { name: "Path", cell: ({ path }) => <Code text={path} /> },
                      { name: "Differs", cell: ({ what }) => <Said text={what.join(", ")} /> },
                      {
                        name: "Said by",
                        cell: ({ seq }) =>
                          seq === null
                            ? "work not checked in"
                            : <a href={linkTo("journal", files.branch, seq)}>entry {seq}</a>,
                      },
                    ]}
                    rows={rows}
                    keyOf={({ path }) => path}
                    empty=""
                  />
                )}
                <Pager what="path" page={page} pages={pages} rows={files.drifted.length} go={setAt} />
              </>
            );
          }}
        </Answer>
      )}
    </Section>
  );
}
