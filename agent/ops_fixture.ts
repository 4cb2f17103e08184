// Ops fixture: any operation of an entry, made by chance, for the tests of properties. Not a test by itself.
import fc from "fast-check";
import type { Op } from "./entry.ts";

/** Objects as other objects are. */
export const plain = { noNullPrototype: true };
export const id = fc.uint8Array({ minLength: 32, maxLength: 32 });
export const count = fc.oneof(fc.nat(), fc.nat(Number.MAX_SAFE_INTEGER));
export const word = fc.string({ unit: "grapheme", maxLength: 12 }).filter((s) =>
  !s.includes("\0") && !s.startsWith("\ufeff")
);

export const op: fc.Arbitrary<Op> = fc.oneof(
  fc.record({
    op: fc.constant("file" as const),
    path: word,
    tree: id,
    kind: word,
    files: count,
    bytes: count,
  }, plain),
  fc.record({ op: fc.constant("delete" as const), path: word }, plain),
  fc.record({
    op: fc.constant("exec" as const),
    argv: fc.array(word, { minLength: 1, maxLength: 4 }),
    cwd: word,
    umask: fc.nat(0o777),
    env: fc.dictionary(word, word, { maxKeys: 3, noNullPrototype: true }),
    user: word,
    timeoutMs: count,
    stdin: fc.option(id),
  }, plain),
  fc.record({ op: fc.constant("effects" as const), list: id, paths: count }, plain),
  fc.constant({ op: "reboot" as const }),
  fc.record({ op: fc.constant("grant" as const), key: id, role: word, branch: word }, plain),
);
