// The verb wip: work since lock, and the ways out of it.
import { Fault } from "../../mq/mod.ts";
import { inert } from "../names.ts";
import type { WipLine } from "../report.ts";
import { moment } from "../term.ts";
import { detailedExitcode, SOMETHING, type Verb } from "../verb.ts";

interface WipResult {
  branch: string;
  items: WipLine[];
  dropped?: number;
  diverged?: boolean;
  /** wip diff: where the disk differs from the work by now. */
  differs?: { path: string; what: string }[];
}

export const wipVerb: Verb<
  { action?: string; number?: number; rebuild: boolean; detailedExitcode: boolean },
  WipResult
> = {
  name: "wip",
  summary: "show what ci would check in; drop it; settle what is uncertain",
  about:
    "wip: shows the work. wip diff: what the snapped paths differ from it by now. wip drop: gives all of it up;\ncommands that ran cannot be taken back, so --rebuild must be said and this host is diverged until rebuilt.\nwip done N, wip again N: of a command whose end is not known, that it finished, or that it is to be repeated.",
  examples: ["isconf wip", "isconf wip drop --rebuild", "isconf wip done 3"],
  args: {
    action: {
      kind: "text",
      positional: true,
      values: ["diff", "drop", "done", "again"],
      about: "diff, drop, done or again; nothing: show",
    },
    number: { kind: "count", positional: true, is: "work", about: "the piece of work" },
    rebuild: { kind: "flag", about: "this host will be rebuilt" },
    detailedExitcode,
  },
  kind: "control",
  async run(call, args) {
    const { work, report } = call.acts;
    const need = () => {
      if (args.number !== undefined) return args.number;
      throw new Fault("wip", "usage", `wip ${args.action} needs the number of a piece of work`, {
        hint: "isconf wip",
      });
    };
    switch (args.action) {
      case undefined:
        break;
      case "diff":
        return { ...report.wip(call), differs: await report.wipDiff(call) };
      case "drop": {
        const { branch } = report.wip(call);
        const drop = () => work.dropWip(call, args.rebuild);
        return { branch, items: [], ...await call.host.turn.take("wip drop", drop) };
      }
      case "done":
      case "again": {
        const [n, how] = [need(), args.action];
        await call.host.turn.take(`wip ${how}`, () => work.settleWip(call, n, how));
        break;
      }
      default:
        throw new Fault("wip", "usage", `wip ${inert(args.action)} is not known`, {
          hint: "isconf help wip",
        });
    }
    return report.wip(call);
  },
  show(r, term) {
    if (r.dropped !== undefined) {
      term.say(`dropped ${r.dropped} pieces of work`);
      if (r.diverged) term.say("this host is diverged now: rebuild it, then isconf up");
      return;
    }
    if (r.items.length === 0) return term.say("no work waits to be checked in");
    term.table(r.items.map((i) => [String(i.n), moment(i.timeMs), i.state, i.text, inert(i.message)]));
    for (const d of r.differs ?? []) term.line(`${inert(d.path)}: ${inert(d.what)}`);
    if (r.differs?.length === 0) term.say("the disk agrees with the work");
  },
  exit: (r, args) => args.detailedExitcode && (r.differs ?? r.items).length > 0 ? SOMETHING : 0,
};
