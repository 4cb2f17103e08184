// Port: questions and answers between a process and a thread of its own. Both are ours and believe each other; what comes
// from outside never goes over it unread.
import { Fault } from "../mq/mod.ts";

/** What both ends of a pair of threads have: a MessagePort, a Worker. */
export interface MessageEnd {
  postMessage(value: unknown): void;
  on(event: "message", fn: (value: unknown) => void): unknown;
}

/** Asks the other side; rejects with its fault, or when it has ended. */
export interface Port {
  ask(request: string, value?: unknown): Promise<unknown>;
  /** The other side has ended. */
  lost(why: string): void;
}

export type PortAnswers = Record<string, (value: never) => unknown>;

type Message =
  | { ask: number; request: string; value: unknown }
  | { answer: number; value: unknown }
  | { answer: number; fault: unknown };

/** One side of it: answers what the other asks, and asks it. */
export function openPort(end: MessageEnd, answers: PortAnswers): Port {
  const open = new Map<number, PromiseWithResolvers<unknown>>();
  let next = 0;
  let gone: Fault | undefined;
  const answer = async (n: number, request: string, value: unknown) => {
    try {
      end.postMessage({ answer: n, value: await answers[request]!(value as never) });
    } catch (e) {
      end.postMessage({ answer: n, fault: Fault.from(request, e).toJSON() });
    }
  };
  end.on("message", (value) => {
    const message = value as Message;
    if ("ask" in message) return void answer(message.ask, message.request, message.value);
    const waiting = open.get(message.answer);
    open.delete(message.answer);
    if ("fault" in message) waiting?.reject(Fault.fromJSON(message.fault));
    else waiting?.resolve(message.value);
  });
  return {
    ask(request, value) {
      if (gone !== undefined) return Promise.reject(gone);
      const waiting = Promise.withResolvers<unknown>();
      open.set(next, waiting);
      end.postMessage({ ask: next++, request, value });
      return waiting.promise;
    },
    lost(why) {
      gone = new Fault("store", "gone", why, { hint: "isconf doctor" });
      for (const waiting of open.values()) waiting.reject(gone);
      open.clear();
    },
  };
}
