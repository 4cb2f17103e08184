// The verbs grant, revoke and rotate: who may do what, and with which key.
import { inert } from "../names.ts";
import type { Verb } from "../verb.ts";

type Granted = { person: string; role: string; branch: string };

export const grantVerb: Verb<{ user: string; role: string; branch?: string }, Granted> = {
  name: "grant",
  summary: "give a person a role on a branch",
  about:
    "A person is a user of a host: alice here, or alice@hostb. When first named, that host must be connected and must\npermit the user in its policy, without which nobody has a socket. Roles: owner (everything, append included),\nappend (lock, snap, exec, reboot, ci), enrol, keeper, secret, release, publish (name what is in isfs: on images for\nnames like images/base, on @domain for any).",
  examples: [
    "isconf grant alice append",
    "isconf grant alice@hostb append web",
    "isconf grant bob owner '*'",
  ],
  args: {
    user: {
      kind: "text",
      positional: true,
      required: true,
      is: "person",
      about: "a user of this host, or user@host",
    },
    role: {
      kind: "text",
      positional: true,
      required: true,
      values: ["owner", "append", "enrol", "keeper", "secret", "release", "publish"],
      about: "which role",
    },
    branch: {
      kind: "text",
      positional: true,
      is: "branch",
      about: "on which branch; else this host's; * is every one",
    },
  },
  kind: "changes",
  run(call, args) {
    const branch = args.branch ?? call.acts.status.standing(call.host).branch ?? "";
    return call.acts.roles.grant(call, { person: args.user, role: args.role, branch });
  },
  show: (r, term) => term.say(`${inert(r.person)} is ${r.role} on ${inert(r.branch)} now`),
};

export const revokeVerb: Verb<{ person: string; reason: string[] }, { name: string }> = {
  name: "revoke",
  summary: "take every right from a person's key",
  about:
    "For owners. What the key signed before stays; nothing it signs from now on counts. A host: isconf evict.",
  examples: ["isconf revoke alice@hostb left the company"],
  args: {
    person: {
      kind: "text",
      positional: true,
      required: true,
      is: "person",
      about: "user@host, as isconf log shows authors",
    },
    reason: { kind: "texts", positional: true, about: "why" },
  },
  kind: "changes",
  run: (call, args) => call.acts.roles.revoke(call, { person: args.person, reason: args.reason.join(" ") }),
  show: (r, term) => term.say(`revoked: ${inert(r.name)}`),
};

export const rotateVerb: Verb<{ host: boolean }, { name: string; key: string }> = {
  name: "rotate",
  summary: "put a new key in the place of yours",
  about:
    "The new key has the same name and roles; the old one counts for what it signed and no more. With --host, which\nneeds the enrol role, it is this host's key.",
  examples: ["isconf rotate", "isconf rotate --host"],
  args: { host: { kind: "flag", about: "this host's key instead of one's own" } },
  kind: "changes",
  run: (call, args) => call.acts.roles.rotate(call, args.host ? "host" : "person"),
  show: (r, term) => term.say(`${inert(r.name)} has a new key: ${r.key}`),
};
