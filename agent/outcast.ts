// Outcast: how a host that was evicted hears of it. Others cut it off before they could tell, so it asks as a stranger
// does, where it once joined, for the control entries that it lacks. Not what is answered to it (enrol.ts).
import { decode, encode, Fault } from "../mq/mod.ts";
import { type Host, hostId } from "./host.ts";
import { readRecord, takeIn } from "./intake.ts";
import { CONTROL } from "./names.ts";
import { getMeta } from "./schema.ts";
import type { Policy } from "./trust.ts";

/** Whether this host was taken out of the domain, as far as it knows. */
export function isEvicted(host: Host, policy: Policy): boolean {
  return policy.revoked.has(hostId(host));
}

/** When no keeper is connected: asks whether that is because this host was evicted. Who does not answer says nothing. */
export async function askWhetherEvicted(host: Host): Promise<void> {
  const connected = host.mesh.peers();
  const policy = host.turn.isClosed ? undefined : host.journal.policy();
  if (policy === undefined || policy.keepers.hosts.some((k) => k === hostId(host) || connected.includes(k))) {
    return;
  }
  for (const address of new Set([...placesOf(host), ...host.config.peers])) {
    if (host.turn.isClosed || isEvicted(host, host.journal.needPolicy("evict"))) return;
    try {
      const after = host.journal.head(CONTROL).seq;
      const { answer } = await host.mesh.introduce(address, encode({ what: "control", after }));
      const records = host.turn.isClosed ? [] : decode(answer);
      for (const record of Array.isArray(records) ? records : []) takeIn(host, [readRecord(record)]);
    } catch (e) {
      if (!(e instanceof Fault)) throw e; // nobody is there, or nobody who knows us
    }
  }
}

/** Where the host is, or was, that made this host's token. */
export function placesOf(host: Host): string[] {
  return (getMeta(host.db, "joining") ?? "").split(" ").filter(Boolean);
}
