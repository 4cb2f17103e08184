// foreign: pages of others, in a real browser, that try to reach the agent of this machine: by a name that is made to lead here (DNS
// rebinding), from another site, from another port of this host. Each knows a good token, so that only what refuses them is tested.
import assert from "node:assert/strict";
import { once } from "node:events";
import * as net from "node:net";
import { after, test } from "node:test";
import { lacks } from "../programs.ts";
import { type Box, ISCONF, pageOf } from "./agents.ts";
import { CHROMIUM, type Place, startChromium } from "./chromium.ts";
import { makeBox } from "../cli/tools.ts";

const skip = lacks({ files: [CHROMIUM, ISCONF] });
if (skip) console.log(`skipped: pages of others: ${skip}`);
/** Where the name of the others leads; all of 127.0.0.0/8 is this machine, and nothing of the agent's is there. */
const ELSEWHERE = "127.0.0.2";
const browser = await startChromium(skip, after, [`--host-resolver-rules=MAP evil.example ${ELSEWHERE}`]);

type Test = Parameters<typeof makeBox>[0];

/** A host with its page, and a token that may nearly everything. */
async function victim(t: Test): Promise<{ box: Box; place: Place; port: number }> {
  const box = makeBox(t, "hosta");
  box.conf("http = 127.0.0.1:0\n");
  await box.begin();
  const place = await pageOf(box, "operate", "enrol", "publish");
  return { box, place, port: Number(new URL(place.url).port) };
}

/** Nothing was done, and nothing was even asked of root: the one token is the one that was made, and was never used. */
async function needUntouched(box: Box): Promise<void> {
  const { tokens } = JSON.parse(await box.ok(["--json", "tokens"]));
  assert.deepEqual(tokens.map(({ usedMs }: { usedMs: number | null }) => usedMs), [null]);
}

/** What a page asks for, said by the page itself. */
const TRIES = (base: string, token: string) =>
  `(async () => {
  const ask = async (path, init = {}) => {
    try {
      const answer = await fetch(${JSON.stringify(base)} + path, init);
      return [answer.type, answer.status, (await answer.text()).slice(0, 400)];
    } catch (e) { return ["failed", 0, String(e)]; }
  };
  const known = { authorization: "Bearer ${token}" };
  const body = JSON.stringify({ action: "api" });
  const json = { "content-type": "application/json" };
  return {
    page: await ask("/"),
    health: await ask("/healthz"),
    read: await ask("/v1/status", { headers: known }),
    act: await ask("/v1/token", { method: "POST", headers: { ...known, ...json }, body }),
    simple: await ask("/v1/token", { method: "POST", mode: "no-cors", headers: { "content-type": "text/plain" }, body }),
    plain: await ask("/v1/gc", { mode: "no-cors" }),
    socket: await new Promise((resolve) => {
      const socket = new WebSocket(${JSON.stringify(base)}.replace(/^http/, "ws") + "/v1/events");
      socket.onopen = () => resolve("open");
      socket.onerror = () => resolve("refused");
    }),
    image: await new Promise((resolve) => {
      const img = new Image();
      img.onload = () => resolve("shown");
      img.onerror = () => resolve("refused");
      img.src = ${JSON.stringify(base)} + "/icon.svg";
    }),
  };
})()`;

type Tried = Record<string, [type: string, status: number, text: string]> & { socket: string; image: string };

/** Serves an empty page that anybody may do anything in, until `leadsTo` says to which port of the agent's what comes is passed on. */
class Attacker {
  leadsTo: number | undefined;
  /** Connections that were passed on. */
  passed = 0;
  readonly #server: net.Server;
  readonly #sockets = new Set<net.Socket>();

