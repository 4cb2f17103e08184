// swarm: brings wanted objects here from several peers at once. It knows pieces and peers; what a tree or a file is, and
// which objects a root needs, walk.ts knows. What comes is verified and stored as shared, in batches.
import { type Cancel, type Clock, Fault, type PeerId } from "../mq/mod.ts";
import type { Finder } from "./finder.ts";
import { type Landed, Landing, type Stored } from "./landing.ts";
import {
  fetchLiarsMax,
  fetchPeersMax,
  fetchQuestionBytesMin,
  fetchReturnMs,
  fetchTickMs,
  fetchWindow,
  haveIdsMax,
  objectBytesMax,
} from "./limits.ts";
import { type Asker, askGet, askHave } from "./questions.ts";
import { Searches } from "./search.ts";
import { fraction } from "./shuffle.ts";
import { type Kept, type Piece, type Question, sizeOf, Source, type Wanter } from "./source.ts";
import { type Id, idOf, type SharingStore } from "./store.ts";

/** What a swarm works with. */
export interface SwarmParts {
  store: Pick<SharingStore, "putShared">;
  node: Asker;
  finder: Finder;
  clock: Clock;
  log: (line: string) => void;
}

/** Why a peer is not asked any more in this fetch. */
type Reason = "sent wrong bytes" | "did not answer" | "is not reachable" | "was not understood";

export class Swarm {
  readonly #parts: SwarmParts;
  readonly #wanters = new Set<Wanter>();
  readonly #pieces = new Map<Id, Piece>();
  readonly #sources = new Map<PeerId, Source>();
  readonly #out = new Map<PeerId, { reason: Reason; untilMs: number }>();
  /** For the life of the process. */
  readonly #liars = new Set<PeerId>();
  readonly #searches: Searches;
  readonly #landing: Landing;
  #wantedBytes = 0;
  #timer: Cancel | undefined;
  #isPumping = false;

  constructor(parts: SwarmParts) {
    this.#parts = parts;
    this.#searches = new Searches(parts, (peer) => this.#found(peer));
    this.#landing = new Landing(parts.store, parts.clock, (result) => this.#stored(result));
  }

  /** Bytes of the pieces wanted, a guess where their length is not known. */
  get wantedBytes(): number {
    return this.#wantedBytes;
  }

  join(wanter: Wanter): void {
    this.#wanters.add(wanter);
    this.#timer ??= this.#parts.clock.after(fetchTickMs, () => this.#tick());
  }

