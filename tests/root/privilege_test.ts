// privilege: what the two halves of a running agent are to the kernel. Not what people may do (doors_test.ts).
import assert from "node:assert/strict";
import * as fs from "node:fs";
import { type Host, hostTest, makeHost, until } from "../hosts.ts";

/** The file and socket descriptors of a process of a host, as the kernel names them. */
function descriptors(host: Host, pid: number): string[] {
  const dir = host.path(`/proc/${pid}/fd`);
  return fs.readdirSync(dir).map((fd) => fs.readlinkSync(`${dir}/${fd}`));
}

function statusField(host: Host, pid: number, field: string): string {
  const text = fs.readFileSync(host.path(`/proc/${pid}/status`), "utf8");
  return new RegExp(`^${field}:[ \\t]*(.*?)[ \\t]*$`, "m").exec(text)?.[1] ?? "?";
}

hostTest("start makes the user of the net half, which has no right but its own", async (t) => {
  const host = await makeHost(t, "apart");
  assert.notEqual((await host.run(["id", "_isconf"])).status, 0, "this machine has a user _isconf already");
  // Whoever starts the agent may hold anything open; a descriptor this high is closed by nobody by accident.
  await host.must(["bash", "-c", "exec 200</etc/shadow; isconf init"]);
  const uid = Number(await host.sh("id -u _isconf"));
  assert.ok(uid > 0);
  await host.ok("ls"); // the net half answers too
  const { root, net } = host.agent();
  assert.ok(root && net);
  assert.equal(statusField(host, root, "Uid"), "0\t0\t0\t0");
  assert.equal(statusField(host, net, "Uid"), Array(4).fill(uid).join("\t"));
  const gid = await host.sh("id -g _isconf");
  assert.equal(statusField(host, net, "Gid"), Array(4).fill(gid).join("\t"));
  assert.equal(statusField(host, net, "Groups"), "", "supplementary groups");
  for (const set of ["CapInh", "CapPrm", "CapEff", "CapAmb"]) {
    assert.match(statusField(host, net, set), /^0+$/, `${set} of the net half`);
  }

  await host.ok("lock", "keys and rows to hide");
  assert.notEqual(await host.sh("ls /var/lib/isconf/keys"), "");
  for (const secret of ["/var/lib/isconf/keys", "/var/lib/isconf/agent.db", "/run/isconf/0.sock"]) {
    assert.notEqual((await host.run(["test", "-r", secret], { uid })).status, 0, `${secret} is readable`);
    assert.equal((await host.run(["test", "-r", secret])).status, 0, `${secret} is not there`);
  }
  const held = descriptors(host, net);
  assert.ok(held.some((name) => name.endsWith("/store/store.db")), held.join("\n"));
  assert.deepEqual(held.filter((name) => /agent\.db|keys|agent\.lock|\/run\/isconf|shadow/.test(name)), []);
});

hostTest(
  "without a domain neither half listens on the network, and only the root half on a socket of this host",
  async (t) => {
    const host = await makeHost(t, "quiet");
    await host.ok("start");
    await host.ok("ls"); // the net half answers too
    const { root, net } = host.agent();
    assert.ok(root && net);
    // The host has a network of its own: whatever listens there is ours.
    const rows = await host.sh(
      "cat /proc/net/tcp /proc/net/tcp6 /proc/net/udp /proc/net/udp6 | grep -vc sl || true",
    );
    assert.equal(rows, "0", "sockets on the network");
    const LISTENS = "00010000";
    const listening = (await host.sh("cat /proc/net/unix")).split("\n").map((row) => row.split(/\s+/))
      .filter((row) => row[3] === LISTENS);
    assert.deepEqual(listening.map((row) => row[7]), ["/run/isconf/0.sock"]);
    const socket = `socket:[${listening[0]?.[6]}]`;
    assert.ok(descriptors(host, root).includes(socket));
    assert.ok(!descriptors(host, net).includes(socket), "the net half holds the door");
  },
);

hostTest("no signal to a half opens an inspector, or ends it before its time", async (t) => {
  const host = await makeHost(t, "signals");
  await host.ok("init");
  const before = host.agent();
  const listening = () =>
    host.sh("cat /proc/net/tcp /proc/net/tcp6 | awk '$4 == \"0A\" { print $2 }' | sort");
  await until("it listens on its own port", async () => /1276/.test(await listening()));
  const [sockets, files] = [await listening(), host.sh("ls /tmp /run /dev/shm")];
  for (const pid of [before.root, before.net]) {
    for (const signal of ["USR1", "USR1", "USR2", "HUP", "PIPE", "CHLD", "WINCH", "URG", "CONT"]) {
      await host.sh('kill -"$1" "$2"; sleep 0.1', signal, String(pid));
    }
  }
  assert.deepEqual(host.agent(), before);
  await host.ok("status");
  assert.equal(await listening(), sockets);
  assert.equal(await host.sh("ls /tmp /run /dev/shm"), await files);
  for (const pid of [before.root, before.net]) {
    assert.match(
      await host.sh('grep "core file" "/proc/$1/limits"', String(pid)),
      / 0 +0 /,
      "a core would have secrets in it",
    );
    assert.equal(
      await host.sh('tr "\\0" "\\n" <"/proc/$1/environ" | sort', String(pid)),
      pid === before.net ? "ISCONF_NET_AGAIN=1\nISCONF_NET_DROPPED=1" : "",
      "its environment is what it was given, and nothing of whoever started the agent",
    );
  }
});

hostTest("in a domain the net half alone has sockets on the network, and listens on one port", async (t) => {
  const host = await makeHost(t, "heard");
  await host.ok("init");
  const { root, net } = host.agent();
  assert.ok(root && net);
  const [LISTEN, PORT] = ["0A", (4726).toString(16).toUpperCase()];
  const sockets = async () =>
    (await host.sh("cat /proc/net/tcp /proc/net/tcp6 /proc/net/udp /proc/net/udp6")).split("\n")
      .map((row) => row.trim().split(/\s+/)).filter((row) => /^[0-9]+:$/.test(row[0] ?? ""));
  const isListening = (row: string[]) => row[3] === LISTEN;
  await until("it listens", async () => (await sockets()).some(isListening));
  const rows = await sockets();
  const listening = rows.filter(isListening);
  assert.deepEqual(listening.map((row) => row[1]).sort(), [
    `${"0".repeat(32)}:${PORT}`,
    `00000000:${PORT}`,
  ]);
  const own = descriptors(host, net), roots = descriptors(host, root);
  for (const row of rows) {
    assert.ok(own.includes(`socket:[${row[9]}]`), `a socket that is not the net half's: ${row.join(" ")}`);
    assert.ok(!roots.includes(`socket:[${row[9]}]`), `a socket of the root half: ${row.join(" ")}`);
  }
});
