// boot_server: all of it together over loopback, on ports that need no rights; and that nothing stays open when it cannot begin.
import assert from "node:assert/strict";
import dgram from "node:dgram";
import { once } from "node:events";
import { test } from "node:test";
import { until } from "../../tests/holder.ts";
import { freePort } from "../../tests/ports.ts";
import { Fault, systemClock, VirtualClock } from "../../mq/mod.ts";
import { BootLog, noteText } from "./boot_log.ts";
import { type BootServerParts, openBootServer, type OwnNetwork, sparing } from "./boot_server.ts";
import { decodeDhcp, encodeDhcp, OPTION, TYPE, typeOf } from "./dhcp.ts";
import { UEFI_REQUEST_4011 } from "./golden_fixture.ts";
import { httpTellBytes, linesAtOnce, linesPerSecond } from "./limits.ts";
import { MemoryBooter } from "./memory_booter.ts";
import { MemoryLeases } from "./memory_leases.ts";

const HERE = "127.0.0.1";
const MAC = "52:54:00:12:34:56";
const OWN: OwnNetwork = {
  from: "127.0.0.100",
  to: "127.0.0.110",
  mask: "255.255.255.0",
  dns: [],
  leaseSeconds: 600,
  keeper: new MemoryLeases(),
};

const booter = new MemoryBooter({
  loaders: { "uefi-x64": { name: "first.efi", bytes: new Uint8Array(100) } },
  script: () => "#!ipxe\n",
  files: { kernel: { bytes: new Uint8Array(4 * httpTellBytes), step: "kernel" } },
});

/** Notes, and how much of the kernel there was each time. */
class Steps extends BootLog {
  readonly percents: number[] = [];

  override note(...[mac, step, more = {}]: Parameters<BootLog["note"]>): void {
    if (step === "kernel") this.percents.push(more.percent!);
    super.note(mac, step, more);
  }
}

async function partsOf(lines: string[] = []): Promise<BootServerParts & { steps: Steps }> {
  const httpPort = await freePort();
  const any = { address: HERE, port: 0 };
  return {
    clock: systemClock,
    booter,
    server: { address: HERE, httpPort, relays: [] },
    binds: {
      dhcp: { all: any, own: any, pxe: { address: HERE, port: await freePort() } },
      tftp: any,
      http: { address: HERE, port: httpPort },
    },
    steps: new Steps(systemClock),
    log: (line) => void lines.push(line),
  };
}

test("firmware asks on port 4011, then takes its file by HTTP; both stand in the log", async () => {
  const parts = await partsOf();
  const netboot = await openBootServer(parts);
  const client = dgram.createSocket("udp4");
  try {
    client.bind(0, HERE);
    await once(client, "listening");
    const { pxe } = parts.binds.dhcp;
    client.send(new Uint8Array([1, 2, 3]), "port" in pxe ? pxe.port : 0, HERE);
    client.send(UEFI_REQUEST_4011, "port" in pxe ? pxe.port : 0, HERE);
    const [bytes] = await once(client, "message");
    const packet = decodeDhcp(bytes)!;
    assert.deepEqual([typeOf(packet), packet.file], [TYPE.ack, "52-54-00-12-34-56/first.efi"]);
    const answer = await fetch(`http://${HERE}:${parts.server.httpPort}/boot/52-54-00-12-34-56/kernel`);
    assert.equal((await answer.arrayBuffer()).byteLength, 4 * httpTellBytes);
    const { percents } = parts.steps;
    await until("all of it is noted", () => percents.at(-1) === 100, 15_000);
    assert.deepEqual(percents, [25, 50, 75, 100]);
    const notes = parts.steps.notesOf(MAC).map(noteText);
    assert.deepEqual(notes, [`${MAC} offered uefi-x64 rom`, `${MAC} kernel 100%`]);
  } finally {
    client.close();
    await netboot.close();
  }
});

test("when one port cannot be had nothing stays open", async () => {
  const parts = await partsOf();
  const first = await openBootServer(parts);
  const free = await freePort();
  const again = {
    ...parts,
    binds: { ...parts.binds, http: { address: HERE, port: free }, tftp: { address: "192.0.2.1", port: 69 } },
  };
  await assert.rejects(openBootServer(again), (e) => e instanceof Fault && e.kind === "environment");
  await assert.rejects(fetch(`http://${HERE}:${free}/boot/kernel`));
  await assert.rejects(
    openBootServer({ ...parts, own: { ...OWN, to: "127.0.0.1" } }),
    (e) => e instanceof Fault && e.kind === "usage",
  );
  await assert.rejects(openBootServer({ ...parts, server: { ...parts.server, address: "x" } }), Fault);
  await first.close();
});

test("where another server offers addresses ours does not begin, and says which", async () => {
  const parts = await partsOf();
  const rival = dgram.createSocket("udp4");
  try {
    rival.bind(0, HERE);
    await once(rival, "listening");
    // The questions of the probe, as they would be heard by a server of the network: here they are sent to the rival instead.
    const ownPort = await freePort();
    const own = { address: HERE, port: ownPort };
    const opening = openBootServer({
      ...parts,
      clock: fixedChance(),
      binds: { ...parts.binds, dhcp: { ...parts.binds.dhcp, own } },
      own: OWN,
    });
    const offer = encodeDhcp({
      op: 2,
      xid: 0x07070707,
      hops: 0,
      secs: 0,
      flags: 0,
      ciaddr: "0.0.0.0",
      yiaddr: "127.0.0.77",
      siaddr: "0.0.0.0",
      giaddr: HERE,
      mac: MAC,
      sname: "",
      file: "",
      options: new Map([[OPTION.type, new Uint8Array([TYPE.offer])], [
        OPTION.server,
        new Uint8Array([192, 0, 2, 9]),
      ]]),
    });
    const saying = setInterval(() => rival.send(offer, ownPort, HERE), 50);
    try {
      await assert.rejects(opening, (e) => {
        assert.ok(e instanceof Fault && e.kind === "refused", String(e));
        assert.match(e.message, /192\.0\.2\.9/);
        return true;
      });
    } finally {
      clearInterval(saying);
    }
  } finally {
    rival.close();
  }
});

/** A clock whose chance is always the same: the probe's transaction is known. */
function fixedChance(): BootServerParts["clock"] {
  return { ...systemClock, random: (n) => new Uint8Array(n).fill(7) };
}

test("strangers cannot fill the log: what is too much is counted", async () => {
  const clock = new VirtualClock(1), lines: string[] = [];
  const log = sparing(clock, (line) => void lines.push(line));
  for (let n = 0; n < 10_000; n++) log("again");
  assert.equal(lines.length, linesAtOnce);
  await clock.advance(1000 / linesPerSecond);
  log("last");
  log("last");
  await clock.advance(1000 / linesPerSecond);
  log("after");
  assert.equal(lines.at(-1), "after (and 1 lines that were too many)");
  await clock.advance(1000 / linesPerSecond);
  log("quiet again");
  assert.equal(lines.at(-1), "quiet again");
  assert.equal(lines.at(-3), `last (and ${10_000 - linesAtOnce} lines that were too many)`);
});
