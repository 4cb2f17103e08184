// source: one peer during a fetch: what it has, what it is asked for now, how fast it is. It chooses what to ask for
// next and sends nothing; swarm.ts does.
import type { PeerId } from "../mq/mod.ts";
import {
  fetchAskMs,
  fetchBytesPerSecondMin,
  fetchGuessBytes,
  fetchPollMs,
  fetchPollMsMin,
  fetchRestMs,
  fetchStealFactor,
  fetchStealMs,
  fetchStrikesMax,
  fetchWindow,
  getIdsMax,
} from "./limits.ts";
import type { Id } from "./store.ts";

/** Who wants objects: one call of `fetch`. */
export interface Wanter {
  /** An object is here, verified, but not yet durable. */
  came(id: Id, bytes: Uint8Array): void;
  /** Objects are durable. */
  kept(objects: Kept[]): void;
  /** Nothing more will come, because this host cannot go on. */
  failed(thrown: unknown): void;
  /** Time has passed. */
  ticked(): void;
}

/** One object that is durable now, its length in bytes, and who gave it. */
export interface Kept {
  id: Id;
  size: number;
  from: PeerId;
}

/** An object that is wanted and not durable here. */
export interface Piece {
  readonly id: Id;
  /** Its length in bytes, where who names it says so. */
  readonly size: number | undefined;
  /** Where it belongs: who has this may have the piece. */
  readonly root: Id;
  readonly wanters: Set<Wanter>;
  /** How many sources are known to have it. */
  holders: number;
  /** Questions for it that are open. */
  readonly asked: Set<Question>;
  /** Its bytes, verified, when they have come. */
  bytes: Uint8Array | undefined;
}

/** Objects that a peer was asked for and did not answer yet. */
export interface Question {
  readonly source: Source;
  readonly pieces: Piece[];
  readonly sinceMs: number;
  readonly bytes: number;
}

/** What a source says about a piece. */
export type Knowledge = "has" | "lacks" | "unknown";

/** Length of a piece in bytes, a guess where it is not known. */
export const sizeOf = (piece: Piece) => piece.size ?? fetchGuessBytes;

export class Source {
  readonly peer: PeerId;
  /** Every piece wanted is in one of these. */
  readonly #pieces: Record<Knowledge, Set<Piece>> = { has: new Set(), lacks: new Set(), unknown: new Set() };
  readonly open = new Set<Question>();
  /** Whether it is believed to have whatever will be wanted. */
  hasAll: boolean;
  /** Whether it is being asked what it has. */
  isPolled = false;
  hasAnswered = false;
  /** When it is asked again about what it lacked: as soon as it was not asked for this long, and at the latest. */
  #pollMs = { soonest: 0, latest: 0 };
  #window = 1;
  #strikes = 0;
  /** Until when it is left alone. */
  #restMs = 0;
  #answers = 0;
  /** How long an answer takes, smoothed, in milliseconds. */
  #usualMs = 0;

  constructor(peer: PeerId, hasAll: boolean) {
    this.peer = peer;
    this.hasAll = hasAll;
  }

  /** Whether one more question can be put to it. */
  hasRoom(nowMs: number): boolean {
    return this.open.size < this.#window && nowMs >= this.#restMs;
  }

  /** The faster first: for the order in which sources are given work. */
  get order(): number {
    return this.#usualMs * (1 + this.open.size);
  }

