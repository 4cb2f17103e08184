// Clock: the one door of the page to the browser's time. Not the agent's Clock (mq/clock.ts), which knows Node.

/** Milliseconds since 1970, by this browser. */
export function wall(): number {
  return Date.now();
}

/** Runs `fn` once, `ms` from now; what it returns calls that off. */
export function after(ms: number, fn: () => void): () => void {
  const id = setTimeout(fn, ms);
  return () => clearTimeout(id);
}

/** Runs `fn` each `ms`; what it returns ends that. */
export function every(ms: number, fn: () => void): () => void {
  const id = setInterval(fn, ms);
  return () => clearInterval(id);
}

/** Resolves `ms` from now, or at once when `signal` says so. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      callOff();
      signal.removeEventListener("abort", end);
      resolve();
    };
    const callOff = after(ms, end);
    signal.addEventListener("abort", end);
    if (signal.aborted) end();
  });
}
