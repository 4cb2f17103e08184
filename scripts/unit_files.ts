// unit_files: which tests are unit tests. Not the runners (deno_tests.ts, node_tests.ts) and not tests of the executable.
export const root: string = new URL("../", import.meta.url).pathname;

/** The files of all unit tests, as paths from the root, sorted. */
export function unitTests(): string[] {
  return ["mq", "fs", "agent", "tests/unit", "tests/sim"].flatMap(testsIn).sort();
}

/** Every test below `folder`; a folder that does not exist yet has none. */
export function testsIn(folder: string): string[] {
  try {
    return [...Deno.readDirSync(root + folder)].flatMap((entry) => {
      const path = `${folder}/${entry.name}`;
      return entry.isDirectory ? testsIn(path) : entry.name.endsWith("_test.ts") ? [path] : [];
    });
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}
