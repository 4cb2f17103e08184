// Seam netboot: booting machines from the network as root sees it: it says where and what each gets, and hears how far they have come, which
// it believes no further than to show it. Not the servers, which are the net half's (net_netboot.ts).
import type { Cbor } from "../mq/mod.ts";
import { placeCharsMax } from "./limits.ts";
import { bootNotesMax } from "./limits_images.ts";
import { inert } from "./names.ts";
import type { NetbootSettings } from "./net_netboot.ts";
import { type Ask, malformed, type NetRequest } from "./seam.ts";

/** How far a machine has come, as the net half says. */
export interface BootLine {
  mac: string;
  step: string;
  timeMs: number;
  percent: number | null;
  text: string;
}

export class SeamNetboot {
  readonly #ask: Ask<NetRequest>;
  /** The interfaces, and what is wrong at each, or "". */
  places: { interface: string; why: string }[] = [];

  /** The interfaces whose ports the net half was given; whether its servers have begun is known when it answers. */
  given: string[] = [];

  constructor(ask: Ask<NetRequest>) {
    this.#ask = ask;
  }

  /** Tells the net half; it opens the places once, and takes all else at any time. */
  async settle(settings: NetbootSettings): Promise<void> {
    const { places } = settings;
    this.given = places.map((place) => place.interface);
    const said = await this.#ask("netboot", JSON.stringify(settings));
    if (!Array.isArray(said) || said.length > places.length) throw malformed();
    this.places = said.map((one) => {
      const [name, why] = Array.isArray(one) ? one : [];
      const isOne = typeof why === "string" && places.some((place) => place.interface === name);
      if (!isOne) throw malformed();
      return { interface: String(name), why: inert(why.slice(0, placeCharsMax)) };
    });
  }

  /** What was noted after the first `after` notes, as far as it is kept; `last`: how many there were. */
  async notes(after: number): Promise<{ last: number; notes: BootLine[] }> {
    const [last, notes] = readList(await this.#ask("bootNotes", after));
    if (typeof last !== "number" || !Array.isArray(notes) || notes.length > bootNotesMax) throw malformed();
    return { last, notes: notes.map(readNote) };
  }
}

const readList = (v: Cbor | undefined): Cbor[] => {
  if (!Array.isArray(v)) throw malformed();
  return v;
};

function readNote(v: Cbor): BootLine {
  const [mac, step, timeMs, percent, text] = readList(v);
  const isNote = typeof mac === "string" && /^[0-9a-f:]{17}$/.test(mac) && typeof step === "string" &&
    /^[a-z]{1,16}$/.test(step) && typeof timeMs === "number" && Number.isSafeInteger(timeMs) &&
    (percent === null || typeof percent === "number") && (text === null || typeof text === "string");
  if (!isNote) throw malformed();
  return { mac, step, timeMs, percent, text: inert((text ?? "").slice(0, placeCharsMax)) };
}
