// Doctor: named checks of this host, each with a verdict and the next command. It looks and changes nothing.
import * as fs from "node:fs";
import { Fault, keyId } from "../mq/mod.ts";
import { looseIn } from "./confine.ts";
import { HOST_CHECKS } from "./doctor_host.ts";
import { MACHINE_CHECKS } from "./doctor_machine.ts";
import { MESH_CHECKS } from "./doctor_mesh.ts";
import { type Call, hostPair, needCongruent } from "./host.ts";
import { hostVariables } from "./hostvars.ts";
import { inert } from "./names.ts";
import { isEvicted } from "./outcast.ts";
import { NET_USER } from "./paths.ts";
import { userByName } from "./users.ts";
import { getMeta } from "./schema.ts";

export interface Finding {
  check: string;
  ok: boolean;
  text: string;
  hint: string;
}

/** Runs every check; one that throws is a finding, not an end. */
export async function examine(call: Call): Promise<{ findings: Finding[] }> {
  const findings: Finding[] = [];
  for (const [check, look] of Object.entries(CHECKS)) {
    try {
      const bad = await look(call);
      findings.push({ check, ok: bad === undefined, text: bad?.text ?? "ok", hint: bad?.hint ?? "" });
    } catch (e) {
      const fault = Fault.from(check, e);
      findings.push({ check, ok: false, text: inert(fault.message), hint: inert(fault.hint) });
    }
  }
  return { findings };
}

/** What is not well and what to do about it; undefined when all is well. */
export type Bad = { text: string; hint: string } | undefined;

const CHECKS: Record<string, (call: Call) => Bad | Promise<Bad>> = {
  keys: ({ host }) => void keyId(hostPair(host).publicKey),
  ...HOST_CHECKS,
  domain: ({ host }) => {
    const policy = host.journal.policy();
    if (policy !== undefined && isEvicted(host, policy)) {
      return { text: "this host was evicted from its domain", hint: "isconf join TOKEN, once it is rebuilt" };
    }
    return policy === undefined
      ? { text: "this host belongs to no domain", hint: "isconf init, or isconf join TOKEN" }
      : undefined;
  },
  branch: ({ host }) =>
    host.journal.policy() !== undefined && getMeta(host.db, "branch") === undefined
      ? { text: "this host is on no branch", hint: "isconf migrate BRANCH" }
      : undefined,
  congruent: ({ host }) => {
    try {
      return void needCongruent(host, "doctor");
    } catch (e) {
      const { message, hint } = Fault.from("doctor", e);
      return { text: inert(message), hint };
    }
  },
  "boot id": ({ host }) =>
    host.boot === "" ? { text: `${host.config.bootIdFile} is empty`, hint: "edit isconf.conf" } : undefined,
  "restart command": ({ host }) => {
    const [file] = host.config.rebootCommand as [string];
    if (fs.existsSync(file)) return undefined;
    return {
      text: `${inert(file)} does not exist: isconf reboot cannot work`,
      hint: "edit reboot_command in isconf.conf",
    };
  },
  "host variables": ({ host }) => void hostVariables(`${host.home.config}/main.cf`, "x"),
  "separate user": () => {
    if (process.geteuid?.() !== 0) return undefined;
    try {
      userByName("doctor", NET_USER);
      return undefined;
    } catch (e) {
      const hint =
        `useradd --system --no-create-home --shell /usr/sbin/nologin ${NET_USER}, then isconf restart`;
      return { text: `${Fault.from("doctor", e).message}: the net half runs as root`, hint };
    }
  },
  "net half": ({ host }) => {
    const pid = host.netPid();
    const loose = pid === undefined ? undefined : looseIn(pid);
    if (loose === undefined) return undefined;
    return {
      text: `the net half can do more than it needs: ${loose}`,
      hint: "isconf restart; the log says what was not possible",
    };
  },
  ...MESH_CHECKS,
  "content store": async ({ host }) => void await host.store.missing(["0".repeat(64)]),
  ...MACHINE_CHECKS,
};
