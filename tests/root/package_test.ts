// package: what is released, on hosts of its own: installed, upgraded, removed and purged by dpkg, with systemd and without; the same
// bytes from the same tree; hashes and signature. What systemd is asked is written down by stand-ins: none runs here.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { DEPENDS, makeArchive, makeDeb, makeSums, type Packed } from "../../scripts/package.ts";
import { root } from "../../scripts/package_files.ts";
import { BARE_ROOT, lacking } from "../exe/tools.ts";
import { EXECUTABLE, type Host, lacksHosts, makeHost, type Owner } from "../hosts.ts";

const NEEDS = [BARE_ROOT, EXECUTABLE, "dpkg-deb", "xz"];

/** A test with packages of the executable, skipped by name where something is missing. */
function packageTest(name: string, needs: string[], fn: (t: Owner) => Promise<void>): void {
  const reason = lacking(...NEEDS, ...needs) ?? (lacksHosts() || false);
  if (reason) console.log(`skipped: ${name}: ${reason}`);
  test(name, { skip: reason, timeout: 400_000 }, (t) => fn(t));
}

const real = (version: string): Packed => ({
  version,
  arch: process.arch === "arm64" ? "arm64" : "amd64",
  executable: fs.readFileSync(EXECUTABLE),
  licences: fs.readFileSync(`${EXECUTABLE}.LICENCES.txt`, "utf8"),
  epoch: 1_700_000_000,
  level: 0,
});

function tempDir(t: Owner): string {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "isconf-package-test-"));
  t.after(() => Promise.resolve(fs.rmSync(dir, { recursive: true, force: true })));
  return dir;
}

let made: Promise<Record<"old" | "new", Uint8Array>> | undefined;

/** Two packages of which one is older; made once. */
function packages(): NonNullable<typeof made> {
  return made ??= (async () => {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), "isconf-package-test-"));
    try {
      const read = async (version: string) => fs.readFileSync(`${dir}/${await makeDeb(dir, real(version))}`);
      return { old: await read("0.0.1"), new: await read("0.1.0") };
    } finally {
      fs.rmSync(dir, { recursive: true });
    }
  })();
}

/** The smallest Debian, without isconf, with both packages lying there. */
async function makeBare(t: Owner, name: string): Promise<Host> {
  const { old, new: newer } = await packages();
  const host = await makeHost(t, name, { lower: BARE_ROOT, conf: null });
  await host.sh("rm /usr/local/sbin/isconf");
  await host.write("/root/old.deb", old);
  await host.write("/root/new.deb", newer);
  return host;
}

const LEFT =
  "ls -d /usr/bin/isconf /etc/isconf /var/lib/isconf /run/isconf /usr/lib/*/isconf* /usr/share/*/isconf 2>/dev/null || true; find /etc/systemd -name 'isconf*'";

packageTest(
  "without systemd nothing is started, a running agent is the new one after an upgrade, a purge and nothing else takes state away",
  ["root"],
  async (t) => {
    const host = await makeBare(t, "deb");
    await host.must(["dpkg", "-i", "/root/old.deb"]);
    assert.deepEqual(host.processes(), []);
    assert.equal(await host.sh("command -v isconf"), "/usr/bin/isconf");
    assert.match(await host.sh("dpkg --verify isconf; dpkg-query -W isconf"), /^isconf\t0\.0\.1$/);
    await host.must(["dpkg", "-i", "/root/new.deb"]);
    assert.deepEqual(host.processes(), [], "an upgrade starts nothing that did not run");

    await host.ok("init");
    await host.sh("echo kept | isconf put --label kept -");
    const before = host.agent().root;
    assert.ok(before);
    await host.must(["dpkg", "-i", "/root/old.deb"]);
    const after = host.agent().root;
    assert.ok(after && after !== before, `the agent is process ${after}, was ${before}`);
    assert.equal(await host.sh("isconf cat kept"), "kept");

    // The upgrade as a command of isconf's own: nobody waits for himself.
    await host.ok("lock", "upgrade isconf");
    const said = await host.must(["isconf", "exec", "dpkg", "-i", "/root/new.deb"]);
    assert.match(said.stderr, /is the old one until: isconf restart/);
    assert.equal(host.agent().root, after);
    await host.ok("ci");

    await host.must(["dpkg", "-r", "isconf"]);
    assert.deepEqual(host.processes(), [], "the agent has stopped");
    const removed = await host.sh(LEFT);
    assert.match(removed, /\/etc\/isconf\n\/?.*\/var\/lib\/isconf/s);
    assert.doesNotMatch(removed, /bin|share|usr/);
    await host.must(["dpkg", "-i", "/root/new.deb"]);
    await host.ok("start");
    assert.equal(await host.sh("isconf cat kept"), "kept");
    await host.ok("stop");
    await host.must(["dpkg", "-P", "isconf"]);
    assert.equal(await host.sh(LEFT), "");
  },
);