  /** Wants nothing any more. What nobody else wants is given up; when nobody is left, what is known of peers too. */
  leave(wanter: Wanter): void {
    this.#wanters.delete(wanter);
    for (const piece of this.#pieces.values()) {
      if (piece.wanters.delete(wanter) && piece.wanters.size === 0) this.#drop(piece);
    }
    if (this.#wanters.size > 0) return;
    this.#timer?.();
    this.#timer = undefined;
    this.#searches.stop();
    this.#sources.clear();
    this.#out.clear();
  }

  /** `wanter` wants an object that is not here; whoever has `root` may have it. */
  want(wanter: Wanter, id: Id, size: number | undefined, root: Id): void {
    const known = this.#pieces.get(id);
    if (known !== undefined) {
      known.wanters.add(wanter);
      if (known.bytes !== undefined && isStructure(known)) wanter.came(id, known.bytes);
      return;
    }
    const piece: Piece = {
      id,
      size,
      root,
      wanters: new Set([wanter]),
      holders: 0,
      asked: new Set(),
      bytes: undefined,
    };
    this.#pieces.set(id, piece);
    this.#wantedBytes += sizeOf(piece);
    this.#offer(piece);
  }

  #offer(piece: Piece): void {
    for (const source of this.#sources.values()) source.learn(piece, source.hasAll ? "has" : "unknown");
    this.#pumpSoon();
  }

  /** Whether one of these objects may still come from a peer that is known, or is being stored. */
  isComing(ids: Iterable<Id>): boolean {
    const sources = [...this.#sources.values()];
    for (const id of ids) {
      const piece = this.#pieces.get(id);
      if (piece === undefined) continue;
      const isOpen = piece.bytes !== undefined || piece.holders > 0 || piece.asked.size > 0;
      if (isOpen || sources.some((source) => source.isInDoubt(piece))) return true;
    }
    return false;
  }

  /** Who was asked, and what is the matter with him. */
  asked(): [peer: PeerId, what: string][] {
    const said = (source: Source) => source.hasAnswered ? "does not have it" : "has not answered";
    return [
      ...[...this.#sources].map(([peer, source]): [PeerId, string] => [peer, said(source)]),
      ...[...this.#out].map(([peer, { reason }]): [PeerId, string] => [peer, reason]),
    ];
  }

  #drop(piece: Piece): void {
    if (this.#pieces.get(piece.id) !== piece) return;
    this.#pieces.delete(piece.id);
    this.#wantedBytes -= sizeOf(piece);
    for (const source of this.#sources.values()) source.forget(piece);
  }

  #tick(): void {
    this.#timer = this.#parts.clock.after(fetchTickMs, () => this.#tick());
    this.#search();
    this.#pump();
    for (const wanter of [...this.#wanters]) wanter.ticked();
  }

  /** Hands out work once, after everything that is being wanted right now. */
  #pumpSoon(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    queueMicrotask(() => {
      this.#isPumping = false;
      if (this.#sources.size === 0) this.#search();
      this.#pump();
    });
  }

  #pump(): void {
    const now = this.#parts.clock.now();
    for (const source of [...this.#sources.values()].sort((a, b) => a.order - b.order)) {
      if (!source.isPolled) {
        const pieces = source.doubtful(now, haveIdsMax);
        if (pieces.length > 0) void this.#poll(source, pieces);
      }
      while (source.hasRoom(now) && !this.#landing.isFull) {
        const pieces = source.pick(now, this.#questionBytes, this.#start);
        if (pieces.length === 0) break;
        void this.#get(source, source.ask(pieces, now));
      }
    }
  }

  /** Small enough that each source gets several questions, so that the fast ones get more and nobody waits at the end. */
  get #questionBytes(): number {
    const questions = 2 * fetchWindow * this.#sources.size;
    const share = this.#sources.size > 1 ? this.#wantedBytes / questions : objectBytesMax;
    return Math.min(objectBytesMax, Math.max(fetchQuestionBytesMin, share));
  }

  /**
   * Where in what is wanted the next question begins. One source alone is asked in order: whoever reads a file meanwhile
   * finds its beginning first. With several, each host asks in another order: hosts that fetch the same give it to each other.
   */
  get #start(): number {
    return this.#sources.size > 1 ? fraction(this.#parts.clock) : 0;
  }

  #search(): void {
    const roots = new Map<Id, boolean>();
    for (const { root, bytes, holders, asked } of this.#pieces.values()) {
      if (bytes === undefined) roots.set(root, roots.get(root) || (holders === 0 && asked.size === 0));
    }
    this.#searches.look(roots);
  }

  /** The first source is believed to have everything until it says otherwise; the others are asked what they have. */
  #found(peer: PeerId): boolean {
    if (this.#sources.size >= fetchPeersMax) return false;
    if (this.#sources.has(peer) || this.#liars.has(peer)) return true;
    const { untilMs = 0 } = this.#out.get(peer) ?? {};
    if (this.#parts.clock.now() < untilMs) return true;
    this.#out.delete(peer);
    const source = new Source(peer, this.#sources.size === 0);
    this.#sources.set(peer, source);
    for (const piece of this.#pieces.values()) {
      if (piece.bytes === undefined) source.learn(piece, source.hasAll ? "has" : "unknown");
    }
    this.#pumpSoon();
    return true;
  }

  async #poll(source: Source, pieces: Piece[]): Promise<void> {
    const { node, clock } = this.#parts;
    source.isPolled = true;
    const since = clock.now();
    try {
      const have = await askHave(node, source.peer, pieces.map(({ id }) => id), source.patienceMs);
      for (const piece of pieces) {
        if (this.#isWanted(piece)) source.learn(piece, have.has(piece.id) ? "has" : "lacks");
      }
      source.polled(since, clock.now());
    } catch (thrown) {
      this.#failed(source, thrown);
    }
    source.isPolled = false;
    this.#pumpSoon();
  }

  async #get(source: Source, question: Question): Promise<void> {
    const { node, clock } = this.#parts;
    try {
      const ids = question.pieces.map(({ id }) => id);
      const answers = await askGet(node, source.peer, ids, source.patienceMs);
      source.close(question);
      source.answered(clock.now() - question.sinceMs);
      for (const [i, bytes] of answers.entries()) this.#answered(source, question.pieces[i]!, bytes);
    } catch (thrown) {
      source.close(question);
      this.#failed(source, thrown);
    }
    this.#pumpSoon();
  }

  #isWanted(piece: Piece): boolean {
    return this.#pieces.get(piece.id) === piece && piece.bytes === undefined;
  }

  #answered(source: Source, piece: Piece, bytes: Uint8Array | undefined): void {
    if (!this.#isWanted(piece) || this.#sources.get(source.peer) !== source) return;
    if (bytes === undefined) return source.lacks(piece, this.#parts.clock.now());
    if (isStructure(piece) && idOf(bytes) !== piece.id) return this.#lied(source.peer, piece.id);
    piece.bytes = bytes;
    for (const each of this.#sources.values()) each.forget(piece);
    this.#landing.add({ piece, bytes, from: source.peer });
    if (isStructure(piece)) { for (const wanter of [...piece.wanters]) wanter.came(piece.id, bytes); }
  }

  /** Its transport proves who sent this, and that it came as it was sent. */
  #lied(peer: PeerId, id: Id): void {
    if (this.#liars.has(peer)) return;
    this.#parts.log(`${peer} sent wrong bytes for object ${id}; it is not asked for objects any more`);
    if (this.#liars.size >= fetchLiarsMax) this.#liars.delete(this.#liars.values().next().value!);
    this.#liars.add(peer);
    const source = this.#sources.get(peer);
    if (source !== undefined) this.#remove(source, "sent wrong bytes", Infinity);
  }

  #failed(source: Source, thrown: unknown): void {
    if (this.#sources.get(source.peer) !== source) return;
    const { node, clock } = this.#parts;
    if (!(thrown instanceof Fault)) { for (const wanter of [...this.#wanters]) wanter.failed(thrown); }
    else if (thrown.kind !== "gone") this.#remove(source, "was not understood", Infinity);
    else if (!node.peers().includes(source.peer)) this.#remove(source, "is not reachable", 0);
    else if (source.struck(clock.now())) this.#remove(source, "did not answer", clock.now() + fetchReturnMs);
  }

  /** Asks it no more, unless it is found again after `untilMs`. */
  #remove(source: Source, reason: Reason, untilMs: number): void {
    this.#sources.delete(source.peer);
    this.#out.set(source.peer, { reason, untilMs });
    source.forgetAll();
    for (const question of [...source.open]) source.close(question);
  }

  #stored({ kept, wrong, failure }: Stored): void {
    for (const { piece, from } of wrong) {
      this.#lied(from, piece.id);
      piece.bytes = undefined;
      if (this.#isWanted(piece)) this.#offer(piece);
    }
    for (const { piece } of [...kept, ...failure?.batch ?? []]) this.#drop(piece);
    this.#kept(kept);
    if (failure !== undefined) { for (const wanter of [...this.#wanters]) wanter.failed(failure.thrown); }
    this.#pumpSoon();
  }

  #kept(batch: Landed[]): void {
    const lists = new Map<Wanter, Kept[]>();
    for (const { piece, bytes, from } of batch) {
      for (const wanter of piece.wanters) {
        if (!isStructure(piece)) wanter.came(piece.id, bytes);
        const list = lists.get(wanter) ?? [];
        lists.set(wanter, list);
        list.push({ id: piece.id, size: bytes.length, from });
      }
    }
    for (const [wanter, list] of lists) wanter.kept(list);
    for (const source of this.#sources.values()) source.hurry();
  }
}

/** Structure is verified when it comes, because it says what to ask for next; chunks when they are stored. */
function isStructure(piece: Piece): boolean {
  return piece.size === undefined;
}
