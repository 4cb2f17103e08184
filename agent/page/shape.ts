// Shape: what an answer must look like before the page uses it: a broken agent, or something else that listens there, makes
// a clear complaint and no broken page. Not what the answers are (answers.ts).

/** Returns the value as what it must be; throws `Misshapen`, naming the place. */
export type Shape<T> = (value: unknown, where: string) => T;
/** What a shape makes. */
export type Of<S> = S extends Shape<infer T> ? T : never;

/** An answer that is not what it should be. */
export class Misshapen extends Error {
  constructor(where: string, what: string) {
    super(`${where} is not ${what}`);
  }
}

export const text: Shape<string> = (v, where) => {
  if (typeof v !== "string") throw new Misshapen(where, "a text");
  return v;
};

export const count: Shape<number> = (v, where) => {
  if (typeof v !== "number" || !Number.isFinite(v)) throw new Misshapen(where, "a number");
  return v;
};

export const flag: Shape<boolean> = (v, where) => {
  if (typeof v !== "boolean") throw new Misshapen(where, "true or false");
  return v;
};

/** Anything: shown as JSON, if at all. */
export const any: Shape<unknown> = (v) => v;

export function list<T>(of: Shape<T>): Shape<T[]> {
  return (v, where) => {
    if (!Array.isArray(v)) throw new Misshapen(where, "a list");
    return v.map((one, i) => of(one, `${where}[${i}]`));
  };
}

/** What may be null, or missing. */
export function maybe<T>(of: Shape<T>): Shape<T | null> {
  return (v, where) => v === null || v === undefined ? null : of(v, where);
}

/** What older or newer agents leave out. */
export function or<T>(of: Shape<T>, otherwise: T): Shape<T> {
  return (v, where) => v === undefined ? otherwise : of(v, where);
}

/** An object with these fields; what else it has is left out. */
export function record<T extends Record<string, Shape<unknown>>>(
  fields: T,
): Shape<{ [K in keyof T]: Of<T[K]> }> {
  return (v, where) => {
    if (v === null || typeof v !== "object" || Array.isArray(v)) throw new Misshapen(where, "an object");
    const from = v as Record<string, unknown>;
    const one = ([name, of]: [string, Shape<unknown>]) => {
      const value = Object.hasOwn(from, name) ? from[name] : undefined;
      return [name, of(value, `${where}.${name}`)];
    };
    return Object.fromEntries(Object.entries(fields).map(one));
  };
}
