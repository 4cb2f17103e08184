// console: what a guest says, line by line, and nothing that it can do with it.
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { follow } from "./console.ts";
import { makePlace } from "./fixture.ts";

test("lines as they come, a prompt when it pauses, everything when it ends; all of it inert", async (t) => {
  const place = makePlace(t);
  const file = path.join(place.cwd, "console.log");
  await assert.rejects(follow(place, file, () => false, () => {}), { kind: "notFound" });
  fs.writeFileSync(file, "one\r\ntw");
  const told: string[] = [];
  let isRunning = true;
  const ended = follow(place, file, () => isRunning, (line) => {
    told.push(line);
    if (line === "login: ") fs.appendFileSync(file, "\r\n\x1b]0;title\x07two\n");
    if (line.endsWith("two")) {
      fs.appendFileSync(file, "last");
      isRunning = false;
    }
  });
  fs.appendFileSync(file, "o\r\nlogin: ");
  await ended;
  assert.deepEqual(told.filter((line) => line !== "tw" && line !== "o" && line !== ""), [
    "one",
    ...(told.includes("two") ? ["two"] : []),
    "login: ",
    "\\x1b]0;title\\x07two",
    "last",
  ]);
});
