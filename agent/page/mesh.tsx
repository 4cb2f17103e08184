// Mesh: a map of the domain as this host sees it: itself in the middle, the hosts it is connected with around it, the others outside. By
// keyboard one goes from host to host; the table below says the same in words. No host knows who else is connected with whom.
import type { JSX } from "preact";
import { useMemo, useRef, useState } from "preact/hooks";
import { inert } from "../inert.ts";
import { type HostLine, hosts as hostsShape, type Status } from "./answers.ts";
import { pageOf, type Tone, toneOf } from "./fleet.ts";
import { HowFar } from "./hosts.tsx";
import { rowsPerPage } from "./limits.ts";
import { Answer, Facts, Pager, Section, State, Table } from "./parts.tsx";
import { type Place, ringPlaces, spacing } from "./rings.ts";
import { Code, Said } from "./text.tsx";
import { useLive, useView } from "./use.ts";
import { many } from "./words.ts";

/** A host on the map. */
interface Dot extends Place {
  name: string;
  fingerprint: string;
  link: string;
  isKeeper: boolean;
  line: HostLine | undefined;
}

/** So that three hosts are not drawn as if seen through a lens. */
const EDGE_LEAST = 240;

interface Drawn {
  dots: Dot[];
  radius: number;
  dot: number;
}

export function MeshView(): JSX.Element {
  const { status } = useLive();
  const asked = useView("/v1/hosts", hostsShape);
  const hosts = asked.answer?.hosts;
  const s = status.answer;
  const drawn = useMemo(() => hosts === undefined ? undefined : draw(hosts, s), [hosts, s]);
  return (
    <Answer of={asked}>
      {() =>
        drawn !== undefined && (
          <>
            <MapOf drawn={drawn} />
            <InWords dots={drawn.dots} />
          </>
        )}
    </Answer>
  );
}

function draw(
  hosts: { name: string; fingerprint: string; state: string; keeper: boolean }[],
  s: Status | undefined,
): Drawn {
  const lines = new Map(s?.hosts.map((line) => [line.name, line]));
  const there = hosts.filter(({ state }) => state !== "evicted").map((h) => ({
    name: h.name,
    fingerprint: h.fingerprint,
    link: h.state,
    isKeeper: h.keeper,
    line: lines.get(h.name),
  }));
  // Branches and states stand together, so that what is wrong with one of them is seen as a patch.
  const key = ({ line, name }: typeof there[number]) =>
    `${line?.branch ?? ""} ${toneOf(line?.state ?? "unknown")} ${name}`;
  there.sort((a, b) => key(a) < key(b) ? -1 : 1);
  const own = there.filter(({ link }) => link === "this host");
  const near = there.filter(({ link }) => link === "connected");
  const far = there.filter(({ link }) => link !== "connected" && link !== "this host");
  const { dot, space } = spacing(there.length);
  const places = ringPlaces(near.length, far.length, space);
  const at = (rows: typeof there, where: Place[]) => rows.map((row, i) => ({ ...row, ...where[i] as Place }));
  const dots = [...at(own, [{ x: 0, y: 0 }]), ...at(near, places.near), ...at(far, places.far)];
  return { dots, radius: places.radius, dot };
}

const stateOf = ({ line }: Dot) => line?.state ?? "unknown";
/** What is said of a host in the map. */
const labelOf = (d: Dot) =>
  [
    inert(d.name.slice(0, 64)),
    stateOf(d),
    d.line === undefined ? "" : `entry ${d.line.at} of ${d.line.of}`,
    d.link,
    d.isKeeper ? "keeper" : "",
  ]
    .filter((word) => word !== "").join(", ");

