// clients: real programs against the boot servers, in a network of the test's own: TFTP, HTTP, and DHCP beside and without the site's server.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import { fileURLToPath } from "node:url";
import { until } from "../holder.ts";
import {
  BOOT_ADDRESS,
  CLIENT_MAC,
  type Lan,
  lanTest,
  noteScript,
  SITE_ADDRESS,
  told,
  udhcpc,
} from "./lan.ts";

const LOADER = new Uint8Array(200_001).map((_, i) => (i * 7919) >> 5);
const DASHED = CLIENT_MAC.replaceAll(":", "-");
const RANGE = { from: "10.78.0.100", to: "10.78.0.120" };

/** The files that are served, on disk. */
function files(lan: Lan) {
  fs.writeFileSync(`${lan.dir}/loader`, LOADER);
  fs.writeFileSync(`${lan.dir}/empty`, "");
  fs.writeFileSync(`${lan.dir}/block`, LOADER.subarray(0, 1024));
  return {
    loaders: { bios: { name: "first.bin", path: `${lan.dir}/loader` } },
    files: {
      kernel: { path: `${lan.dir}/loader`, step: "kernel" },
      "empty.bin": { path: `${lan.dir}/empty`, step: "loader" },
      "block.bin": { path: `${lan.dir}/block`, step: "loader" },
    },
  } as const;
}

/** Gives the client an address by hand: for what is not about DHCP. */
const address = (lan: Lan) => lan.must("client", ["ip", "address", "add", "10.78.0.3/24", "dev", "eth0"]);

function got(lan: Lan): Uint8Array {
  const bytes = new Uint8Array(fs.readFileSync(`${lan.dir}/got`));
  fs.rmSync(`${lan.dir}/got`);
  return bytes;
}

lanTest("tftp-hpa fetches byte for byte, also nothing and whole blocks, and writes nothing", {
  programs: ["tftp"],
}, async (lan) => {
  const server = await lan.serve(files(lan));
  await address(lan);
  const tftp = (...words: string[]) =>
    lan.run("client", ["tftp", "-m", "binary", BOOT_ADDRESS, "-c", ...words]);
  for (
    const [name, bytes] of [[`${DASHED}/first.bin`, LOADER], ["empty.bin", LOADER.subarray(0, 0)], [
      "//block.bin",
      LOADER.subarray(0, 1024),
    ]] as const
  ) {
    await tftp("get", name, "got");
    assert.deepEqual(got(lan), bytes, name);
  }
  const put = await tftp("put", "loader", "first.bin");
  assert.match(put.said, /nothing can be written here/);
  assert.match((await tftp("get", "kernel", "got")).said, /no such loader/);
  assert.match((await tftp("get", "../../etc/passwd", "got")).said, /no name/);
  assert.match(
    (await lan.run("client", ["tftp", "-m", "ascii", BOOT_ADDRESS, "-c", "get", "first.bin", "got"])).said,
    /octet/,
  );
  await until("the log has it", () => server.said().includes(`${CLIENT_MAC} loader`));
});

lanTest(
  "atftp fetches with block sizes, windows, its size asked and a time-out",
  { programs: ["atftp"] },
  async (lan) => {
    await lan.serve(files(lan));
    await address(lan);
    const wishes = [[], ["blksize 1428"], ["blksize 65464", "tsize"], ["windowsize 8"], [
      "blksize 8192",
      "windowsize 64",
      "timeout 2",
    ]];
    for (const options of wishes) {
      const words = options.flatMap((option) => ["--option", option]);
      const get = ["atftp", ...words, "--get", "-r", `${DASHED}/first.bin`, "-l", "got", BOOT_ADDRESS];
      const { said } = await lan.run("client", get);
      assert.ok(fs.existsSync(`${lan.dir}/got`), `${options}: ${said}`);
      assert.deepEqual(got(lan), LOADER, String(options));
    }
  },
);

lanTest("curl fetches the whole and ranges, goes on where it stopped, and sees what is not there", {
  programs: ["curl"],
}, async (lan) => {
  const server = await lan.serve(files(lan));
  await address(lan);
  const url = `http://${BOOT_ADDRESS}:8080/boot/${DASHED}/kernel`;
  const curl = (...words: string[]) =>
    lan.must("client", ["curl", "-sS", "-m", "10", "-o", "got", "-w", "%{http_code}", ...words]);
  assert.equal(await curl(url), "200");
  assert.deepEqual(got(lan), LOADER);
  assert.equal(await curl("-r", "100-299", url), "206");
  assert.deepEqual(got(lan), LOADER.subarray(100, 300));
  assert.equal(await curl("-r", "200001-", url), "416");
  fs.writeFileSync(`${lan.dir}/got`, LOADER.subarray(0, 123_456));
  assert.equal(await curl("-C", "-", url), "206");
  assert.deepEqual(got(lan), LOADER);
  assert.equal(await curl(`http://${BOOT_ADDRESS}:8080/boot/nothing`), "404");
  assert.ok(got(lan).length > 0);
  assert.equal(await curl("--path-as-is", `http://${BOOT_ADDRESS}:8080/boot/../server.ts`), "400");
  await until("the log has it", () => server.said().includes(`${CLIENT_MAC} kernel 100%`));
});

