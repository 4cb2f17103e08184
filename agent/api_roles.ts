// API roles: what a token of the API can be for, in words. Which routes that opens: api_routes.ts. Not the roles of persons in the domain (trust.ts).

/**
 * What a token can be for. `read` is in each. None of them lets anybody run a command, or change what hosts are told to do: a
 * token goes through the half that strangers talk to, and is worth no more than that half.
 */
export const ROLES = {
  read: "see everything that its person may see",
  publish: "put contents, say what names mean, pin",
  enrol: "let in hosts that wait, make tokens for hosts",
  operate: "apply what is in the journal to this host, look after its store",
} as const;

export type Role = keyof typeof ROLES;

/** Those that are asked for by name, since the first is in each token. */
export const NAMED_ROLES = Object.keys(ROLES).filter((role) => role !== "read");
