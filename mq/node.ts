// MqNode: publish and subscribe, ask and answer, over any Transport. A question is answered at most once.
// Not a place for trust: values come from peers as they are, and who may ask what is decided by the answerer.
import { toHex } from "./bytes.ts";
import type { Cbor } from "./cbor.ts";
import type { Clock } from "./clock.ts";
import { Fault } from "./fault.ts";
import {
  answerMs,
  askMs,
  asksPerPeerMax,
  messageIdBytes,
  peersMax,
  rumourPeersMax,
  seenPerPeerMax,
  tellersMax,
} from "./limits.ts";
import type { Message, Unread } from "./message.ts";
import { readMessage, writeMessage } from "./message.ts";
import type { PeerId, Transport } from "./transport.ts";
import { checkMessage } from "./transport.ts";

export interface MqNodeOptions {
  /** Takes lines for the log of this host: complaints about peers, failures of listeners and answerers. */
  log?: (line: string) => void;
}

type Subscriber = (from: PeerId, value: Cbor) => void;
type Answerer = (from: PeerId, value: Cbor) => Promise<Cbor> | Cbor;

/** What is remembered about one peer. */
interface Peer {
  /** Ids of its latest questions and events, the oldest first. */
  seen: Set<string>;
  complaints: Set<Unread>;
  asking: number;
  answering: number;
}

/** A question that waits for its answer. */
interface Pending {
  peer: PeerId;
  end(outcome: { value: Cbor } | { fault: Fault }): void;
}

export class MqNode {
  readonly #transport: Transport;
  readonly #clock: Clock;
  readonly #log: (line: string) => void;
  readonly #subscribers = new Map<string, Set<{ fn: Subscriber }>>();
  readonly #answerers = new Map<string, Answerer>();
  readonly #pending = new Map<string, Pending>();
  readonly #peers = new Map<PeerId, Peer>();
  /** The latest is the last. */
  readonly #tellers = new Set<PeerId>();
  readonly #detach: (() => void)[];
  #stopped = false;

  /** Listens on `transport`, which stays its maker's: who made it starts it and stops it. */
  constructor(transport: Transport, clock: Clock, opts: MqNodeOptions = {}) {
    this.#transport = transport;
    this.#clock = clock;
    this.#log = opts.log ?? (() => {});
    this.#detach = [
      transport.onMessage((from, bytes) => this.#received(from, bytes)),
      transport.onPeer((peer, up) => {
        if (!up) this.#fail(gone(`${peer} went away before it answered`), (pending) => pending.peer === peer);
      }),
    ];
  }

  /** The peers connected now. */
  peers(): PeerId[] {
    return this.#transport.peers();
  }

