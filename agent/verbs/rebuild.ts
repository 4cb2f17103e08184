// The verb rebuild: a host's machine is made anew when it boots from the network next.
import { inert } from "../names.ts";
import type { CheckArgs } from "../rebuild_check.ts";
import type { RebuildArgs, RebuildLine } from "../rebuild.ts";
import { moment } from "../term.ts";
import type { Verb } from "../verb.ts";

/** What the command line does by itself (rebuild_check.ts). */
type CheckFlags = CheckArgs & { check: boolean };

export const rebuildVerb: Verb<RebuildArgs & CheckFlags, { rebuilds: RebuildLine[] }> = {
  name: "rebuild",
  summary: "make a host anew: its machine installs itself when it boots from the network next",
  about:
    "On a host that boots machines (isconf netboot). The machine brings the image of its profile onto its disk and goes through\nits branch, as when it was new. What was on the disk is lost; not before it is let in again, by the fingerprint\nthat it shows: isconf approve --replace. Restarting it, from the network, is yours. Without a host: which are to be.\n--check: proves that a branch can be rebuilt: a twin is made of an image in a virtual machine, in memory, goes through the\nbranch as a host of the domain, and is compared with this host, path by path; then it is evicted and removed.",
  examples: [
    "isconf rebuild web-1",
    "isconf rebuild web-1 --mac 52:54:00:12:34:56",
    "isconf rebuild --check --image images/base --except /var/lib/systemd",
  ],
  args: {
    host: { kind: "text", positional: true, is: "host", about: "which host" },
    mac: { kind: "text", about: "its machine, where the boot log and the profiles do not say which that is" },
    branch: { kind: "text", is: "branch", about: "through that branch; else the one it is on" },
    hours: { kind: "count", about: "for so many hours; else 24" },
    cancel: { kind: "flag", about: "it is not to be rebuilt any more" },
    check: {
      kind: "flag",
      own: true,
      about: "compare this host with a twin that is made anew in a virtual machine",
    },
    image: { kind: "text", is: "name", own: true, about: "with --check: the image that the twin is made of" },
    against: {
      kind: "text",
      is: "name",
      own: true,
      about: "with --check: an image to compare it with, in place of this host",
    },
    except: { kind: "texts", own: true, about: "with --check: a path that may differ, with all below it" },
    memory: { kind: "count", own: true, about: "with --check: MiB of the twin's memory" },
  },
  kind: "changes",
  run: (call, args) => call.acts.rebuild.rebuild(call, args),
  show(r, term, { host, cancel }) {
    if (host === undefined || cancel) {
      if (r.rebuilds.length === 0) term.say("no host is to be rebuilt");
      term.table(r.rebuilds.map((one) => [
        inert(one.host),
        one.mac,
        inert(one.branch),
        inert(one.image),
        `until ${moment(one.untilMs)}`,
      ]));
      return;
    }
    for (const { host, mac, branch, image, untilMs } of r.rebuilds) {
      term.line(
        `${inert(host)}, the machine ${mac}, is made anew out of ${inert(image)} and along ${
          inert(branch)
        } when it boots from the network next, until ${moment(untilMs)}`,
      );
      term.say(
        "restart it, from the network; when it asks (isconf boot log -f): isconf approve --replace FINGERPRINT",
      );
    }
  },
};
