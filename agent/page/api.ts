// API: how the page asks the agent: with its token, for JSON of a known shape, within limits of time and size. Not what is asked
// when (use.ts, events.ts), and no decision about what somebody may: the agent decides.
import { problemShape, progressLine } from "./answers.ts";
import { answerBytesMax, answerMs } from "./limits.ts";
import { bytesOf, eventsOf, linesOf, type Sent } from "./lines.ts";
import { Misshapen, type Of, type Shape } from "./shape.ts";

/** What went wrong, for people: what the agent says, or what is wrong with its answer. */
export class Problem extends Error {
  /** HTTP's status; 0: there was no answer. */
  readonly status: number;
  readonly kind: string;
  readonly hint: string;
  readonly exit: number | null;

  constructor(
    message: string,
    { status = 0, kind = "", hint = "", exit = null }: {
      status?: number;
      kind?: string;
      hint?: string;
      exit?: number | null;
    },
  ) {
    super(message);
    this.status = status;
    this.kind = kind;
    this.hint = hint;
    this.exit = exit;
  }

  /** Whether the token is not known, or not any more: another one is needed. */
  get isTokenRefused(): boolean {
    return this.status === 401 && this.kind !== "unconfirmed";
  }
}

/** Arguments of a verb, as they are sent. */
export type Args = Record<string, string | number | boolean | string[]>;

/** What an act tells on its way. */
export type Progress = Of<typeof progressLine>;

export interface AskOptions {
  signal?: AbortSignal;
  /** How long the answer may take, in milliseconds. */
  ms?: number;
}

export interface Api {
  get<T>(path: string, shape: Shape<T>, o?: AskOptions): Promise<T>;
  post<T>(verb: string, args: Args, shape: Shape<T>, o?: AskOptions): Promise<T>;
  /** An act that tells how far it is; resolves with its result. `key`: the same for what must not be done twice. */
  act(
    verb: string,
    args: Args,
    key: string,
    tell: (line: Progress) => void,
    o?: AskOptions,
  ): Promise<unknown>;
  /** Events, as long as the agent sends them; `begun` is called when it has agreed to. */
  events(path: string, signal: AbortSignal, begun: () => void): AsyncGenerator<Sent>;
}

/** The way to the agent of this page's origin, for one token. */
export function makeApi(token: string, fetchOf: typeof fetch = (...args) => fetch(...args)): Api {
  async function ask(path: string, init: RequestInit, { signal, ms = answerMs }: AskOptions, accept: string) {
    const late = AbortSignal.timeout(ms);
    try {
      return await fetchOf(path, {
        ...init,
        headers: { accept, authorization: `Bearer ${token}`, ...init.headers },
        signal: signal === undefined ? late : AbortSignal.any([signal, late]),
        // Nothing of it is to stay in the browser, to follow elsewhere, or to bring along more than the token.
        cache: "no-store",
        credentials: "omit",
        redirect: "error",
        referrerPolicy: "no-referrer",
      });
    } catch (e) {
      throw noAnswer(e, ms);
    }
  }

  async function json<T>(answer: Response, shape: Shape<T>, ms: number): Promise<T> {
    const text = await textOf(answer, ms);
    if (!answer.ok) throw problemOf(answer.status, text);
    return read(text, shape);
  }

  const posted = (args: Args, headers: Record<string, string> = {}): RequestInit => ({
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(args),
  });

  return {
    async get(path, shape, o = {}) {
      return await json(await ask(path, {}, o, "application/json"), shape, o.ms ?? answerMs);
    },
    async post(verb, args, shape, o = {}) {
      const answer = await ask(`/v1/${verb}`, posted(args), o, "application/json");
      return await json(answer, shape, o.ms ?? answerMs);
    },
    async act(verb, args, key, tell, o = {}) {
      const init = posted(args, { "idempotency-key": key });
      const answer = await ask(`/v1/${verb}`, init, o, "application/x-ndjson");
      if (!answer.ok) throw problemOf(answer.status, await textOf(answer, o.ms ?? answerMs));
      if (!(answer.headers.get("content-type") ?? "").startsWith("application/x-ndjson")) {
        return read(await textOf(answer, o.ms ?? answerMs), (v) => v);
      }
      try {
        for await (const line of linesOf(bytesOf(answer.body as ReadableStream<Uint8Array>))) {
          const told = read(line, progressLine);
          if (told.event === "result") return told.result;
          if (told.event === "fault") throw problemOf(0, JSON.stringify(told.fault));
          tell(told);
        }
      } catch (e) {
        throw e instanceof Problem ? e : noAnswer(e, o.ms ?? answerMs);
      }
      throw new Problem("the connection ended before the act did: it may have been done, or not", {
        kind: "gone",
        hint: "look at the journal and at how this host stands before you do it again",
      });
    },
    async *events(path, signal, begun) {
      const answer = await ask(path, {}, { signal, ms: 2 ** 31 - 1 }, "text/event-stream");
      if (!answer.ok) throw problemOf(answer.status, await textOf(answer, answerMs));
      if (!(answer.headers.get("content-type") ?? "").startsWith("text/event-stream")) {
        await answer.body?.cancel();
        throw new Problem("what the agent answered is no stream of events", { status: answer.status });
      }
      begun();
      yield* eventsOf(linesOf(bytesOf(answer.body as ReadableStream<Uint8Array>)));
    },
  };
}

/** A path with a query; what is undefined is left out. */
export function withQuery(
  path: string,
  query: Record<string, string | number | boolean | undefined>,
): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) params.append(name, String(value));
  }
  return params.size === 0 ? path : `${path}?${params}`;
}

/** The whole text of an answer, of `answerBytesMax` at the most. */
async function textOf(answer: Response, ms: number): Promise<string> {
  if (answer.body === null) return "";
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  try {
    for await (const chunk of bytesOf(answer.body)) {
      bytes += chunk.length;
      if (bytes > answerBytesMax) throw new Misshapen("the answer", "of a size that a page can show");
      text += decoder.decode(chunk, { stream: true });
    }
  } catch (e) {
    throw noAnswer(e, ms);
  }
  return text + decoder.decode();
}

function read<T>(text: string, shape: Shape<T>): T {
  try {
    return shape(JSON.parse(text), "the answer");
  } catch (e) {
    const why = e instanceof Misshapen ? e.message : "it is no JSON";
    throw new Problem(`the agent's answer is not what this page understands: ${why}`, {
      hint: "isconf doctor, on this host; then load this page again",
    });
  }
}

function noAnswer(e: unknown, ms: number): Problem {
  if (e instanceof Misshapen) {
    return new Problem(e.message, { hint: "the same verb on the command line shows it" });
  }
  if ((e as Error).name === "TimeoutError") {
    return new Problem(`the agent did not answer in ${ms / 1000} seconds`, {
      hint: "isconf status, on this host, says what it is doing",
    });
  }
  if ((e as Error).name === "AbortError") return new Problem("called off", { kind: "calledOff" });
  return new Problem("the agent cannot be reached, or cut the connection", {
    hint: "isconf status, on this host; then try again",
  });
}

function problemOf(status: number, text: string): Problem {
  try {
    const { title, kind, detail, hint, exit } = problemShape(JSON.parse(text), "the problem");
    const message = detail || (JSON.parse(text) as { message?: string }).message || title;
    if (typeof message === "string" && message !== "") {
      return new Problem(message, { status, kind: kind || title, hint, exit });
    }
  } catch {
    // an answer of something else than the agent: its status is all there is to say
  }
  return new Problem(`the agent answered with status ${status} and nothing to say why`, {
    status,
    hint: "isconf doctor, on this host",
  });
}
