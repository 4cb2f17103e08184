// Verdict: what must be so when a run of chaos is over and all is healed: the invariants that can be seen from outside. What the
// answers of lock and ci must be is for the judges of tests/judge.
import assert from "node:assert/strict";
import type { Operation } from "../../judge/history.ts";
import type { Fleet, Host } from "../fleet.ts";
import { workOf } from "./admin.ts";

export interface Line {
  seq: number;
  id: string;
  ops: string[];
  here: string;
}

export async function logOf(host: Host, ...words: string[]): Promise<Line[]> {
  return JSON.parse((await host.must(["isconf", "--json", "log", ...words])).stdout).entries;
}

/** What has ever been seen at each place, on any host: never two different entries. */
export class Places {
  readonly #seen = new Map<number, { id: string; by: string }>();

  take(by: string, lines: readonly Line[]): void {
    for (const { seq, id } of lines) {
      const known = this.#seen.get(seq);
      const text = `two different entries ${seq}: ${known?.id} on ${known?.by}, ${id} on ${by}`;
      assert.equal(known?.id ?? id, id, text);
      this.#seen.set(seq, { id, by });
    }
  }
}

/**
 * Checks a healed fleet whose hosts have all applied everything; returns the work in the order of the journal.
 */
export async function checkFleet(
  fleet: Fleet,
  operations: readonly Operation[],
  places: Places,
): Promise<string[]> {
  const logs = await Promise.all(fleet.names.map((name) => logOf(fleet.host(name))));
  const [first] = logs as [Line[]];
  const idsOf = (log: Line[]) => log.map(({ seq, id }) => `${seq} ${id}`);
  fleet.names.forEach((name, i) => {
    places.take(name, logs[i]!);
    assert.deepEqual(idsOf(logs[i]!), idsOf(first), `the journal of ${name}`);
    assert.deepEqual(logs[i]!.filter(({ here }) => here !== "applied"), [], `not applied on ${name}`);
  });
  const final = first.map(({ ops }) => workOf(ops.join(" ")));
  assert.equal(new Set(final).size, final.length, `an entry is there twice: ${final.join(" ")}`);
  for (const { op, client, ids = [], from = 0, returnUs } of operations) {
    if (op !== "ci" || returnUs === null) continue;
    assert.deepEqual(
      final.slice(from - 1, from - 1 + ids.length),
      ids,
      `what ${client} has checked in at ${from}`,
    );
  }
  const commands = first.filter(({ ops }) => /\/srv\/n/.test(ops.join(" "))).map(({ ops }) =>
    workOf(ops.join(" "))
  );
  const files = final.filter((id) => !commands.includes(id)).sort();
  for (const name of fleet.names) {
    const host = fleet.host(name);
    assert.equal(
      await host.sh("cat /srv/n 2>/dev/null || :"),
      commands.join("\n"),
      `commands that ran on ${name}`,
    );
    for (const id of files) assert.equal(String(await host.read(`/srv/s/${id}`)), id, `a file on ${name}`);
    await host.ok("verify");
  }
  return final;
}
