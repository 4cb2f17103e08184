// Hosts: who is in the domain, how far each is, who waits to be let in. A thousand of them are counted first, then listed page by
// page, the worst first. Not how they are connected (mesh.tsx).
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Act } from "./act.tsx";
import { type HostLine, type Hosts, hosts as hostsShape } from "./answers.ts";
import {
  type Counted,
  countHosts,
  type Filter,
  filterHosts,
  NO_FILTER,
  type Order,
  orderHosts,
  pageOf,
  type Tone,
  toneOf,
} from "./fleet.ts";
import { rowsPerPage } from "./limits.ts";
import { Answer, Bar, type Column, Pager, Parts, ProblemBox, Section, State, Table } from "./parts.tsx";
import { Ago, Code, Said } from "./text.tsx";
import { useLive, useView } from "./use.ts";
import { many } from "./words.ts";

export function HostsView({ rest }: { rest: string[] }): JSX.Element {
  const { status } = useLive();
  const [filter, setFilter] = useState<Filter>({ ...NO_FILTER, text: rest[0] ?? "" });
  useEffect(() => {
    if (rest[0] !== undefined) setFilter({ ...NO_FILTER, text: rest[0] });
  }, [rest[0]]);
  return (
    <>
      <WaitingHosts />
      <Answer of={status}>
        {({ branch, hosts }) =>
          branch === null
            ? (
              <p class="notice">
                This host is in no domain yet: <Code text="isconf init" />, or{" "}
                <Code text="isconf join TOKEN" />.
              </p>
            )
            : (
              <>
                <Summary hosts={hosts} filter={filter} setFilter={setFilter} />
                <HostList hosts={hosts} filter={filter} setFilter={setFilter} />
              </>
            )}
      </Answer>
    </>
  );
}

function WaitingHosts(): JSX.Element | null {
  const asked = useView("/v1/hosts", hostsShape);
  if (asked.problem !== undefined && asked.problem.status !== 403) {
    return <ProblemBox problem={asked.problem} again={asked.again} />;
  }
  const waiting = asked.answer?.waiting ?? [];
  if (waiting.length === 0) return null;
  return (
    <Section
      title={`${many(waiting.length, "host")} ${waiting.length === 1 ? "waits" : "wait"} to be let in`}
    >
      <p>
        Compare the fingerprint with what <Code text="isconf join" />{" "}
        shows on the new host, on the host itself.
      </p>
      <Table label="Hosts that wait" columns={WAITING} rows={waiting} keyOf={(w) => w.id} empty="" />
    </Section>
  );
}

const WAITING: Column<Hosts["waiting"][number]>[] = [
  { name: "Host", cell: ({ name }) => <Said text={name} /> },
  { name: "Fingerprint", cell: ({ fingerprint }) => <Code text={fingerprint} /> },
  { name: "Branch", cell: ({ branch }) => <Said text={branch} /> },
  { name: "Asked", cell: ({ askedMs }) => <Ago ms={askedMs} /> },
  {
    name: "Act",
    cell: ({ name, fingerprint, branch }) => (
      <Act
        wanted={{
          verb: "approve",
          args: { host: fingerprint, replace: false },
          button: "Approve…",
          question: "Let this host in?",
          about: (
            <>
              The host that calls itself{" "}
              <strong>
                <Said text={name} />
              </strong>, with the fingerprint{" "}
              <Code text={fingerprint} />, becomes a member of the domain on branch <Said text={branch} />
              {" "}
              and gets its journal. Go on only if the new host shows this fingerprint.
            </>
          ),
          typed: `isconf approve ${fingerprint}`,
        }}
      />
    ),
  },
];

interface Filtered {
  hosts: HostLine[];
  filter: Filter;
  setFilter(filter: Filter): void;
}

