// keyboard: the page without a mouse: what has the focus is always seen, everything can be reached, and nobody is caught. Made hosts.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { Page } from "playwright-core";
import { lacks } from "../programs.ts";
import { makeBridge } from "./bridge.ts";
import { CHROMIUM, open, startChromium } from "./chromium.ts";
import { MadeAgent } from "./made.ts";
import { VIEWS } from "./views.ts";

const skip = lacks({ files: [CHROMIUM] });
if (skip) console.log(`skipped: the page without a mouse: ${skip}`);
const browser = await startChromium(skip, after);

/** What has the focus: what it is called, and whether it is seen that it has it. */
async function focused(page: Page): Promise<{ name: string; isSeen: boolean; tag: string }> {
  return await page.evaluate(`(() => {
    const e = document.activeElement;
    const s = getComputedStyle(e);
    const halo = e.querySelector?.(".halo");
    const isSeen = (s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2) ||
      (halo !== null && halo !== undefined && getComputedStyle(halo).stroke !== "none");
    const name = e.getAttribute("aria-label") ?? (e.labels?.[0] ?? e).textContent ?? "";
    return { name: name.trim(), isSeen, tag: e.tagName.toLowerCase() };
  })()`);
}

/** Presses a key until what has the focus is called so. */
async function press(page: Page, key: string, name: RegExp, most = 60): Promise<void> {
  const passed: string[] = [];
  for (let i = 0; i < most; i++) {
    await page.keyboard.press(key);
    const now = await focused(page);
    assert.ok(now.tag === "body" || now.isSeen, `the focus is seen on ${now.tag} ${now.name}`);
    if (name.test(now.name)) return;
    passed.push(now.name);
  }
  assert.fail(`${key} does not lead to ${name}: ${passed.join(" | ")}`);
}

test("views, an entry, a dialog and the map by keyboard alone", { skip }, async (t) => {
  const agent = new MadeAgent({ hosts: 12 });
  const opened = await open(browser, await makeBridge(t, agent.answer));
  const { page } = opened;
  await page.getByRole("button", { name: "Approve…" }).first().waitFor();

  // The first stop leads past the navigation.
  await press(page, "Tab", /^Skip to the content$/, 1);
  await page.keyboard.press("Enter");
  assert.deepEqual(await focused(page), { name: "Hosts", isSeen: true, tag: "h1" });

  // A dialog: its heading has the focus, not its button; nothing outside of it is reached; it gives the focus back.
  await press(page, "Tab", /^Approve…$/);
  await page.keyboard.press("Enter");
  assert.equal((await focused(page)).name, "Let this host in?");
  const inside = new Set<string>();
  for (let i = 0; i < 8; i++) {
    await page.keyboard.press("Tab");
    const isInside = await page.evaluate(
      "document.activeElement === document.body || document.activeElement.closest('dialog') !== null",
    );
    assert.ok(isInside, "the focus stays in the dialog");
    inside.add((await focused(page)).name);
  }
  assert.ok(inside.has("Do not") && inside.has("Approve"), [...inside].join(", "));
  await page.keyboard.press("Escape");
  assert.equal((await focused(page)).name, "Approve…");
  assert.equal(agent.asked.some(({ path }) => path === "/v1/approve"), false);

  // Every view by the navigation; its heading is where one goes on.
  for (const [, heading] of VIEWS.slice(1)) {
    await press(page, "Shift+Tab", new RegExp(`^${heading}`), 80);
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { level: 1, name: heading }).waitFor();
    await page.waitForFunction("document.activeElement?.tagName === 'H1'");
    assert.equal(await page.title(), `${heading} – isconf`);
  }

  // The map is one stop; arrows go from host to host, and what is chosen is said.
  await opened.view("mesh", "Mesh");
  await page.waitForFunction("document.activeElement?.tagName === 'H1'");
  await press(page, "Tab", /^web-0000, behind/);
  await page.keyboard.press("ArrowRight");
  const second = (await focused(page)).name;
  assert.notEqual(second, "");
  assert.ok(!second.startsWith("web-0000"), second);
  await page.getByRole("status").filter({ hasText: second.split(",")[0] as string }).waitFor();
  await page.keyboard.press("End");
  await page.keyboard.press("ArrowRight");
  assert.match((await focused(page)).name, /^web-0000/);

  // An entry opens and closes where one is.
  await opened.view("journal", "Journal");
  await page.locator("article").first().waitFor();
  await press(page, "Tab", /upgrade openssh/);
  await page.keyboard.press("Enter");
  await page.getByRole("region", { name: /^Output of|^$/ }).or(page.getByText("Operations")).first()
    .waitFor();
  assert.equal(await page.locator("a[aria-expanded=true]").count(), 1);
  await page.keyboard.press("Enter");
  await page.locator("a[aria-expanded=true]").waitFor({ state: "detached" });

  // Light and dark.
  const ground = () => page.evaluate("getComputedStyle(document.body).backgroundColor");
  const before = await ground();
  await press(page, "Shift+Tab", /^Colours: system$/, 80);
  await page.keyboard.press("Enter");
  await page.keyboard.press("Enter");
  assert.match((await focused(page)).name, /^Colours: dark$/);
  assert.notEqual(await ground(), before);
  opened.needQuiet();
});
