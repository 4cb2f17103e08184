// Use: what views ask for while they are shown: an answer, its age, what is wrong with it, and asking again. Not how it is asked (api.ts).
import { createContext } from "preact";
import { useCallback, useContext, useEffect, useRef, useState } from "preact/hooks";
import type { Wanted } from "./act.tsx";
import type { CloudEvent, Me, Status } from "./answers.ts";
import { type Api, type AskOptions, Problem } from "./api.ts";
import { after, wall } from "./clock.ts";
import { slowMs } from "./limits.ts";
import type { Shape } from "./shape.ts";

/** Something asked for, as far as it is known. */
export interface Asked<T> {
  answer: T | undefined;
  /** What went wrong the last time; an answer of before is there still. */
  problem: Problem | undefined;
  /** When the answer came; 0: there is none. */
  asOfMs: number;
  isAsking: boolean;
  /** Whether it takes long by now. */
  isSlow: boolean;
  again(): void;
}

/** What every view knows of: the way to the agent, what it last told, and what it tells by itself. */
export interface Live {
  api: Api;
  status: Asked<Status>;
  /** Who is asking, and what they may; undefined: the agent has not said so. */
  me: Me | undefined;
  /** Grows when something may have changed. */
  version: number;
  events: readonly CloudEvent[];
  /** How the page hears of changes: told by the agent, asking, or not at all now. */
  hears: "events" | "asking" | "connecting";
  /** What is wrong with the stream of events, while it is. */
  why: string;
  /** Opens the dialog of an act. */
  ask(wanted: Wanted): void;
  /** Acts that the agent has denied to this caller, by their keys. */
  denied: ReadonlySet<string>;
  /** Something was done: ask anew. */
  changed(): void;
  /** The token is refused: another one is needed. */
  refused(problem: Problem): void;
}

export const LiveContext = createContext<Live>(undefined as unknown as Live);

export function useLive(): Live {
  return useContext(LiveContext);
}

const NOTHING = { answer: undefined, problem: undefined, asOfMs: 0, isAsking: false, isSlow: false };

/**
 * The answer to a GET of `path`, asked for when `path` or `version` changes; null: nothing is asked. While an answer is on its way
 * no second one is asked for: what comes meanwhile is asked for after it.
 */
export function useAnswer<T>(
  api: Api,
  path: string | null,
  shape: Shape<T>,
  version: unknown = 0,
  o: AskOptions & { onRefused?: (problem: Problem) => void } = {},
): Asked<T> {
  const [state, setState] = useState<Omit<Asked<T>, "again"> & { path: string | null }>({ ...NOTHING, path });
  const [turn, setTurn] = useState(0);
  const asking = useRef<{ path: string; isAgain: boolean } | undefined>(undefined);
  const options = useRef(o);
  options.current = o;
  const stop = useRef(new AbortController());

  useEffect(() => () => stop.current.abort(), []);

  useEffect(() => {
    if (path === null) return;
    if (asking.current?.path === path) {
      asking.current.isAgain = true;
      return;
    }
    stop.current.abort();
    const control = stop.current = new AbortController();
    const mine = asking.current = { path, isAgain: false };
    setState((s) => ({ ...(s.path === path ? s : NOTHING), path, isAsking: true, isSlow: false }));
    const callOff = after(slowMs, () => mine === asking.current && setState((s) => ({ ...s, isSlow: true })));
    const { ms, onRefused } = options.current;
    api.get(path, shape, { signal: control.signal, ...(ms === undefined ? {} : { ms }) }).then(
      (answer) => ({ answer, problem: undefined, asOfMs: wall() }),
      (e) => ({ problem: e instanceof Problem ? e : new Problem(String(e), {}) }),
    ).then((news) => {
      callOff();
      if (control.signal.aborted) return;
      asking.current = undefined;
      setState((s) => ({ ...s, ...news, isAsking: false, isSlow: false }));
      if (news.problem?.isTokenRefused) onRefused?.(news.problem);
      if (mine.isAgain) setTurn((n) => n + 1);
    });
  }, [api, path, version, turn]);

  const again = useCallback(() => setTurn((n) => n + 1), []);
  const { path: of, ...rest } = state;
  return of === path ? { ...rest, again } : { ...NOTHING, isAsking: path !== null, again };
}

/** The same for a view: with the page's token and its version. */
export function useView<T>(path: string | null, shape: Shape<T>): Asked<T> {
  const { api, version, refused } = useLive();
  return useAnswer(api, path, shape, version, { onRefused: refused });
}

/** Only when somebody asks for it, since it costs something: null until then. */
export function useOnce<T>(path: string | null, shape: Shape<T>, ms: number): Asked<T> {
  const { api, refused } = useLive();
  return useAnswer(api, path, shape, 0, { ms, onRefused: refused });
}

/** Whether who is asking may have a verb; while the agent has not said so, they may not. */
export function useMay(verb: string): boolean {
  return useLive().me?.verbs.includes(verb) === true;
}
