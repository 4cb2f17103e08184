// vm: machines with the shipped executable and a real QEMU without KVM: from creation to removal, killed in between, refused where it
// has to be, as an ordinary user, and what is shown against what the shell was given.
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { freePort } from "../ports.ts";
import { lacks } from "../programs.ts";
import { cannotTrace } from "./strace.ts";
import { needShape } from "../shapes.ts";
import { begin, type Box, ISCONF, makeBox, run, skipIf, until } from "./tools.ts";
import { lacksKernel, makeGuest } from "./vm_guest.ts";

const missing = lacks({ programs: ["qemu-system-x86_64", "gcc"], files: [ISCONF] }) || lacksKernel();
const HELLO = "isconf guest: hello";

/** What a small machine with the tests' guest is made of. */
function small(box: Box, append = "console=ttyS0 quiet panic=-1"): string[] {
  const { kernel, initrd } = makeGuest(box.dir);
  return [
    "--memory",
    "128",
    "--disk",
    "1",
    "--net",
    "none",
    "--kernel",
    kernel,
    "--initrd",
    initrd,
    "--append",
    append,
  ];
}

async function statusOf(box: Box, name: string): Promise<Record<string, unknown>> {
  const now = JSON.parse(await box.ok(["vm", "status", name, "--json"]));
  needShape("VmResult", now);
  return now;
}

/** Waits for the guest to say something on its console. */
async function says(box: Box, name: string, words: string): Promise<void> {
  const file = `${box.home}/var/vm/${name}/console.log`;
  await until(
    `${name} to say ${words}`,
    () => fs.existsSync(file) && fs.readFileSync(file, "latin1").includes(words),
    60_000,
  );
}

test(
  "a machine lives: created, started, followed, asked, powered down, killed, started again, removed",
  skipIf("a machine lives", missing),
  async (t) => {
    const box = makeBox(t);
    const vm = (...words: string[]) => box.isconf(["vm", ...words], { timeoutMs: 120_000 });
    await box.ok(["vm", "create", "web1", ...small(box)]);
    const taken = await vm("create", "web1", "--disk", "1");
    assert.equal(taken.status, 1);
    assert.match(taken.err, /create web1 was not begun: .*web1 is there already\n {2}isconf vm rm web1/);

    const following = box.beginIsconf(["vm", "start", "web1", "--console"], { timeoutMs: 120_000 });
    await says(box, "web1", HELLO);
    const now = await statusOf(box, "web1");
    assert.deepEqual([now.state, now.guest, now.memory, now.net], ["running", "running", 128, "none"]);
    const again = await vm("start", "web1");
    assert.equal(again.status, 1);
    assert.match(
      again.err,
      /not begun: \(1\) the machine is running, as process \d+; \(2\) somebody listens on .*qmp\.sock/,
    );
    assert.equal((await statusOf(box, "web1")).guest, "running", "the second start took the socket");
    assert.match((await vm("rm", "web1")).err, /the machine is running/);

    const stopped = await vm("stop", "web1");
    assert.match(stopped.err, /stopped: web1 \(powerdown\)/);
    const followed = await following.done;
    assert.equal(followed.status, 0, followed.err);
    assert.match(followed.out, /isconf guest: hello\n[^]*isconf guest: goodbye\n/);

    await box.ok(["vm", "start", "web1"]);
    const { pid } = await statusOf(box, "web1");
    process.kill(pid as number, "SIGKILL");
    await until("the machine to be gone", async () => (await statusOf(box, "web1")).state === "stopped");
    assert.match((await vm("list")).out, /web1 +stopped +-/);
    await box.ok(["vm", "start", "web1"]);
    await says(box, "web1", HELLO);
    assert.match((await vm("stop", "web1", "--force")).err, /stopped: web1 \(quit\)/);
    await box.ok(["vm", "rm", "web1"]);
    assert.deepEqual(fs.readdirSync(`${box.home}/var/vm`), []);
    assert.ok(!fs.existsSync(`${box.home}/run/0.sock`), "an agent was started");
  },
);

test(
  "UEFI, and booting from a network: each with its own way to firmware",
  skipIf(
    "UEFI",
    missing || lacks({ files: ["/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/lib/ipxe/qemu/pxe-virtio.rom"] }),
  ),
  async (t) => {
    const box = makeBox(t);
    await box.ok(["vm", "create", "u", ...small(box), "--firmware", "uefi", "--memory", "256"]);
    await box.ok([
      "vm",
      "create",
      "n",
      "--disk",
      "1",
      "--memory",
      "64",
      "--boot",
      "net,disk",
      "--net",
      "user",
    ]);
    await box.ok(["vm", "start", "u"]);
    await box.ok(["vm", "start", "n"]);
    assert.equal((await statusOf(box, "n")).guest, "running");
    await box.ok(["vm", "stop", "n", "--force"]);
    await says(box, "u", HELLO);
    assert.notEqual(fs.statSync(`${box.home}/var/vm/u/vars.fd`).size, 0);
    await box.ok(["vm", "stop", "u", "--force"]);
    for (const name of ["u", "n"]) await box.ok(["vm", "rm", name]);
  },
);