function MapOf({ drawn: { dots, radius, dot } }: { drawn: Drawn }): JSX.Element {
  const [at, setAt] = useState(0);
  const svg = useRef<SVGSVGElement>(null);
  const here = Math.min(at, dots.length - 1);
  const chosen = dots[here];
  const withNames = dots.length <= 24;
  const withLines = dots.length <= 150; // more of them are a grey disc
  const edge = Math.max(EDGE_LEAST, radius + dot + (withNames ? 34 : 8));
  const go = (to: number) => {
    const next = (to + dots.length) % dots.length;
    setAt(next);
    svg.current?.querySelector<SVGGElement>(`[data-n="${next}"]`)?.focus();
  };
  const onKeyDown = (e: KeyboardEvent) => {
    const step = STEPS[e.key];
    if (step === undefined) return;
    e.preventDefault();
    go(step === "first" ? 0 : step === "last" ? dots.length - 1 : here + step);
  };
  return (
    <Section title="The mesh, as this host sees it">
      <p class="quiet" id="mesh-how">
        {many(dots.length, "host")}. This one is in the middle, those it is connected with are around it, the
        others outside. Arrow keys go from host to host.
      </p>
      <div class="map">
        <svg
          ref={svg}
          viewBox={`${-edge} ${-edge} ${2 * edge} ${2 * edge}`}
          role="group"
          aria-label="Map of the mesh"
          aria-describedby="mesh-how"
          onKeyDown={onKeyDown}
        >
          {withLines &&
            dots.filter(({ link }) => link === "connected").map((d) => (
              <line class="link" x1="0" y1="0" x2={d.x} y2={d.y} />
            ))}
          {dots.map((d, i) => (
            <g
              key={d.name + d.fingerprint}
              data-n={i}
              role="button"
              aria-label={labelOf(d)}
              aria-pressed={i === here}
              tabIndex={i === here ? 0 : -1}
              class={`dot ${toneOf(stateOf(d))}${d.link === "not connected" ? " away" : ""}`}
              onClick={() => setAt(i)}
              onFocus={() => setAt(i)}
            >
              <circle class="halo" cx={d.x} cy={d.y} r={dot + 4} />
              {d.isKeeper
                ? <rect x={d.x - dot - 1} y={d.y - dot - 1} width={2 * dot + 2} height={2 * dot + 2} rx="2" />
                : <circle cx={d.x} cy={d.y} r={dot} />}
              {withNames && <text x={d.x} y={d.y + dot + 15}>{inert(d.name).slice(0, 18)}</text>}
            </g>
          ))}
        </svg>
        {chosen !== undefined && <Chosen dot={chosen} />}
      </div>
      <ul class="legend">
        {LEGEND.map(([tone, text]) => (
          <li>
            <span class={`swatch ${tone}`} /> {text}
          </li>
        ))}
        <li>
          <span class="swatch square" /> keeper
        </li>
      </ul>
    </Section>
  );
}

const STEPS: Record<string, number | "first" | "last"> = {
  ArrowRight: 1,
  ArrowDown: 1,
  ArrowLeft: -1,
  ArrowUp: -1,
  Home: "first",
  End: "last",
};
const LEGEND: [tone: Tone, text: string][] = [
  ["ok", "current"],
  ["moving", "on its way"],
  ["bad", "stopped"],
  ["unknown", "not heard of"],
];

function Chosen({ dot: d }: { dot: Dot }): JSX.Element {
  return (
    <div class="chosen" role="status">
      <h3>
        <Said text={d.name} max={64} />
      </h3>
      <Facts
        rows={[
          ["State", <State state={stateOf(d)} />],
          ["Branch", d.line === undefined || d.line.branch === "" ? null : <Said text={d.line.branch} />],
          ["Entry", d.line === undefined ? null : <HowFar host={d.line} />],
          ["From here", <Said text={d.link} />],
          ["Keeper", d.isKeeper ? "yes" : null],
          ["Fingerprint", <Code text={d.fingerprint} />],
          ["Why", d.line === undefined || d.line.why === "" ? null : <Said text={d.line.why} max={300} />],
        ]}
      />
    </div>
  );
}

function InWords({ dots }: { dots: Dot[] }): JSX.Element {
  const [at, setAt] = useState(0);
  const { rows, page, pages } = pageOf(dots, at, rowsPerPage);
  return (
    <Section title="The same in words">
      <Table
        label="The mesh in words"
        columns={[
          { name: "Host", cell: ({ name }) => <Said text={name} max={128} /> },
          { name: "From here", cell: ({ link }) => <Said text={link} /> },
          { name: "Keeper", cell: ({ isKeeper }) => isKeeper ? "yes" : "no" },
          { name: "State", cell: (d) => <State state={stateOf(d)} /> },
          {
            name: "Branch",
            cell: ({ line }) =>
              line === undefined || line.branch === "" ? "–" : <Said text={line.branch} max={64} />,
          },
          { name: "Fingerprint", cell: ({ fingerprint }) => <Code text={fingerprint} /> },
        ]}
        rows={rows}
        keyOf={(d) => d.name + d.fingerprint}
        empty="There are no hosts."
      />
      <Pager what="host" page={page} pages={pages} rows={dots.length} go={setAt} />
    </Section>
  );
}
