// emit: what several searches find at the same time, as one async iteration. It knows nothing of what is found.

/**
 * Runs `run` and yields what it emits, each item once, as it is emitted. Ends when `run` has ended and all is yielded, or
 * at once when `outer` aborts; `run`'s signal aborts then, and when nobody takes any more.
 * @throws what `run` throws, after what was emitted before
 */
export async function* emitted<T>(
  outer: AbortSignal,
  run: (emit: (item: T) => void, signal: AbortSignal) => Promise<void>,
): AsyncGenerator<T, void, void> {
  const inner = new AbortController();
  const seen = new Set<T>();
  const ready: T[] = [];
  let wake = Promise.withResolvers<void>();
  const stop = () => {
    inner.abort();
    wake.resolve();
  };
  outer.addEventListener("abort", stop);
  let end: { failure?: { thrown: unknown } } | undefined;
  if (outer.aborted) end = {};
  else {
    run((item) => {
      if (seen.has(item)) return;
      seen.add(item);
      ready.push(item);
      wake.resolve();
    }, inner.signal).then(() => end = {}, (thrown) => end = { failure: { thrown } }).finally(() =>
      wake.resolve()
    );
  }
  try {
    while (!outer.aborted) {
      const item = ready.shift();
      if (item !== undefined) yield item;
      else if (end === undefined) {
        await wake.promise;
        wake = Promise.withResolvers();
      } else if (end.failure !== undefined) throw end.failure.thrown;
      else return;
    }
  } finally {
    outer.removeEventListener("abort", stop);
    inner.abort();
  }
}
