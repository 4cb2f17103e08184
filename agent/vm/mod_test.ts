// vm: what people type, with a hypervisor that is none: plans, all that is missing at once, what is refused. With QEMU: tests/cli/vm_test.ts.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { Fault, sha256, toHex } from "../../mq/mod.ts";
import { VERBS } from "../verbs/mod.ts";
import { makeCli, makePlace, vmArgs } from "./fixture.ts";
import { lookMs } from "./limits.ts";
import { vm, type VmArgs } from "./mod.ts";
import type { Place } from "./place.ts";

const small = { disk: 1 };

async function typed(place: Place, action: string, name?: string, more: Partial<VmArgs> = {}) {
  const cli = makeCli();
  await vm(cli, vmArgs(action, name, more), place);
  return cli.said;
}

async function faultOf(work: Promise<unknown>): Promise<Fault> {
  try {
    await work;
  } catch (e) {
    assert.ok(e instanceof Fault, String(e));
    return e;
  }
  throw new Error("it went well");
}

test("a machine from its creation to its removal", async (t) => {
  const place = makePlace(t);
  assert.match((await typed(place, "create", "web1", small)).err, /created: web1/);
  assert.equal(fs.statSync(`${place.vms}/web1/disk.raw`).size, 2 ** 30);
  assert.equal(fs.statSync(`${place.vms}/web1/disk.raw`).mode & 0o777, 0o600);
  assert.equal(fs.statSync(`${place.vms}/web1`).mode & 0o777, 0o700);
  assert.match((await typed(place, "list")).out, /web1 {2}stopped {2}-/);
  assert.match((await typed(place, "start", "web1")).err, /started: web1, process \d+/);
  assert.match((await typed(place, "list")).out, /web1 {2}running {2}\d+/);
  assert.match((await typed(place, "status", "web1")).out, /guest {2}does not answer/);
  const again = await faultOf(typed(place, "start", "web1"));
  assert.match(again.message, /start web1 was not begun: the machine is running, as process \d+/);
  assert.equal(again.hint, "isconf vm stop web1");
  assert.match(
    (await faultOf(typed(place, "rm", "web1"))).message,
    /rm web1 was not begun: the machine is running/,
  );
  assert.match(
    (await typed(place, "stop", "web1")).err,
    /stopped: web1 \(kill\)/,
    "who does not answer is killed",
  );
  assert.match((await typed(place, "stop", "web1")).err, /it was not running/);
  assert.equal((await typed(place, "console", "web1")).out, "hello\n");
  await typed(place, "rm", "web1");
  assert.deepEqual(fs.readdirSync(place.vms), []);
  assert.equal((await faultOf(typed(place, "status", "web1"))).kind, "notFound");
});

test("a guest that does not power down is ended, and killed when that does not help; each in its time", async (t) => {
  const { clock, ...rest } = makePlace(t);
  const waits: number[] = [];
  let at = 0;
  // Time passes when somebody waits for it; the deadlines of scripts and sockets are real.
  const fast = {
    ...clock,
    now: () => at,
    after(ms: number, fn: () => void) {
      if (ms > lookMs) return clock.after(ms, fn);
      waits.push(at += 1_000);
      return clock.after(1, fn);
    },
  };
  const place = { ...rest, clock: fast, isconf: "/bin/true" };
  await typed(place, "create", "web1", small);
  await typed(place, "start", "web1");
  at = 0;
  assert.match((await typed(place, "stop", "web1")).err, /stopped: web1 \(kill\)/);
  assert.ok(waits.includes(60_000) && waits.includes(70_000) && Math.max(...waits) < 80_000, `${waits}`);
  const log = fs.readFileSync(`${place.vms}/web1/log`, "utf8");
  assert.match(log, / system_powerdown\n[^]* quit\n[^]*kill -KILL \d+\n/);
});

test("what --plan shows is byte for byte what the shell is given", async (t) => {
  const place = makePlace(t);
  const shown = path.join(place.cwd, "shown");
  const shell = path.join(place.cwd, "sh");
  fs.writeFileSync(
    shell,
    `#!/bin/sh\nprintf '%s|' "$1" "$2" >> ${shown}\nprintf '%s' "$3" >> ${shown}\nexec /bin/sh "$@"\n`,
    { mode: 0o755 },
  );
  const given = () => {
    const text = fs.readFileSync(shown, "utf8");
    fs.rmSync(shown);
    return text;
  };
  const odd = path.join(place.cwd, "it's, $(odd) file");
  fs.writeFileSync(odd, "");
  const more = { ...small, kernel: odd, append: "quiet $(reboot) 'x' `id`" };
  const ours = { ...place, shell };
  const plans: Record<string, string> = {};
  for (const verb of ["create", "start", "rm"]) {
    const plan = await typed(ours, verb, "web1", { plan: true, ...(verb === "create" ? more : {}) });
    plans[verb] = plan.out;
    assert.ok(!fs.existsSync(shown), "a plan ran something");
    await typed(ours, verb, "web1", verb === "create" ? more : {});
    assert.equal(given(), `-eux|-c|${plan.out}`);
    if (verb === "start") {
      const stop = (await typed(ours, "stop", "web1", { plan: true })).out;
      await typed(ours, "stop", "web1");
      assert.equal(given().replaceAll("-eux|-c|", ""), stop);
    }
  }
  assert.match(
    plans.start!,
    /-kernel '.*it'\\''s, \$\(odd\) file' \\\n {2}-append 'quiet \$\(reboot\) '\\''x'\\'' `id`'\n$/,
  );
});

