// trouble: agents that are slow, broken, gone, or do not let one do something; and tokens that are not known. Not hostile texts.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { lacks } from "../programs.ts";
import { makeBridge, problem } from "./bridge.ts";
import { CHROMIUM, open, startChromium } from "./chromium.ts";
import { MadeAgent } from "./made.ts";
import { VIEWS } from "./views.ts";

const skip = lacks({ files: [CHROMIUM] });
if (skip) console.log(`skipped: agents in trouble: ${skip}`);
const browser = await startChromium(skip, after);

test("a slow agent is waited for, and said to be slow", { skip }, async (t) => {
  const bridge = await makeBridge(t, new MadeAgent({ hosts: 3 }).answer);
  bridge.troubles.push({ path: "/v1/status", delayMs: 3_500 });
  const opened = await open(browser, bridge);
  await opened.page.getByText("The agent takes long to answer. Still waiting…").first().waitFor();
  await opened.needAccessible("while it waits");
  await opened.page.getByRole("table", { name: "Hosts", exact: true }).waitFor();
  opened.needQuiet();
});

const BROKEN: [what: string, trouble: { cutBytes?: number; garbage?: string }, said: RegExp][] = [
  ["cuts its answers", { cutBytes: 40 }, /cannot be reached, or cut the connection|it is no JSON/],
  [
    "answers what is no JSON",
    { garbage: "<html>\x1b[31m nothing" },
    /not what this page understands: it is no JSON/,
  ],
  [
    "answers JSON of another shape",
    { garbage: `{"hosts":[{"name":7}],"entries":{},"rows":null}` },
    /not what this page understands: the answer.* is not/,
  ],
  ["answers null", { garbage: "null" }, /not what this page understands: the answer is not an object/],
];

test(
  "an agent that cuts, or answers garbage, breaks no view, and trying again goes on",
  { skip },
  async (t) => {
    const bridge = await makeBridge(t, new MadeAgent({ hosts: 3 }).answer);
    for (const [what, trouble, said] of BROKEN) {
      bridge.troubles.splice(0, 9, { path: "/v1/", ...trouble });
      const opened = await open(browser, bridge);
      const { page } = opened;
      for (const [address, heading] of VIEWS) {
        await opened.view(address, heading);
        if (address === "drift") await page.getByRole("button", { name: "Compare now" }).click();
        const alert = page.getByRole("alert").first();
        await alert.waitFor();
        assert.match(await alert.innerText(), said, `${what}, ${address}`);
      }
      bridge.troubles.length = 0;
      await opened.view("hosts", "Hosts");
      for (const again of await page.getByRole("button", { name: "Try again" }).all()) {
        await again.click()
          .catch(() => undefined);
      }
      await page.getByRole("table", { name: "Hosts", exact: true }).waitFor();
      opened.needQuiet();
      await page.context().close();
    }
  },
);

test(
  "what was known stays, with its age, when the agent has gone; and it comes back",
  { skip },
  async (t) => {
    const bridge = await makeBridge(t, new MadeAgent({ hosts: 3 }).answer);
    const opened = await open(browser, bridge);
    const { page } = opened;
    const table = page.getByRole("table", { name: "Hosts", exact: true });
    await table.waitFor();
    await opened.view("keepers", "Keepers and proofs");
    await page.getByRole("table", { name: "Keepers" }).waitFor();
    await page.route("**/v1/**", (route) => route.abort());
    await opened.view("live", "Replay and events");
    // Asked for again in its time, and not reached.
    await page.getByText("not reached").waitFor({ timeout: 25_000 });
    await page.getByText(/^What follows is as of/).first().waitFor();
    await page.unroute("**/v1/**");
    await page.getByRole("button", { name: "Try again" }).first().click();
    await page.getByText("not reached").waitFor({ state: "detached" });
  },
);

test("a token that is not known leads to the form, and one that is, in", { skip }, async (t) => {
  const bridge = await makeBridge(t, new MadeAgent({ hosts: 3 }).answer);
  const opened = await open(browser, { ...bridge, token: "wrong" });
  const { page } = opened;
  await page.getByText("this token is not known, or was revoked").waitFor();
  await opened.needAccessible("the form");
  await opened.picture("token");
  assert.equal(await page.evaluate("sessionStorage.length"), 0, "it is forgotten");
  await page.getByLabel("Token").fill(bridge.token);
  await page.keyboard.press("Enter");
  await page.getByRole("table", { name: "Hosts", exact: true }).waitFor();
  assert.equal(page.url(), bridge.url, "no token in the address");
  await page.reload();
  await page.getByRole("table", { name: "Hosts", exact: true }).waitFor();
  await page.getByRole("button", { name: "Forget token" }).click();
  await page.getByLabel("Token").waitFor();
  assert.equal(await page.evaluate("sessionStorage.length"), 0);
});

