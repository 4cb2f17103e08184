// pager: which program shows long answers; what it is shown and that no shell has a part in it is in tests/cli/keyboard_test.ts.
import assert from "node:assert/strict";
import { test } from "node:test";
import { pagerOf } from "./pager.ts";

test("isconf's own variable, then the usual one, then less; cat, nothing and what is broken are no pager", () => {
  assert.deepEqual(pagerOf({})?.words, ["less", "-FRX"]);
  assert.deepEqual(pagerOf({ PAGER: "more -d" })?.words, ["more", "-d"]);
  assert.deepEqual(pagerOf({ PAGER: "more", ISCONF_PAGER: '"/opt/my pager" -x' })?.words, [
    "/opt/my pager",
    "-x",
  ]);
  for (const PAGER of ["", " ", "cat", '"unended']) assert.equal(pagerOf({ PAGER }), undefined, PAGER);
  assert.deepEqual(pagerOf({ PAGER: "less; touch /pwned" })?.words, ["less;", "touch", "/pwned"]);
});

test("where somebody lends their rights it is less without ways out, whatever the environment says", () => {
  for (const name of ["SUDO_UID", "DOAS_USER", "PKEXEC_UID"]) {
    const env = {
      [name]: "1000",
      PAGER: "/tmp/evil",
      ISCONF_PAGER: "/tmp/evil",
      LESSOPEN: "|/tmp/evil",
      TERM: "xterm",
    };
    const pager = pagerOf(env)!;
    assert.deepEqual(pager.words, ["less", "-FRX"]);
    assert.equal(pager.env.LESSSECURE, "1");
    assert.deepEqual(Object.keys(pager.env).filter((key) => /LESS|PAGER/.test(key)), ["LESSSECURE"]);
  }
});
