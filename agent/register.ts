// Register: what a keeper puts into an etcd cluster where that decides, as names and bytes: where each branch ends, who has
// its lock, and what came last. Content first, pointer last. Not when it is put there (keeper_register.ts).
import { type Cbor, decode, encode, Fault, toHex } from "../mq/mod.ts";
import type { Cell, Cells, Range } from "./cells.ts";
import type { Proposal } from "./keeper.ts";
import { etcdBatchBytesMax, stagePartBytesMax, standBytesMax } from "./limits.ts";
import { decodeProof, encodeProof, type Proof } from "./promises.ts";
import { partsOf } from "./stages.ts";
import type { Policy } from "./trust.ts";

/** How a branch stands: decided is what this says, in one value that is compared and swapped. */
export interface Stand {
  /** The end of the branch. */
  seq: number;
  id: Uint8Array;
  /** The first entry of what came last, and in how many values that is kept. */
  from: number;
  parts: number;
  /** The newest term, and whether somebody has it. */
  term: number;
  held: boolean;
  /** What a person signed to get it; null: none of those who are keepers now promised it. */
  claim: Uint8Array | null;
  /** When that was, by the clock of a keeper; for people only. */
  sinceMs: number;
  /** The end of the control journal then: locks that hold branches still end with the change they were taken for. */
  control: number;
}

/** A stand, and the change that put it there. */
export interface Stood extends Stand {
  revision: number;
}

const FIELDS = 10;
/** Values of one batch: one for each part, of which two together have more than one part has at the most. */
const etcdPartsMax = 2 + 2 * Math.ceil(etcdBatchBytesMax / stagePartBytesMax);

/** A stand as it is kept. */
export function writeStand(stand: Stand): Uint8Array {
  const { seq, id, from, parts, term, held, claim, sinceMs, control } = stand;
  return encode({ v: 1, seq, id, from, parts, term, held, claim, sinceMs, control });
}

/** A stand that was kept. Throws a corrupt fault. */
export function readStand({ bytes, revision }: Pick<Cell, "bytes" | "revision">): Stood {
  if (bytes.length > standBytesMax) throw malformed();
  const s = decode(bytes) as unknown as Stand & { v: number };
  const counts = [s?.seq, s?.from, s?.parts, s?.term, s?.sinceMs, s?.control];
  const isSound = s?.v === 1 && counts.every(isCount) && typeof s.held === "boolean" &&
    s.id instanceof Uint8Array && (s.id.length === 32 || s.seq === 0) &&
    (s.claim === null || s.claim instanceof Uint8Array) && Object.keys(s).length === FIELDS;
  if (!isSound || s.parts > etcdPartsMax) throw malformed();
  const { v: _, ...stand } = s;
  return { ...stand, revision };
}

/** The names under which a domain keeps its things, from the control entry on that put etcd in charge. */
export class Names {
  readonly #root: string;

  /** `since`: the id of that entry, in hex. */
  constructor(domain: Uint8Array, since: string) {
    this.#root = `isconf/1/${toHex(domain)}/${since}`;
  }

  static of({ domain, keepers }: Policy): Names | undefined {
    return keepers.etcd === undefined ? undefined : new Names(domain, keepers.etcd);
  }

  /** Of how every branch stands. */
  get stands(): string {
    return `${this.#root}/stand/`;
  }

  stand(branch: string): string {
    return `${this.stands}${branch}`;
  }

  /** The branch whose stand has that name. */
  branchOf(name: string): string {
    return name.slice(this.stands.length);
  }

  #batches(branch: string): string {
    return `${this.#root}/entries/${branch}/`;
  }

  /** Of what ends with the entry of that id. */
  batch(branch: string, id: Uint8Array): string {
    return `${this.#batches(branch)}${toHex(id)}/`;
  }

  /** All that came before what ends with that entry, or was never decided. */
  others(branch: string, id: Uint8Array): Range[] {
    const [all, one] = [this.#batches(branch), this.batch(branch, id)];
    const after = (name: string) => `${name.slice(0, -1)}0`;
    return [{ from: all, to: one }, { from: after(one), to: after(all) }];
  }
}

/** Keeps what is about to be decided; in how many values. */
export async function putContents(
  cells: Cells,
  name: string,
  term: number,
  batch: readonly Proposal[],
  proof: Proof,
): Promise<number> {
  const bytes = batch.reduce((sum, { entry, origin }) => sum + entry.length + origin.length, 0);
  if (bytes > etcdBatchBytesMax) {
    throw new Fault("ci", "refused", `a check-in of ${bytes} bytes is too large for etcd`, {
      hint: "isconf wip",
    });
  }
  let parts = 0;
  const put = async (part: Cbor) => void await cells.swap([], [[partName(name, parts++), encode(part)]], []);
  await put([term, encodeProof(proof)]);
  for (const records of partsOf(batch)) await put(records);
  return parts;
}

/** What was decided last, out of so many values; undefined: it is not there any more. Throws a corrupt fault. */
export async function getContents(
  cells: Cells,
  name: string,
  parts: number,
): Promise<{ term: number; records: Uint8Array[][]; proof: Proof } | undefined> {
  const values: Cbor[] = [];
  for (let i = 0; i < parts; i++) {
    const [cell] = await cells.read([partName(name, i)]);
    if (cell === undefined) return undefined;
    values.push(decode(cell.bytes));
  }
  const [first, ...rest] = values;
  const [term, proof] = Array.isArray(first) ? first : [];
  const records = rest.flat() as Cbor[];
  if (!isCount(term) || records.length === 0 || !records.every(isRecord)) throw malformed();
  return { term, records, proof: decodeProof(proof ?? null) };
}

const partName = (name: string, part: number) => `${name}${part}`;

function isRecord(v: Cbor): v is Uint8Array[] {
  return Array.isArray(v) && v.length === 2 && v.every((b) => b instanceof Uint8Array);
}

const isCount = (v: unknown): v is number => Number.isSafeInteger(v) && (v as number) >= 0;
const malformed = () =>
  new Fault("keeper", "corrupt", "what etcd says of a branch is malformed", { hint: "isconf keeper" });
