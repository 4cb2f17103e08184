// Events: what the agent tells by itself, kept open and begun again after an interruption. Where it tells none, or cannot be heard,
// status is asked for instead. Events are hints: what they say is shown, what is so is asked for.
import { useEffect, useRef, useState } from "preact/hooks";
import { type CloudEvent, cloudEvent } from "./answers.ts";
import { type Api, Problem, withQuery } from "./api.ts";
import { after, every, pause } from "./clock.ts";
import { againMs, againMsMax, eventRestMs, eventsKept, pollEachMs, statusEachMs } from "./limits.ts";
import type { Live } from "./use.ts";

export interface Heard {
  events: readonly CloudEvent[];
  hears: Live["hears"];
  why: string;
}

/** Listens as long as it is shown; `changed` is called when something came, `eventRestMs` apart at the least, and now and then. */
export function useEvents(api: Api, changed: () => void): Heard {
  const [heard, setHeard] = useState<Heard>({ events: [], hears: "connecting", why: "" });
  const say = useRef(changed);
  say.current = changed;

  useEffect(() => {
    const control = new AbortController();
    let callOff: (() => void) | undefined;
    const soon = () => {
      callOff ??= after(eventRestMs, () => {
        callOff = undefined;
        say.current();
      });
    };
    const hear = (event: CloudEvent) => {
      setHeard((h) =>
        h.events.some(({ id }) => id === event.id)
          ? h
          : { ...h, events: [event, ...h.events].slice(0, eventsKept) }
      );
      soon();
    };
    void listen(api, control.signal, hear, (hears, why) => setHeard((h) => ({ ...h, hears, why })));
    return () => {
      control.abort();
      callOff?.();
    };
  }, [api]);

  useEffect(() => {
    const eachMs = heard.hears === "events" ? statusEachMs : pollEachMs;
    return every(eachMs, () => document.visibilityState === "visible" && say.current());
  }, [heard.hears]);
  return heard;
}

async function listen(
  api: Api,
  signal: AbortSignal,
  hear: (event: CloudEvent) => void,
  say: (hears: Live["hears"], why: string) => void,
): Promise<void> {
  let cursor = "";
  for (let wait = againMs; !signal.aborted; wait = Math.min(againMsMax, wait * 2)) {
    let why = "the agent ended the stream of events";
    try {
      const path = withQuery("/v1/events", { after: cursor === "" ? undefined : cursor });
      for await (const { id, event, data } of api.events(path, signal, () => say("events", ""))) {
        wait = againMs;
        if (id !== "") cursor = id;
        const read = readEvent(event, data);
        if (read !== undefined) hear(read);
      }
    } catch (e) {
      if (signal.aborted) return;
      const problem = e instanceof Problem ? e : new Problem(String(e), {});
      if (problem.isTokenRefused) return;
      why = problem.status === 404 ? "this agent tells no events" : problem.message;
      if (problem.status >= 400 && problem.status < 500) wait = againMsMax; // it will not have them in a second
    }
    say("asking", why);
    await pause(wait, signal);
  }
}

function readEvent(type: string, data: string): CloudEvent | undefined {
  try {
    return cloudEvent({ type, ...JSON.parse(data) as object }, "the event");
  } catch {
    return undefined; // a hint that nobody understands is none
  }
}