const dhclient = (lan: Lan, ...words: string[]) => [
  ...["dhclient", "-4", "-1", "-v", "-d", "-cf", "/dev/null", "-sf", noteScript(lan)],
  ...["-lf", `${lan.dir}/dhclient.leases`, "-pf", `${lan.dir}/dhclient.pid`, ...words, "eth0"],
];

lanTest("busybox udhcpc gets an address of our own, and the same again, whatever it wants", {
  programs: ["busybox"],
}, async (lan) => {
  const server = await lan.serve({ ...files(lan), own: RANGE });
  await lan.must("client", udhcpc(lan, "-q"));
  const [, ip] = /^ip=(10\.78\.0\.1[0-2][0-9])$/m.exec(told(lan)) ?? [];
  assert.ok(ip, told(lan) + server.said());
  assert.match(told(lan), /^router=10\.78\.0\.1$/m);
  assert.match(told(lan), /^(mask|subnet)=(24|255\.255\.255\.0)$/m);
  assert.match(told(lan), /^lease=600$/m);
  fs.rmSync(`${lan.dir}/told`);
  await lan.must("client", udhcpc(lan, "-q", "-r", "10.78.0.119"));
  assert.match(told(lan), new RegExp(`^ip=${ip}$`, "m"), "it has one already");
});

lanTest("ISC dhclient gets an address of our own; one of another network is taken from it", {
  programs: ["dhclient"],
}, async (lan) => {
  await lan.serve({ ...files(lan), own: RANGE });
  const first = lan.start("client", dhclient(lan));
  await until("it is bound", () => /BOUND[^]*reason=BOUND/.test(told(lan)));
  await first.stop();
  const [, ip] = /^new_ip_address=(10\.78\.0\.1[0-2][0-9])$/m.exec(told(lan)) ?? [];
  assert.ok(ip, told(lan));
  const leases = fs.readFileSync(`${lan.dir}/dhclient.leases`, "utf8");
  fs.writeFileSync(`${lan.dir}/dhclient.leases`, leases.replaceAll(ip, "192.168.99.9"));
  fs.rmSync(`${lan.dir}/told`);
  const second = lan.start("client", dhclient(lan));
  await until("it is bound again", () => /BOUND[^]*reason=BOUND/.test(told(lan)));
  assert.match(second.said(), /DHCPNAK/);
  assert.match(told(lan), new RegExp(`^new_ip_address=${ip}$`, "m"));
});

lanTest(
  "nmap's broadcast-dhcp-discover sees one server of our own, and none when we are a ProxyDHCP server",
  { programs: ["nmap"] },
  async (lan) => {
    const nmap = [
      "nmap",
      "--script",
      "broadcast-dhcp-discover",
      "--script-args",
      "broadcast-dhcp-discover.timeout=3",
      "-e",
      "eth0",
    ];
    await address(lan);
    const proxy = await lan.serve(files(lan));
    assert.doesNotMatch(await lan.must("client", nmap), /DHCP Message Type/);
    await proxy.stop();
    const own = await lan.serve({ ...files(lan), own: RANGE });
    const said = await lan.must("client", nmap);
    assert.match(said, new RegExp(`Server Identifier: ${BOOT_ADDRESS.replaceAll(".", "\\.")}`), own.said());
    assert.match(said, /IP Offered: 10\.78\.0\.1[0-2][0-9]/);
  },
);

lanTest("beside a real dnsmasq we give no addresses, and do not begin to", {
  programs: ["dnsmasq", "busybox"],
}, async (lan) => {
  await lan.site();
  const own = await lan.serve({ ...files(lan), own: RANGE });
  assert.match(
    own.said(),
    new RegExp(
      `failed: another DHCP server gives addresses on this network: ${SITE_ADDRESS.replaceAll(".", "\\.")}`,
    ),
  );
  await own.ended;
  const proxy = await lan.serve(files(lan));
  assert.match(proxy.said(), /^ready$/m);
  await lan.must("client", udhcpc(lan, "-q"));
  assert.match(told(lan), /^ip=10\.78\.0\.[5-9][0-9]$/m);
  assert.match(told(lan), new RegExp(`^serverid=${SITE_ADDRESS.replaceAll(".", "\\.")}$`, "m"));
});

lanTest("without any rights, on ports that root has handed over, all of it works the same", {
  programs: ["perl", "setpriv", "atftp", "busybox", "curl"],
}, async (lan) => {
  fs.chmodSync(lan.dir, 0o755);
  const nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"];
  const here = fileURLToPath(import.meta.url);
  if ((await lan.run("boot", [...nobody, "test", "-r", here])).status !== 0) {
    return console.log(`left out: nobody may not read ${here}`);
  }
  const server = await lan.serve({ ...files(lan), own: RANGE, isHandedOver: true });
  assert.match(server.said(), /^runs as 65534\nready$/m);
  await lan.must("client", udhcpc(lan, "-q"));
  assert.match(told(lan), /^ip=10\.78\.0\.1[0-2][0-9]$/m);
  await lan.must("client", ["atftp", "--get", "-r", "first.bin", "-l", "got", BOOT_ADDRESS]);
  assert.deepEqual(got(lan), LOADER);
  await lan.must("client", [
    "curl",
    "-sS",
    "-m",
    "10",
    "-o",
    "got",
    `http://${BOOT_ADDRESS}:8080/boot/kernel`,
  ]);
  assert.deepEqual(got(lan), LOADER);
});
