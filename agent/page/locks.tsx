// Locks: who may change the branch now and why, what waits to be checked in, and whose word is waited for. Not who may take a lock.
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { type CloudEvent, waitingActs, wip as wipShape } from "./answers.ts";
import { Problem } from "./api.ts";
import { Answer, Badge, Facts, ProblemBox, Section, Table } from "./parts.tsx";
import type { Of } from "./shape.ts";
import { Ago, Code, Moment, Said } from "./text.tsx";
import { useLive, useView } from "./use.ts";

export function LocksView(): JSX.Element {
  const { status, events } = useLive();
  return (
    <>
      <Section title="The lock of this branch">
        <Answer of={status}>
          {({ branch, lock }) =>
            branch === null ? <p class="quiet">This host is on no branch.</p> : lock === null
              ? (
                <p>
                  <Badge tone="ok" text="free" /> Nobody holds the lock of <Said text={branch} />.
                </p>
              )
              : (
                <Facts
                  rows={[
                    ["Branch", <Said text={branch} />],
                    [
                      "Holder",
                      <strong>
                        <Said text={lock.holder} />
                      </strong>,
                    ],
                    ["On host", <Said text={lock.host} />],
                    ["Why", <Said text={lock.message} />],
                    [
                      "Since",
                      <>
                        <Moment ms={lock.sinceMs} />, <Ago ms={lock.sinceMs} />
                      </>,
                    ],
                    ["Term", lock.term],
                  ]}
                />
              )}
        </Answer>
      </Section>
      <Work />
      <Waiting />
      <Section title="Locks told of since this page was opened">
        <Table
          label="Lock events, the newest first"
          columns={[
            { name: "When", cell: (e: CloudEvent) => <Ago ms={Date.parse(e.time ?? "")} /> },
            { name: "What", cell: (e) => <Code text={e.type.replace(/^isconf\./, "")} /> },
            { name: "Where", cell: (e) => <Said text={e.source.replace(/^\/host\//, "")} max={128} /> },
            { name: "Says", cell: (e) => <Said text={JSON.stringify(e.data)} max={400} /> },
          ]}
          rows={events.filter(({ type }) => type === "isconf.lock" || type === "isconf.unlock")}
          keyOf={({ id }) => id}
          empty="None."
        />
      </Section>
    </>
  );
}

function Work(): JSX.Element {
  const asked = useView("/v1/wip", wipShape);
  return (
    <Section title="Work not checked in">
      <Answer of={asked}>
        {({ items }) => (
          <Table
            label="Work not checked in"
            columns={[
              { name: "No.", cell: ({ n }) => n },
              { name: "What", cell: ({ text }) => <Code text={text} /> },
              {
                name: "State",
                cell: ({ state }) => <Badge tone={state === "done" ? "ok" : "bad"} text={state} />,
              },
              { name: "Why", cell: ({ message }) => <Said text={message} max={300} /> },
              { name: "When", cell: ({ timeMs }) => <Ago ms={timeMs} /> },
            ]}
            rows={items}
            keyOf={({ n }) => String(n)}
            empty="Nothing waits for ci on this host."
          />
        )}
      </Answer>
    </Section>
  );
}

/** Acts that wait for a confirmation. There is no GET of them: looking is the verb confirm without an id. */
function Waiting(): JSX.Element {
  const { api, version } = useLive();
  const [waiting, setWaiting] = useState<Of<typeof waitingActs>>([]);
  const [problem, setProblem] = useState<Problem>();
  useEffect(() => {
    const control = new AbortController();
    api.post("confirm", {}, waitingActs, { signal: control.signal }).then(
      (rows) => (setWaiting(rows), setProblem(undefined)),
      (e) => control.signal.aborted || setProblem(e instanceof Problem ? e : new Problem(String(e), {})),
    );
    return () => control.abort();
  }, [api, version]);
  return (
    <Section title="Acts that wait for somebody's word">
      {problem !== undefined && problem.status !== 403 && !problem.isTokenRefused && (
        <ProblemBox problem={problem} />
      )}
      <Table
        label="Acts that wait"
        columns={[
          { name: "Id", cell: ({ id }) => <Code text={id} /> },
          { name: "Who", cell: ({ who }) => <Said text={who} /> },
          { name: "What", cell: ({ act }) => <Code text={act} /> },
          { name: "Waits for", cell: ({ by, given }) => given ? "confirmed" : <Said text={by} /> },
        ]}
        rows={waiting}
        keyOf={({ id }) => id}
        empty="None. What waits is confirmed on a terminal: isconf confirm."
      />
    </Section>
  );
}
