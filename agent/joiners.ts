// Joiners: hosts that have asked to be let in and wait for approval, how many there may be, and for how long.
// Not who may ask, and not who lets them in (enrol.ts).
import { isDeepStrictEqual } from "node:util";
import type { Db, Reader } from "../fs/mod.ts";
import { joinersMax, tokenHoursMax } from "./limits.ts";

export interface Joiner {
  host: string;
  key: Uint8Array;
  net: Uint8Array;
  name: string;
  branch: string;
  token: string;
  askedMs: number;
}

const HOUR_MS = 3_600_000;

/** Notes who waits, and that the token is theirs; says whether there was room. One that asks again costs no write. */
export function keepJoiner(db: Db, usedBy: string | null, joiner: Joiner): boolean {
  const waiting = joiners(db);
  const { askedMs: _, ...now } = joiner;
  const held = waiting.find((j) => j.host === joiner.host);
  if (
    usedBy === joiner.host && held !== undefined &&
    isDeepStrictEqual({ ...held, askedMs: 0 }, { ...now, askedMs: 0 })
  ) {
    return true;
  }
  return db.write((tx) => {
    tx.run("DELETE FROM joiner WHERE asked_ms < ?", joiner.askedMs - tokenHoursMax * HOUR_MS);
    const others =
      tx.get<{ n: number }>("SELECT count(*) AS n FROM joiner WHERE host <> ?", joiner.host)?.n ?? 0;
    if (others >= joinersMax) return false;
    tx.run("UPDATE token SET host = ? WHERE id = ?", joiner.host, joiner.token);
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
    return true;
  });
}

/** All of them, who asked first first. */
export function joiners(db: Db): Joiner[] {
  return db.read((r: Reader) =>
    r.all<Joiner>(
      "SELECT host, key, net, name, branch, token, asked_ms AS askedMs FROM joiner ORDER BY asked_ms",
    )
  );
}