  /** Those of whom a rumour came, the latest first: they probably have what is new. */
  tellers(): PeerId[] {
    const connected = new Set(this.#transport.peers());
    return [...this.#tellers].reverse().filter((peer) => connected.has(peer));
  }

  /**
   * Tells a rumour: `value`, to who subscribed to `topic` on up to `rumourPeersMax` connected peers, chosen by chance.
   * Nothing carries it further by itself: a subscriber for whom it is news tells it on when it has what it is about.
   * @throws {Fault} usage, when the value cannot be written or is too large
   */
  publish(topic: string, value: Cbor): void {
    const bytes = writeMessage({ kind: "event", id: this.#newId(), topic, value });
    checkMessage(bytes);
    for (const peer of this.#some(this.#transport.peers(), rumourPeersMax)) this.#transport.send(peer, bytes);
  }

  /** Calls `fn` for each value that a peer publishes to `topic`; returns what ends that. */
  subscribe(topic: string, fn: Subscriber): () => void {
    const subscriber = { fn };
    const subscribers = this.#subscribers.get(topic) ?? new Set();
    this.#subscribers.set(topic, subscribers.add(subscriber));
    return () => void subscribers.delete(subscriber);
  }

  /** Lets peers ask for `method`. A Fault that `fn` throws travels to the asker; anything else is logged here. */
  answer(method: string, fn: Answerer): void {
    this.#answerers.set(method, fn);
  }

  /**
   * What `peer` answers to `value`. Asked once: without an answer nobody knows whether the peer did what was asked.
   * @throws {Fault} the fault of the answerer; gone, when the peer is not reachable, does not answer within `timeoutMs`
   *   milliseconds (default `askMs`) or has `asksPerPeerMax` questions open; usage, when the value cannot be written
   */
  async ask(peer: PeerId, method: string, value: Cbor, opts: { timeoutMs?: number } = {}): Promise<Cbor> {
    if (this.#stopped) throw gone("this agent is stopping");
    const remembered = this.#peer(peer);
    if (remembered.asking >= asksPerPeerMax) throw gone(`${peer} has ${asksPerPeerMax} questions open`);
    const id = this.#newId();
    const bytes = writeMessage({ kind: "ask", id, method, value });
    const timeoutMs = opts.timeoutMs ?? askMs;
    const answered = new Promise<Cbor>((resolve, reject) => {
      const cancel = this.#clock.after(timeoutMs, () => {
        this.#pending.get(toHex(id))?.end({ fault: gone(`${peer} did not answer within ${timeoutMs} ms`) });
      });
      remembered.asking++;
      this.#pending.set(toHex(id), {
        peer,
        end: (outcome) => {
          this.#pending.delete(toHex(id));
          remembered.asking--;
          cancel();
          if ("fault" in outcome) reject(outcome.fault);
          else resolve(outcome.value);
        },
      });
    });
    this.#sendAsk(peer, id, bytes);
    return await answered;
  }

  /** Lets go of the transport; open questions end with a gone fault, and nothing is answered any more. */
  stop(): void {
    this.#stopped = true;
    for (const detach of this.#detach.splice(0)) detach();
    this.#subscribers.clear();
    this.#fail(gone("this agent is stopping"), () => true);
  }

  #sendAsk(peer: PeerId, id: Uint8Array, bytes: Uint8Array): void {
    const end = (fault: Fault) => this.#pending.get(toHex(id))?.end({ fault });
    try {
      if (!this.#transport.send(peer, bytes)) end(gone(`${peer} is not connected, or does not keep up`));
    } catch (e) {
      end(Fault.from("ask", e));
    }
  }

  #received(from: PeerId, bytes: Uint8Array): void {
    const message = this.#read(from, bytes);
    switch (message?.kind) {
      case "event":
        if (!this.#isNew(from, message.id)) break;
        this.#tellers.delete(from);
        if (this.#tellers.size >= tellersMax) this.#tellers.delete(this.#tellers.values().next().value!);
        this.#tellers.add(from);
        this.#heard(from, message.topic, message.value);
        break;
      case "ask":
        if (this.#isNew(from, message.id)) void this.#answer(from, message);
        break;
      case "reply":
        this.#pendingOf(from, message.id)?.end({ value: message.value });
        break;
      case "fault":
        this.#pendingOf(from, message.id)?.end({ fault: message.fault });
        break;
    }
  }

  #heard(from: PeerId, topic: string, value: Cbor): void {
    for (const { fn } of [...this.#subscribers.get(topic) ?? []]) {
      try {
        fn(from, value);
      } catch (thrown) {
        this.#log(`a subscriber of ${topic} failed: ${thrown}`);
      }
    }
  }

  #read(from: PeerId, bytes: Uint8Array): Message | undefined {
    const message = readMessage(bytes);
    if (typeof message !== "string") return message;
    const { complaints } = this.#peer(from);
    if (!complaints.has(message)) this.#log(COMPLAINTS[message](from));
    complaints.add(message);
    return undefined;
  }

  /** The question with this id, if it was put to this peer: nobody answers for another. */
  #pendingOf(from: PeerId, id: Uint8Array): Pending | undefined {
    const pending = this.#pending.get(toHex(id));
    return pending?.peer === from ? pending : undefined;
  }

  async #answer(from: PeerId, ask: Message & { kind: "ask" }): Promise<void> {
    const remembered = this.#peer(from);
    if (remembered.answering >= asksPerPeerMax) {
      return this.#reply(from, { kind: "fault", id: ask.id, fault: gone("too many questions at once") });
    }
    remembered.answering++;
    const reply = await this.#replyTo(from, ask);
    remembered.answering--;
    this.#reply(from, reply);
  }

  async #replyTo(from: PeerId, { id, method, value }: Message & { kind: "ask" }): Promise<Message> {
    const answerer = this.#answerers.get(method);
    try {
      if (answerer === undefined) {
        throw new Fault("answer", "notFound", `nobody answers ${method} here`, { hint: "isconf version" });
      }
      return {
        kind: "reply",
        id,
        value: await this.#inTime(method, (async () => await answerer(from, value))()),
      };
    } catch (thrown) {
      if (thrown instanceof Fault) return { kind: "fault", id, fault: thrown };
      this.#log(`the answerer of ${method} failed: ${thrown}`);
      return { kind: "fault", id, fault: gone(`the answerer of ${method} failed`) };
    }
  }

  #inTime(method: string, answer: Promise<Cbor>): Promise<Cbor> {
    return new Promise((resolve, reject) => {
      const cancel = this.#clock.after(
        answerMs,
        () => reject(gone(`${method} took longer than ${answerMs} ms`)),
      );
      answer.then(resolve, reject).finally(cancel);
    });
  }

  #reply(to: PeerId, reply: Message): void {
    if (this.#stopped) return;
    try {
      this.#transport.send(to, writeMessage(reply));
    } catch (thrown) {
      this.#log(`an answer could not be sent: ${thrown}`);
      const fault = gone("the answer could not be sent");
      this.#transport.send(to, writeMessage({ kind: "fault", id: reply.id, fault }));
    }
  }

  /** Whether this id was not seen before from this peer; remembers it. */
  #isNew(from: PeerId, id: Uint8Array): boolean {
    const { seen } = this.#peer(from);
    if (seen.has(toHex(id))) return false;
    if (seen.size >= seenPerPeerMax) seen.delete(seen.keys().next().value!);
    seen.add(toHex(id));
    return true;
  }

  #peer(id: PeerId): Peer {
    let peer = this.#peers.get(id);
    if (peer === undefined) {
      if (this.#peers.size >= peersMax) this.#peers.delete(this.#peers.keys().next().value!);
      peer = { seen: new Set(), complaints: new Set(), asking: 0, answering: 0 };
      this.#peers.set(id, peer);
    }
    return peer;
  }

  #fail(fault: Fault, which: (pending: Pending) => boolean): void {
    for (const pending of [...this.#pending.values()]) {
      if (which(pending)) pending.end({ fault });
    }
  }

  /** Up to `n` of `peers`, each as likely as any other (a partial Fisher-Yates shuffle). */
  #some(peers: PeerId[], n: number): PeerId[] {
    if (peers.length <= n) return peers;
    const chance = new DataView(this.#clock.random(4 * n).slice().buffer);
    for (let i = 0; i < n; i++) {
      const j = i + chance.getUint32(4 * i) % (peers.length - i);
      [peers[i], peers[j]] = [peers[j]!, peers[i]!];
    }
    return peers.slice(0, n);
  }

  #newId(): Uint8Array {
    return this.#clock.random(messageIdBytes);
  }
}

const COMPLAINTS: Record<Unread, (from: PeerId) => string> = {
  garbage: (from) => `${from} sends what is no message; it is ignored`,
  version: (from) => `${from} sends messages of another version; they are ignored`,
  kind: (from) => `${from} sends messages of an unknown kind; they are ignored`,
};

function gone(message: string): Fault {
  return new Fault("ask", "gone", message, { hint: "isconf status" });
}
