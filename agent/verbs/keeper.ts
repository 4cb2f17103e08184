// The verb keeper: whose votes make an entry certain.
import { Fault } from "../../mq/mod.ts";
import type { KeepersNow, Register } from "../keeper_change.ts";
import { inert } from "../names.ts";
import type { Verb } from "../verb.ts";

const REGISTERS: Register[] = ["etcd", "keepers"];

export const keeperVerb: Verb<{ action?: string; hosts: string[]; quorum?: number }, KeepersNow> = {
  name: "keeper",
  summary: "show who votes, add keepers, take some away, let an etcd decide",
  about:
    "An entry is certain when more than half of the keepers have voted for it: with three of them one may be away, with\nfive two. --quorum asks for more votes, so that keepers may even lie: of 4 keepers 3 (one may), of 7 5 (two). The\nold and the new keepers both have to agree to a change, and nobody may hold a lock. To be typed on a keeper.\nregister etcd lets an etcd cluster decide, which the isconf.conf of every keeper has to name (register = https://…);\nthen one keeper is enough to say what was decided. register keepers lets the keepers decide again.",
  examples: [
    "isconf keeper",
    "isconf keeper add hostb hostc",
    "isconf keeper remove hosta",
    "isconf keeper register etcd",
  ],
  args: {
    action: { kind: "text", positional: true, about: "list, add, remove or register; nothing: list" },
    hosts: { kind: "texts", positional: true, about: "which hosts; of register: etcd or keepers" },
    quorum: { kind: "count", about: "how many have to agree; else more than half" },
  },
  kind: "control",
  async run(call, { action = "list", hosts, quorum }) {
    const { keepers } = call.acts;
    if (action === "list") return keepers.list(call);
    if (action === "register") {
      const [register] = hosts as [Register];
      if (hosts.length !== 1 || !REGISTERS.includes(register)) {
        throw new Fault("keeper", "usage", `keeper register needs one of ${REGISTERS.join(", ")}`, {
          hint: "isconf help keeper",
        });
      }
      const args = { register, ...(quorum === undefined ? {} : { quorum }) };
      return await call.host.turn.take("keeper register", () => keepers.change(call, args));
    }
    if ((action !== "add" && action !== "remove") || (hosts.length === 0 && quorum === undefined)) {
      throw new Fault("keeper", "usage", `keeper ${inert(action)} needs add, remove or register, and names`, {
        hint: "isconf help keeper",
      });
    }
    const args = { [action]: hosts, ...(quorum === undefined ? {} : { quorum }) };
    return await call.host.turn.take(`keeper ${action}`, () => keepers.change(call, args));
  },
  show(r, term) {
    term.table(r.keepers.map(({ name, connected }) => [inert(name), connected ? "" : "not connected"]));
    if (r.register === "etcd") {
      return term.say("etcd decides, and one of them is enough to say what was decided");
    }
    const away = r.mayBeAway === 0 ? "none may be away" : `${r.mayBeAway} may be away`;
    term.say(`${r.quorum} of ${r.keepers.length} have to agree: ${away}`);
  },
};
