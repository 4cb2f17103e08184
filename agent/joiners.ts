// Joiners: hosts that have asked to be let in and wait for approval, how many there may be, and for how long.
// Not who may ask, and not who lets them in (enrol.ts).
import { isDeepStrictEqual } from "node:util";
import type { Db, Reader, Tx } from "../fs/mod.ts";
import { joinersMax, openJoinersMax, tokenHoursMax } from "./limits.ts";

export interface Joiner {
  host: string;
  key: Uint8Array;
  net: Uint8Array;
  name: string;
  branch: string;
  token: string;
  /** 1: that token is open, so this may be any stranger. */
  open: number;
  askedMs: number;
}

const HOUR_MS = 3_600_000;

/**
 * Notes who waits, and that the token is theirs if it is not open. Returns "", or why there is no room: who is told so asks
 * again. One that waits already costs no write.
 */
export function keepJoiner(db: Db, joiner: Joiner): string {
  const held = joiners(db).find((j) => j.host === joiner.host);
  if (isDeepStrictEqual({ ...held, askedMs: 0 }, { ...joiner, askedMs: 0 })) return "";
  return db.write((tx) => {
    tx.run("DELETE FROM joiner WHERE asked_ms < ?", joiner.askedMs - tokenHoursMax * HOUR_MS);
    // Strangers leave no list full that people cannot empty: with an open token goes who waits with it.
    tx.run(
      "DELETE FROM joiner WHERE token IN (SELECT id FROM token WHERE secret = x'' AND until_ms < ?)",
      joiner.askedMs,
    );
    const others = read(tx).filter((j) => j.host !== joiner.host);
    if (others.length >= joinersMax) return `${joinersMax} hosts wait already, this one asks again`;
    if (joiner.open === 1 && others.filter((j) => j.open === 1).length >= openJoinersMax) {
      return `${openJoinersMax} hosts with open tokens wait already, this one asks again`;
    }
    if (joiner.open === 0) tx.run("UPDATE token SET host = ? WHERE id = ?", joiner.host, joiner.token);
    const { host: id, key, net, name, branch, token, askedMs } = joiner;
    tx.run(
      "INSERT OR REPLACE INTO joiner VALUES (?, ?, ?, ?, ?, ?, ?)",
      id,
      key,
      net,
      name,
      branch,
      token,
      askedMs,
    );
    return "";
  });
}

/** Ends a token: nobody can ask with it any more, and who waits by it waits no longer; how many these were. */
export function endToken(tx: Tx, id: string): number {
  const waited = read(tx).filter((j) => j.token === id).length;
  tx.run("DELETE FROM joiner WHERE token = ?", id);
  tx.run("DELETE FROM token WHERE id = ?", id);
  return waited;
}

/** All of them, who asked first first. */
export function joiners(db: Db): Joiner[] {
  return db.read(read);
}

function read(r: Reader): Joiner[] {
  return r.all<Joiner>(
    `SELECT host, key, net, name, branch, token, asked_ms AS askedMs,
       EXISTS (SELECT 1 FROM token WHERE token.id = joiner.token AND secret = x'') AS open
     FROM joiner ORDER BY asked_ms`,
  );
}