test("a token in the address goes out of it and out of the history", { skip }, async (t) => {
  const bridge = await makeBridge(t, new MadeAgent({ hosts: 3 }).answer);
  const { page, requests } = await open(browser, bridge);
  await page.getByRole("table", { name: "Hosts", exact: true }).waitFor();
  assert.equal(page.url(), bridge.url);
  assert.ok(
    !requests.some((url) => url.replace(/#.*/, "").includes(bridge.token)),
    "no request has it in its address",
  );
  assert.equal(await page.evaluate("localStorage.length"), 0, "nothing outlives the tab");
});

test(
  "who may not is not offered acts, and one that is denied says why and is not offered again",
  { skip },
  async (t) => {
    const nobody = await makeBridge(t, new MadeAgent({ hosts: 3, may: [], isForked: true }).answer);
    const reader = await open(browser, nobody);
    await reader.page.getByText("2 hosts wait to be let in").waitFor();
    for (const view of ["hosts", "live", "keepers"]) {
      await reader.view(view, VIEWS.find(([address]) => address === view)?.[1] as string);
      await reader.page.waitForTimeout(300);
      assert.equal(await reader.page.locator("button.act").count(), 0, view);
    }

    const agent = new MadeAgent({ hosts: 3 });
    agent.posts.set("approve", {
      status: 403,
      body: problem(
        "denied",
        "alice has no role enrol on @domain",
        "an owner: isconf grant alice@web-0001 enrol @domain",
      ),
    });
    const opened = await open(browser, await makeBridge(t, agent.answer));
    const { page } = opened;
    const buttons = page.getByRole("button", { name: "Approve…" });
    await buttons.first().click();
    await page.getByRole("dialog").getByRole("button", { name: "Approve" }).click();
    const alert = page.getByRole("dialog").getByRole("alert");
    await alert.waitFor();
    assert.match(
      await alert.innerText(),
      /denied: alice has no role enrol on @domain\s+Next: an owner: isconf grant/,
    );
    await opened.needAccessible("a dialog with a problem");
    await opened.picture("act-denied");
    await page.getByRole("button", { name: "Close" }).click();
    await page.getByRole("dialog").waitFor({ state: "detached" });
    assert.equal(await buttons.count(), 1, "the other host's is there still");
  },
);

test("who may is asked with each view: an answer that failed costs no reload", { skip }, async (t) => {
  const bridge = await makeBridge(t, new MadeAgent({ hosts: 3 }).answer);
  bridge.troubles.push({ path: "/v1/me", garbage: "null" });
  const opened = await open(browser, bridge);
  await opened.view("live", "Replay and events");
  await opened.page.getByText("at entry").first().waitFor();
  assert.equal(await opened.page.locator("button.act").count(), 0);
  bridge.troubles.length = 0;
  await opened.view("mesh", "Mesh");
  await opened.view("live", "Replay and events");
  const sooner = { timeout: 10_000 }; // than after 15 s, when all is asked for anew
  await opened.page.getByRole("button", { name: "Apply 1 entry…" }).waitFor(sooner);
});

test("nothing is sent before the dialog's own button, and an act is sent once", { skip }, async (t) => {
  const agent = new MadeAgent({ hosts: 3 });
  const bridge = await makeBridge(t, agent.answer);
  const opened = await open(browser, bridge);
  const { page } = opened;
  const sent = () => agent.asked.filter(({ path }) => path === "/v1/up");
  await opened.view("live", "Replay and events");
  const button = page.getByRole("button", { name: "Apply 1 entry…" });
  await button.waitFor();
  bridge.troubles.push({ path: "/v1/me", delayMs: 3_000 }); // who may press it is known already
  await button.click();
  const dialog = page.getByRole("dialog");
  const said = await dialog.innerText();
  for (const word of ["POST /v1/up", "{}", "web-0000", "alice (uid 1000)", "isconf up"]) {
    assert.ok(said.includes(word), `${word} in ${said}`);
  }
  await opened.needAccessible("a dialog");
  await opened.picture("act");
  await page.keyboard.press("Enter"); // by habit
  await page.waitForTimeout(200);
  assert.deepEqual(sent(), []);
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  assert.deepEqual(sent(), []);
  await button.click();
  await dialog.getByRole("button", { name: "Apply 1 entry" }).dblclick();
  await dialog.getByText("Done.").waitFor();
  assert.deepEqual(sent(), [{ method: "POST", path: "/v1/up", body: "{}" }]);
  opened.needQuiet();
});
