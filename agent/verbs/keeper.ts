// The verb keeper: whose votes make an entry certain.
import { Fault } from "../../mq/mod.ts";
import type { KeepersNow } from "../keeper_change.ts";
import { inert } from "../names.ts";
import type { Plan } from "../recovery.ts";
import type { Verb } from "../verb.ts";
import { showPlan } from "./root.ts";

interface KeeperArgs {
  action?: string;
  hosts: string[];
  quorum?: number;
  owner: boolean;
  yes: boolean;
}

export const keeperVerb: Verb<KeeperArgs, KeepersNow | Plan> = {
  name: "keeper",
  summary: "show who votes, add keepers, take some away; go on when most are lost",
  about:
    "An entry is certain when more than half of the keepers have voted for it: with three of them one may be away, with\nfive two. --quorum asks for more votes, so that keepers may even lie: of 4 keepers 3 (one may), of 7 5 (two). The\nold and the new keepers both have to agree to a change, and nobody may hold a lock. To be typed on a keeper.\n`keeper recover` is for when too many of them are lost for good: it asks every host that can be reached how far the\nbranches have come, says who could not be reached, and, with --yes, makes a proposal for the root keys (isconf help\nroot) to go on from there with these keepers. What only a host has that was not reached will not count.",
  examples: [
    "isconf keeper",
    "isconf keeper add hostb hostc",
    "isconf keeper remove hosta",
    "isconf keeper recover hostb",
    "isconf keeper recover hostb --owner --yes > go-on.root",
  ],
  args: {
    action: { kind: "text", positional: true, about: "list, add, remove or recover; nothing: list" },
    hosts: { kind: "texts", positional: true, about: "which hosts" },
    quorum: { kind: "count", about: "how many have to agree; else more than half" },
    owner: { kind: "flag", about: "recover: you shall own the domain, too" },
    yes: { kind: "flag", about: "recover: make the proposal; else it is only shown what would be" },
  },
  kind: "control",
  async run(call, { action = "list", hosts, quorum, owner, yes }) {
    const { keepers, recovery } = call.acts;
    const more = quorum === undefined ? {} : { quorum };
    if (action === "list") return keepers.list(call);
    if (action === "recover" && hosts.length > 0) {
      const args = { keepers: hosts, owner, yes, ...more };
      return await call.host.turn.take("keeper recover", () => recovery.recover(call, args));
    }
    if ((action !== "add" && action !== "remove") || (hosts.length === 0 && quorum === undefined)) {
      throw new Fault(
        "keeper",
        "usage",
        `keeper ${inert(action)} needs add, remove or recover, and names of hosts`,
        {
          hint: "isconf help keeper",
        },
      );
    }
    const names = { add: [], remove: [], [action]: hosts };
    const args = { ...names, ...more };
    return await call.host.turn.take(`keeper ${action}`, () => keepers.change(call, args));
  },
  show(r, term, { hosts, owner }) {
    if ("reached" in r) {
      const again = ["isconf keeper recover", ...hosts.map(inert), ...owner ? ["--owner"] : []].join(" ");
      return showPlan(r, term, again);
    }
    term.table(r.keepers.map(({ name, connected }) => [inert(name), connected ? "" : "not connected"]));
    const away = r.mayBeAway === 0 ? "none may be away" : `${r.mayBeAway} may be away`;
    term.say(`${r.quorum} of ${r.keepers.length} have to agree: ${away}`);
  },
  exit: (r) => ("reached" in r && r.proposal === null ? 1 : 0),
};
