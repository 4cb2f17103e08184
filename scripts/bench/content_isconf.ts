// Content isconf: our side of the measurement of contents, by the shipped executable, with its agent running before.
import { BenchHost } from "./host.ts";
import { type Program, type Spent, spent, type Turn, type Version } from "./content_turn.ts";

/** The executable with words that come before the name of what is put. */
export function isconfProgram(name: string, ...words: string[]): Program {
  return { name, isStore: true, begin: (dir, data) => IsconfTurn.begin(dir, data, words) };
}

/** What the executable ends with when it does not know what it is asked for (isconf help errors). */
const USAGE = / ended 22: (.*)/;

/** What the executable says when it does not know how to put something; undefined when it can. Throws when it fails. */
export async function whyNot(program: Program, dir: string, data: string): Promise<string | undefined> {
  await using turn = await program.begin(dir, data);
  try {
    await turn.put("v1", "trial");
    return undefined;
  } catch (e) {
    const said = e instanceof Error ? USAGE.exec(e.message)?.[1] : undefined;
    if (said === undefined) throw e;
    return said;
  }
}

/** The agent's start is in no figure: it runs once for all that follows. What it does after an answer is in the next one. */
class IsconfTurn implements Turn {
  readonly store: readonly string[];
  readonly #host: BenchHost;
  readonly #data: string;
  readonly #words: readonly string[];
  readonly #ids = new Map<string, string>();

  private constructor(host: BenchHost, data: string, words: readonly string[]) {
    this.store = [host.home];
    this.#host = host;
    this.#data = data;
    this.#words = words;
  }

  static async begin(dir: string, data: string, words: readonly string[]): Promise<IsconfTurn> {
    const host = new BenchHost(`${dir}/home`);
    try {
      await host.isconf("start");
      return new IsconfTurn(host, data, words);
    } catch (e) {
      await host.meter[Symbol.asyncDispose](); // whether an agent runs that could be told to stop is not known
      throw e;
    }
  }

  async put(version: Version, name: string): Promise<Spent> {
    const { stdout, ...put } = await this.#spent("put", ...this.#words, `${this.#data}/${version}/content`);
    this.#ids.set(name, stdout.trim());
    return put;
  }

  async get(name: string, into: string): Promise<Spent> {
    const id = this.#ids.get(name);
    if (id === undefined) throw new Error(`nothing was put as ${name}`);
    return await this.#spent("get", id, `${into}/content`);
  }

  async #spent(...words: string[]): Promise<Spent & { stdout: string }> {
    return await spent(this.#host.meter, () => this.#host.isconf(...words));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#host[Symbol.asyncDispose]();
  }
}
