// Records: a domain and one check-in, made by a real first host through its real verbs, as the records that travel.
// Made once for any number of simulated hosts; nothing here is simulated.
import * as fs from "node:fs";
import * as path from "node:path";
import type { EntryRecord } from "../../agent/mod.ts";
import { makeFirstHost, run } from "../world.ts";

/** A domain whose one keeper is its first host, and what that host checked in. */
export interface Records {
  /** The id of the domain, in hex, and of its first host. */
  domain: string;
  first: string;
  control: EntryRecord[];
  /** The entries of one check-in of the branch `main`: a file and a command. */
  work: EntryRecord[];
}

/** Makes them; the host they come from is gone when the owner ends. */
export async function makeRecords(t: { after(fn: () => Promise<void>): void }): Promise<Records> {
  const host = await makeFirstHost(t);
  const { journal } = host.agent.host;
  const file = path.join(host.dir, "file");
  fs.writeFileSync(file, "x".repeat(1024));
  await host.acts.locks.lock(host.call(), "work");
  await host.acts.work.snap(host.call(), file, false);
  await run(host, ["/bin/true"]);
  await host.acts.checkin.ci(host.call());
  const policy = journal.needPolicy("simulation");
  return {
    domain: journal.domain() as string,
    first: policy.keepers.hosts[0] as string,
    control: [...journal.range("@domain", 1, Infinity)],
    work: [...journal.range("main", 1, Infinity)],
  };
}
