// Solver: a history as a question to Z3, which nobody here wrote: is there an order of the operations that is one after
// another, agrees with their times, and explains every answer? What an operation does is said here, in SMT-LIB; what
// follows from it, the solver finds.
import { spawn } from "node:child_process";
import { lacks } from "../programs.ts";
import { type History, isByHolder, type Operation, resolved } from "./history.ts";

export interface Judgement {
  isLinearizable: boolean;
  operations: number;
  tookMs: number;
}

/** Seconds that the solver may think. */
const solverS = 300;

/** Why there is no such judge here; false when there is. */
export const lacksSolver = (): string | false => lacks({ programs: ["z3"] });

/** Asks the solver. Throws when it does not know. */
export async function judge(history: History): Promise<Judgement> {
  const begin = performance.now();
  const { operations, final } = resolved(history);
  const said = await ask(question(operations, final));
  if (said !== "sat" && said !== "unsat") throw new Error(`the solver says neither sat nor unsat: ${said}`);
  return {
    isLinearizable: said === "sat",
    operations: operations.length,
    tookMs: Math.round(performance.now() - begin),
  };
}

function ask(text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const z3 = spawn("z3", ["-in", "-smt2", `-T:${solverS}`], { stdio: ["pipe", "pipe", "inherit"] });
    let said = "";
    z3.stdout.on("data", (bytes) => said += bytes);
    z3.once("error", reject);
    z3.once("close", () => resolve(said.trim()));
    z3.stdin.on("error", () => {}); // when it is gone, its missing answer tells
    z3.stdin.end(text);
  });
}

/**
 * An operation takes effect between its call and its return. It does no harm to let it wait until just before somebody's
 * return, or the end: so there are slots before each, and what must have come to pass, as somebody was told of it or the
 * final list has it, is in one of those between its call and its return. What may have is in one at most; of those it never
 * takes more than three, between two that must, to explain the second: a lock is stolen, given back, taken by somebody else.
 */
function question(operations: readonly Operation[], final: readonly string[]): string {
  const places = new Map(final.map((id, i) => [id, i]));
  const clients = [...new Set(operations.map((o) => o.client))];
  const width = (n: number) => Math.max(1, Math.ceil(Math.log2(n + 1)));
  const terms = operations.reduce((max, o) => Math.max(max, o.term ?? 0), 0) + operations.length + 1;
  const bits = { h: width(clients.length), l: width(final.length), t: width(terms) };
  const number = (kind: keyof typeof bits, n: number) => `(_ bv${n} ${bits[kind]})`;
  const lines = ["(set-logic QF_FD)"];
  const state = (s: number) => {
    for (const kind of ["h", "l", "t"] as const) {
      lines.push(`(declare-const ${kind}${s} (_ BitVec ${bits[kind]}))`);
    }
  };
  const claim = (text: string) => lines.push(`(assert ${text})`);

  /** What must be so when an operation is in a slot. */
  const means = (o: Operation, s: number): string => {
    const client = number("h", clients.indexOf(o.client) + 1);
    const [h, l, t, h2, l2, t2] = [`h${s}`, `l${s}`, `t${s}`, `h${s + 1}`, `l${s + 1}`, `t${s + 1}`];
    const nobody = number("h", 0);
    const same = (...pairs: [string, string][]) => pairs.map(([a, b]) => `(= ${a} ${b})`).join(" ");
    const sees = o.length === undefined
      ? "true"
      : (final[o.length - 1] ?? "") !== o.last || o.length > final.length
      ? "false"
      : `(= ${l} ${number("l", o.length)})`;
    switch (o.op) {
      case "read":
        return `(and ${sees} ${same([h, h2], [l, l2], [t, t2])})`;
      case "lock": {
        const may = o.steal ? "true" : `(or (= ${h} ${nobody}) (= ${h} ${client}))`;
        const term = o.term === undefined
          ? `(= ${t2} (ite (= ${h} ${client}) ${t} (bvadd ${t} ${number("t", 1)})))`
          : `(and (= ${t2} ${
            number("t", o.term)
          }) (or (bvult ${t} ${t2}) (and (= ${h} ${client}) (= ${t} ${t2}))))`;
        return `(and ${may} ${sees} ${term} ${same([h2, client], [l, l2])})`;
      }
      case "ci": {
        const place = places.get(o.ids?.[0] ?? "") ?? -1;
        const isThere = place >= 0 && o.ids?.every((id, i) => final[place + i] === id) &&
          (o.from === undefined || o.from === place + 1);
        if (!isThere) return "false";
        const after = number("l", place + (o.ids as string[]).length);
        const had = isByHolder(o) ? same([h, client]) : "true";
        return `(and ${had} ${same([l, number("l", place)], [l2, after], [h2, nobody], [t, t2])})`;
      }
      case "unlock": {
        const had = o.steal ? `(not (= ${h} ${nobody}))` : `(= ${h} ${client})`;
        return `(and ${had} ${same([h2, nobody], [l, l2], [t, t2])})`;
      }
      case "drop":
        return `(and (= ${h2} (ite (= ${h} ${client}) ${nobody} ${h})) ${same([l, l2], [t, t2])})`;
    }
  };

  state(0);
  claim(`(and (= h0 ${number("h", 0)}) (= l0 ${number("l", 0)}) (= t0 ${number("t", 0)}))`);
  const slotsOf = operations.map(() => [] as string[]);
  const isCertain = ({ op, returnUs }: Operation) => returnUs !== null || op === "ci";
  const returns = operations.flatMap(({ returnUs }) => returnUs ?? []).sort((a, b) => a - b);
  let slot = 0;
  for (const returnUs of [...returns, Infinity]) {
    const isUnderWay = (o: Operation) => o.callUs <= returnUs && (o.returnUs ?? Infinity) >= returnUs;
    const under = operations.flatMap((o, i) => isUnderWay(o) ? [i] : []);
    const certain = under.filter((i) => isCertain(operations[i]!)).length;
    const room = certain + Math.min(under.length - certain, 3 * (certain + 1));
    for (let k = 0; k < room; k++, slot++) {
      state(slot + 1);
      const here = under.map((i) => `p${i}_${slot}`);
      for (const name of here) lines.push(`(declare-const ${name} Bool)`);
      under.forEach((i, n) => {
        slotsOf[i]!.push(here[n]!);
        claim(`(=> ${here[n]} ${means(operations[i]!, slot)})`);
      });
      lines.push(`(define-fun used${slot} () Bool (or ${here.join(" ")}))`);
      claim(`((_ at-most 1) ${here.join(" ")})`);
      claim(
        `(=> (not used${slot}) (and (= h${slot} h${slot + 1}) (= l${slot} l${slot + 1}) (= t${slot} t${
          slot + 1
        })))`,
      );
      if (k > 0) claim(`(=> used${slot} used${slot - 1})`);
    }
  }
  operations.forEach((operation, i) => {
    const all = slotsOf[i]!.join(" ");
    if (isCertain(operation)) claim(`(or false ${all})`);
    if (slotsOf[i]!.length > 0) claim(`((_ at-most 1) ${all})`);
  });
  claim(`(= l${slot} ${number("l", final.length)})`);
  return `${lines.join("\n")}\n(check-sat)\n`;
}
