// Views: all views of the page by address and heading, and a walk through them as every test of views does it. Not the tests.
import assert from "node:assert/strict";
import type { Browser } from "playwright-core";
import { open, type Opened, type Place } from "./chromium.ts";

/** Every view, and what its heading says. */
export const VIEWS: [address: string, heading: string][] = [
  ["hosts", "Hosts"],
  ["journal", "Journal"],
  ["live", "Replay and events"],
  ["drift", "Drift"],
  ["locks", "Locks"],
  ["contents", "Contents"],
  ["keepers", "Keepers and proofs"],
  ["mesh", "Mesh"],
  ["machines", "Machines"],
];

/** In none of these is anything wider than the window. */
const WIDTHS = [320, 768, 1024, 1600];

/** Waits until no answer is awaited any more. */
export async function settled({ page }: Opened): Promise<void> {
  await page.getByText("Asking the agent…").first().waitFor({ state: "detached" });
}

/** That the page is no wider than its window. */
export async function needNarrow({ page }: Opened, what: string): Promise<void> {
  const [wide, window] = await page.evaluate("[document.documentElement.scrollWidth, innerWidth]") as [
    number,
    number,
  ];
  assert.ok(wide <= window, `${what}: ${wide} px of ${window} px`);
}

/** Walks through all views in one look; each is looked at by axe and left as a picture called after `name`. */
export async function walk(
  browser: Browser,
  place: Place,
  name: string,
  scheme: "light" | "dark",
  width: number,
  visit: (opened: Opened, address: string) => Promise<void> = async () => {},
): Promise<void> {
  const opened = await open(browser, place, { scheme, width, height: 1200 });
  for (const [address, heading] of VIEWS) {
    await opened.view(address, heading);
    await settled(opened);
    await visit(opened, address);
    for (const other of scheme === "light" ? WIDTHS : [width]) {
      await opened.page.setViewportSize({ width: other, height: 1200 });
      await needNarrow(opened, `${address}, ${other} px`);
    }
    await opened.page.setViewportSize({ width, height: 1200 });
    await opened.needAccessible(`${address}, ${scheme}`);
    await opened.picture(`${name}-${address}-${scheme}-${width}`);
  }
  opened.needQuiet();
  await opened.page.context().close();
}