function Summary({ hosts, filter, setFilter }: Filtered): JSX.Element {
  const { all, branches } = countHosts(hosts);
  const current = all.states.find(({ state }) => state === "current")?.hosts ?? 0;
  return (
    <Section title="The fleet">
      <p class="sum">
        <strong>{current.toLocaleString("en")}</strong> of {many(hosts.length, "host")} current
      </p>
      <Parts parts={partsOf(all)} />
      <table role="table" aria-label="Hosts by branch and state" class="matrix">
        <thead role="rowgroup">
          <tr role="row">
            <th role="columnheader" scope="col">Branch</th>
            <th role="columnheader" scope="col" class="number">End</th>
            <th role="columnheader" scope="col" class="number">Hosts</th>
            <th role="columnheader" scope="col">By state; press one to see only these</th>
          </tr>
        </thead>
        <tbody role="rowgroup">
          {[...(branches.length > 1 ? [all] : []), ...branches].map((row) => (
            <tr role="row" key={row.branch}>
              <th role="rowheader" scope="row">
                <BranchName row={row} isAll={row === all} />
              </th>
              <td role="cell" class="number" data-label="End">
                {row === all || row.branch === "" ? "" : row.of}
              </td>
              <td role="cell" class="number" data-label="Hosts">{row.hosts.toLocaleString("en")}</td>
              <td role="cell" data-label="By state">
                <div class="chips">
                  {row.states.map(({ state, hosts: n }) => {
                    const mine = { ...NO_FILTER, state, branch: row === all ? "" : row.branch };
                    const isOn = filter.state === mine.state && filter.branch === mine.branch;
                    return (
                      <button
                        type="button"
                        class="chip"
                        aria-pressed={isOn}
                        onClick={() => setFilter(isOn ? NO_FILTER : mine)}
                      >
                        <State state={state} /> {n.toLocaleString("en")}
                      </button>
                    );
                  })}
                </div>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </Section>
  );
}

function BranchName({ row, isAll }: { row: Counted; isAll: boolean }): JSX.Element {
  if (isAll) return <em>all branches</em>;
  return row.branch === "" ? <em>never heard of</em> : <Said text={row.branch} />;
}

/** What is well first. */
function partsOf({ states }: Counted): { tone: Tone; n: number }[] {
  const sum = (tone: Tone) => states.reduce((n, one) => toneOf(one.state) === tone ? n + one.hosts : n, 0);
  return (["ok", "moving", "unknown", "bad"] as const).map((tone) => ({ tone, n: sum(tone) }));
}

const ORDERS: [order: Order, text: string][] = [
  ["worst", "worst first"],
  ["behind", "most entries behind"],
  ["heard", "longest not heard of"],
  ["name", "by name"],
];

function HostList({ hosts, filter, setFilter }: Filtered): JSX.Element {
  const [order, setOrder] = useState<Order>("worst");
  const [at, setAt] = useState(0);
  useEffect(() => setAt(0), [filter, order]);
  const found = orderHosts(filterHosts(hosts, filter), order);
  const { rows, page, pages } = pageOf(found, at, rowsPerPage);
  const isFiltered = filter.text !== "" || filter.state !== "" || filter.branch !== "";
  return (
    <Section title="Hosts">
      <form class="filter" role="search" aria-label="Hosts" onSubmit={(e) => e.preventDefault()}>
        <label>
          Find{" "}
          <input
            type="search"
            value={filter.text}
            placeholder="name, branch, state or reason"
            onInput={(e) => setFilter({ ...filter, text: e.currentTarget.value })}
          />
        </label>
        <label>
          Order{" "}
          <select value={order} onChange={(e) => setOrder(e.currentTarget.value as Order)}>
            {ORDERS.map(([value, text]) => <option value={value}>{text}</option>)}
          </select>
        </label>
        <span role="status">
          {many(found.length, "host")}
          {filter.state !== "" && (
            <>
              , <Said text={filter.state} />
            </>
          )}
          {filter.branch !== "" && (
            <>
              , on <Said text={filter.branch} />
            </>
          )}
        </span>
        {isFiltered && <button type="button" onClick={() => setFilter(NO_FILTER)}>Show all</button>}
      </form>
      <Table
        label="Hosts"
        columns={COLUMNS}
        rows={rows}
        keyOf={(h) => h.name}
        empty="No host is like that."
      />
      <Pager what="host" page={page} pages={pages} rows={found.length} go={setAt} />
    </Section>
  );
}

/** How far a host is, in words and as a bar. */
export function HowFar({ host }: { host: HostLine }): JSX.Element {
  if (host.state === "unknown") return <span class="quiet">not known</span>;
  return (
    <span class="far">
      <span>{host.at.toLocaleString("en")} of {host.of.toLocaleString("en")}</span>
      <Bar at={host.at} of={host.of} tone={toneOf(host.state)} />
    </span>
  );
}

const COLUMNS: Column<HostLine>[] = [
  { name: "Host", cell: ({ name }) => <Said text={name} max={128} /> },
  { name: "State", cell: ({ state }) => <State state={state} /> },
  { name: "Branch", cell: ({ branch }) => branch === "" ? "–" : <Said text={branch} max={128} /> },
  { name: "Entry", cell: (host) => <HowFar host={host} /> },
  {
    name: "Heard",
    cell: ({ reached, saidMs }) => reached ? "now" : saidMs === 0 ? "never" : <Ago ms={saidMs} />,
  },
  { name: "There since", cell: ({ sinceMs }) => sinceMs === 0 ? "–" : <Ago ms={sinceMs} /> },
  { name: "Why", cell: ({ why }) => why === "" ? "–" : <Said text={why} max={400} /> },
];
