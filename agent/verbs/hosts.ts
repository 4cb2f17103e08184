// The verbs token, join, approve, hosts and evict: how hosts come into the domain and leave it.
import * as fs from "node:fs";
import type { Joined } from "../join.ts";
import { NAMED_ROLES } from "../api_roles.ts";
import { inert } from "../names.ts";
import { moment } from "../term.ts";
import type { Verb } from "../verb.ts";

type Token = Awaited<ReturnType<typeof import("../enrol.ts")["tokens"]>>;
type Hosts = ReturnType<typeof import("../enrol.ts")["hosts"]>;

interface TokenArgs {
  action?: string;
  id?: string;
  branch?: string;
  host?: string;
  approve: boolean;
  open: boolean;
  hours?: number;
  role: string[];
  days?: number;
  note?: string;
  file?: string;
}

export const tokenVerb: Verb<TokenArgs, Token> = {
  name: "token",
  summary: "make a token with which one host can join the domain, or a program use the API",
  about:
    "Without a word, for a host: needs the enrol role. Good once, for 24 hours unless said otherwise. Who joins with it waits\nuntil somebody approves, after comparing the fingerprint; with --approve nobody has to, so give such a token to nobody else.\nWith --open it has no secret, for machines that are installed from the network: any host may ask with it, and each waits.\ntoken api: for a program or a browser that comes over TCP (http in isconf.conf) as you, for no more than its roles:\nread, and publish, enrol, operate when they are named. It is shown once. token revoke ID ends it; isconf tokens lists them.\ntoken revoke TOKEN, on the host that made it, ends one for hosts before its time, and who waits by it waits no longer.",
  examples: [
    "isconf token",
    "isconf token --branch web --host web7 --approve",
    "isconf token --open --branch web --hours 720",
    "isconf token api --role operate --file ~/.isconf-token && curl -H @$HOME/.isconf-token http://127.0.0.1:8470/v1/status",
    "isconf token revoke 5b0c",
  ],
  args: {
    action: {
      kind: "text",
      positional: true,
      values: ["api", "revoke"],
      about: "api, or revoke; without: for a host",
    },
    id: {
      kind: "text",
      positional: true,
      is: "token",
      about: "revoke: the beginning of the token's id; of one for hosts its whole word",
    },
    branch: { kind: "text", is: "branch", about: "the branch the new host is to be on; else this host's" },
    host: { kind: "text", about: "what the new host must be called; else as it says" },
    approve: { kind: "flag", about: "let in who has the token, without asking" },
    open: { kind: "flag", about: "without a secret: any host may ask with it, each waits for approval" },
    hours: { kind: "count", about: "how long it is good for, in hours" },
    role: {
      kind: "texts",
      values: NAMED_ROLES,
      about: `api: what it is for beside reading: ${NAMED_ROLES.join(", ")}`,
    },
    days: { kind: "count", about: "api: how long it is good for, in days; else 90" },
    note: { kind: "text", about: "api: what it is for, in words" },
    file: {
      kind: "text",
      is: "file",
      own: true,
      about: "api: a new file of mode 0600 for it, as curl -H @FILE reads it",
    },
  },
  kind: "control",
  run: (call, args) => call.acts.enrol.tokens(call, args),
  show(r, term, { file }) {
    if (r.what === "revoked") return term.say(`revoked: ${r.id}, ${r.roles.join(", ")}, of ${inert(r.user)}`);
    if (r.what === "withdrawn") {
      return term.say(`ended: a token for branch ${inert(r.branch)}; ${r.waited} hosts waited by it`);
    }
    if (r.what === "api") {
      term.say(`for ${inert(r.user)}: ${r.roles.join(", ")}; ${r.id}, until ${moment(r.untilMs)}`);
      if (file === undefined) return term.line(r.token);
      fs.writeFileSync(file, `Authorization: Bearer ${r.token}\n`, { mode: 0o600, flag: "wx" });
      return term.say(`curl -H @${inert(file)} …`);
    }
    const whom = r.open ? "for any host, each waits for approval" : "for one host";
    term.say(`${whom}, on branch ${inert(r.branch)}, until ${moment(r.untilMs)}; there: isconf join TOKEN`);
    term.line(r.token);
  },
};

type Tokens = ReturnType<typeof import("../enrol.ts")["listTokens"]>;

