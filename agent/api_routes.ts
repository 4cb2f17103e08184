// API routes: every route there is, with the verb of the policy that it stands for and the role that a token needs for it: made
// from the list of verbs, and what is beside it. What has no row here has no way in. Not what routes do (api.ts).
import type { Role } from "./api_roles.ts";
import type { Verb } from "./verb.ts";
import { VERBS } from "./verbs/mod.ts";

/** Who may come by a token: who has that role; or nobody: the route is for the sockets of users on this host alone. */
export type RouteRole = Role | "local" | "anyone";

export interface Route {
  method: "GET" | "PUT" | "POST" | "DELETE";
  /** As Hono has it. */
  path: string;
  /** Which verb of the policy it is; "": whoever has a way in may. */
  verb: string;
  kind: "reads" | "changes";
  role: RouteRole;
  summary: string;
  /** The verb that it runs: judged with its arguments, when they are read. */
  runs?: Verb;
}

/** What verbs need that do more than read, and those that only read and are not for tokens. */
const VERB_ROLES: Readonly<Record<string, RouteRole>> = {
  up: "operate",
  resolve: "operate", // a proposal, which counts for nothing before root keys have signed it
  gc: "operate",
  fsck: "operate",
  token: "enrol",
  approve: "enrol",
  rm: "publish",
  pin: "publish",
  unpin: "publish",
  name: "publish",
  // Commands, and what other hosts will do.
  lock: "local",
  unlock: "local",
  snap: "local",
  exec: "local",
  preview: "local",
  reboot: "local",
  wip: "local",
  ci: "local",
  fork: "local",
  migrate: "local",
  rebase: "local",
  // The domain, its keys and persons.
  init: "local",
  join: "local",
  evict: "local",
  grant: "local",
  revoke: "local",
  rotate: "local",
  keeper: "local",
  root: "local",
  acknowledge: "local",
  recover: "local",
  // Passwords, and the agent itself.
  confirm: "local",
  stop: "local",
  netboot: "local",
  rebuild: "local",
};

/** Routes beside those of verbs. HEAD goes where GET does. */
const OTHERS: readonly Route[] = [
  { method: "PUT", path: "/v1/blob", verb: "put", kind: "changes", role: "publish", summary: "store bytes" },
  {
    method: "GET",
    path: "/v1/blob/*",
    verb: "get",
    kind: "reads",
    role: "read",
    summary: "a file, a part of one, a directory",
  },
  {
    method: "PUT",
    path: "/v1/secret",
    verb: "put",
    kind: "changes",
    role: "local",
    summary: "store bytes, sealed",
  },
  {
    method: "GET",
    path: "/v1/secret/*",
    verb: "get",
    kind: "reads",
    role: "local",
    summary: "sealed bytes, opened",
  },
  {
    method: "POST",
    path: "/v1/content",
    verb: "",
    kind: "reads",
    role: "local",
    summary: "the way to the contents, for the command line",
  },
  {
    method: "GET",
    path: "/v1/bundle",
    verb: "bundle",
    kind: "reads",
    role: "local",
    summary: "a journal with its contents",
  },
  {
    method: "PUT",
    path: "/v1/bundle",
    verb: "bundle",
    kind: "changes",
    role: "local",
    summary: "take one in",
  },
  {
    method: "GET",
    path: "/v1/events",
    verb: "watch",
    kind: "reads",
    role: "read",
    summary: "what happens, as it happens",
  },
  {
    method: "GET",
    path: "/v1/openapi.json",
    verb: "help",
    kind: "reads",
    role: "read",
    summary: "this API as OpenAPI 3.1",
  },
  {
    method: "GET",
    path: "/v1/me",
    verb: "help",
    kind: "reads",
    role: "read",
    summary: "who is asking, and what that may",
  },
  {
    method: "GET",
    path: "/metrics",
    verb: "status",
    kind: "reads",
    role: "read",
    summary: "figures for Prometheus",
  },
  {
    method: "GET",
    path: "/healthz",
    verb: "",
    kind: "reads",
    role: "anyone",
    summary: "whether the agent answers",
  },
  {
    method: "GET",
    path: "/readyz",
    verb: "",
    kind: "reads",
    role: "anyone",
    summary: "whether this host can do its work",
  },
];

/** The routes of one verb: POST, and GET when it only reads. */
function routesOf(runs: Verb): Route[] {
  const { name, kind, summary, run } = runs;
  if (run === undefined) return [];
  const isReading = kind === "reads";
  const role = VERB_ROLES[name] ?? (isReading ? "read" : "local");
  const route = {
    path: `/v1/${name}`,
    verb: name,
    kind: isReading ? "reads" as const : "changes" as const,
    role,
    summary,
    runs,
  };
  return [...(isReading ? [{ ...route, method: "GET" as const }] : []), { ...route, method: "POST" }];
}

/** Every route. */
export const ROUTES: readonly Route[] = [...VERBS.flatMap(routesOf), ...OTHERS];

/** Verbs that do more than read and of which nothing is said here: there must be none. */
export const unsaidVerbs = (): string[] =>
  VERBS.filter(({ name, kind, run }) => run !== undefined && kind !== "reads" && !(name in VERB_ROLES))
    .map(({ name }) => name);

const TABLE = new Map(
  ROUTES.filter(({ path }) => !path.endsWith("*")).map((r) => [`${r.method} ${r.path}`, r]),
);
const BELOW = ROUTES.filter(({ path }) => path.endsWith("*"));

/** The row of a request, or undefined. */
export function routeOf(method: string, path: string): Route | undefined {
  const as = method === "HEAD" ? "GET" : method;
  return TABLE.get(`${as} ${path}`) ??
    BELOW.find((r) => r.method === as && path.startsWith(r.path.slice(0, -1)));
}

/** Whether a token with these roles opens this route. */
export function opens(roles: readonly Role[], { role }: Route): boolean {
  return role === "anyone" || (role !== "local" && (role === "read" || roles.includes(role)));
}
