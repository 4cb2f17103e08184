// Dev: `deno task dev`: two agents in two homes, hosta's domain joined by hostb, and the lines with which to look
// inside, until ^C. Not an installation: it is all gone afterwards.
import { awaken, interruption, title, twoHomes, type } from "./demo_stage.ts";

const interrupted = interruption();
const stage = twoHomes();
try {
  const { hosta, hostb } = stage;
  title("two agents in two homes");
  await type(stage, hosta, "isconf init --host hosta");
  await type(stage, hosta, "isconf bundle export main.bundle");
  const { domain } = JSON.parse((await hosta.run("isconf --json status", () => {})).stdout);
  await type(stage, hostb, `isconf bundle import main.bundle --domain ${domain} --host hostb`);
  const lock = `-d '{"message":["a try"]}' http://isconf/v1/lock`, up = "-d '{}' http://isconf/v1/up";
  for (const host of [hosta, hostb]) {
    const socket = host.seen(`${host.name}/run/${process.getuid?.()}.sock`);
    const curl = `curl --unix-socket ${socket}`;
    title(host.name);
    process.stdout.write([
      host.enter,
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