export const tokensVerb: Verb<Record<never, never>, Tokens> = {
  name: "tokens",
  summary: "your tokens for the API",
  about: "Their ids, roles, until when they are good, and when they were used. root sees everybody's.",
  examples: ["isconf tokens", "isconf token revoke 5b0c"],
  args: {},
  kind: "reads",
  run: (call) => call.acts.enrol.listTokens(call),
  show(r, term) {
    term.table(r.tokens.map((t) => [
      t.id,
      inert(t.user),
      t.roles.join(","),
      `until ${moment(t.untilMs)}`,
      t.usedMs === null ? "never used" : `used ${moment(t.usedMs)}`,
      inert(t.note),
    ]));
  },
};

export const joinVerb: Verb<{ token: string; host?: string }, Joined> = {
  name: "join",
  summary: "bring this host into a domain",
  about:
    "Starts the agent if it is not running, asks the host that made the token, and waits for approval if the token\nwants that. The same token goes on after an interruption. Then: isconf up.",
  examples: ["isconf join isconf1.hVgg…", "isconf join --host web7 isconf1.hVgg…"],
  args: {
    token: { kind: "text", positional: true, required: true, about: "what `isconf token` printed" },
    host: { kind: "text", about: "what this host is called in the domain; else its host name" },
  },
  kind: "changes",
  run: (call, args) => call.acts.join.join(call, { token: args.token, host: args.host ?? "host" }),
  show(r, term) {
    const more = r.entries > 0 ? `, ${r.entries} entries to apply: isconf up` : "";
    term.say(`joined the domain ${r.domain} as ${inert(r.host)}, on branch ${inert(r.branch)}${more}`);
  },
};

export const approveVerb: Verb<{ host: string; replace: boolean }, { host: string; fingerprint: string }> = {
  name: "approve",
  summary: "let in a host that waits",
  about:
    "On the host that made the token. Compare the fingerprint with what `isconf join` shows on the new host; who asks with an\nopen token is let in by that alone, and not by name. With\n--replace, for owners, a host that was rebuilt takes the name of the one before, which is evicted.",
  examples: ["isconf approve web7", "isconf approve 1f2e-93ab-04cd-77e0", "isconf approve --replace web7"],
  args: {
    host: {
      kind: "text",
      positional: true,
      required: true,
      is: "waiting",
      about: "its name or fingerprint, see isconf hosts",
    },
    replace: { kind: "flag", about: "evict the host that has this name now" },
  },
  kind: "changes",
  run: (call, args) => call.acts.enrol.approve(call, args),
  show: (r, term) => term.say(`approved: ${inert(r.host)}, ${r.fingerprint}`),
};

export const hostsVerb: Verb<Record<never, never>, Hosts> = {
  name: "hosts",
  summary: "hosts of the domain, and those that wait to be let in",
  about:
    "Name, fingerprint, whether it is connected with this host now, and which one is a keeper. Who waits is shown by\nthe host that made its token, to be approved there after comparing the fingerprint.",
  examples: ["isconf hosts", "isconf --json hosts"],
  args: {},
  kind: "reads",
  lasts: true,
  run: (call) => call.acts.enrol.hosts(call),
  show(r, term) {
    term.table([
      ...r.hosts.map((h) => [inert(h.name), h.fingerprint, h.state, h.keeper ? "keeper" : ""]),
      ...r.waiting.map((w) => [
        inert(w.name),
        w.fingerprint,
        "waits",
        `to join ${inert(w.branch)}${w.open ? " with an open token" : ""}, ` +
        `since ${moment(w.askedMs)}: isconf approve ${w.fingerprint}`,
      ]),
    ]);
  },
};

export const evictVerb: Verb<{ host: string; reason: string[] }, { host: string }> = {
  name: "evict",
  summary: "take a host out of the domain",
  about:
    "For owners. Its key and those of the persons on it count for nothing from now on; what they did before stays.\nEvery host cuts it off as soon as it hears of it. It can come back only with a new key, after a new token.",
  examples: ["isconf evict web7 stolen", "isconf evict web7"],
  args: {
    host: { kind: "text", positional: true, required: true, is: "host", about: "its name, see isconf hosts" },
    reason: { kind: "texts", positional: true, about: "why" },
  },
  kind: "changes",
  run: (call, args) => call.acts.roles.evict(call, { host: args.host, reason: args.reason.join(" ") }),
  show: (r, term) => term.say(`evicted: ${inert(r.host)}`),
};
