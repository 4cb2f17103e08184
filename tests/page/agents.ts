// Agents: three real hosts of one domain on loopback, each an executable with a home of its own, whose net halves serve the page. Not made
// hosts (made.ts), and nothing between browser and agent.
import { ISCONF, makeBox, until } from "../cli/tools.ts";
import type { Box } from "../cli/tools.ts";
import type { Place } from "./chromium.ts";

export { type Box, ISCONF, until };

type Test = Parameters<typeof makeBox>[0];

/** Hosts called hosta, hostb, hostc: the first began the domain, the others joined it. */
export async function makeHosts(t: Test): Promise<[Box, Box, Box]> {
  const boxes = ["hosta", "hostb", "hostc"].map((name) => makeBox(t, name)) as [Box, Box, Box];
  for (const box of boxes) box.conf("http = 127.0.0.1:0\n");
  const [first, ...others] = boxes;
  await first.begin();
  for (const box of others) {
    await box.start();
    const token = (await first.ok(["token", "--approve"])).trim();
    const name = box.home.split("/").at(-1) as string;
    await box.ok(["join", "--host", name, token]);
  }
  return boxes;
}

/** What `isconf page` prints there, with these roles. */
export async function pageOf(box: Box, ...roles: string[]): Promise<Place> {
  const printed = await box.ok(["page", ...roles.flatMap((role) => ["--role", role])]);
  const { origin, hash } = new URL(printed.trim());
  return { url: `${origin}/`, token: hash.replace(/^#token=/, "") };
}

/** Locks, runs these commands and checks in. */
export async function checkIn(box: Box, message: string, ...commands: string[][]): Promise<void> {
  await box.ok(["lock", message]);
  for (const words of commands) await box.ok(words);
  await box.ok(["ci"]);
}