const STANDIN = `#!/bin/sh
echo "$(basename "$0") $*" >>/root/asked
`;

packageTest(
  "systemd is told of the service: started, started again, stopped; never waited for by a command of isconf's own",
  ["root"],
  async (t) => {
    const host = await makeBare(t, "debsd");
    await host.sh("mkdir -p /run/systemd/system");
    for (const name of ["systemctl", "deb-systemd-invoke", "systemd-sysusers", "systemd-tmpfiles"]) {
      await host.write(`/usr/local/sbin/${name}`, STANDIN, 0o755);
    }
    const asked = async (...words: string[]) => {
      await host.sh(": >/root/asked");
      await host.must(words);
      return await host.sh("grep -v '^systemctl daemon-reload' /root/asked || true"); // deb-systemd-helper's own
    };
    const MADE =
      "systemd-sysusers isconf.conf\nsystemd-tmpfiles --create isconf.conf\nsystemctl --system daemon-reload\n";
    assert.equal(
      await asked("dpkg", "-i", "/root/old.deb"),
      `${MADE}deb-systemd-invoke start isconf.service`,
    );
    const wanted = "/etc/systemd/system/multi-user.target.wants/isconf.service";
    assert.equal(await host.sh(`readlink -f ${wanted}`), "/usr/lib/systemd/system/isconf.service");
    assert.equal(
      await asked("dpkg", "-i", "/root/new.deb"),
      `${MADE}deb-systemd-invoke restart isconf.service`,
    );
    assert.equal(
      await asked("env", "ISCONF_HOST=h", "dpkg", "-i", "/root/new.deb"),
      `${MADE}systemctl --system --no-block restart isconf.service`,
    );
    await host.sh(`rm ${wanted}`); // somebody has disabled it
    await asked("dpkg", "-i", "/root/new.deb");
    assert.equal(await host.sh(`test -e ${wanted} || echo disabled`), "disabled");
    assert.equal(
      await asked("dpkg", "-r", "isconf"),
      "deb-systemd-invoke stop isconf.service\nsystemctl --system daemon-reload",
    );
    await asked("dpkg", "-P", "isconf");
    assert.equal(await host.sh(LEFT), "");
    assert.deepEqual(host.processes(), []);
  },
);

packageTest(
  "lintian has nothing to say that has no reason in the overrides",
  ["lintian", "root"],
  async (t) => {
    const dir = tempDir(t);
    fs.writeFileSync(`${dir}/isconf.deb`, (await packages()).new);
    // Whose package it is says whoever releases it.
    const words = [
      "--allow-root",
      "-I",
      "--suppress-tags",
      "bogus-mail-host,bogus-mail-host-in-debian-changelog",
    ];
    const { stdout, stderr } = spawnSync("lintian", [...words, `${dir}/isconf.deb`], { encoding: "utf8" });
    assert.equal(stdout + stderr, "");
  },
);

