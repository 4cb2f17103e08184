// Mesh: the other hosts as the root half sees them, by their ids: who is connected, questions, answers, rumours. Over the
// seam; the net half does the talking (net.ts). Nothing that comes out of it is believed for where it came from.
import type { Id } from "../fs/mod.ts";
import { type Cbor, concat, Fault, faultTextMax, fromHex, toHex } from "../mq/mod.ts";
import { listeningMax, placeCharsMax } from "./limits.ts";
import {
  type Answers,
  type Ask,
  malformed,
  type MeshSettings,
  type NetRequest,
  type RootRequest,
  type RootsAsked,
} from "./seam.ts";

type Answerer = (host: string, value: Cbor) => Promise<Cbor> | Cbor;

/** What root knows of other hosts. Hosts are named by the ids of their keys. */
export interface Mesh {
  /** The hosts connected now. */
  peers(): string[];
  /**
   * What a host answers.
   * @throws {Fault} the fault of the answerer; gone, when it cannot be reached or is silent for `waitMs`
   */
  ask(host: string, method: string, value: Cbor, waitMs?: number): Promise<Cbor>;
  /** Tells a rumour to some of the connected hosts. */
  publish(topic: string, value: Cbor): void;
  /** Lets hosts of the domain ask for `method`. */
  answer(method: string, fn: Answerer): void;
  onRumour(topic: string, fn: (host: string, value: Cbor) => void): void;
  onPeer(fn: (host: string, up: boolean) => void): void;
}

/** How root deals with those who are not let in: both get the public key that the stranger has proven to have. */
export interface Strangers {
  /** The answer to a stranger's question; throws to refuse it. */
  question(net: Uint8Array, question: Uint8Array): Promise<Uint8Array>;
  /** The next question to a stranger that is connected, after its last answer; null: no more. */
  meet(net: Uint8Array, answer: Uint8Array | null): Promise<Uint8Array | null>;
}

/** How root answers what comes over TCP. */
export type Remote = Pick<Answers<RootRequest>, "http" | "admit" | "name">;

/** Before there is anything to answer with. */
const notYet = () =>
  Promise.reject(
    new Fault("start", "notRunning", "the agent is starting", { hint: "the same again in a moment" }),
  );
const NOT_YET: Remote = { http: notYet, admit: notYet, name: notYet };

/** Where a host can be reached, and, when that is not where it should be, why not. */
export interface Listening {
  addresses: string[];
  why: string;
  /** Whether those whom the DHT names do not have what it says. */
  isDhtSuspect: boolean;
}

export class SeamMesh implements Mesh {
  readonly #connected = new Set<string>();
  /** The hosts that net was told to let in: it is connected with no others, whatever it says. */
  #members: ReadonlySet<string> = new Set();
  readonly #answerers = new Map<string, Answerer>();
  readonly #rumours = new Map<string, (host: string, value: Cbor) => void>();
  readonly #onPeer: ((host: string, up: boolean) => void)[] = [];
  readonly #log: (line: string) => void;
  #ask: Ask<NetRequest> = () => Promise.reject(cut());
  strangers: Strangers = { question: () => Promise.reject(cut()), meet: () => Promise.resolve(null) };

  constructor(log: (line: string) => void) {
    this.#log = log;
  }

  /** The roots that this half counts on. Set by who knows. */
  roots: (which: RootsAsked) => Promise<Id[]> = () => Promise.reject(unready());

  /** What comes over TCP. Set by who answers it. */
  remote: Remote = NOT_YET;

