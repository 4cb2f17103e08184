// hostile: texts of people, hosts and commands that would do something where they are taken for more than text. Not hostile agents
// (trouble_test.ts).
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { lacks } from "../programs.ts";
import { makeBridge } from "./bridge.ts";
import { CHROMIUM, open, type Opened, startChromium } from "./chromium.ts";
import { HOSTILE, MadeAgent } from "./made.ts";
import { needNarrow, settled, VIEWS } from "./views.ts";

const skip = lacks({ files: [CHROMIUM] });
if (skip) console.log(`skipped: hostile texts: ${skip}`);
const browser = await startChromium(skip, after);

/** What no text on the page may have in it as it is. */
const UNSAFE = String
  .raw`/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff\u{e0000}-\u{e007f}]/u`;

/** That the page shows texts, and has become nothing else by them. */
async function needInert({ page }: Opened, where: string): Promise<void> {
  const found = await page.evaluate(`(() => {
    const unsafe = ${UNSAFE};
    const texts = [];
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let n = walk.nextNode(); n; n = walk.nextNode()) if (unsafe.test(n.data)) texts.push(n.data.slice(0, 80));
    const attributes = [...document.querySelectorAll("*")].flatMap((e) => [...e.attributes])
      .filter(({ name, value }) => name.startsWith("on") || unsafe.test(value) || name === "srcdoc" || /^\\s*javascript:/i.test(value)).map(({ name, value }) => name + value);
    return {
      texts,
      attributes,
      elements: [...document.querySelectorAll("img, iframe, object, embed, base, form[action], script, style")].map((e) => e.outerHTML)
        .filter((html) => html !== '<script src="page.js" defer=""></script>'),
      title: document.title.includes("owned"),
    };
  })()`);
  assert.deepEqual(found, { texts: [], attributes: [], elements: [], title: false }, where);
}

test("hostile texts are texts, in every view, in both themes", { skip }, async (t) => {
  const agent = new MadeAgent({ hosts: 40, isHostile: true, isForked: true });
  const bridge = await makeBridge(t, agent.answer);
  bridge.events.isOn = true;
  for (const [i, text] of HOSTILE.entries()) {
    bridge.events.tell(i === 0 ? "isconf.lock" : `isconf.${text}`, `/host/${text}`, {
      message: text,
      [text]: text,
    });
  }
  for (const [scheme, width] of [["dark", 1280], ["light", 320]] as const) {
    const opened = await open(browser, bridge, { scheme, width });
    const { page } = opened;
    for (const [address, heading] of VIEWS) {
      await opened.view(address, heading);
      await settled(opened);
      if (address === "drift") {
        await page.getByRole("button", { name: "Compare now" }).click();
        await page.getByText("130 paths differ").waitFor();
      }
      if (address === "contents") await page.getByRole("button", { name: /^Ask who has/ }).first().click();
      await needInert(opened, address);
      await opened.picture(`hostile-${address}-${scheme}-${width}`);
      await needNarrow(opened, `${address}, ${width} px`);
    }
    for (const address of ["journal/web/398", "journal/%2Bcommands/118"]) {
      await opened.view(address, "Journal");
      await page.getByRole("region", { name: /^Output of/ }).waitFor();
      await needInert(opened, address);
      await needNarrow(opened, `${address}, ${width} px`);
    }
    await opened.needAccessible(`an entry, ${scheme}`);
    opened.needQuiet();
    await page.context().close();
  }
});

test("a dialog shows hostile names as texts, and what is sent is what it shows", { skip }, async (t) => {
  const agent = new MadeAgent({ hosts: 3, isHostile: true });
  const bridge = await makeBridge(t, agent.answer);
  agent.posts.set("approve", { status: 200, body: { host: HOSTILE[4], fingerprint: HOSTILE[0] } });
  const opened = await open(browser, bridge);
  const { page } = opened;
  await page.getByRole("button", { name: "Approve…" }).first().click();
  const dialog = page.getByRole("dialog");
  await needInert(opened, "the dialog");
  const shown = await dialog.getByRole("region", { name: "Arguments" }).innerText();
  await dialog.getByRole("button", { name: "Approve" }).click();
  await dialog.getByText("Done.").waitFor();
  await needInert(opened, "the outcome");
  assert.equal(agent.asked.find(({ path }) => path === "/v1/approve")?.body, shown);
  opened.needQuiet();
});

test("an address with anything in it leads to a view or nowhere", { skip }, async (t) => {
  const bridge = await makeBridge(t, new MadeAgent({ hosts: 3 }).answer);
  const opened = await open(browser, bridge);
  for (
    const hash of [
      "/%",
      "/journal/%ff/%00",
      "/__proto__",
      `/hosts/${encodeURIComponent(HOSTILE[1])}`,
      "javascript:alert(1)",
      "/journal/x/NaN",
      "/journal/constructor/1e99",
    ]
  ) {
    await opened.page.evaluate((h) => void (location.hash = h), hash);
    await opened.page.getByRole("heading", { level: 1 }).waitFor();
    await needInert(opened, hash);
  }
  opened.needQuiet();
});
