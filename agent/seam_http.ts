// Seam HTTP: where on this machine programs and pages find the API over TCP, which the net half listens for; root only says so and hears
// whether it does. Not what comes in there (api_remote.ts).
import type { Cbor } from "../mq/mod.ts";
import type { Config } from "./config.ts";
import { placeCharsMax } from "./limits.ts";
import { inert } from "./names.ts";
import { type Ask, malformed, type NetRequest } from "./seam.ts";

export class SeamHttp {
  readonly #ask: Ask<NetRequest>;
  /** "127.0.0.1:8470"; empty: nowhere. */
  place = "";
  /** What is wrong with that; empty: nothing. */
  why = "";

  /** Whether net has answers that it may give again. */
  #isAsked = false;

  constructor(ask: Ask<NetRequest>) {
    this.#ask = ask;
  }

  /** Net has been given something to give again for a moment. */
  given(): void {
    this.#isAsked = true;
  }

  /** Something has changed: what net was given may not be so any more. It forgets it after a moment anyway. */
  changed(): void {
    if (!this.#isAsked) return;
    this.#isAsked = false;
    this.#ask("stale", null).catch(() => {}); // it is gone, and with it what it knew
  }

  /** Has the net half listen where the configuration says. Throws what is wrong with the net half. */
  async settle({ http, httpNames }: Pick<Config, "http" | "httpNames">): Promise<void> {
    const [place, why] = readPlace(await this.#ask("http", http === "" ? null : [http, httpNames]));
    [this.place, this.why] = [place, why];
  }
}

function readPlace(said: Cbor): [place: string, why: string] {
  const [place, why] = Array.isArray(said) && said.length === 2 ? said : [];
  if (typeof place !== "string" || typeof why !== "string") throw malformed();
  if (!/^([0-9.]{7,15}:[0-9]{1,5}|\[::1\]:[0-9]{1,5})?$/.test(place)) throw malformed();
  return [place, inert(why.slice(0, placeCharsMax))];
}
