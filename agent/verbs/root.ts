// The verbs root, resolve and rebase: what is beyond owners and keepers: the root keys, and chains that parted.
// How a key is made and a proposal signed is in root_here.ts.
import { Fault } from "../../mq/mod.ts";
import { CONTROL, inert } from "../names.ts";
import type { Plan, Rebased } from "../recovery.ts";
import type { Proposed, RootsNow } from "../root_change.ts";
import type { Term } from "../term.ts";
import type { Verb } from "../verb.ts";

interface RootArgs {
  action?: string;
  words: string[];
  threshold?: number;
  key?: string;
}

type RootResult = RootsNow | Proposed | { said: string[]; seq: number };

/** What the words after each action are. */
const OF_ACTION = { sign: "file", submit: "file", grant: "person", revoke: "person" } as const;

export const rootVerb: Verb<RootArgs, RootResult> = {
  name: "root",
  summary: "show the root keys; change them, and sign what only they can say",
  about:
    "The recovery key that init printed is the first one. `root add` and `root remove` print a proposal: send it round as\na file, everybody whose signature it needs runs `root sign FILE`, on any machine, and whoever made it submits it, also\nas several copies. From two keys on two have to sign, unless --threshold says otherwise; then they also decide who\nowns the domain (`root grant`, `root revoke`). `root key` makes a new key. `root sign` reads the secret from --key\nFILE, or from standard input.",
  examples: [
    "isconf root key",
    "isconf root add KEY KEY > two.root",
    "isconf root sign two.root",
    "isconf root submit two.root",
    "isconf root remove KEY > gone.root",
    "isconf root grant alice@hostb owner '*' > alice.root",
  ],
  args: {
    action: {
      kind: "text",
      positional: true,
      values: ["list", "key", "add", "remove", "grant", "revoke", "sign", "submit"],
      about: "list, key, add, remove, grant, revoke, sign or submit; nothing: list",
    },
    words: { kind: "texts", positional: true, is: OF_ACTION, about: "which keys, files or persons" },
    threshold: { kind: "count", about: "how many have to sign from then on" },
    key: { kind: "text", is: "file", about: "sign: the file with the key's secret" },
  },
  kind: "here",
  async run(call, { action = "list", words, threshold }) {
    const { roots } = call.acts;
    const more = threshold === undefined ? {} : { threshold };
    const [first, ...rest] = words;
    switch (action) {
      case "list":
        return roots.list(call);
      case "add":
        return roots.change(call, { add: words, ...more });
      case "remove":
        return roots.change(call, { remove: words, ...more });
      case "grant":
        if (first === undefined || rest.length !== 2) break;
        return await roots.grant(call, { person: first, role: rest[0]!, branch: rest[1]! });
      case "revoke":
        if (first === undefined) break;
        return roots.revoke(call, { whose: first, reason: rest.join(" ") });
      case "submit":
        return await call.host.turn.take("root submit", () => roots.submit(call, words));
    }
    throw new Fault("root", "usage", `root ${inert(action)} is not complete, or nothing that can be done`, {
      hint: "isconf help root",
    });
  },
  show(r, term) {
    if ("proposal" in r) return showProposal(r, term);
    if ("said" in r) {
      return term.say(`said by the root keys, as entry ${r.seq} of ${CONTROL}: ${r.said.join("; ")}`);
    }
    term.table(r.keys.map((key) => [key]));
    term.say(`${r.threshold} of ${r.keys.length} have to sign${r.epoch === 0 ? "" : `; epoch ${r.epoch}`}`);
  },
};

function showProposal({ proposal, says, now, next }: Proposed, term: Term): void {
  for (const line of says) term.say(line);
  const both = next > 0 ? `, and of ${next} of those to be` : "";
  term.say(
    `needs the signatures of ${now} of the root keys${both}: isconf root sign FILE, then isconf root submit FILE`,
  );
  term.line(proposal);
}

/** A plan for a new epoch as people read it, and the proposal as data; false: it was only shown. */
export function showPlan(r: Plan, term: Term, again: string): void {
  term.say(`reached: ${r.reached.map(inert).join(", ")}`);
  const missing = r.missing.length === 0 ? "nobody" : r.missing.map(inert).join(", ");
  term.say(`NOT reached: ${missing}${r.missing.length === 0 ? "" : "; what only they have will not count"}`);
  for (const { branch, seq } of r.ends) term.say(`${inert(branch)} goes on after entry ${seq}`);
  for (const line of r.lost) term.say(`will not count: ${inert(line)}`);
  term.say(`keepers: ${r.keepers.map(inert).join(", ")}; ${r.quorum} have to agree`);
  if (r.proposal === null) {
    return term.say(`nothing has changed; to propose that to the root keys: ${again} --yes > FILE`);
  }
  term.say("for the root keys: isconf root sign FILE, then isconf root submit FILE");
  term.line(r.proposal);
}

export const resolveVerb: Verb<{ branch: string; id?: string; yes: boolean }, Plan> = {
  name: "resolve",
  summary: "say which of two certified entries for one place counts",
  about:
    "Two certified entries for one place mean that keepers have lied, or were put back from a backup: the branch stands still\non every host. This makes a proposal for the root keys to go on from the one whose id begins with ID, typed on a host\nthat has it. Hosts that had applied the other one are diverged: they are to be rebuilt. Without --yes it is only shown\nwhat would be. Of @domain neither stays, and what was said from there on has to be said again.",
  examples: [
    "isconf resolve main 3f2a99b07c11 > fork.root",
    "isconf resolve main 3f2a99b07c11 --yes > fork.root",
  ],
  args: {
    branch: {
      kind: "text",
      positional: true,
      required: true,
      is: "branch",
      about: "the branch that is frozen",
    },
    id: { kind: "text", positional: true, about: "the beginning of the id of the entry that counts" },
    yes: { kind: "flag", about: "make the proposal" },
  },
  kind: "control",
  run: (call, { branch, id, yes }) =>
    call.host.turn.take(
      "resolve",
      () => call.acts.recovery.resolve(call, { branch, yes, ...(id === undefined ? {} : { keep: id }) }),
    ),
  show: (r, term, { branch, id }) =>
    showPlan(r, term, `isconf resolve ${inert(branch)}${id === undefined ? "" : ` ${inert(id)}`}`),
  exit: (r) => (r.proposal === null ? 1 : 0),
};

export const rebaseVerb: Verb<{ yes: boolean }, Rebased> = {
  name: "rebase",
  summary: "go on from what counts, on a host that has applied what does not",
  about:
    "For a host that is diverged because the root keys have said that something it applied does not count. Rebuilding it\nis the safe way. Whoever has put right by hand what those entries had done says so with --yes; without, it is only\nshown which they are. Then: isconf up.",
  examples: ["isconf rebase", "isconf rebase --yes"],
  args: { yes: { kind: "flag", about: "it has been put right" } },
  kind: "changes",
  run: (call, args) => call.acts.recovery.rebase(call, args),
  show(r, term) {
    for (const line of r.undone) term.line(line);
    if (r.done) term.say(`this host is at entry ${r.at} of ${inert(r.branch)}; now: isconf up`);
    else term.say("these ran here and do not count; once that is put right by hand: isconf rebase --yes");
  },
  exit: (r) => (r.done ? 0 : 1),
};
