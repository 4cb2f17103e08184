// Net etcd: an etcd cluster, spoken to by the net half: JSON over HTTP as etcd 3.4's gateway has it (its api_reference, "v3").
// It decides nothing; what comes back is taken apart strictly and believed by nobody for its own sake (register.ts).
import * as http from "node:http";
import * as https from "node:https";
import { type Cancel, type Clock, Fault } from "../mq/mod.ts";
import { type Cell, type Cells, type Range, rangeOf } from "./cells.ts";
import { etcdAnswerBytesMax, etcdAskMs } from "./limits.ts";
import { inert } from "./names.ts";

/** Where an etcd cluster is, and who we are to it. Texts of PEM files; empty: none. */
export interface EtcdSettings {
  /** Origins of its members: "https://192.0.2.1:2379". */
  members: string[];
  ca: string;
  cert: string;
  key: string;
  user: string;
  password: string;
}

type Json = { [name: string]: unknown };

/** An etcd cluster. A member that does not answer is followed by the next. */
export class EtcdCells implements Cells {
  readonly #settings: EtcdSettings;
  readonly #clock: Clock;
  readonly #agent: http.Agent;
  readonly #secure: https.Agent;
  /** Which member answered last. */
  #first = 0;
  #token = "";

  constructor(settings: EtcdSettings, clock: Clock) {
    this.#settings = settings;
    this.#clock = clock;
    const { ca, cert, key } = settings;
    const given = Object.entries({ ca, cert, key }).filter(([, text]) => text !== "");
    this.#agent = new http.Agent({ keepAlive: true });
    this.#secure = new https.Agent({ keepAlive: true, ...Object.fromEntries(given) });
  }

  /** Closes connections. */
  close(): void {
    this.#agent.destroy();
    this.#secure.destroy();
  }

  async read(names: readonly string[]): Promise<Cell[]> {
    const success = names.map((name) => ({ request_range: keysOf(rangeOf(name)) }));
    const { responses } = await this.#txn({ compare: [], success });
    if (!Array.isArray(responses) || responses.length !== names.length) throw strange("no ranges");
    return responses.flatMap((one, i) => {
      const range = objectOf(objectOf(one).response_range);
      if (range.more === true) throw strange("half a range");
      return cellsOf(range.kvs).map((cell) => {
        const { from, to } = rangeOf(names[i]!);
        if (cell.name < from || cell.name >= to) throw strange("what was not asked for");
        return cell;
      });
    });
  }

  async swap(
    unchanged: Parameters<Cells["swap"]>[0],
    put: Parameters<Cells["swap"]>[1],
    remove: readonly Range[],
  ): Promise<boolean> {
    const compare = unchanged.map(([name, revision]) => {
      const isAll = name.endsWith("/");
      const keys = isAll ? keysOf(rangeOf(name)) : { key: base64(name) };
      const mod_revision = String(isAll ? revision + 1 : revision);
      return { ...keys, target: "MOD", result: isAll ? "LESS" : "EQUAL", mod_revision };
    });
    const success = [
      ...remove.map((range) => ({ request_delete_range: keysOf(range) })),
      ...put.map(([name, bytes]) => ({
        request_put: { key: base64(name), value: Buffer.from(bytes).toString("base64") },
      })),
    ];
    const { succeeded = false } = await this.#txn({ compare, success });
    if (typeof succeeded !== "boolean") throw strange("neither yes nor no");
    return succeeded;
  }

