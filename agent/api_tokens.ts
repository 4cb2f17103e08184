// API tokens: words by which a program or a page comes over TCP as one person of this host, for less than that person may. Of a token
// the hash is kept; it is shown once. Not the tokens that hosts join with (enrol.ts), and not what roles open (api_routes.ts).
import { timingSafeEqual } from "node:crypto";
import type { Db, Reader } from "../fs/mod.ts";
import { type Clock, Fault, sha256, toHex } from "../mq/mod.ts";
import { type Role, ROLES } from "./api_roles.ts";
import type { Actor } from "./host.ts";
import {
  apiTokenDaysDefault,
  apiTokenDaysMax,
  apiTokenNoteMax,
  apiTokensMax,
  apiTokenTriesMax,
  apiTokenTriesMs,
  apiTokenUsedEachMs,
} from "./limits_api.ts";
import { inert, isPlainText } from "./names.ts";

const FORM = /^isconf_([0-9a-f]{16})_([A-Za-z0-9_-]{43})$/;
const DAY_MS = 24 * 3_600_000;

/** A token as people see it. */
export interface TokenLine {
  id: string;
  user: string;
  roles: Role[];
  note: string;
  madeMs: number;
  untilMs: number;
  usedMs: number | null;
}

/** Who comes by a token. */
export interface Bearer {
  id: string;
  uid: number;
  name: string;
  roles: Role[];
}

interface Row {
  id: string;
  hash: Uint8Array;
  uid: number;
  user: string;
  roles: string;
  note: string;
  madeMs: number;
  untilMs: number;
  usedMs: number | null;
}

const COLUMNS = "id, hash, uid, user, roles, note, made_ms AS madeMs, until_ms AS untilMs, used_ms AS usedMs";

export class ApiTokens {
  readonly #db: Db;
  readonly #clock: Clock;
  #wrong = { count: 0, sinceMs: -Infinity };

  constructor(db: Db, clock: Clock) {
    this.#db = db;
    this.#clock = clock;
  }

  /**
   * Makes one for somebody; the text is known to nobody from then on but who gets it.
   * @throws {Fault} usage; refused, when that person has too many
   */
  make(
    actor: Actor,
    o: { roles: readonly string[]; days?: number; note?: string },
  ): TokenLine & { token: string } {
    const days = o.days ?? apiTokenDaysDefault, note = o.note ?? "";
    if (days < 1 || days > apiTokenDaysMax) throw usage(`it is good for 1 to ${apiTokenDaysMax} days`);
    if (!isPlainText(note) || note.length > apiTokenNoteMax) {
      throw usage(`a note is a text of at most ${apiTokenNoteMax} characters`);
    }
    const roles = readRoles(o.roles);
    const id = toHex(this.#clock.random(8));
    const secret = Buffer.from(this.#clock.random(32)).toString("base64url");
    const now = this.#clock.wall();
    const line = { id, user: actor.name, roles, note, madeMs: now, untilMs: now + days * DAY_MS };
    const token = `isconf_${id}_${secret}`;
    this.#db.write((tx) => {
      tx.run("DELETE FROM api_token WHERE until_ms < ?", now);
      const mine = tx.get<{ n: number }>("SELECT count(*) AS n FROM api_token WHERE uid = ?", actor.uid)!.n;
      if (mine >= apiTokensMax) {
        throw new Fault("token", "refused", `${inert(actor.name)} has ${mine} tokens already`, {
          hint: "isconf token list; isconf token revoke ID",
        });
      }
      tx.run(
        "INSERT INTO api_token VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL)",
        id,
        hashOf(token),
        actor.uid,
        actor.name,
        roles.join(","),
        note,
        now,
        line.untilMs,
      );
    });
    return { ...line, usedMs: null, token };
  }

  /** Somebody's tokens; root's question is about everybody's. */
  list({ uid }: Actor): TokenLine[] {
    const rows = this.#db.read((r: Reader) =>
      r.all<Row>(`SELECT ${COLUMNS} FROM api_token WHERE until_ms >= ? ORDER BY made_ms`, this.#clock.wall())
    );
    return rows.filter((row) => uid === 0 || row.uid === uid).map(lineOf);
  }

  /** Ends one, at once. Throws notFound for one that is not there or somebody else's. */
  revoke({ uid }: Actor, id: string): TokenLine {
    return this.#db.write((tx) => {
      const row = /^[0-9a-f]{4,16}$/.test(id)
        ? tx.all<Row>(`SELECT ${COLUMNS} FROM api_token WHERE substr(id, 1, ?) = ?`, id.length, id)
          .filter((one) => uid === 0 || one.uid === uid)
        : [];
      const [found] = row;
      if (found === undefined || row.length > 1) {
        throw new Fault("token", "notFound", `you have no token ${inert(id)}`, { hint: "isconf token list" });
      }
      tx.run("DELETE FROM api_token WHERE id = ?", found.id);
      return lineOf(found);
    });
  }

  /**
   * Whose token that is.
   * @throws {Fault} denied, in the same words whatever is wrong with it; refused, while too many wrong ones come
   */
  bearer(text: string): Bearer {
    const now = this.#clock.now();
    if (now - this.#wrong.sinceMs >= apiTokenTriesMs) this.#wrong = { count: 0, sinceMs: now };
    const [, id = ""] = FORM.exec(text) ?? [];
    const row = this.#db.read((r: Reader) => r.get<Row>(`SELECT ${COLUMNS} FROM api_token WHERE id = ?`, id));
    // Hashed and compared also when there is none of that id.
    const isRight = timingSafeEqual(hashOf(text.slice(0, 128)), row?.hash ?? new Uint8Array(32));
    const wall = this.#clock.wall();
    if (row !== undefined && isRight && row.untilMs > wall) {
      if (wall - (row.usedMs ?? -Infinity) >= apiTokenUsedEachMs) this.#note(id, wall);
      return { id, uid: row.uid, name: row.user, roles: lineOf(row).roles };
    }
    if (++this.#wrong.count > apiTokenTriesMax) {
      throw new Fault("api", "refused", "too many wrong tokens came: try again in a while", {
        hint: "isconf token list",
      });
    }
    throw new Fault("api", "denied", "that token is none, or is over", { hint: "isconf token api" });
  }

  /** That it was used is told, and no reason for a request to fail. */
  #note(id: string, wall: number): void {
    try {
      this.#db.write((tx) => tx.run("UPDATE api_token SET used_ms = ? WHERE id = ?", wall, id));
    } catch (e) {
      if (!(e instanceof Fault)) throw e;
    }
  }
}

function hashOf(token: string): Uint8Array {
  return sha256(new TextEncoder().encode(token));
}

function lineOf({ hash: _hash, uid: _uid, roles, ...row }: Row): TokenLine {
  return { ...row, roles: roles.split(",").filter((r): r is Role => r in ROLES) };
}

function readRoles(words: readonly string[]): Role[] {
  for (const word of words) {
    if (!Object.hasOwn(ROLES, word)) {
      throw usage(`${inert(word)} is none of the roles ${Object.keys(ROLES).join(", ")}`);
    }
  }
  return [...new Set(["read" as Role, ...words as Role[]])];
}

function usage(message: string): Fault {
  return new Fault("token", "usage", message, { hint: "isconf help token" });
}
