// Nemesis: what breaks a fleet while it works, by chance from a seed: lines, agents, power, clocks. Knows nothing of what hosts do.
import { setTimeout as pause } from "node:timers/promises";
import type { Fleet } from "../fleet.ts";
import { stepClock } from "./clock.ts";
import type { Dice, Recorder } from "./recorder.ts";

/** Seconds by which clocks are off at times: a minute, an hour, a day, a year, either way. */
const STEPS_S = [60, 3600, 86_400, 31_536_000].flatMap((s) => [s, -s]);

export class Nemesis {
  readonly #fleet: Fleet;
  readonly #record: Recorder;
  readonly #dice: Dice;
  readonly #canStep: boolean;
  /** Hosts that somebody else works on, by names. */
  readonly spared = new Set<string>();
  readonly done = new Map<string, number>();
  readonly #slow = new Set<string>();

  constructor(fleet: Fleet, record: Recorder, dice: Dice, canStep: boolean) {
    this.#fleet = fleet;
    this.#record = record;
    this.#dice = dice;
    this.#canStep = canStep;
  }

  /** Breaks one thing after another. */
  async run(isOver: () => boolean): Promise<void> {
    const faults: [number, string, () => Promise<void>][] = [
      [4, "parted", () => this.#part()],
      [2, "cut", () => this.#cut()],
      [3, "hushed", () => this.#hush()],
      [2, "slow", () => this.#slowOne()],
      [5, "killed", () => this.#kill()],
      [2, "no power", () => this.#power()],
      [1, "restarted", () => this.#restart()],
      ...this.#canStep ? [[2, "clock", () => this.#clock()] as [number, string, () => Promise<void>]] : [],
    ];
    const chances = faults.flatMap((fault) => Array<typeof fault>(fault[0]).fill(fault));
    while (!isOver()) {
      const [, name, fault] = this.#dice.of(chances);
      await this.#try(name, fault);
      await pause(this.#dice.between(500, 6_000));
      if (this.#dice.is(0.5)) await this.#try("healed", () => this.#mend());
      await pause(this.#dice.between(0, 3_000));
    }
  }

  /** Everything works again, but for clocks, which stay as they are. */
  async heal(): Promise<void> {
    for (const name of this.#fleet.names) {
      if (!this.#fleet.host(name).isOn) await this.#fleet.on(name);
    }
    await this.#mend();
    for (const name of this.#fleet.names) await this.#fleet.start(name);
  }

  async #try(name: string, fault: () => Promise<void>): Promise<void> {
    try {
      await fault();
      this.done.set(name, (this.done.get(name) ?? 0) + 1);
    } catch (e) {
      this.#record.say("nemesis", `${name}: not now: ${(e as Error).message}`);
    }
  }

  async #mend(): Promise<void> {
    this.#record.say("nemesis", "all lines are whole");
    await this.#fleet.heal();
    for (const name of this.#slow) if (this.#fleet.host(name).isOn) await this.#fleet.slow(name);
    this.#slow.clear();
  }

  #one(): string {
    const able = this.#fleet.names.filter((name) => !this.spared.has(name) && this.#fleet.host(name).isOn);
    if (able.length === 0) throw new Error("nobody is able");
    return this.#dice.of(able);
  }

  async #part(): Promise<void> {
    const names = this.#dice.shuffled(this.#fleet.names);
    const at = 1 + this.#dice.below(names.length - 1);
    const groups = [names.slice(0, at), names.slice(at)];
    if (this.#dice.is(0.2) && groups[1]!.length > 1) groups.push(groups[1]!.splice(1));
    this.#record.say("nemesis", `apart: ${groups.map((group) => group.join(" ")).join(" | ")}`);
    await this.#fleet.partition(groups);
  }

  async #cut(): Promise<void> {
    const name = this.#one();
    this.#record.say("nemesis", `no cable: ${name}`);
    await this.#fleet.cut(name);
  }

  async #hush(): Promise<void> {
    for (let k = 1 + this.#dice.below(4); k > 0; k--) {
      const name = this.#one();
      const deaf = this.#dice.of(this.#fleet.names.filter((other) => other !== name));
      this.#record.say("nemesis", `${name} is not heard by ${deaf}`);
      await this.#fleet.hush(name, deaf);
    }
  }

  async #slowOne(): Promise<void> {
    const name = this.#one();
    const line = this.#dice.is(0.5) ? { delayMs: 200, jitterMs: 150 } : { delayMs: 20, lossPercent: 15 };
    this.#record.say("nemesis", `slow: ${name} ${JSON.stringify(line)}`);
    this.#slow.add(name);
    await this.#fleet.slow(name, line);
  }

  async #kill(): Promise<void> {
    const names = new Set(Array.from({ length: this.#dice.is(0.25) ? 3 : 1 }, () => this.#one()));
    this.#record.say("nemesis", `kill -9: ${[...names].join(" ")}`);
    await Promise.all([...names].map((name) => this.#fleet.kill9(name)));
    await pause(this.#dice.between(100, 4_000));
    for (const name of names) await this.#fleet.start(name);
    this.#record.say("nemesis", `started: ${[...names].join(" ")}`);
  }

  async #power(): Promise<void> {
    const name = this.#one();
    this.#record.say("nemesis", `no power: ${name}`);
    await this.#fleet.off(name);
    await pause(this.#dice.between(100, 6_000));
    await this.#fleet.on(name);
    this.#record.say("nemesis", `power is back: ${name}`);
  }

  async #restart(): Promise<void> {
    const name = this.#one();
    this.#record.say("nemesis", `restart: ${name}`);
    await this.#fleet.stop(name);
    await this.#fleet.start(name);
  }

  async #clock(): Promise<void> {
    const name = this.#one();
    const seconds = this.#dice.is(0.3) ? 0 : this.#dice.of(STEPS_S);
    this.#record.say("nemesis", `clock of ${name}: ${seconds} s off`);
    await stepClock(this.#fleet.host(name), seconds);
  }
}
