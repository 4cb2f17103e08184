// Release: which isconf this is. The build writes it in; outside of the executable it is none.
declare const __VERSION__: string;

/** "0.1.0" as in deno.json. */
export const VERSION: string = typeof __VERSION__ === "undefined" ? "0.0.0" : __VERSION__;
