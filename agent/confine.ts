// Confine: what the net half gives up, before it reads anything, of what it never needs: other processes, programs, rights, kinds
// of sockets. Not its uid, which it is started with (agent_main.ts). And the look from outside whether it has.
import * as fs from "node:fs";
import {
  confineCalls,
  dropCapabilities,
  Fault,
  forbidNewRights,
  forbidRings,
  keepOnExec,
  lowerLimits,
  makeUntraceable,
} from "../mq/mod.ts";
import { NET_SOCKETS, SEAM_FD } from "./half.ts";
import { netFilesMax } from "./limits.ts";

/** Sockets of this host, of the network, and what tells of its addresses (AF_UNIX, AF_INET, AF_INET6, AF_NETLINK). */
const FAMILIES = [1, 2, 10, 16];

/** In the environment of a net half that has put itself in its own place. */
const AGAIN = "ISCONF_NET_AGAIN";

/**
 * Gives all of that up, for good: `words` after the name of the executable start the same once more, in the place of this process,
 * because Node has a way around system calls by the time that we run (`forbidRings`), and threads with rights of their own. What is not
 * possible here, as under an emulator, is said to `log`, and in the doctor.
 */
export function confineNet(words: string[], log: (line: string) => void): void {
  const giveUp = (what: string, fn: () => void): boolean => {
    try {
      fn();
      return true;
    } catch (e) {
      log(`${what} could not be given up: ${Fault.from("start", e).message}`);
      return false;
    }
  };
  if (process.env[AGAIN] !== "1") {
    giveUp("limits", () => lowerLimits({ nofile: netFilesMax, memlock: 0, msgqueue: 0 }));
    giveUp("new rights", forbidNewRights);
    giveUp("capabilities", dropCapabilities);
    if (giveUp("system calls", forbidRings)) {
      const given = Number(process.env[NET_SOCKETS] ?? 0);
      for (let fd = SEAM_FD; fd <= SEAM_FD + given; fd++) keepOnExec(fd); // Node has closed for others whatever it was started with
      process.execve?.("/proc/self/exe", [process.execPath, ...words], { ...process.env, [AGAIN]: "1" });
    }
  } else giveUp("system calls", () => confineCalls(FAMILIES));
  giveUp("being looked into", makeUntraceable);
}

/** What each thread's /proc/PID/status says of one who has given it up. */
const GIVEN_UP = { NoNewPrivs: "1", Seccomp: "2", CapEff: "0000000000000000", CapPrm: "0000000000000000" };

/** What a process could still do that is more than `confineNet` leaves, in words; undefined: nothing. */
export function looseIn(pid: number): string | undefined {
  for (const thread of fs.readdirSync(`/proc/${pid}/task`)) {
    const status = fs.readFileSync(`/proc/${pid}/task/${thread}/status`, "latin1");
    for (const [field, wanted] of Object.entries(GIVEN_UP)) {
      const found = new RegExp(`^${field}:\\s*(\\S+)$`, "m").exec(status)?.[1];
      if (found !== wanted) return `${field} of thread ${thread} is ${found}`;
    }
  }
  return undefined;
}
