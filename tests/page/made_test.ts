// made: the page with a thousand hosts that were made: it stays readable, each view in both themes, narrow and wide. That its data
// are those of real agents is for real_test.ts.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { lacks } from "../programs.ts";
import { makeBridge } from "./bridge.ts";
import { CHROMIUM, open, startChromium } from "./chromium.ts";
import { MadeAgent } from "./made.ts";
import { walk } from "./views.ts";

const skip = lacks({ files: [CHROMIUM] });
if (skip) console.log(`skipped: the page with a thousand hosts: ${skip}`);
const browser = await startChromium(skip, after);

test("each view with a thousand hosts, light and wide, dark and narrow", { skip }, async (t) => {
  const agent = new MadeAgent({ isForked: true });
  const bridge = await makeBridge(t, agent.answer);
  const visit: Parameters<typeof walk>[5] = async ({ page }, address) => {
    if (address === "drift") {
      await page.getByRole("button", { name: "Compare now" }).click();
      await page.getByText("130 paths differ").waitFor();
    }
    if (address === "journal") {
      await page.locator("article[aria-label='Entry 398'] a").click();
      await page.getByRole("region", { name: "Output of entry 398" }).waitFor();
    }
    if (address === "contents") await page.getByRole("button", { name: /^Ask who has/ }).first().click();
  };
  await walk(browser, bridge, "made", "light", 1600, visit);
  await walk(browser, bridge, "made", "dark", 320, visit);
  assert.deepEqual(
    agent.asked.filter(({ method }) => method !== "GET"),
    [],
    "nothing was done unasked",
  );
});

test("a thousand hosts are counted by state and branch, the worst first, found by a word, page by page", {
  skip,
}, async (t) => {
  const bridge = await makeBridge(t, new MadeAgent().answer);
  const opened = await open(browser, bridge);
  const { page } = opened;
  const table = page.getByRole("table", { name: "Hosts", exact: true });
  const rows = table.getByRole("row");
  await table.waitFor();
  assert.equal(await rows.count(), 51, "a page of fifty and the heads");
  assert.match(await rows.nth(1).innerText(), /diverged/);
  await page.getByText("of 1,000 hosts current").waitFor();
  // The sum over the branches is the whole.
  const chips = await page.getByRole("table", { name: "Hosts by branch and state" }).getByRole("button")
    .allInnerTexts();
  const numbers = chips.map((text) => Number(/([0-9,]+)$/.exec(text.trim())?.[1]?.replace(",", "")));
  assert.equal(numbers.reduce((a, b) => a + b, 0), 2_000, "all branches, and each of them");
  await page.getByRole("button", { name: /^failed/ }).first().click();
  for (const text of (await rows.allInnerTexts()).slice(1)) assert.match(text, /failed/);
  await page.getByRole("button", { name: "Show all" }).click();
  await page.getByRole("button", { name: "Next" }).click();
  await page.getByText("Page 2 of 20, 1,000 hosts").waitFor();
  await page.getByRole("searchbox").fill("-0074");
  await page.getByRole("status").filter({ hasText: /^1 host$/ }).waitFor();
  assert.match(await rows.nth(1).innerText(), /-0074/);
  await page.getByRole("searchbox").fill("no such host");
  await page.getByText("No host is like that.").waitFor();
  opened.needQuiet();
});

test("a status of a thousand hosts is drawn in five seconds, also on a busy machine", { skip }, async (t) => {
  const bridge = await makeBridge(t, new MadeAgent().answer);
  const opened = await open(browser, bridge);
  await opened.page.getByRole("table", { name: "Hosts", exact: true }).waitFor();
  const times: number[] = [];
  for (
    const [address, what] of [["mesh", "Map of the mesh"], ["hosts", "Hosts by branch and state"]] as const
  ) {
    const began = performance.now();
    await opened.view(address, address === "mesh" ? "Mesh" : "Hosts");
    await opened.page.getByLabel(what).waitFor();
    times.push(Math.round(performance.now() - began));
  }
  console.log(`a thousand hosts: map ${times[0]} ms, list ${times[1]} ms`);
  assert.ok(times.every((ms) => ms < 5_000), `${times} ms`);
});

test(
  "events are shown as they come, status follows them, and a cut stream goes on from its cursor",
  { skip },
  async (t) => {
    const agent = new MadeAgent({ hosts: 3 });
    const bridge = await makeBridge(t, agent.answer);
    bridge.events.isOn = true;
    const opened = await open(browser, bridge);
    const { page } = opened;
    await opened.view("live", "Replay and events");
    await page.getByText("heard as they happen").waitFor();
    const asked = () => agent.asked.filter(({ path }) => path === "/v1/status").length;
    const before = asked();
    bridge.events.tell("isconf.entry", "/host/web-0000", {
      branch: "web",
      seq: 413,
      message: "larger backlog",
    });
    await page.getByText("larger backlog").first().waitFor();
    bridge.events.cut();
    bridge.events.tell("isconf.lock", "/host/web-0000", { branch: "web", message: "while nobody listened" });
    await page.getByText("while nobody listened").first().waitFor();
    assert.deepEqual(bridge.events.after.slice(0, 2), ["0", "1"]);
    for (let i = 0; asked() === before && i < 100; i++) await page.waitForTimeout(100);
    assert.ok(asked() > before, "status was asked for anew");
    await page.getByRole("combobox", { name: "Type" }).selectOption("isconf.lock");
    assert.equal(
      await page.getByRole("table", { name: "Events, the newest first" }).getByRole("row").count(),
      2,
    );
    // Said aloud for who cannot see the table.
    assert.match(await page.locator("[aria-live=polite]").last().innerText(), /isconf\.(entry|lock)/);
    await opened.needAccessible("events");
    await opened.picture("made-events");
    opened.needQuiet();
  },
);

test(
  "of two entries for one place one is said to count: asked first, then proposed, each time exactly what the dialog shows",
  {
    skip,
  },
  async (t) => {
    const agent = new MadeAgent({ hosts: 3, isForked: true });
    const bridge = await makeBridge(t, agent.answer);
    const opened = await open(browser, bridge);
    const { page } = opened;
    await opened.view("keepers", "Keepers and proofs");
    const dialog = page.getByRole("dialog");
    const posted = () =>
      agent.asked.filter(({ method }) => method === "POST").map(({ path, body }) => [path, body]);
    const act = async (button: string, args: string) => {
      await page.getByRole("button", { name: button }).click();
      await dialog.getByText(args).waitFor();
      const before = posted().length;
      await page.keyboard.press("Escape"); // who thinks better of it has done nothing
      await dialog.waitFor({ state: "detached" });
      assert.equal(posted().length, before);
      await page.getByRole("button", { name: button }).click();
      await dialog.getByRole("button", { name: button.replace("…", "") }).click();
      await dialog.getByText("Done.").waitFor();
      assert.deepEqual(posted().at(-1), ["/v1/resolve", args]);
      await dialog.getByRole("button", { name: "Close" }).click();
    };
    await act("Show what would be…", '{"branch":"web","yes":false}');
    assert.equal(
      await page.getByRole("button", { name: "Make the proposal…" }).count(),
      0,
      "of which entry?",
    );
    await page.getByLabel(/The id of the entry that counts/).fill("3f2a99");
    await act("Make the proposal…", '{"branch":"web","id":"3f2a99","yes":true}');
    opened.needQuiet();
  },
);
