// Boot up: which of the machines that were booted from here have come to the end of their way: as hosts of the domain that say so themselves, signed.
// The steps before are what machines said on the wire, and here only name whom to look for. Not the boot log (netboot/boot_log.ts).
import type { Host } from "./host.ts";
import type { BootLine } from "./seam_netboot.ts";
import { members } from "./trust.ts";

/** Steps after which a machine may be a host that goes through its journal. */
const NEARLY = ["joined", "image", "installed"];

/** Machines that are nearly there, with what they are called and since when. */
export function nearlyUp(notes: readonly BootLine[]): Map<string, { name: string; sinceMs: number }> {
  const found = new Map<string, { name: string; sinceMs: number }>();
  for (const { mac, step, text, timeMs } of notes) {
    const before = found.get(mac);
    if (step === "joined") found.set(mac, { name: text, sinceMs: timeMs });
    else if (before === undefined || !NEARLY.includes(step)) found.delete(mac);
  }
  return found;
}

/** Of the machines in `notes`, those whose host is at the end of its branch since they joined, each with the host's name. */
export async function machinesUp(
  host: Pick<Host, "journal" | "reports">,
  notes: readonly BootLine[],
): Promise<[mac: string, name: string][]> {
  const nearly = nearlyUp(notes);
  const policy = host.journal.policy();
  if (nearly.size === 0 || policy === undefined) return [];
  const named = new Map([...members(policy)].map(([id, { name }]) => [name, id]));
  const said = new Map((await host.reports.gather()).map((report) => [report.host, report]));
  return [...nearly].flatMap(([mac, { name, sinceMs }]): [string, string][] => {
    const report = said.get(named.get(name) ?? "");
    const isUp = report?.state === "current" && report.heardMs > sinceMs &&
      report.at === host.journal.head(report.branch).seq;
    return isUp ? [[mac, name]] : [];
  });
}
