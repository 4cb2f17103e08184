// kill: the shipped executable, three keepers before whom a real etcd decides, each a process of its own: a keeper killed with
// KILL between etcd's word and its own, and people on two hosts who work at the same time. Hosts on loopback (cli/tools.ts).
import assert from "node:assert/strict";
import * as http from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { type Box, ISCONF, makeBox, until } from "../cli/tools.ts";
import { lacks } from "../programs.ts";
import { Etcd, lacksEtcd, post } from "./members.ts";

const skip = lacks({ files: [ISCONF] }) || lacksEtcd();
if (skip) console.log(`skipped: the executable with an etcd: ${skip}`);

type Ctx = { after(fn: () => Promise<void>): void };

/** Stands before an etcd; answers can be kept back. */
class Proxy {
  readonly #server: http.Server;
  /** Called with what was asked before its answer goes back. */
  answered: (body: string) => Promise<void> = () => Promise.resolve();

  private constructor(to: string) {
    this.#server = http.createServer(async (request, response) => {
      let body = "";
      for await (const piece of request) body += piece;
      try {
        const { status, text } = await post(`${to}${request.url}`, JSON.parse(body));
        await this.answered(body);
        response.writeHead(status, { "content-type": "application/json" }).end(text);
      } catch {
        response.destroy();
      }
    });
  }

  static async make(t: Ctx, to: string): Promise<{ proxy: Proxy; url: string }> {
    const proxy = new Proxy(to);
    await new Promise<void>((resolve) => proxy.#server.listen(0, "127.0.0.1", resolve));
    t.after(() => {
      proxy.#server.closeAllConnections();
      return new Promise((resolve) => proxy.#server.close(() => resolve()));
    });
    return { proxy, url: `http://127.0.0.1:${(proxy.#server.address() as AddressInfo).port}` };
  }
}

/** Three hosts, each a keeper, whose etcd decides; the first of them asks through a proxy. */
async function fleet(
  t: Ctx & Parameters<typeof makeBox>[0],
): Promise<{ boxes: [Box, Box, Box]; proxy: Proxy; etcd: Etcd }> {
  const etcd = await Etcd.make(t);
  const { proxy, url } = await Proxy.make(t, etcd.members[0]!);
  const boxes = ["hosta", "hostb", "hostc"].map((name) => makeBox(t, name)) as [Box, Box, Box];
  const [a, b, c] = boxes;
  for (const box of boxes) box.conf(`register = ${box === a ? url : etcd.members.join(", ")}\n`);
  await a.begin();
  for (const [box, name] of [[b, "hostb"], [c, "hostc"]] as const) {
    await box.start();
    await box.ok(["join", "--host", name, (await a.ok(["token", "--approve"])).trim()]);
    await a.ok(["grant", `root@${name}`, "owner", "*"]);
  }
  await a.ok(["keeper", "add", "hostb", "hostc"]);
  await a.ok(["keeper", "register", "etcd"]);
  await until("all know", async () => {
    const all = await Promise.all(boxes.map((box) => box.ok(["--json", "keeper"])));
    return all.every((text) => JSON.parse(text).register === "etcd");
  });
  return { boxes, proxy, etcd };
}

const seqOf = async (box: Box): Promise<number> => JSON.parse(await box.ok(["--json", "status"])).of;
/** The ids of a host's entries, in order, in one text. */
const logOf = async (box: Box): Promise<string> =>
  JSON.parse(await box.ok(["--json", "log"])).entries.map(({ id }: { id: string }) => id).join();

test(
  "kill -9 of a keeper between etcd's word and its own: what was decided is attested by the next, and nothing is lost",
  { skip },
  async (t) => {
    const { boxes: [a, b, c], proxy } = await fleet(t);
    await a.ok(["lock", "why"]);
    await a.ok(["exec", "/bin/echo", "decided"]);
    const swapped = new Promise<void>((resolve) =>
      proxy.answered = (body) => {
        if (!body.includes("request_delete_range")) return Promise.resolve(); // only a check-in removes what came before
        resolve();
        return new Promise(() => {});
      }
    );
    const ci = a.isconf(["ci"]);
    await swapped;
    await a.stop("SIGKILL");
    assert.notEqual((await ci).status, 0);
    assert.equal(await seqOf(b), 0, "nobody has attested it");
    const refused = await b.isconf(["lock", "next"]);
    assert.match(refused.err, /has applied 0 of 1 entries/);
    await b.ok(["up"]);
    await b.ok(["lock", "next"]);
    await b.ok(["exec", "/bin/echo", "next"]);
    await b.ok(["ci"]);
    proxy.answered = () => Promise.resolve();
    await a.start();
    await until(
      "all have both",
      async () => (await Promise.all([a, b, c].map(seqOf))).every((seq) => seq === 2),
    );
    assert.equal(JSON.parse(await a.ok(["--json", "status"])).wip, 0, "it knows its own work");
    assert.match(await a.ok(["verify"]), /./);
    assert.equal(await logOf(a), await logOf(c));
  },
);

test(
  "people on two hosts who lock and check in at the same time, while members of etcd are killed in turn: one chain",
  { skip },
  async (t) => {
    const { boxes: [a, b, c], etcd } = await fleet(t);
    const wanted = 4;
    const done = new Map<Box, number>([[b, 0], [c, 0]]);
    const work = async (box: Box) => {
      for (let tries = 0; tries < 120 && done.get(box)! < wanted; tries++) {
        const steps = [["up"], ["lock", "why"], ["exec", "/bin/true"], ["ci"]];
        let isDone = true;
        for (const step of steps) {
          const { status, err } = await box.isconf(step);
          if (status === 0) continue;
          assert.ok([1, 104, 220, 221, 223].includes(status as number), `${step}: ${status} ${err}`);
          isDone = false;
          break;
        }
        if (isDone) done.set(box, done.get(box)! + 1);
      }
    };
    let isOver = false;
    const killing = (async () => {
      for (let i = 1; !isOver; i = i % 2 + 1) { // the first one is behind the proxy
        await etcd.kill(i);
        await new Promise((resolve) => setTimeout(resolve, 1_500));
        await etcd.start(i);
        await new Promise((resolve) => setTimeout(resolve, 3_000));
      }
    })();
    await Promise.all([work(b), work(c)]);
    isOver = true;
    await killing;
    assert.deepEqual([...done.values()], [wanted, wanted]);
    await until("all have the same", async () => {
      const seqs = await Promise.all([a, b, c].map(seqOf));
      return seqs.every((seq) => seq === seqs[0] && seq >= 2 * wanted);
    });
    assert.equal(await logOf(a), await logOf(b));
    assert.equal(await logOf(b), await logOf(c));
    for (const box of [a, b, c]) await box.ok(["verify"]);
  },
);
