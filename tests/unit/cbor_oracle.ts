// Cbor oracle: Debian's python3-cbor2, a decoder and encoder that nobody here wrote, as a child that is asked line by line.
import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from "node:child_process";
import { createInterface } from "node:readline";
import { type Cbor, toHex } from "../../mq/mod.ts";

/** What is said for each line of hex: the value in words, its encoding as it stands, its canonical encoding; or what is wrong. */
const PROGRAM = `
import sys, cbor2
def words(v):
    if v is None: return "null"
    if v is True: return "true"
    if v is False: return "false"
    if isinstance(v, int): return "i%d" % v
    if isinstance(v, bytes): return "b" + v.hex()
    if isinstance(v, str): return "t" + v.encode().hex()
    if isinstance(v, list): return "[" + ",".join(map(words, v)) + "]"
    if isinstance(v, dict): return "{" + ",".join(words(k) + ":" + words(w) for k, w in v.items()) + "}"
    raise ValueError("not within our subset: %r" % (v,))
for line in sys.stdin:
    try:
        v = cbor2.loads(bytes.fromhex(line))
        said = "%s %s %s" % (words(v), cbor2.dumps(v).hex(), cbor2.dumps(v, canonical=True).hex())
    except Exception as e:
        said = "error " + " ".join(str(e).split())
    sys.stdout.write(said + "\\n")
    sys.stdout.flush()
`;

const PYTHON = "/usr/bin/python3";

/** Why there is no such oracle here; false when there is. */
export function lacksOracle(): string | false {
  const { status } = spawnSync(PYTHON, ["-c", "import cbor2"]);
  return status === 0 ? false : "needs Debian's python3-cbor2";
}

export interface Told {
  /** As {@link wordsOf} says it; undefined when the oracle refuses the bytes. */
  value: string | undefined;
  /** Its encoding, with maps in the order in which they were read, and its canonical one (RFC 7049 3.9), in hex. */
  bytes: string;
  canonical: string;
  why: string;
}

/** One long-lived child; many cases. */
export class Oracle {
  readonly #child: ChildProcessWithoutNullStreams = spawn(PYTHON, ["-c", PROGRAM]);
  readonly #lines: AsyncIterator<string>;

  constructor() {
    this.#child.stderr.resume();
    this.#lines = createInterface(this.#child.stdout)[Symbol.asyncIterator]();
  }

  async ask(bytes: Uint8Array): Promise<Told> {
    this.#child.stdin.write(`${toHex(bytes)}\n`);
    const { value: line, done } = await this.#lines.next();
    if (done) throw new Error("the oracle has gone");
    if (line.startsWith("error")) return { value: undefined, bytes: "", canonical: "", why: line };
    const [value, plain = "", canonical = ""] = line.split(" ");
    return { value, bytes: plain, canonical, why: "" };
  }

  end(): void {
    this.#child.stdin.end();
  }
}

/** The same words for a value of ours. Keys in the order of their bytes, as they stand in what is encoded. */
export function wordsOf(value: Cbor): string {
  if (value === null || typeof value === "boolean") return String(value);
  if (typeof value === "number" || typeof value === "bigint") return `i${value}`;
  if (typeof value === "string") return `t${toHex(new TextEncoder().encode(value))}`;
  if (value instanceof Uint8Array) return `b${toHex(value)}`;
  if (Array.isArray(value)) return `[${value.map(wordsOf).join(",")}]`;
  const pairs: [number | string, Cbor][] = value instanceof Map ? [...value] : Object.entries(value);
  return `{${pairs.map(([k, v]) => `${wordsOf(k)}:${wordsOf(v)}`).join(",")}}`;
}

/** Whether the older canonical order of keys, shorter first, is that of RFC 8949 for every map in the value, too. */
export function isOrderTheSame(value: Cbor): boolean {
  if (value === null || typeof value !== "object" || value instanceof Uint8Array) return true;
  if (Array.isArray(value)) return value.every(isOrderTheSame);
  const pairs: [number | string, Cbor][] = value instanceof Map ? [...value] : Object.entries(value);
  const kinds = new Set(pairs.map(([k]) => typeof k === "string" ? "text" : k < 0 ? "negative" : "positive"));
  return kinds.size <= 1 && pairs.every(([, v]) => isOrderTheSame(v));
}