  /** Root's side of the seam's table. */
  readonly answers: Answers<RootRequest> = {
    answer: async (v) => {
      const [host, method, value] = parts(v, 3);
      if (typeof host !== "string" || typeof method !== "string" || value === undefined) throw malformed();
      const answerer = this.#answerers.get(method);
      if (answerer === undefined) {
        throw new Fault("answer", "notFound", `nobody answers ${method} here`, { hint: "isconf version" });
      }
      return await answerer(host, value);
    },
    rumour: (v) => {
      const [host, topic, value] = parts(v, 3);
      if (typeof host !== "string" || typeof topic !== "string" || value === undefined) throw malformed();
      if (this.#connected.has(host)) this.#rumours.get(topic)?.(host, value);
      return Promise.resolve(null);
    },
    peer: (v) => {
      const [host, up] = parts(v, 2);
      if (typeof host !== "string" || typeof up !== "boolean") throw malformed();
      if (up && this.#members.has(host)) this.#note(host, true);
      if (!up) this.#note(host, false);
      return Promise.resolve(null);
    },
    question: async (v) => {
      const [net, question] = parts(v, 2);
      if (!isKey(net) || !(question instanceof Uint8Array)) throw malformed();
      return await this.strangers.question(net, question);
    },
    meet: async (v) => {
      const [net, answer] = parts(v, 2);
      if (!isKey(net) || (answer !== null && !(answer instanceof Uint8Array))) throw malformed();
      return await this.strangers.meet(net, answer);
    },
    http: (v) => this.remote.http(v),
    admit: (v) => this.remote.admit(v),
    name: (v) => this.remote.name(v),
    roots: async (v) => {
      if (v !== "kept" && v !== "needed") throw malformed();
      return concat(...(await this.roots(v)).map(fromHex));
    },
  };

  #note(host: string, up: boolean): void {
    if (this.#connected.has(host) === up) return;
    if (up) this.#connected.add(host);
    else this.#connected.delete(host);
    for (const fn of this.#onPeer) fn(host, up);
  }

  /** From now on the net half can be asked. */
  open(ask: Ask<NetRequest>): void {
    this.#ask = ask;
  }

  /** The net half is gone, and with it every connection. */
  lost(): void {
    for (const host of this.peers()) {
      this.#connected.delete(host);
      for (const fn of this.#onPeer) fn(host, false);
    }
  }

  peers(): string[] {
    return [...this.#connected];
  }

  async ask(host: string, method: string, value: Cbor, waitMs = 10_000): Promise<Cbor> {
    return await this.#ask("ask", [host, method, value, waitMs], waitMs + 1_000);
  }

  publish(topic: string, value: Cbor): void {
    this.#ask("publish", [topic, value]).catch((e) =>
      this.#log(`${topic}: ${Fault.from("publish", e).message}`)
    );
  }

  answer(method: string, fn: Answerer): void {
    this.#answerers.set(method, fn);
  }

  onRumour(topic: string, fn: (host: string, value: Cbor) => void): void {
    this.#rumours.set(topic, fn);
  }

  onPeer(fn: (host: string, up: boolean) => void): void {
    this.#onPeer.push(fn);
  }

  /** Says to the net half with whom to talk; null: with nobody. Who is no longer named is cut off at once. */
  async settle(settings: MeshSettings | null): Promise<void> {
    this.#members = new Set(settings?.members.map(({ host }) => host));
    for (const host of this.#connected) if (!this.#members.has(host)) this.#note(host, false);
    await this.#ask("mesh", settings === null ? null : { ...settings });
  }

  /** The public key that the net half proves to others. */
  async identity(): Promise<Uint8Array> {
    const key = await this.#ask("identity", null);
    if (!isKey(key)) throw malformed();
    return key;
  }

  /** Where this host can be reached, "ip:port", as the net half says, and what is wrong with that, or "". */
  async listening(): Promise<Listening> {
    const [addresses, why, isDhtSuspect] = parts(await this.#ask("listening", null), 3);
    if (!Array.isArray(addresses) || !addresses.every(isPlace) || typeof why !== "string") throw malformed();
    return {
      addresses: addresses.slice(0, listeningMax),
      why: why.slice(0, faultTextMax),
      isDhtSuspect: isDhtSuspect === true,
    };
  }

  /** Puts a question to somebody who does not let us in yet; returns its public key and what it answers. */
  async introduce(address: string, question: Uint8Array): Promise<{ net: string; answer: Uint8Array }> {
    const [net, answer] = parts(await this.#ask("introduce", [address, question]), 2);
    if (!isKey(net) || !(answer instanceof Uint8Array)) throw malformed();
    return { net: toHex(net), answer };
  }
}

const isKey = (v: Cbor | undefined): v is Uint8Array => v instanceof Uint8Array && v.length === 32;

/** "ip:port", which goes into tokens and onto terminals: nothing in it may be anything else. */
const isPlace = (v: Cbor): v is string =>
  typeof v === "string" && v.length <= placeCharsMax && /^[0-9A-Za-z.:%[\]_-]+:[0-9]{1,5}$/.test(v);

function parts(v: Cbor, n: number): Cbor[] {
  if (!Array.isArray(v) || v.length !== n) throw malformed();
  return v;
}

const unready = () => new Fault("roots", "gone", "the agent is still starting", { hint: "isconf status" });
const cut = () => new Fault("seam", "gone", "the net half is not running", { hint: "isconf restart" });