test("a plan as JSON has the scripts with their hashes", async (t) => {
  const place = makePlace(t);
  const cli = makeCli(true);
  await vm(cli, vmArgs("create", "web1", { ...small, plan: true }), place);
  const { scripts, missing } = JSON.parse(cli.said.out);
  assert.deepEqual(missing, []);
  assert.equal(scripts[0].sha256, toHex(sha256(new TextEncoder().encode(scripts[0].text))));
  assert.ok(!fs.existsSync(place.vms));
});

test("all that is missing is said at once, each with what to do, and nothing was done; the plan is shown all the same", async (t) => {
  const place = makePlace(t, { programs: "/nowhere" });
  fs.mkdirSync(`${place.vms}/web1`, { recursive: true });
  fs.writeFileSync(`${place.vms}/web1/x`, "");
  const more = {
    disk: 65536,
    cdrom: "/nowhere/cd.iso",
    kernel: "none",
    initrd: place.cwd,
    net: "tap:isconf-none",
    boot: "net,disk,cdrom",
  };
  const fault = await faultOf(typed(place, "create", "web1", more));
  assert.equal(fault.kind, "refused");
  for (
    const [i, [why, hint]] of ([
      [/there is no program truncate/, /apt-get install coreutils/],
      [
        /there is no program qemu-system-x86_64, nor \/usr\/libexec\/qemu-kvm/,
        /apt-get install qemu-system-x86/,
      ],
      [/web1 is there already/, /isconf vm rm web1/],
      [/GiB free, and the disk may grow to 65536/, /--disk/],
      [/\/nowhere\/cd.iso does not exist/, /--cdrom/],
      [/\/none does not exist/, /--kernel/],
      [/isconf-vm-.* is no file/, /--initrd/],
      [/there is no network interface isconf-none/, /ip tuntap add dev isconf-none/],
    ] as const).entries()
  ) {
    const at = (text: string) => text.split(new RegExp(`\\(${i + 1}\\) |; \\(${i + 2}\\) `))[1];
    // A rom for the network's boot may be there or not.
    assert.match(fault.message, why);
    assert.match(fault.hint, hint);
    assert.ok(at(fault.message) && at(fault.hint));
  }
  assert.deepEqual(fs.readdirSync(`${place.vms}/web1`), ["x"]);
  const cli = makeCli();
  const planned = await faultOf(vm(cli, vmArgs("create", "web1", { ...more, plan: true }), place));
  assert.match(planned.message, /^create web1 would not be begun: \(1\) /);
  assert.match(cli.said.out, /^# isconf vm create web1[^]*\/usr\/bin\/truncate -s 65536G/);
});

test("a script that fails: the line, what it said, inert; what was half made is said to be, and can be removed", async (t) => {
  const place = makePlace(t);
  await typed(place, "create", "broken", small);
  const fault = await faultOf(typed(place, "start", "broken"));
  assert.match(
    fault.message,
    /ended with status 3 at line \d+, .*qemu-system-x86_64: no such thing: \\x1b\[2J$/,
  );
  assert.match(fault.hint, /^cat .*\/vm\/broken\/log$/);
  fs.writeFileSync(path.join(place.cwd, "bin/truncate"), "#!/bin/sh\nexit 9\n", { mode: 0o755 });
  assert.match(
    (await faultOf(typed(place, "create", "half", small))).message,
    /status 9 at line \d+, .*truncate/,
  );
  assert.match((await typed(place, "list")).out, /half {2}half made/);
  const half = await faultOf(typed(place, "start", "half"));
  assert.match(half.message, /half was not made to its end/);
  assert.match(half.hint, /isconf vm rm half/);
  assert.match((await faultOf(typed(place, "create", "half", small))).message, /half is there already/);
  await typed(place, "rm", "half");
  fs.rmSync(path.join(place.cwd, "bin/truncate"));
  await typed(place, "create", "half", small);
});

test("rm leaves what is not isconf's, and says so before it takes anything", async (t) => {
  const place = makePlace(t);
  await typed(place, "create", "web1", small);
  fs.writeFileSync(`${place.vms}/web1/thesis.txt`, "mine");
  assert.match((await faultOf(typed(place, "rm", "web1"))).message, /not isconf's: thesis\.txt/);
  assert.ok(fs.existsSync(`${place.vms}/web1/disk.raw`));
});

test("another system: shown with --plan, else unsupported; options that no template has a place for are not left out", async (t) => {
  const place = makePlace(t);
  const tap = { os: "freebsd", net: "tap:tap0" };
  const fault = await faultOf(typed(place, "create", "web1", tap));
  assert.match(fault.message, /unsupported: this is linux, and not freebsd/);
  assert.match(fault.hint, /--plan/);
  const shown = await typed(place, "start", "web1", { ...tap, plan: true });
  assert.match(
    shown.out,
    /by bhyve on freebsd\n[^]*\/usr\/sbin\/daemon -f -p .* \\\n {2}\/usr\/sbin\/bhyve /,
  );
  assert.match(shown.err, /nothing of this was looked at/);
  assert.match(
    (await typed(place, "stop", "web1", { ...tap, plan: true })).err,
    /99999 stands for the process/,
  );
  const lost = await faultOf(
    typed(place, "create", "web1", { ...tap, kernel: "/x", boot: "net,disk", plan: true }),
  );
  assert.match(lost.message, /unsupported: bhyve on freebsd knows nothing of --boot net, --kernel/);
  for (
    const [action, more] of [["create", { driver: "xen" }], ["start", { os: "plan9" }], [
      "status",
      tap,
    ]] as const
  ) {
    assert.match(
      (await faultOf(typed(place, action, "web1", { ...more, plan: true }))).message,
      /unsupported: nothing says how/,
    );
  }
  assert.ok(!fs.existsSync(place.vms));
});

test("names that would be something else, options that do not go together, words too many", async (t) => {
  const place = makePlace(t);
  for (
    const [action, name, more, why] of [
      ["create", "$(reboot)", {}, /name is \$\(reboot\), and must be/],
      ["create", "../x", {}, /name is/],
      ["status", "../../etc", {}, /name is/],
      ["create", "a", { memory: 5 }, /memory is 5, and must be/],
      ["create", "a", { mac: "01:00:00:00:00:00" }, /mac is/],
      ["create", "a", { net: "tap:a,script=/x" }, /tap is a,script=\/x/],
      ["create", "a", { net: "socket:fd=3" }, /endpoint is fd=3/],
      ["create", "a", { net: "bridge" }, /no network/],
      ["create", "a", { append: "x" }, /go with a kernel/],
      ["create", "a", { forward: "22" }, /forward is 22, and must be HERE:THERE/],
      ["create", "a", { forward: "2222:22", net: "none" }, /whose network is user/],
      ["create", "a", { kernel: "/x\nreboot" }, /kernel is/],
      ["create", "a", { boot: "cdrom" }, /without a CD/],
      ["create", "a", { boot: "net", net: "none" }, /without a network/],
      ["create", "a", { boot: "disk,disk" }, /order of booting/],
      ["create", "a", { firmware: "coreboot" }, /no firmware/],
      ["create", undefined, {}, /needs the name/],
      ["start", "a", { memory: 64 }, /takes no memory/],
      ["list", "a", {}, /takes no name/],
      ["list", undefined, { plan: true }, /takes no plan|runs no script/],
      ["boot", "a", {}, /there is no vm boot: create, start/],
    ] as const
  ) {
    const fault = await faultOf(typed(place, action, name, more));
    assert.equal(fault.kind, "usage", fault.message);
    assert.match(fault.message, why);
  }
  assert.ok(!fs.existsSync(place.vms), "something was made");
});

test("words of other tools are known, and answered with ours", async (t) => {
  const place = makePlace(t);
  const hint = async (word: string) => (await faultOf(typed(place, word, "a"))).hint;
  assert.match(await hint("destroy"), /^isconf vm stop --force; vm rm, perhaps/);
  assert.match(await hint("dominfo"), /^isconf vm status, perhaps/);
  for (const word of ["toString", "frobnicate"]) assert.equal(await hint(word), "isconf help vm");
});

test("one machine that is broken hides no other", async (t) => {
  const place = makePlace(t);
  for (const name of ["a", "b", "c"]) await typed(place, "create", name, small);
  fs.writeFileSync(`${place.vms}/b/vm.json`, "{");
  const { out, err } = await typed(place, "list");
  assert.match(out, /^name[^]*\na {2}stopped[^]*\nc {2}stopped/);
  assert.equal(err, "b is broken: isconf vm status b\n");
  assert.equal((await faultOf(typed(place, "status", "b"))).kind, "corrupt");
});

test("two that create the same name: one does, the other hears of it", async (t) => {
  const place = makePlace(t);
  const both = await Promise.allSettled([
    typed(place, "create", "a", small),
    typed(place, "create", "a", small),
  ]);
  assert.deepEqual(both.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
  const { reason } = both.find(({ status }) => status === "rejected") as PromiseRejectedResult;
  assert.equal((reason as Fault).kind, "refused");
});

test("a directory of machines that others can write to is not used", async (t) => {
  const place = makePlace(t);
  fs.mkdirSync(place.vms);
  fs.chmodSync(place.vms, 0o777);
  const fault = await faultOf(typed(place, "create", "a", small));
  assert.equal(fault.kind, "denied");
});

test("what isconf help vm says that there is, is there", () => {
  const { args } = VERBS.find(({ name }) => name === "vm")!;
  const source = fs.readFileSync(new URL("./mod.ts", import.meta.url), "utf8");
  for (const action of args.action!.values!) {
    assert.match(source, new RegExp(`^ {2}${action}: \\{`, "m"), action);
  }
});
