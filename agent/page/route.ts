// Route: which view the address asks for, as its fragment says: #/journal/main/12. Not the views.

/** The views, in the order of the navigation. */
export const VIEWS = [
  "hosts",
  "journal",
  "live",
  "drift",
  "locks",
  "contents",
  "keepers",
  "mesh",
  "machines",
] as const;
export type View = typeof VIEWS[number];

export interface Route {
  view: View;
  /** What of it: a branch and an entry, a host. */
  rest: string[];
}

/** What a fragment asks for; the first view when it is nothing that is known. */
export function readRoute(hash: string): Route {
  const [view, ...rest] = hash.replace(/^#\/?/, "").split("/").map(decoded);
  if (view === undefined || !(VIEWS as readonly string[]).includes(view)) return { view: "hosts", rest: [] };
  return { view: view as View, rest: rest.filter((part) => part !== "") };
}

/** The address of a view. */
export function linkTo(view: View, ...rest: (string | number)[]): string {
  return `#/${[view, ...rest].map((part) => encodeURIComponent(part)).join("/")}`;
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return "";
  }
}

/** A token in a fragment, as `isconf page` prints it. */
export function tokenIn(hash: string): string | undefined {
  return new URLSearchParams(hash.replace(/^#/, "")).get("token") ?? undefined;
}
