// Bus: tells the parts of one process that something happened. Events are hints: nothing may depend on one arriving.
// Not a queue: there is no memory, and who listens later hears nothing of before.

export class Bus<Events extends Record<string, unknown>> {
  readonly #listeners = new Map<keyof Events, Set<(value: never) => void>>();
  readonly #onError: (thrown: unknown, name: keyof Events) => void;

  /** `onError` gets what a listener threw; the other listeners and the emitter never notice. */
  constructor(onError: (thrown: unknown, name: keyof Events) => void) {
    this.#onError = onError;
  }

  /** Calls `fn` at each event `name` from now on; returns what ends that. */
  on<Name extends keyof Events>(name: Name, fn: (value: Events[Name]) => void): () => void {
    const listener = (value: Events[Name]) => fn(value);
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0 && this.#listeners.get(name) === listeners) this.#listeners.delete(name);
    };
  }

  /** Calls everyone who listens to `name` now, in the order they came. */
  emit<Name extends keyof Events>(name: Name, value: Events[Name]): void {
    for (const listener of [...this.#listeners.get(name) ?? []]) {
      try {
        listener(value as never);
      } catch (thrown) {
        this.#onError(thrown, name);
      }
    }
  }
}
