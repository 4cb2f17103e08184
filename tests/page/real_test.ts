// real: the page with three real hosts, served by their own net halves: each view shows what they say, acts do what they say, and who else
// asks gets nothing. Many hosts are for made_test.ts.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, test } from "node:test";
import { lacks } from "../programs.ts";
import { type Box, checkIn, ISCONF, makeHosts, pageOf, until } from "./agents.ts";
import { CHROMIUM, open, startChromium } from "./chromium.ts";
import { walk } from "./views.ts";
import { makeBox } from "../cli/tools.ts";

const skip = lacks({ files: [CHROMIUM, ISCONF] });
if (skip) console.log(`skipped: the page with real hosts: ${skip}`);
const browser = await startChromium(skip, after);

/** What the journal of the test has in it: text that would do something where it is no text, and output of the same kind. */
const HOSTILE = `<img src=x onerror=alert(1)> \x1b[31m\u202egnp`;

async function withJournal(
  t: Parameters<typeof makeHosts>[0],
): Promise<{ hosts: [Box, Box, Box]; file: string }> {
  const hosts = await makeHosts(t);
  const [a, b] = hosts;
  const file = path.join(a.dir, "motd");
  fs.writeFileSync(file, "welcome\n");
  await checkIn(a, "a greeting for everybody", ["snap", file]);
  await checkIn(a, HOSTILE, [
    "exec",
    "--",
    "sh",
    "-c",
    `printf '%s\\n' '${HOSTILE}'; printf '\\033[2J\\007'`,
  ]);
  await b.ok(["up"]);
  await a.ok(["lock", "what comes next"]);
  await a.ok(["exec", "--", "true"]);
  fs.writeFileSync(path.join(a.dir, "base.img"), "x".repeat(70_000));
  await a.ok(["put", path.join(a.dir, "base.img")]);
  await a.ok(["name", "images/base", "base.img"]);
  return { hosts, file };
}

