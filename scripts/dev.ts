// Dev: `deno task dev`: two agents in two homes, the domain of one joined by the other over loopback, and the lines with
// which to look inside, until ^C. Not an installation: it is all gone afterwards.
import { type Actor, asked, awaken, homes, interruption, title, type } from "./demo_stage.ts";

const interrupted = interruption();
const stage = homes(["hosta", "hostb"]);
try {
  const { hosta, hostb } = stage.hosts as { hosta: Actor; hostb: Actor };
  title("two agents in two homes");
  await type(stage, hosta, "isconf init --host hosta");
  const token = (await type(stage, hosta, "isconf token --approve")).trim();
  await type(stage, hostb, `isconf join --host hostb ${token}`);
  await type(stage, hosta, "isconf grant $(id -un)@hostb append");
  await type(stage, hosta, "isconf hosts");
  const lock = `-d '{"message":["a try"]}' http://isconf/v1/lock`, up = "-d '{}' http://isconf/v1/up";
  for (const host of [hosta, hostb]) {
    const { network } = await asked<{ network: { addresses: string[] } }>(host, "status");
    const curl = `curl --unix-socket ${host.seen(`${host.name}/run/${process.getuid?.()}.sock`)}`;
    title(`${host.name}, which others reach at ${network.addresses.join(", ")}`);
    process.stdout.write([
      host.enter(),
      `${curl} http://isconf/v1/status`,
      `${curl} -H 'content-type: application/json' ${host === hosta ? lock : up}`,
      `tail -f ${host.seen(`${host.name}/var/agent.log`)}`,
      "",
    ].join("\n"));
  }
  title("^C ends both");
  await awaken(interrupted);
} catch (e) {
  process.stdout.write(`\ndev: ${(e as Error).message}\n`);
  process.exitCode = 1;
} finally {
  await stage.close();
}
process.exit();
