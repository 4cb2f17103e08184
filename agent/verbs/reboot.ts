// The verb reboot: restart here and, as a barrier, on every other host.
import type { Verb } from "../verb.ts";

export const rebootVerb: Verb<{ now: boolean }, { restarting: boolean }> = {
  name: "reboot",
  summary: "journal a restart as a barrier, and restart this host",
  about:
    "Other hosts stop before it until somebody there says `isconf up -r`. The lock and the work done so far\nsurvive; afterwards ci goes on. --now orders the restart again when the first order did not work.",
  examples: ["isconf reboot"],
  args: { now: { kind: "flag", about: "order the restart again without journaling a second one" } },
  kind: "changes",
  async run(call, args) {
    const { work, apply } = call.acts;
    if (args.now) await call.acts.locks.needLock(call, "reboot");
    else await work.reboot(call);
    call.emit({ event: "restart", text: "this host restarts now; afterwards: isconf ci" });
    await apply.orderRestart(call.host);
    return { restarting: true };
  },
  show: (_r, term) => term.say("restart ordered; afterwards: isconf ci"),
};
