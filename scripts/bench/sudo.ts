// Sudo: a command of an ordinary user through isconf, sudo and doas, on a host of its own where all three are set up for that user.
// What is Node's of it, and what is ours. Not what the agent costs without the command line (exec.ts).
import { type Host, lacksHosts, makeHost } from "../../tests/hosts.ts";
import { against, type Figure, median, seconds, skipped } from "./figure.ts";
import { nodeOfOurs, TempDir } from "./host.ts";
import { Meter } from "./meter.ts";
import { run } from "./run.ts";
import { inTurn, type Took } from "./turns.ts";

const rounds = 7;
/** Runs of one turn, so that what it takes to enter the host is shared among them. */
const batch = 10;
/** What of a command may be ours, and how long all of it may take, in seconds of CPU and of wall time. */
const [oursMaxS, wholeMaxS] = [0.015, 0.12];

const LOOP = 'n=$1; shift; while [ "$n" -gt 0 ]; do n=$((n - 1)); "$@" >/dev/null || exit; done';
const isconf = "/usr/local/sbin/isconf";

export async function sudo(): Promise<Figure[]> {
  const lack = lacksHosts("setpriv", "sudo");
  if (lack) return [skipped("exec true as an ordinary user", lack)];
  const ends: (() => Promise<void>)[] = [];
  await using meter = new Meter();
  try {
    const host = await makeHost({ after: (fn) => void ends.push(fn) }, "person", {
      users: ["alice"],
      policy: "permit alice\n",
    });
    await host.sh('echo "127.0.0.1 localhost $(hostname)" >>/etc/hosts');
    await host.write("/etc/sudoers.d/alice", "alice ALL=(ALL:ALL) NOPASSWD: ALL\n", 0o440);
    const hasDoas = await installDoas(host);
    const uid = await host.uidOf("alice");
    const alice = ["setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups", "--"];
    await meter.run([...host.enter(), isconf, "start"]);
    await host.ok("init");
    await host.ok("grant", "alice", "append");
    const asAlice = async (...words: string[]) => void await host.must(words, { uid });
    await asAlice("isconf", "lock", "bench");
    const turn = (...words: string[]) => async (): Promise<Took> => {
      const inHost = [...host.enter(), ...alice, "sh", "-c", LOOP, "sh", String(batch), ...words];
      const { cpuS, wallS } = await meter.both(inHost);
      return { cpuS: cpuS / batch, wallS: wallS / batch };
    };
    const took = await inTurn(rounds, {
      exec: turn(isconf, "exec", "true"),
      sudo: turn("sudo", "-n", "true"),
      ...(hasDoas ? { doas: turn("doas", "-n", "true") } : {}),
      true: turn("true"),
      node: () => meter.both([nodeOfOurs, "-e", "0"]),
      version: turn(isconf, "version"),
    });
    await asAlice("isconf", "ci");
    return (["cpu", "wall"] as const).flatMap((kind): Figure[] => {
      const what = kind === "cpu" ? "CPU" : "wall";
      const name = `isconf exec true as a user, ${what}`;
      const [whole, node] = [median(took.exec[kind]), median(took.node[kind])];
      const within = (label: string, s: number, max: number): Figure => ({
        name: `${label}, ${what}`,
        ours: seconds(s),
        peer: `node -e 0 ${seconds(node)}`,
        aim: `<= ${seconds(max)}`,
        ok: s <= max,
      });
      return [
        against(name, took.exec[kind], "sudo -n true", took.sudo[kind]),
        took.doas
          ? against(name, took.exec[kind], "doas -n true", took.doas[kind])
          : skipped(name, "no doas to be had"),
        against(name, took.exec[kind], "isconf version", took.version[kind]),
        within("all of it", whole, wholeMaxS),
        within("of it not Node's start", whole - node, oursMaxS),
        { name: `true in the same loop, ${what}`, ours: seconds(median(took.true[kind])), peer: "-" },
      ];
    });
  } finally {
    for (const end of ends) await end();
  }
}

/** Puts doas into the host, from Debian's packages, and lets alice use it. */
async function installDoas(host: Host): Promise<boolean> {
  using temp = new TempDir();
  try {
    await run([
      "/bin/sh",
      "-c",
      'cd "$0" && apt-get download -q -o APT::Sandbox::User=root opendoas',
      temp.path,
    ]);
  } catch {
    return false;
  }
  const [deb] = [...Deno.readDirSync(temp.path)].filter(({ name }) => name.endsWith(".deb"));
  if (deb === undefined) return false;
  await host.write("/root/doas.deb", Deno.readFileSync(`${temp.path}/${deb.name}`));
  await host.sh("dpkg -i /root/doas.deb >/dev/null");
  await host.write("/etc/doas.conf", "permit nopass alice\n", 0o400);
  return true;
}