  async #txn(body: object): Promise<Json> {
    const answer = await this.#ask("/v3/kv/txn", body);
    if (!Object.hasOwn(answer, "header")) throw strange("no header");
    return answer;
  }

  /** Asks one member after the other until one answers. What it refuses, others would too. */
  async #ask(path: string, body: object): Promise<Json> {
    const { members } = this.#settings;
    const why: string[] = [];
    for (let n = 0; n < members.length; n++) {
      const at = (this.#first + n) % members.length;
      try {
        const answer = await this.#askMember(members[at]!, path, body);
        this.#first = at;
        return answer;
      } catch (e) {
        const fault = Fault.from("etcd", e);
        if (fault.kind === "denied" || fault.kind === "corrupt") throw fault;
        why.push(`${members[at]} (${fault.message})`);
      }
    }
    throw new Fault("etcd", "noQuorum", `etcd does not answer: ${inert(why.join(", "))}`, {
      hint: "etcdctl endpoint health, then isconf status",
    });
  }

  /** The answer of a member to who has proven who they are. A token that is good no more is followed by another. */
  async #askMember(member: string, path: string, body: object): Promise<Json> {
    const { user, password } = this.#settings;
    for (let isFresh = false;; isFresh = true) {
      if (user !== "" && (this.#token === "" || isFresh)) {
        const who = { name: user, password };
        const { status, answer } = await this.#post(member, "/v3/auth/authenticate", who, "");
        if (status !== 200 || typeof answer.token !== "string") throw refusal(member, status, answer);
        this.#token = answer.token;
      }
      const { status, answer } = await this.#post(member, path, body);
      if (status === 200) return answer;
      if (user !== "" && !isFresh && (status === 401 || isOldToken(answer))) continue;
      throw refusal(member, status, answer);
    }
  }

  #post(
    member: string,
    path: string,
    body: object,
    token = this.#token,
  ): Promise<{ status: number; answer: Json }> {
    const url = new URL(path, member);
    const isSecure = url.protocol === "https:";
    const bytes = Buffer.from(JSON.stringify(body));
    return new Promise((resolve, reject) => {
      let cancel: Cancel = () => {};
      const fail = (e: unknown) => {
        cancel();
        request.destroy();
        reject(e);
      };
      const request = (isSecure ? https : http).request(url, {
        method: "POST",
        agent: isSecure ? this.#secure : this.#agent,
        headers: {
          "content-type": "application/json",
          "content-length": bytes.length,
          ...(token === "" ? {} : { authorization: token }),
        },
      }, (response) => {
        const pieces: Buffer[] = [];
        let size = 0;
        response.on("data", (piece: Buffer) => {
          size += piece.length;
          if (size > etcdAnswerBytesMax) fail(strange(`more than ${etcdAnswerBytesMax} bytes`));
          else pieces.push(piece);
        });
        response.on("error", fail);
        response.on("close", () => {
          if (!response.complete) fail(new Fault("etcd", "gone", "cut off", { hint: "isconf status" }));
        });
        response.on("end", () => {
          cancel();
          try {
            resolve({ status: response.statusCode ?? 0, answer: parse(Buffer.concat(pieces)) });
          } catch (e) {
            reject(e);
          }
        });
      });
      cancel = this.#clock.after(
        etcdAskMs,
        () => fail(new Fault("etcd", "gone", `silent for ${etcdAskMs} ms`, { hint: "isconf status" })),
      );
      request.on("error", fail);
      request.end(bytes);
    });
  }
}

const base64 = (name: string) => Buffer.from(name).toString("base64");
const keysOf = ({ from, to }: Range) => ({ key: base64(from), range_end: base64(to) });

function cellsOf(kvs: unknown = []): Cell[] {
  if (!Array.isArray(kvs)) throw strange("no list of values");
  return kvs.map((one) => {
    const { key, value = "", mod_revision } = objectOf(one);
    const revision = typeof mod_revision === "string" && /^[1-9][0-9]{0,15}$/.test(mod_revision)
      ? Number(mod_revision)
      : 0;
    if (!Number.isSafeInteger(revision) || revision === 0) throw strange("a value without a revision");
    return { name: bytesOf(key).toString(), bytes: new Uint8Array(bytesOf(value)), revision };
  });
}

function bytesOf(text: unknown): Buffer {
  const bytes = typeof text === "string" ? Buffer.from(text, "base64") : undefined;
  if (bytes === undefined || bytes.toString("base64") !== text) throw strange("what is not base64");
  return bytes;
}

function objectOf(v: unknown): Json {
  if (v === null || typeof v !== "object" || Array.isArray(v)) throw strange("what is no object");
  return v as Json;
}

function parse(bytes: Buffer): Json {
  try {
    return objectOf(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)));
  } catch {
    throw new Fault("etcd", "gone", "its answer is not what an etcd answers", { hint: "isconf status" });
  }
}

/** Codes of gRPC that say that we may not, whoever is asked. */
const DENIED: ReadonlySet<unknown> = new Set([7, 16]);

/** In etcd 3.4 these come with the code of an argument that is wrong, or with none that says anything. */
const isOldToken = ({ error }: Json) => /invalid auth token/.test(String(error));
const isDenied = ({ error, code }: Json) =>
  DENIED.has(code) ||
  /permission denied|authentication failed|user name is empty|auth token/.test(String(error));

function refusal(member: string, status: number, answer: Json): Fault {
  const text = `${status}: ${String(answer.error ?? "").slice(0, 200)}`;
  if (!isDenied(answer)) return new Fault("etcd", "gone", text, { hint: "isconf status" });
  return new Fault("etcd", "denied", `etcd at ${inert(member)} does not let this keeper: ${inert(text)}`, {
    hint: "etcdctl user get, then isconf restart with another register_user or register_password",
  });
}

const strange = (what: string) =>
  new Fault("etcd", "corrupt", `etcd answered ${what}`, {
    hint: "etcdctl version: isconf speaks to etcd 3.4 and newer",
  });
