// The verbs name and names: what contents are called in the whole domain, and what each name means.
import type { NameLine } from "../naming.ts";
import { Fault } from "../../mq/mod.ts";
import { inert } from "../names.ts";
import { bytesText } from "../bytes_text.ts";
import { moment, shortId } from "../term.ts";
import type { Verb } from "../verb.ts";

export const nameVerb: Verb<{ name: string; what?: string; copies?: number; delete: boolean }, NameLine> = {
  name: "name",
  summary: "say what a name means on every host of the domain",
  about:
    "Needs the publish role: on branch images for names like images/base, on @domain for any. What it named before stays\nas a version, images/base@3. Who says something else at the same time elsewhere is not overruled: both stand\nside by side until one of them, or a third, names it again. With --delete the name means nothing any more.",
  examples: [
    "isconf name images/base 3f2a…",
    "isconf name --copies 3 images/base base.img",
    "isconf name --delete images/base",
  ],
  args: {
    name: { kind: "text", positional: true, required: true, is: "name", about: "parts with / between them" },
    what: { kind: "text", positional: true, is: "content", about: "an id, or what isconf ls calls it" },
    copies: { kind: "count", about: "how many hosts shall keep it; else 2" },
    delete: { kind: "flag", about: "withdraw the name" },
  },
  kind: "control",
  run(call, args) {
    const { name, what, copies } = args;
    if (args.delete !== (what === undefined) || (args.delete && copies !== undefined)) {
      throw new Fault("name", "usage", "a name is given an id, or withdrawn with --delete alone", {
        hint: "isconf name NAME ID, or isconf name --delete NAME",
      });
    }
    if (what === undefined) return call.acts.naming.withdrawName(call, name);
    return call.acts.naming.setName(call, { name, what, ...(copies === undefined ? {} : { copies }) });
  },
  show(r, term) {
    const is = r.id === ""
      ? "means nothing any more"
      : `is ${shortId(r.id)} (${r.kind}, ${bytesText(r.size)})`;
    term.say(`${inert(r.name)} ${is}; version ${r.seq}`);
  },
};

export const namesVerb: Verb<{ name?: string }, { names: NameLine[] }> = {
  name: "names",
  summary: "what names mean in this domain, who says so, and since when",
  about:
    "Without an argument: every name and what it means now. With a name: all versions of it that are kept. What several\npeople say differently stands side by side. What was said with a key that was revoked since means nothing until\nsomebody who may says it again.",
  examples: ["isconf names", "isconf names images/base"],
  args: { name: { kind: "text", positional: true, is: "name", about: "one name" } },
  kind: "reads",
  run: (call, args) => ({ names: call.host.names.list(args.name) }),
  show(r, term) {
    if (r.names.length === 0) return term.say("nothing has a name yet");
    term.table(r.names.map((n) => [
      `${inert(n.name)}@${n.seq}`,
      n.id === "" ? "withdrawn" : shortId(n.id),
      n.id === "" ? "" : bytesText(n.size),
      n.kind,
      n.id === "" ? "" : `${n.copies} ${n.copies === 1 ? "copy" : "copies"}`,
      inert(n.who),
      moment(n.timeMs),
      STATES[n.state],
    ]));
  },
};

const STATES: Record<NameLine["state"], string> = {
  current: "",
  beside: "one of several",
  replaced: "replaced",
  lapsed: "key revoked: say it again",
};
