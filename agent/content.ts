// Content: the short table of requests between the command line and the thread of the net half that keeps contents, over a
// socket of its own: bytes do not go through the root half. Types and names only; both sides import it.

/**
 * Every request that a command line may make. Before the first, it hands over the open files that `putFile` and `getFile`
 * are about: none or one.
 */
export const CONTENT_REQUESTS = [
  "missing", // [id…] → those that are not in the store
  "put", // [whether to compress, [bytes…]] → their ids
  "get", // [id…] → as many of the objects as fit into one answer, at least one
  "walk", // id of a tree → null; "walked" gives its objects from now on
  "walked", // null → [lengths, bytes]: objects, one after the other, in the order in which they are needed; none at the end
  "tree", // [whether to compress, steps of a walk through a tree, bytes of files in them] → null, when they are taken
  "treeEnd", // null → id of the tree that was told of, durable
  "putFile", // whether to compress → FileRef of the file that was handed over, which is read from its beginning
  "getFile", // id of a file → its bytes, written and synced into the file that was handed over; how many
  "find", // what people call it → a ShelfRow, or null
  "fetch", // [id of a root…] → null, when all that they reach is in the store
  "fetchOnly", // [id of a root, [id…]] → null, when these objects of it are in the store, whether or not what they name is
  "add", // { id, label } → a ShelfRow: it is on the shelf now, and other hosts may have it
] as const;

/** What the thread may ask the command line. */
export const CALLER_REQUESTS = [
  "progress", // bytes done → null
  "brought", // [bytes that have come from other hosts, of how many or null: nobody knows yet] → null, while it fetches
] as const;

/** How much has come from other hosts of what is fetched, of how many bytes in all; undefined: nobody knows yet. */
export interface Brought {
  bytes: number;
  of: number | undefined;
}

/** What a caller is let in for, as the policy calls it. */
export const CONTENT_MAY = ["get", "put"] as const;
export type ContentMay = typeof CONTENT_MAY[number];

/** Which requests only one of these may make: a look is free to both. */
export const CONTENT_NEEDS: Partial<Record<typeof CONTENT_REQUESTS[number], ContentMay>> = {
  put: "put",
  tree: "put",
  treeEnd: "put",
  putFile: "put",
  add: "put",
  get: "get",
  walk: "get",
  walked: "get",
  getFile: "get",
};

export type ContentRequest = typeof CONTENT_REQUESTS[number];
export type CallerRequest = typeof CALLER_REQUESTS[number];
