// Entry: one entry with everything it says, what its commands printed here and which paths they changed; and one command of this host.
// Not the list (journal.tsx).
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { effects as effectsShape, execution as executionShape, shown as shownShape } from "./answers.ts";
import { withQuery } from "./api.ts";
import { Here } from "./journal.tsx";
import { Answer, Facts, Table } from "./parts.tsx";
import { Code, Moment, Output, Said } from "./text.tsx";
import { useView } from "./use.ts";
import { bytesText } from "../bytes_text.ts";
import { many } from "./words.ts";

export function EntryDetails({ branch, seq }: { branch: string | undefined; seq: number }): JSX.Element {
  const asked = useView(withQuery("/v1/show", { seq, branch }), shownShape);
  const details = useRef<HTMLDivElement>(null);
  useEffect(() => details.current?.scrollIntoView({ block: "nearest" }), [asked.asOfMs !== 0]);
  return (
    <div class="details" ref={details}>
      <Answer of={asked}>
        {(e) => (
          <>
            <Facts
              rows={[
                ["Id", <Code text={e.id} />],
                ["Time", <Moment ms={e.timeMs} />],
                ["Author", <Said text={e.author} />],
                ["Origin", <Said text={e.origin} />],
                ["Message", <Said text={e.message} />],
                ["Term", `${e.term}, epoch ${e.epoch}`],
                ["Here", e.here === "" ? null : <Here state={e.here} status={e.status} />],
                ["Ended", e.endedMs === null ? null : <Moment ms={e.endedMs} />],
                [
                  "Congruent",
                  e.differs === null
                    ? null
                    : e.differs === 0
                    ? "yes"
                    : `no: ${many(e.differs, "path differs", "paths differ")}`,
                ],
              ]}
            />
            {e.differences.length > 0 && (
              <Table
                label="What differs here from the origin"
                columns={[
                  { name: "Path", cell: ({ path }) => <Code text={path} /> },
                  { name: "Differs", cell: ({ what }) => <Said text={what.join(", ")} /> },
                ]}
                rows={e.differences}
                keyOf={({ path }) => path}
                empty=""
              />
            )}
            <h4>Operations</h4>
            {e.details.map((op) => <Operation op={op} />)}
            {hasEffects(e.details) && <Effects branch={branch} seq={seq} />}
            {e.here !== "" && e.here !== "pending" && (
              <>
                <h4>Output on this host</h4>
                <Output text={e.output} label={`Output of entry ${seq}`} />
              </>
            )}
          </>
        )}
      </Answer>
    </div>
  );
}

const hasEffects = (details: unknown[]) =>
  details.some((op) => (op as { op?: unknown } | null)?.op === "effects");

/** One operation, field by field. */
function Operation({ op }: { op: unknown }): JSX.Element {
  if (op === null || typeof op !== "object") return <Said text={JSON.stringify(op)} />;
  const rows = Object.entries(op).filter(([, value]) => value !== null && value !== "");
  return (
    <Facts rows={rows.map(([name, value]): [string, JSX.Element] => [name, <Code text={plain(value)} />])} />
  );
}

const plain = (value: unknown) => typeof value === "string" ? value : JSON.stringify(value);

/** Asked for apart: the list may have to come from another host first. */
function Effects({ branch, seq }: { branch: string | undefined; seq: number }): JSX.Element {
  const asked = useView(withQuery("/v1/show", { seq, branch, effects: true }), effectsShape);
  return (
    <>
      <h4>Effects on the origin</h4>
      <Answer of={asked}>
        {({ effects: { paths, unseen } }) => (
          <>
            <Table
              label={`Paths that entry ${seq} changed`}
              columns={[
                { name: "Path", cell: ({ path }) => <Code text={path} /> },
                { name: "Kind", cell: ({ kind }) => <Said text={kind} /> },
                { name: "Mode", cell: ({ kind, mode }) => kind === "absent" ? "" : mode },
                { name: "Owner", cell: ({ kind, uid, gid }) => kind === "absent" ? "" : `${uid}:${gid}` },
                {
                  name: "Size",
                  cell: ({ kind, size }) => kind === "absent" || size === null ? "" : bytesText(size),
                  isNumber: true,
                },
              ]}
              rows={paths}
              keyOf={({ path }) => path}
              empty="Its commands changed no path that is looked at."
            />
            {unseen.length > 0 && (
              <p class="quiet">
                Nothing is known of what changed in <Said text={unseen.join(", ")} />.
              </p>
            )}
          </>
        )}
      </Answer>
    </>
  );
}

export function CommandDetails({ n }: { n: number }): JSX.Element {
  const asked = useView(withQuery("/v1/show", { seq: n, here: true }), executionShape);
  return (
    <div class="details">
      <Answer of={asked}>
        {({ execution: e }) => (
          <>
            <Facts
              rows={[
                ["Arguments", <Code text={JSON.stringify(e.argv)} />],
                ["In", e.cwd === "" ? null : <Code text={e.cwd} />],
                ["Person", e.person === "" ? null : <Said text={e.person} />],
                ["Policy", e.rule === "" ? null : <Code text={e.rule} />],
                ["Ended", e.endedMs === null ? null : <Moment ms={e.endedMs} />],
              ]}
            />
            <Output text={e.output} label={`Output of command ${n}`} />
          </>
        )}
      </Answer>
    </div>
  );
}
