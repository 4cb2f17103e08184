// The verb keeper: whose votes make an entry certain.
import { Fault } from "../../mq/mod.ts";
import type { KeepersNow, Register } from "../keeper_change.ts";
import { inert } from "../names.ts";
import type { Plan } from "../recovery.ts";
import type { Verb } from "../verb.ts";
import { showPlan } from "./root.ts";

const REGISTERS: Register[] = ["etcd", "keepers"];

interface KeeperArgs {
  action?: string;
  hosts: string[];
  quorum?: number;
  owner: boolean;
  yes: boolean;
}

export const keeperVerb: Verb<KeeperArgs, KeepersNow | Plan> = {
  name: "keeper",
  summary: "show who votes, add keepers, take some away, let an etcd decide; go on when most are lost",
  about:
    "An entry is certain when more than half of the keepers have voted for it: with three of them one may be away, with\nfive two. --quorum asks for more votes, so that keepers may even lie: of 4 keepers 3 (one may), of 7 5 (two). The\nold and the new keepers both have to agree to a change, and nobody may hold a lock. To be typed on a keeper.\nregister etcd lets an etcd cluster decide, which the isconf.conf of every keeper has to name (register = https://…);\nthen one keeper is enough to say what was decided. register keepers lets the keepers decide again.\n`keeper recover` is for when too many of them, or that etcd, are lost for good: it asks every host that can be reached\nhow far the branches have come, says who could not be reached, and, with --yes, makes a proposal for the root keys\n(isconf help root) to go on from there with these keepers, who decide then. What only a host has that was not reached\nwill not count.",
  examples: [
    "isconf keeper",
    "isconf keeper add hostb hostc",
    "isconf keeper remove hosta",
    "isconf keeper register etcd",
    "isconf keeper recover hostb",
    "isconf keeper recover hostb --owner --yes > go-on.root",
  ],
  args: {
    action: {
      kind: "text",
      positional: true,
      values: ["list", "add", "remove", "register", "recover"],
      about: "list, add, remove, register or recover; nothing: list",
    },
    hosts: {
      kind: "texts",
      positional: true,
      is: "host",
      about: "which hosts; of register: etcd or keepers",
    },
    quorum: { kind: "count", about: "how many have to agree; else more than half" },
    owner: { kind: "flag", about: "recover: you shall own the domain, too" },
    yes: { kind: "flag", about: "recover: make the proposal; else it is only shown what would be" },
  },
  kind: "control",
  async run(call, { action = "list", hosts, quorum, owner, yes }) {
    const { keepers, recovery } = call.acts;
    const more = quorum === undefined ? {} : { quorum };
    if (action === "list") return keepers.list(call);
    if (action === "register") {
      const [register] = hosts as [Register];
      if (hosts.length !== 1 || !REGISTERS.includes(register)) {
        throw new Fault("keeper", "usage", `keeper register needs one of ${REGISTERS.join(", ")}`, {
          hint: "isconf help keeper",
        });
      }
      return await call.host.turn.take("keeper register", () => keepers.change(call, { register, ...more }));
    }
    if (action === "recover" && hosts.length > 0) {
      const args = { keepers: hosts, owner, yes, ...more };
      return await call.host.turn.take("keeper recover", () => recovery.recover(call, args));
    }
    if ((action !== "add" && action !== "remove") || (hosts.length === 0 && quorum === undefined)) {
      throw new Fault(
        "keeper",
        "usage",
        `keeper ${inert(action)} needs add, remove, register or recover, and names`,
        {
          hint: "isconf help keeper",
        },
      );
    }
    const args = { [action]: hosts, ...more };
    return await call.host.turn.take(`keeper ${action}`, () => keepers.change(call, args));
  },
  show(r, term, { hosts, owner }) {
    if ("reached" in r) {
      const again = ["isconf keeper recover", ...hosts.map(inert), ...owner ? ["--owner"] : []].join(" ");
      return showPlan(r, term, again);
    }
    term.table(r.keepers.map(({ name, connected }) => [inert(name), connected ? "" : "not connected"]));
    if (r.register === "etcd") {
      return term.say("etcd decides, and one of them is enough to say what was decided");
    }
    const away = r.mayBeAway === 0 ? "none may be away" : `${r.mayBeAway} may be away`;
    term.say(`${r.quorum} of ${r.keepers.length} have to agree: ${away}`);
  },
  exit: (r) => ("reached" in r && r.proposal === null ? 1 : 0),
};