packageTest("what the executable asks the loader for is what the package depends on", ["objdump"], () => {
  const files = [EXECUTABLE, `${root}node_modules/better-sqlite3/prebuilds/linux-${process.arch}.node`];
  const { stdout } = spawnSync("objdump", ["-T", ...files], { encoding: "utf8", maxBuffer: 1 << 28 });
  const most = (what: string) => {
    const all = [...stdout.matchAll(new RegExp(`\\(${what}_([0-9.]+)\\)`, "g"))].map((m) => m[1] as string);
    return all.sort((a, b) => a.localeCompare(b, undefined, { numeric: true })).at(-1);
  };
  assert.equal(DEPENDS.GLIBC, `libc6 (>= ${most("GLIBC")})`);
  assert.equal(most("GLIBCXX"), "3.4.29", "which is of GCC 11"); // https://gcc.gnu.org/onlinedocs/libstdc++/manual/abi.html
  assert.match(DEPENDS.GLIBCXX, / 11\)/);
  assert.equal(DEPENDS.GCC, `libgcc-s1 (>= ${most("GCC")?.replace(/\.0$/, "")})`);
  return Promise.resolve();
});

const same =
  "the same tree gives the same bytes, whatever the umask; hashes and signature tell what was changed";
const lack = lacking("dpkg-deb", "xz", "ssh-keygen", "sha256sum");
if (lack) console.log(`skipped: ${same}: ${lack}`);
test(same, { skip: lack ?? false, timeout: 240_000 }, async (t) => {
  const dir = tempDir({ after: (fn) => t.after(fn) });
  const packed: Packed = {
    ...{ version: "1.2.3", arch: "arm64", licences: "none", epoch: 1_700_000_000, level: 6 },
    executable: new Uint8Array(100_000).fill(7),
  };
  const names: string[] = [];
  const both = async (to: string, umask: number) => {
    fs.mkdirSync(`${dir}/${to}`);
    const before = process.umask(umask);
    names.push(await makeDeb(`${dir}/${to}`, packed), await makeArchive(`${dir}/${to}`, packed));
    process.umask(before);
  };
  await both("a", 0o022);
  await pause(1100); // of another second
  await both("b", 0o077);
  assert.deepEqual([...new Set(names)], ["isconf_1.2.3_arm64.deb", "isconf_1.2.3_linux-arm64.tar.xz"]);
  for (const name of names) {
    assert.ok(fs.readFileSync(`${dir}/a/${name}`).equals(fs.readFileSync(`${dir}/b/${name}`)), name);
  }

  const run = (program: string, words: string[], input = "") =>
    spawnSync(program, words, { cwd: `${dir}/a`, input, encoding: "utf8" });
  assert.equal(run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", "key"]).status, 0);
  await makeSums(`${dir}/a`, names.slice(0, 2), `${dir}/a/key`);
  fs.writeFileSync(`${dir}/a/signers`, `release ${fs.readFileSync(`${dir}/a/key.pub`, "utf8")}`);
  const sums = fs.readFileSync(`${dir}/a/SHA256SUMS`, "utf8");
  const words = ["-Y", "verify", "-f", "signers", "-I", "release", "-n", "isconf", "-s", "SHA256SUMS.sig"];
  assert.equal(run("ssh-keygen", words, sums).status, 0);
  assert.notEqual(run("ssh-keygen", words, sums.replace(/^./, "z")).status, 0, "other hashes");
  assert.equal(run("sha256sum", ["--strict", "-c", "SHA256SUMS"]).status, 0);
  fs.appendFileSync(`${dir}/a/${names[0]}`, "x");
  assert.notEqual(run("sha256sum", ["--strict", "-c", "SHA256SUMS"]).status, 0, "another package");

  const list = run("tar", ["-tvf", names[1]!]).stdout;
  assert.match(list, /^-rwxr-xr-x 0\/0 +100000 2023-11-14 [0-9:]+ isconf-1\.2\.3\/bin\/isconf$/m);
  assert.match(list, /isconf-1\.2\.3\/share\/man\/man5\/isconf\.conf\.5\.gz$/m);
});