test(
  "each view shows what three real hosts say, in both themes; entries, drift, copies, and acts",
  { skip },
  async (t) => {
    const { hosts: [a, b, c], file } = await withJournal(t);
    const place = await pageOf(a, "operate", "enrol");
    await until("hostb is known to be current", async () => {
      const { hosts } = JSON.parse(await a.ok(["--json", "status"]));
      return hosts.every((h: { name: string; state: string; at: number }) =>
        h.name === "hostc" || (h.state === "current" && h.at === 2)
      );
    });

    await walk(browser, place, "real", "light", 1280);
    await walk(browser, place, "real", "dark", 320);

    const opened = await open(browser, place);
    const { page } = opened;
    await t.test("hosts", async () => {
      const rows = page.getByRole("table", { name: "Hosts", exact: true }).getByRole("row");
      await rows.filter({ hasText: "hostc" }).filter({ hasText: "behind" }).waitFor();
      assert.equal(await rows.filter({ hasText: "2 of 2" }).count(), 2);
      assert.match(await page.locator(".fresh").innerText(), /live/);
    });
    await t.test("an entry with its message, operations, effects and output", async () => {
      await opened.view("journal/main/2", "Journal");
      const output = page.getByRole("region", { name: "Output of entry 2" });
      await output.waitFor();
      assert.equal(
        (await output.innerText()).trim(),
        "<img src=x onerror=alert(1)> \\x1b[31m\\u{202e}gnp\n\\x1b[2J\\x07",
      );
      assert.match(
        await page.locator("article[aria-label='Entry 2']").innerText(),
        /<img src=x onerror=alert\(1\)> \\x1b\[31m\\u\{202e\}gnp/,
      );
      await page.locator("article[aria-label='Entry 1']").getByText(`snap ${file}`).waitFor();
      await opened.view("journal/@domain", "Journal");
      await page.getByText("host hostb").first().waitFor();
      await opened.view("journal/+commands", "Journal");
      await page.getByText("sh -c").first().waitFor();
    });
    await t.test("the lock, what waits for ci, names, the shelf and who has a copy", async () => {
      await opened.view("locks", "Locks");
      await page.getByText("what comes next").first().waitFor();
      await page.getByText("1 piece of work waits for ci").waitFor();
      await opened.view("contents", "Contents");
      await page.getByRole("table", { name: "names" }).getByText("images/base").waitFor();
      const shelf = page.getByRole("table", { name: "contents" });
      await shelf.getByText("68.4 KiB").first().waitFor();
      await shelf.getByRole("button", { name: /^Ask who has/ }).first().click();
      await shelf.getByText(/[1-3] of 3 hosts/).waitFor();
    });
    await t.test("drift is found when somebody asks, not before", async () => {
      fs.writeFileSync(file, "changed by hand\n");
      await opened.view("drift", "Drift");
      assert.equal(opened.requests.some((url) => url.includes("/v1/verify")), false);
      await page.getByRole("button", { name: "Compare now" }).click();
      await page.getByText("1 path differs").waitFor();
      await page.getByText(file).waitFor();
      fs.writeFileSync(file, "welcome\n");
    });
    await t.test("keepers, and the map", async () => {
      await opened.view("keepers", "Keepers and proofs");
      await page.getByText("1 of 1 reachable").waitFor();
      await opened.view("mesh", "Mesh");
      await page.getByRole("button", { name: /^hostb, current, entry 2 of 2, connected/ }).click();
      await page.locator(".chosen").getByText("connected").waitFor();
    });
    await t.test("a host that waits is let in by the dialog, and told of as an event", async () => {
      const d = makeBox(t, "hostd");
      const token = (await a.ok(["token"])).trim();
      const joining = d.beginIsconf(["join", "--host", "hostd", token]);
      await opened.view("hosts", "Hosts");
      await page.getByText("1 host waits to be let in").waitFor({ timeout: 30_000 });
      const { waiting } = JSON.parse(await a.ok(["--json", "hosts"]));
      await page.getByRole("button", { name: "Approve…" }).click();
      const dialog = page.getByRole("dialog");
      await dialog.getByText(`{"host":"${waiting[0].fingerprint}","replace":false}`).waitFor();
      await opened.picture("real-approve");
      await dialog.getByRole("button", { name: "Approve" }).click();
      await dialog.getByText("Done.").waitFor();
      assert.equal((await joining.done).status, 0);
      await dialog.getByRole("button", { name: "Close" }).click();
      await page.getByText("1 host waits to be let in").waitFor({ state: "detached" });
      await opened.view("live", "Replay and events");
      await page.getByRole("table", { name: /^Events/ }).getByText("hostd").first().waitFor();
    });
    opened.needQuiet();

    await t.test("up on a host that is behind", async () => {
      const other = await open(browser, await pageOf(c, "operate"));
      await other.view("live", "Replay and events");
      await other.page.getByRole("button", { name: "Apply 2 entries…" }).click();
      await other.page.getByRole("dialog").getByRole("button", { name: "Apply 2 entries" }).click();
      await other.page.getByRole("dialog").getByText("Done.").waitFor({ timeout: 30_000 });
      await other.picture("real-up");
      await other.page.getByRole("button", { name: "Close" }).click();
      await other.page.getByText("is at entry 2 of 2").waitFor();
      assert.equal(JSON.parse(await c.ok(["--json", "status"])).state, "current");
      other.needQuiet();
    });

    await t.test("a token that only reads is offered no act, and one that was revoked leads to the form", async () => {
      const reader = await pageOf(b);
      const other = await open(browser, reader);
      await other.page.getByRole("table", { name: "Hosts", exact: true }).waitFor();
      await other.view("live", "Replay and events");
      await other.page.getByText("is at entry 2 of 2").waitFor();
      assert.equal(await other.page.locator("button.act").count(), 0);
      const { tokens } = JSON.parse(await b.ok(["--json", "tokens"]));
      await b.ok(["token", "revoke", tokens[0].id]);
      await other.view("keepers", "Keepers and proofs").catch(() => undefined);
      await other.page.getByText("that token is none, or is over").waitFor();
      other.needQuiet();
    });
  },
);
