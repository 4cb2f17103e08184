// Made: answers of an agent whose domain has a thousand hosts, in the shapes of a real one, and with hostile texts when asked for. Made
// hosts show how the page bears many; that the shapes are those of real agents is for answers_test.ts and real_test.ts.
import type * as http from "node:http";
import { type Made, problem } from "./bridge.ts";
import { BRANCHES, chance, hex, madeHost, MINUTE, NOW } from "./made_hosts.ts";

/** Texts that would do something where they are not shown as text. */
export const HOSTILE = [
  `<script>document.title="owned"</script>`,
  `"><img src=x onerror="document.title='owned'">`,
  `<a href="javascript:document.title='owned'">press</a>`,
  `\x1b[31mred\x1b]0;title\x07\x1b[2J`,
  `safe\u202egnp.exe\u2066x\u2069`,
  `zero\u200bwidth\u{e0041}\ufeff`,
  `line\nfeed\rreturn\u2028sep\x85`,
  `\ud800 lone`,
  `${"x".repeat(10_000)} long`,
  `{{constructor.constructor("document.title='owned'")()}}`,
] as const;

export interface MadeOptions {
  hosts?: number;
  /** Every text that people or hosts write is hostile. */
  isHostile?: boolean;
  /** The verbs that the caller may have. */
  may?: string[];
  /** The branch of this host is forked. */
  isForked?: boolean;
}

/** Answers for one page; `asked` notes what was asked for, with its body. */
export class MadeAgent {
  readonly asked: { method: string; path: string; body: string }[] = [];
  readonly #o: MadeOptions;
  readonly #hosts: ReturnType<typeof madeHost>[];
  #n = 0;
  /** What a POST of a verb is answered with; others are done. */
  readonly posts = new Map<string, Made>();

  constructor(o: MadeOptions = {}) {
    this.#o = o;
    const count = o.hosts ?? 1000;
    this.#hosts = Array.from({ length: count }, (_, i) => madeHost(i, (text) => this.#text(text, i)));
  }