  /** It said what it has. */
  polled(sinceMs: number, nowMs: number): void {
    const { lacks, unknown } = this.#pieces;
    this.hasAnswered = true;
    this.hasAll = lacks.size === 0 && unknown.size === 0;
    const cost = 10 * (nowMs - sinceMs);
    this.#pollMs = {
      soonest: nowMs + Math.max(fetchPollMsMin, cost),
      latest: nowMs + Math.max(fetchPollMs, cost),
    };
  }

  /** We have more than before, so it may have too. */
  hurry(): void {
    this.#pollMs.latest = this.#pollMs.soonest;
  }

  /** Whether it is being asked, or will be, whether it has `piece`. */
  isInDoubt(piece: Piece): boolean {
    return this.#pieces.unknown.has(piece);
  }

  /** What it was never asked about; without any, after a while, also what it lacked. At most `max` pieces. */
  doubtful(nowMs: number, max: number): Piece[] {
    const { unknown, lacks } = this.#pieces;
    if (unknown.size === 0 && nowMs >= this.#pollMs.latest) {
      for (const piece of lacks.values().take(max)) this.learn(piece, "unknown");
    }
    return [...unknown.values().take(max)];
  }

  learn(piece: Piece, what: Knowledge): void {
    this.forget(piece);
    this.#pieces[what].add(piece);
    if (what === "has") piece.holders++;
  }

  forget(piece: Piece): void {
    if (this.#pieces.has.delete(piece)) piece.holders--;
    this.#pieces.lacks.delete(piece);
    this.#pieces.unknown.delete(piece);
  }

  forgetAll(): void {
    for (const piece of this.#pieces.has) piece.holders--;
    for (const pieces of Object.values(this.#pieces)) pieces.clear();
  }

  /** It lacks a piece that it was believed to have: everything else is in doubt too when that was only a belief. */
  lacks(piece: Piece, nowMs: number): void {
    this.learn(piece, "lacks");
    this.#pollMs.latest = Math.max(this.#pollMs.latest, nowMs + fetchPollMs);
    if (!this.hasAll) return;
    this.hasAll = false;
    for (const other of [...this.#pieces.has]) this.learn(other, "unknown");
  }

  /**
   * What to ask it for next, at most `bytesMax` bytes or one piece: what nobody is asked for, from `start` (0 to 1) of all
   * on, else what another source is slow with. None: nothing to do.
   */
  pick(nowMs: number, bytesMax: number, start: number): Piece[] {
    const free = filled(this.#free(Math.floor(start * this.#pieces.has.size)), bytesMax);
    return free.length > 0 ? free : filled(this.#late(nowMs), bytesMax);
  }

  *#free(start: number): Generator<Piece> {
    const { has } = this.#pieces;
    for (const piece of has.values().drop(start)) if (piece.asked.size === 0) yield piece;
    for (const piece of has.values().take(start)) if (piece.asked.size === 0) yield piece;
  }

  /** What one other source is slow with. */
  *#late(nowMs: number): Generator<Piece> {
    const afterMs = Math.max(fetchStealMs, fetchStealFactor * this.#usualMs);
    for (const piece of this.#pieces.has) {
      const [question, ...others] = piece.asked;
      const isOther = question !== undefined && question.source !== this && others.length === 0;
      if (isOther && nowMs - question.sinceMs >= afterMs) yield piece;
    }
  }

  /** Opens a question for `pieces`; `close` ends it. */
  ask(pieces: Piece[], nowMs: number): Question {
    const bytes = pieces.reduce((sum, piece) => sum + sizeOf(piece), 0);
    const question = { source: this, pieces, sinceMs: nowMs, bytes };
    this.open.add(question);
    for (const piece of pieces) piece.asked.add(question);
    return question;
  }

  close(question: Question): void {
    this.open.delete(question);
    for (const piece of question.pieces) piece.asked.delete(question);
  }

  /** How long to wait for the next answer, in milliseconds: all that is on its way, at the slowest rate allowed. */
  get patienceMs(): number {
    let bytes = 0;
    for (const question of this.open) bytes += question.bytes;
    return fetchAskMs + 1000 * bytes / fetchBytesPerSecondMin;
  }

  /** It answered, after so many milliseconds. */
  answered(ms: number): void {
    this.hasAnswered = true;
    this.#usualMs = this.#answers++ === 0 ? ms : this.#usualMs + (ms - this.#usualMs) / 8;
    this.#strikes = 0;
    this.#window = Math.min(fetchWindow, this.#window + 1);
  }

  /** It did not answer in time, or could not be asked. Whether it is not to be asked any more. */
  struck(nowMs: number): boolean {
    this.#window = 1;
    this.#restMs = nowMs + fetchRestMs;
    return ++this.#strikes === fetchStrikesMax || this.#answers === 0;
  }
}

/** The first of `pieces` that are at most `bytesMax` bytes together, one at least, and fit into one question. */
function filled(pieces: Iterable<Piece>, bytesMax: number): Piece[] {
  const picked: Piece[] = [];
  let bytes = 0;
  for (const piece of pieces) {
    bytes += sizeOf(piece);
    if (picked.length > 0 && bytes > bytesMax) break;
    picked.push(piece);
    if (picked.length === getIdsMax) break;
  }
  return picked;
}
