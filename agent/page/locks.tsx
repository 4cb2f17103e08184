// Locks: who may change the branch now and why, what waits to be checked in, and what was told of locks. Not who may take one.
import type { JSX } from "preact";
import type { CloudEvent } from "./answers.ts";
import { eventText } from "./live.tsx";
import { Answer, Badge, Facts, Section, Table } from "./parts.tsx";
import { Ago, Code, Moment, Said } from "./text.tsx";
import { useLive } from "./use.ts";
import { many } from "./words.ts";

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
      <Section title="Work not checked in">
        <Answer of={status}>
          {({ wip }) =>
            wip === 0 ? <p>Nothing waits for ci on this host.</p> : (
              <p>
                {many(wip, "piece")} of work {wip === 1 ? "waits" : "wait"} for ci on this host:{" "}
                <Code text="isconf wip" />.
              </p>
            )}
        </Answer>
      </Section>
      <Section title="Locks told of since this page was opened">
        <Table
          label="Lock events, the newest first"
          columns={[
            { name: "When", cell: (e: CloudEvent) => <Ago ms={Date.parse(e.time ?? "")} /> },
            { name: "What", cell: (e) => <Code text={e.type.replace(/^isconf\./, "")} /> },
            { name: "Where", cell: (e) => <Said text={e.host} max={128} /> },
            { name: "Says", cell: (e) => <Said text={eventText(e)} max={400} /> },
          ]}
          rows={events.filter(({ type }) => type === "isconf.lock" || type === "isconf.unlock")}
          keyOf={({ id }) => id}
          empty="None."
        />
      </Section>
    </>
  );
}