  constructor(t: Test) {
    this.#server = net.createServer((from) => this.#serve(from));
    t.after(() => {
      for (const socket of this.#sockets) socket.destroy();
      return new Promise<void>((resolve) => this.#server.close(() => resolve()));
    });
  }

  async listen(address: string, port = 0): Promise<number> {
    this.#server.listen(port, address);
    await once(this.#server, "listening");
    return (this.#server.address() as net.AddressInfo).port;
  }

  #serve(from: net.Socket): void {
    this.#keep(from);
    if (this.leadsTo === undefined) {
      const head = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n";
      from.once("data", () => from.end(`${head}<h1>win</h1>`));
      return;
    }
    this.passed++;
    const to = this.#keep(net.connect(this.leadsTo, "127.0.0.1"));
    from.pipe(to).pipe(from);
    from.on("close", () => to.destroy());
    to.on("close", () => from.destroy());
  }

  #keep(socket: net.Socket): net.Socket {
    this.#sockets.add(socket);
    return socket.on("error", () => socket.destroy()).on("close", () => this.#sockets.delete(socket));
  }
}

test("a name that is made to lead to the agent, DNS rebinding, gets nothing but 421", {
  skip,
  timeout: 180_000,
}, async (t) => {
  const { box, place, port } = await victim(t);
  const attacker = new Attacker(t);
  await attacker.listen(ELSEWHERE, port);
  const page = await (await browser.newContext()).newPage();
  await page.goto(`http://evil.example:${port}/`);
  assert.equal(await page.textContent("h1"), "win");

  // From now on the same name and port lead to the agent, as after the second answer of a resolver: what comes is passed on byte by byte.
  attacker.leadsTo = port;
  const tried = await page.evaluate(
    TRIES("", place.token).replaceAll('"" + "/icon.svg"', '"/icon.svg"').replaceAll(
      '"".replace(/^http/, "ws")',
      `"ws://evil.example:${port}"`,
    ),
  ) as Tried;
  assert.ok(attacker.passed > 0, "the agent was reached");
  for (const what of ["page", "health", "read", "act", "simple", "plain"]) {
    assert.equal(tried[what]?.[1], 421, `${what}: ${tried[what]}`);
    assert.match(tried[what]?.[2] ?? "", /this place is not called that/);
  }
  assert.deepEqual([tried.socket, tried.image], ["refused", "refused"]);
  await needUntouched(box);
  await page.context().close();
});

for (
  const [what, address, name] of [["another site", ELSEWHERE, "evil.example"], [
    "another port of this host",
    "127.0.0.1",
    "127.0.0.1",
  ]] as const
) {
  test(`a page of ${what} reads nothing and changes nothing`, { skip, timeout: 180_000 }, async (t) => {
    const { box, place, port } = await victim(t);
    const other = await new Attacker(t).listen(address);
    const page = await (await browser.newContext()).newPage();
    await page.goto(`http://${name}:${other}/`);
    const base = `http://127.0.0.1:${port}`;
    const requests: string[] = [];
    page.on("request", (r) => r.url().startsWith(base) && requests.push(r.url()));
    const tried = await page.evaluate(TRIES(base, place.token)) as Tried;
    for (const what of ["page", "health", "read", "act", "simple", "plain"]) {
      assert.equal(tried[what]?.[0], "failed", `${what}: ${tried[what]}`);
    }
    assert.ok(requests.length >= 6, "they were on their way; what the agent answers to such is seen below");
    assert.deepEqual([tried.socket, tried.image], ["refused", "refused"]);

    // A form, which asks nobody; what it leads to is a refusal.
    const [answer] = await Promise.all([
      page.waitForResponse((r) => r.url().startsWith(base)),
      page.evaluate(`(() => {
        const form = document.createElement("form");
        form.method = "post";
        form.action = "${base}/v1/token";
        form.enctype = "text/plain";
        const field = document.createElement("input");
        field.name = '{"action":"api","note":"';
        field.value = '"}';
        form.append(field);
        document.body.append(form);
        form.submit();
      })()`),
    ]);
    assert.equal(answer.status(), 403, await answer.text());

    // In a frame, and led there by a link.
    await page.goto(`http://${name}:${other}/`);
    const [framed] = await Promise.all([
      page.waitForResponse((r) => r.url().startsWith(base)),
      page.evaluate(
        `document.body.append(Object.assign(document.createElement("iframe"), { src: "${base}/" }))`,
      ),
    ]);
    assert.equal(framed.status(), 403);
    const [led] = await Promise.all([
      page.waitForResponse((r) => r.url().startsWith(base)),
      page.evaluate(`void (location = "${base}/#token=${place.token}")`),
    ]);
    assert.equal(led.status(), 403);
    await needUntouched(box);
    await page.context().close();
  });
}

test(
  "the page itself may be opened, and is what its headers say: no frame, no foreign script",
  { skip, timeout: 180_000 },
  async (t) => {
    const { place } = await victim(t);
    const page = await (await browser.newContext()).newPage();
    const answer = await page.goto(place.url);
    assert.equal(answer?.status(), 200);
    const headers = answer?.headers() ?? {};
    assert.match(
      headers["content-security-policy"] ?? "",
      /default-src 'none'; script-src 'self'.*frame-ancestors 'none'/,
    );
    assert.equal(headers["x-content-type-options"], "nosniff");
    assert.equal(headers["set-cookie"], undefined);
    assert.equal(headers["access-control-allow-origin"], undefined);
    // What a mistake of ours could do is refused by the browser.
    const refused = await page.evaluate(`(async () => {
    const out = [];
    try { document.body.innerHTML = "<b>x</b>"; out.push("markup"); } catch { /* refused */ }
    const script = document.createElement("script");
    try { script.textContent = "document.title = 'owned'"; document.body.append(script); } catch { /* refused */ }
    await fetch("http://127.0.0.1:9/").then(() => out.push("elsewhere"), () => undefined);
    if (document.title === "owned") out.push("inline");
    return out;
  })()`);
    assert.deepEqual(refused, []);
    await page.context().close();
  },
);