/** The arguments and environments of every start of a program in what strace -xx wrote. */
function startsOf(trace: string, program: string): { argv: string[]; env: string[] }[] {
  const text = (hex: string) => Buffer.from(hex.replaceAll("\\x", ""), "hex").toString("utf8");
  const strings = (list: string) =>
    [...list.matchAll(/"((?:\\x[0-9a-f]{2})*)"/g)].map(([, hex]) => text(hex!));
  return [...trace.matchAll(/execve\("([^"]*)", \[([^\]]*)\], \[([^\]]*)\]\) = 0/g)]
    .filter(([, file]) => text(file!) === program)
    .map(([, , argv, env]) => ({ argv: strings(argv!), env: strings(env!) }));
}

test(
  "the bytes that --plan shows are the bytes that the shell is given, and it is given nothing else",
  skipIf("the bytes", missing || cannotTrace()),
  async (t) => {
    const box = makeBox(t);
    const ends: Promise<unknown>[] = [];
    const made = small(box, "console=ttyS0 quiet $(reboot) 'x'");
    for (
      const words of [["create", "web1", ...made], ["start", "web1"], ["stop", "web1", "--force"], [
        "rm",
        "web1",
      ]]
    ) {
      const plan = await box.ok(["vm", ...words, "--plan"].filter((word) => word !== "--force"));
      const trace = path.join(box.dir, `trace-${words[0]}`);
      const strace = ["-f", "-v", "-xx", "-s", "100000", "-e", "trace=execve", "-o", trace];
      const traced = begin("strace", [...strace, ISCONF, "vm", ...words], {
        env: { ISCONF_HOME: box.home, ISCONF_TEST_LEAK: "1", LD_LIBRARY_PATH: "/nowhere" },
        timeoutMs: 120_000,
      });
      if (words[0] === "start") {
        // strace stays with the machine: what it has written by now is what was started.
        await until("the machine to run", async () => (await statusOf(box, "web1")).state === "running");
        ends.push(traced.done);
      } else {
        const { status, err } = await traced.done;
        assert.equal(status, 0, err);
      }
      const starts = startsOf(fs.readFileSync(trace, "utf8"), "/bin/sh");
      assert.equal(starts.length, 1, words.join(" "));
      const [{ argv, env }] = starts as [{ argv: string[]; env: string[] }];
      assert.deepEqual(argv.slice(0, 3), ["/bin/sh", "-eux", "-c"]);
      assert.equal(argv.length, 4);
      if (words[0] === "stop") assert.ok(plan.includes(argv[3]!) && argv[3]!.includes(" quit\n"));
      else assert.equal(argv[3], plan);
      assert.deepEqual(env.map((one) => one.split("=")[0]).sort(), ["LANG", "PATH"]);
    }
    await Promise.all(ends);
  },
);

test(
  "all that is missing is said at once, and nothing is done",
  skipIf("all that is missing", missing),
  async (t) => {
    const box = makeBox(t);
    const words = [
      "--disk",
      "65536",
      "--cdrom",
      "/nowhere/cd.iso",
      "--kernel",
      "/nowhere/k",
      "--net",
      "tap:isconf-none",
    ];
    const { err, out, status } = await box.isconf(["vm", "create", "web1", ...words]);
    assert.equal(status, 1);
    assert.equal(out, "");
    assert.match(
      err,
      /\(1\).*GiB free.*\(2\).*cd\.iso does not exist.*\(3\).*\/nowhere\/k does not exist.*\(4\).*isconf-none\n {2}\(1\) isconf vm create .*\(4\) ip tuntap/,
    );
    assert.ok(!fs.existsSync(`${box.home}/var/vm`));
    for (const name of ["$(touch pwned)", "../x", "-x;", "a\nb"]) {
      const refused = await box.isconf(["vm", "create", "--", name], { cwd: box.dir });
      assert.equal(refused.status, 22, refused.err);
    }
    assert.ok(!fs.existsSync(`${box.dir}/pwned`));
    const fault = JSON.parse((await box.isconf(["--json", "vm", "status", "web1"])).out);
    assert.equal(fault.fault.kind, "notFound");
    const plan = await box.isconf(["vm", "start", "web1", "--plan", "--os", "freebsd", "--net", "tap:tap0"]);
    assert.match(plan.out, /\/usr\/sbin\/bhyve /);
  },
);

test(
  "an ordinary user has machines of their own",
  skipIf("an ordinary user", missing || lacks({ root: true, programs: ["setpriv"] })),
  async (t) => {
    const box = makeBox(t);
    const uid = 65534;
    fs.mkdirSync(box.home, { recursive: true });
    const state = path.join(box.home, "state");
    fs.mkdirSync(state);
    fs.chownSync(state, uid, uid);
    fs.chmodSync(box.home, 0o755);
    const own = path.join(box.dir, "isconf"); // the tree of this project may be closed to them
    fs.copyFileSync(ISCONF, own);
    fs.chmodSync(own, 0o755);
    const made = small(box);
    const as = ["--reuid=65534", "--regid=65534", "--clear-groups", "--", own];
    const vm = async (...words: string[]) => {
      const ran = begin("setpriv", [...as, "vm", ...words], {
        env: { XDG_STATE_HOME: state },
        timeoutMs: 120_000,
      });
      const { out, err, status } = await ran.done;
      assert.equal(status, 0, `vm ${words.join(" ")}: ${err}`);
      return out;
    };
    await vm("create", "mine", ...made);
    assert.equal(fs.statSync(`${state}/isconf/vm/mine/disk.raw`).uid, uid);
    await vm("start", "mine");
    const { pid, guest } = JSON.parse(await vm("status", "mine", "--json"));
    assert.equal(guest, "running");
    assert.match(fs.readFileSync(`/proc/${pid}/status`, "utf8"), new RegExp(`^Uid:\\s+${uid}\\s`, "m"));
    await vm("stop", "mine", "--force");
    await vm("rm", "mine");
    assert.deepEqual(fs.readdirSync(`${state}/isconf/vm`), []);
  },
);

test("every line of shell in docs/vm.md does what it says", skipIf("docs/vm.md", missing), async (t) => {
  const box = makeBox(t);
  const text = fs.readFileSync(new URL("../../docs/vm.md", import.meta.url), "utf8");
  const lines = [...text.matchAll(/^```sh\n([^]*?)^```/gm)].flatMap(([, block]) => block!.trim().split("\n"));
  assert.ok(lines.length >= 9, lines.join("\n"));
  const port = String(await freePort());
  for (const line of lines) {
    const [program, ...words] = line.split(" ");
    assert.equal(program, "isconf");
    const { status, err } = await box.isconf(words.map((word) => word.replace("2222", port)));
    assert.equal(status, 0, `${line}: ${err}`);
  }
});

test(
  "a CD, cables between machines, ports that lead into one: and each port for one only",
  skipIf("networks", missing),
  async (t) => {
    const box = makeBox(t);
    const [cable, door] = [await freePort(), await freePort()];
    const cd = path.join(box.dir, "a, CD of $(nobody)'s.iso");
    fs.writeFileSync(cd, new Uint8Array(2 ** 20));
    const create = (name: string, ...more: string[]) =>
      box.ok(["vm", "create", name, "--memory", "32", "--disk", "1", ...more]);
    await create("a", "--net", `socket:listen=127.0.0.1:${cable}`, "--cdrom", cd, "--boot", "cdrom,disk");
    await create("b", "--net", `socket:connect=127.0.0.1:${cable}`);
    await create("c", "--net", `socket:listen=127.0.0.1:${cable}`);
    await create("d", "--forward", `${door}:22`);
    await create("e", "--forward", `${door}:22`);
    for (const name of ["a", "b", "d"]) await box.ok(["vm", "start", name]);
    assert.match(
      (await box.isconf(["vm", "start", "c"])).err,
      new RegExp(`somebody listens on 127.0.0.1:${cable}\\n`),
    );
    assert.match(
      (await box.isconf(["vm", "start", "e"])).err,
      new RegExp(`somebody listens on 127.0.0.1, port ${door}\\n`),
    );
    needShape("VmResult", JSON.parse(await box.ok(["vm", "support", "--json"])));
    needShape("VmResult", JSON.parse(await box.ok(["vm", "list", "--json"])));
    const list = JSON.parse(await box.ok(["vm", "list", "--json"])) as {
      machines: { name: string; state: string }[];
    };
    assert.deepEqual(list.machines.map(({ name, state }) => `${name} ${state}`), [
      "a running",
      "b running",
      "c stopped",
      "d running",
      "e stopped",
    ]);
    for (const name of ["a", "b", "d"]) await box.ok(["vm", "stop", name, "--force"]);
  },
);

test(
  "a tap that is there is taken; one that is not is missed",
  skipIf("a tap", missing || lacks({ root: true, programs: ["unshare", "ip"], files: ["/dev/net/tun"] })),
  async (t) => {
    const box = makeBox(t);
    const lines = [
      "ip tuntap add dev istap0 mode tap",
      `"$1" vm create t --memory 32 --disk 1 --net tap:istap0`,
      `"$1" vm start t`,
      "ip link set istap0 up",
      "ip -o link show istap0",
      `"$1" vm stop t --force`,
      "ip link del istap0",
      `if "$1" vm start t; then exit 9; fi`,
    ];
    const { out, err, status } = await run("unshare", [
      "-n",
      "sh",
      "-eu",
      "-c",
      lines.join("\n"),
      "sh",
      ISCONF,
    ], {
      env: { ISCONF_HOME: box.home },
    });
    assert.equal(status, 0, err);
    assert.match(out, /istap0: <.*LOWER_UP/, "nobody is at the other end of the tap");
    assert.match(err, /there is no network interface istap0\n {2}ip tuntap add dev istap0/);
  },
);
