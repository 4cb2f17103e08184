// Content figures: the lines of the table from what the turns of all programs gave. It measures nothing.
import { type Figure, median, megabytes, seconds } from "./figure.ts";
import type { Spent } from "./content_turn.ts";

/** What one turn of a program gave; of who is no store, or gives nothing back, some of it is not there. */
export interface Given {
  put: Spent;
  again?: Spent;
  get?: Spent;
  second?: Spent;
  /** Bytes on the disk after the first put, after the same again, and after the second version. */
  firstBytes?: number;
  againBytes?: number;
  secondBytes?: number;
}

/** What each program gave, a turn each round, by its name. */
export type AllGiven = ReadonlyMap<string, readonly Given[]>;

/** The most that a value may be: times a peer's, as a part of another value of ours, or, with neither, in bytes. */
export interface Aim {
  value: string;
  peer?: string;
  part?: string;
  max: number;
}

interface Value {
  of(given: Given): number | undefined;
  text(value: number): string;
}

const bytes = (value: number): string =>
  value < 1024 * 1024 ? `${(value / 1024).toFixed(1)} KiB` : megabytes(value / 1024);
const time = (of: Value["of"]): Value => ({ of, text: seconds });
const size = (of: Value["of"]): Value => ({ of, text: bytes });
const less = (a?: number, b?: number) => a === undefined || b === undefined ? undefined : a - b;
/** Of stores only: what copies and what sums needs next to nothing, and often ends between two looks at it. */
const memory = (of: (given: Given) => Spent | undefined) => (given: Given) =>
  given.firstBytes === undefined ? undefined : scaled(of(given)?.peakKib, 1024);
const scaled = (value: number | undefined, by: number) => value === undefined ? undefined : value * by;

const VALUES: Record<string, Value> = {
  "put, CPU": time((g) => g.put.cpuS),
  "put, wall": time((g) => g.put.wallS),
  "put, peak memory": size(memory((g) => g.put)),
  "get, CPU": time((g) => g.get?.cpuS),
  "get, wall": time((g) => g.get?.wallS),
  "get, peak memory": size(memory((g) => g.get)),
  "put again, wall": time((g) => g.again?.wallS),
  "put again, store grows by": size((g) => less(g.againBytes, g.firstBytes)),
  "put v2, wall": time((g) => g.second?.wallS),
  "put v2, store grows by": size((g) => less(g.secondBytes, g.againBytes)),
  "store after v1": size((g) => g.firstBytes),
  "store after v1 and v2": size((g) => g.secondBytes),
};

/** All lines that hold one way of ours against peers. Without anything of ours, what the peers gave. */
export function contentFigures(
  set: string,
  ours: string,
  all: AllGiven,
  peers: readonly string[],
  aims: readonly Aim[],
): Figure[] {
  return Object.entries(VALUES).flatMap(([name, value]) => {
    const title = `${set}, ${ours}: ${name}`;
    const our = middle(value, all.get(ours));
    const lines = aims.filter((aim) => aim.value === name && aim.peer === undefined)
      .flatMap((aim) => our === undefined ? [] : [limited(title, value, our, aim, all.get(ours) ?? [])]);
    return [
      ...lines,
      ...peers.flatMap((peer) => {
        const theirs = middle(value, all.get(peer));
        if (theirs === undefined) return [];
        const aim = aims.find((a) => a.value === name && a.peer === peer);
        return [compared(title, value, our, `${peer} ${value.text(theirs)}`, theirs, aim?.max)];
      }),
    ];
  });
}

/** The median of a value, if every turn gave it. */
function middle(value: Value, given: readonly Given[] = []): number | undefined {
  const values = given.map((g) => value.of(g)).filter((v) => v !== undefined);
  return values.length > 0 && values.length === given.length ? median(values) : undefined;
}

/** A line that holds ours against an absolute limit, or against a part of another value of ours. */
function limited(name: string, value: Value, ours: number, aim: Aim, given: readonly Given[]): Figure {
  const line = { name, ours: value.text(ours), peer: "-" };
  if (aim.part === undefined) return { ...line, aim: `<= ${value.text(aim.max)}`, ok: ours <= aim.max };
  const whole = middle(VALUES[aim.part] as Value, given);
  if (whole === undefined) throw new Error(`${name}: there is no ${aim.part}`);
  const ratio = ours / whole;
  return {
    ...line,
    peer: `${aim.part} ${value.text(whole)}`,
    ratio,
    aim: `ratio <= ${aim.max}`,
    ok: ratio <= aim.max,
  };
}

function compared(
  name: string,
  value: Value,
  ours: number | undefined,
  peer: string,
  theirs: number,
  max: number | undefined,
): Figure {
  if (ours === undefined) return { name, ours: "-", peer };
  const line: Figure = { name, ours: value.text(ours), peer };
  if (theirs <= 0) return line;
  const ratio = ours / theirs;
  return max === undefined
    ? { ...line, ratio }
    : { ...line, ratio, aim: `ratio <= ${max}`, ok: ratio <= max };
}