  /** A text of people's; each hostile one in its turn. */
  #text(text: string, n = this.#n++): string {
    return this.#o.isHostile ? `${HOSTILE[n % HOSTILE.length]} ${n}` : text;
  }

  readonly answer = async (req: http.IncomingMessage): Promise<Made> => {
    const url = new URL(req.url ?? "/", "http://made");
    let body = "";
    for await (const chunk of req) body += chunk;
    this.asked.push({ method: req.method ?? "", path: url.pathname + url.search, body });
    const verb = url.pathname.slice("/v1/".length);
    this.#n = 0;
    if (req.method === "POST") {
      return this.posts.get(verb) ??
        { status: 200, body: { host: "web-new-1", fingerprint: "1f2e-93ab-04cd-77e0" } };
    }
    const body_ = this.#read(verb, url.searchParams);
    return body_ === undefined
      ? { status: 404, body: problem("notFound", `there is no GET ${url.pathname}`, "isconf help") }
      : { status: 200, body: body_ };
  };

  #read(verb: string, query: URLSearchParams): unknown {
    switch (verb) {
      case "status":
        return this.#status();
      case "hosts":
        return { hosts: this.#members(), waiting: this.#waiting() };
      case "log":
        return query.has("here") ? { executions: this.#executions(query) } : this.#log(query);
      case "show":
        return query.has("here") ? this.#execution(query) : this.#show(query);
      case "verify":
        return { files: this.#files() };
      case "ls":
        return { rows: Array.from({ length: 140 }, (_, i) => this.#shelfRow(i)), tree: [] };
      case "names":
        return { names: Array.from({ length: 24 }, (_, i) => this.#name(i)) };
      case "copies":
        return {
          id: query.get("name"),
          hosts: this.#hosts.slice(0, 40).map(({ name }, i) => ({
            host: name,
            has: i % 5 === 4 ? "no" : "yes",
            keeps: i < 3,
          })),
        };
      case "boot":
        return { last: 400, notes: Array.from({ length: 400 }, (_, i) => this.#bootNote(i)), profile: null };
      case "me":
        return {
          host: "web-0000",
          uid: 1000,
          user: this.#text("alice"),
          web: "",
          token: null,
          verbs: this.#o.may ?? ["approve", "up", "resolve"],
        };
    }
    return undefined;
  }

  /** Eighty machines, each five steps further than the one before it, and round again. */
  #bootNote(i: number) {
    const [machine, n] = [Math.floor(i / 5), i % 5];
    const step = ["offered", "asks", "joined", "image", machine % 7 === 0 ? "failed" : "up"][n]!;
    return {
      mac: `52:54:00:00:00:${machine.toString(16).padStart(2, "0")}`,
      step: this.#o.isHostile && n === 0 ? this.#text(step) : step,
      timeMs: NOW - (400 - i) * MINUTE,
      percent: step === "image" ? machine : null,
      text: step === "image" ? "" : this.#text(`web-${machine}`),
    };
  }

  #status() {
    const own = this.#hosts[0] as ReturnType<typeof madeHost>;
    const proofs = this.#o.isForked
      ? [{
        kind: "certified",
        name: "",
        branch: "web",
        seq: 400,
        term: 7,
        text: this.#text("two certified entries for web@400: 3f2a99b07c11 and 77e01c55aa02"),
        open: true,
        foundMs: NOW - 7 * MINUTE,
      }]
      : [];
    return {
      host: own.name,
      hostId: hex(0, 64),
      domain: hex(4242, 64),
      branch: "web",
      doing: null,
      diverged: null,
      at: 411,
      of: 412,
      state: this.#o.isForked ? "forked" : "behind",
      stopped: null,
      lock: {
        holder: this.#text("alice@web-0001"),
        host: this.#text("web-0001"),
        message: this.#text("upgrade openssh everywhere, ticket 4711"),
        sinceMs: NOW - 25 * MINUTE,
        term: 19,
      },
      wip: 2,
      keepers: this.#hosts.slice(0, 5).map(({ name }) => name),
      branches: BRANCHES.map(([name, , entries], i) => ({
        name,
        entries,
        from: i === 0 ? null : `web@${i * 10}`,
      })),
      owners: [this.#text("alice@web-0001 on *")],
      fork: this.#o.isForked ? { seq: 400, foundMs: NOW - 7 * MINUTE } : null,
      proofs,
      ahead: null,
      stale: null,
      quorum: { need: 3, reached: 4, of: 5 },
      differing: { entries: 1, last: 398 },
      network: { addresses: ["192.0.2.10:4600"], why: "", isDhtSuspect: false },
      hosts: this.#hosts,
    };
  }

  #members() {
    return this.#hosts.map(({ name, reached }, i) => ({
      name,
      id: hex(i, 64),
      fingerprint: (hex(i, 16).match(/.{4}/g) as string[]).join("-"),
      state: i === 0 ? "this host" : reached && i % 3 !== 0 ? "connected" : "not connected",
      keeper: i < 5,
    }));
  }

  #waiting() {
    return [1, 2].map((n) => ({
      name: this.#text(`web-new-${n}`),
      id: hex(9000 + n, 64),
      fingerprint: (hex(9000 + n, 16).match(/.{4}/g) as string[]).join("-"),
      branch: "web",
      askedMs: NOW - n * 4 * MINUTE,
    }));
  }

  #entry(branch: string, seq: number, isOwn: boolean) {
    const message = [
      "upgrade openssh everywhere, ticket 4711",
      "nginx: new certificate chain",
      "sysctl: larger backlog",
      "add user deploy",
    ];
    const op = [
      "exec apt-get -y install openssh-server",
      "snap /etc/nginx (tree, 14 files, 48213 bytes)",
      "snap /etc/sysctl.d/50-net.conf (file, 1 files, 212 bytes)",
      "exec useradd --system deploy",
    ];
    return {
      seq,
      id: hex(seq * 31, 64),
      branch,
      timeMs: NOW - (412 - seq) * 47 * MINUTE,
      author: this.#text(seq % 3 === 0 ? "bob@web-0002" : "alice@web-0001", seq),
      origin: this.#text("web-0001", seq + 1),
      message: this.#text(message[seq % 4] as string, seq + 2),
      ops: [this.#text(op[seq % 4] as string, seq + 3), "effects on 12 paths"],
      here: !isOwn ? "" : seq === 412 ? "pending" : seq === 398 ? "failed" : "applied",
      proofs: [],
    };
  }

  #log(query: URLSearchParams) {
    const branch = query.get("branch") ?? "web";
    const isOwn = !query.has("branch");
    const end = BRANCHES.find(([name]) => name === branch)?.[2] ?? 31;
    const first = Math.max(1, end + 1 - Number(query.get("last") ?? 50));
    return {
      branch,
      entries: Array.from({ length: end + 1 - first }, (_, i) => this.#entry(branch, first + i, isOwn)),
    };
  }

  #show(query: URLSearchParams) {
    const seq = Number(query.get("seq"));
    const entry = this.#entry(query.get("branch") ?? "web", seq, !query.has("branch"));
    const output = this.#o.isHostile
      ? HOSTILE.join("\n")
      : "Reading package lists...\nSetting up openssh-server (1:9.2p1-2+deb12u3) ...\n";
    const effects = {
      paths: [
        {
          path: this.#text("/usr/sbin/sshd"),
          kind: "file",
          mode: "0755",
          uid: 0,
          gid: 0,
          size: 893_112,
          sha256: hex(5, 64),
        },
        { path: this.#text("/etc/ssh/sshd_config.ucf-old"), kind: "absent" },
      ],
      unseen: [],
    };
    return {
      ...entry,
      epoch: 0,
      term: 19,
      prev: hex(6, 64),
      policy: hex(7, 64),
      level: 1,
      details: [
        {
          op: "exec",
          cwd: "/root",
          env: { LANG: "C.UTF-8" },
          argv: ["apt-get", "-y", this.#text("install")],
          user: "",
          stdin: null,
          umask: "022",
          timeoutMs: 0,
        },
        { op: "effects", list: hex(8, 64), paths: 12 },
      ],
      status: seq === 398 ? 100 : 0,
      startedMs: entry.timeMs,
      endedMs: entry.timeMs + 3_000,
      differs: 2,
      differences: [{ path: this.#text("/etc/ssh/moduli"), what: ["content"] }, {
        path: "/usr/bin/ssh",
        what: ["mode", "owner"],
      }],
      output,
      ...(query.has("effects") ? { effects } : {}),
    };
  }

  #execution(query: URLSearchParams) {
    return {
      execution: {
        ...this.#executionLine(Number(query.get("seq"))),
        output: this.#o.isHostile ? HOSTILE.join("\n") : "ok\n",
      },
    };
  }

  #executions(query: URLSearchParams) {
    const count = Math.min(Number(query.get("last") ?? 50), 120);
    return Array.from({ length: count }, (_, i) => this.#executionLine(121 - count + i));
  }

  #executionLine(n: number) {
    return {
      n,
      verb: n % 2 ? "exec" : "up",
      seq: n % 2 ? null : n,
      uid: 0,
      user: this.#text("root", n),
      as: "root",
      file: "/usr/bin/apt-get",
      argv: ["apt-get", this.#text("update", n + 1)],
      cwd: "/root",
      person: "root@web-0001",
      rule: "",
      entry: null,
      from: null,
      state: n === 118 ? "refused" : "done",
      status: n === 118 ? null : 0,
      startedMs: NOW - (121 - n) * MINUTE,
      endedMs: NOW - (121 - n) * MINUTE + 900,
      why: n === 118 ? this.#text("no line permits it") : null,
    };
  }

  #files() {
    return {
      branch: "web",
      at: 411,
      paths: 12_804,
      drifted: Array.from(
        { length: 130 },
        (_, i) => ({
          path: this.#text(`/etc/cron.d/job-${i}`, i),
          what: ["content", "mtime"],
          seq: i === 0 ? null : 200 + i,
        }),
      ),
      skipped: [12, 13],
    };
  }

  #shelfRow(i: number) {
    return {
      id: hex(300 + i, 64),
      kind: i % 4 === 0 ? "tree" : "file",
      size: Math.floor(chance(i) * 4e9),
      sha256: "",
      label: this.#text(`images/base-${i}.img`, i),
      uid: 0,
      pinned: i % 9 === 0,
      addedMs: NOW - i * 90 * MINUTE,
    };
  }

  #name(i: number) {
    return {
      name: this.#text(`images/base${i}`, i),
      id: i === 7 ? "" : hex(300 + i, 64),
      kind: i === 7 ? "" : "file",
      size: i * 3e8,
      copies: i === 7 ? 0 : 3,
      seq: i + 1,
      who: this.#text("alice@web-0001", i),
      author: hex(1, 64),
      host: "web-0001",
      timeMs: NOW - i * 300 * MINUTE,
      state: i === 3 ? "beside" : "current",
    };
  }
}
