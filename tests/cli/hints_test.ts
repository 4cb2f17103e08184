// hints: what a message tells people to type exists. Read from the sources; the messages themselves are in transcripts/.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { ISCONF, run } from "./tools.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));

/** Every text of the sources that starts with a command of ours, by the words after `isconf`. */
function* commandsIn(folder: string): IterableIterator<{ where: string; words: string[] }> {
  for (const entry of fs.readdirSync(folder, { withFileTypes: true })) {
    const file = path.join(folder, entry.name);
    if (entry.isDirectory()) yield* commandsIn(file);
    else if (file.endsWith(".ts") && !file.endsWith("_test.ts")) {
      const text = fs.readFileSync(file, "utf8");
      for (const m of text.matchAll(/["'`]isconf ([a-z]+)(?: ([a-z]+))?/g)) {
        yield { where: path.relative(root, file), words: m.slice(1).filter((w) => w !== undefined) };
      }
    }
  }
}

test("every command that a hint or an example names is a verb, and every help topic has help", async () => {
  const { out } = await run(ISCONF, ["help"]);
  const verbs = new Set([...out.matchAll(/^ {2}([a-z]+) {2}/gm)].map((m) => m[1] as string));
  assert.ok(verbs.size > 20, out);
  const wrong: string[] = [];
  const topics = new Map<string, string>();
  let seen = 0;
  const commands = ["mq", "fs", "agent"].flatMap((folder) => [...commandsIn(path.join(root, folder))]);
  for (const { where, words: [verb, next] } of commands) {
    if (verb === "keeps" || verb === "has" || verb === undefined) continue; // words of a sentence
    seen++;
    if (!verbs.has(verb)) wrong.push(`${where}: isconf ${verb}`);
    if (verb === "help" && next !== undefined) topics.set(next, where);
  }
  assert.ok(seen > 50, `only ${seen} commands found: has the form of hints changed?`);
  for (const [topic, where] of topics) {
    if ((await run(ISCONF, ["help", topic])).status !== 0) wrong.push(`${where}: isconf help ${topic}`);
  }
  assert.deepEqual(wrong, []);
});
