// place: which names are names, how they are folded, and what is refused.
import assert from "node:assert/strict";
import { test } from "node:test";
import { broadcastOf, isSameNetwork, maskOf, readMac } from "./address.ts";
import { placeNameMax } from "./limits.ts";
import { httpPath, placeOf, placeOfTarget, tftpName } from "./place.ts";

test("slashes in front and in a row are one: shim asks so for what it loads next", () => {
  assert.deepEqual(placeOf("//grubx64.efi"), { name: "grubx64.efi" });
  assert.deepEqual(placeOf("/52-54-00-AB-cd-56//grubx64.efi"), {
    mac: "52:54:00:ab:cd:56",
    name: "grubx64.efi",
  });
  assert.deepEqual(placeOf("52:54:00:ab:cd:56/a/b_1+c.img"), {
    mac: "52:54:00:ab:cd:56",
    name: "a/b_1+c.img",
  });
  assert.deepEqual(placeOfTarget("/boot/52-54-00-ab-cd-56/x"), { mac: "52:54:00:ab:cd:56", name: "x" });
});

test("tricks are no names", () => {
  const longest = "x".repeat(placeNameMax);
  assert.deepEqual(placeOf(longest), { name: longest });
  const refused = [
    "",
    "/",
    "..",
    "../etc/passwd",
    "a/../b",
    "a/./b",
    "./a",
    ".hidden",
    "a/.b",
    "a\\b",
    "\\\\host\\a",
    "a\0b",
    "a b",
    "a%2eb",
    "a?b",
    "a#b",
    "a:b",
    "ä",
    "a\n",
    "-a",
    "a/",
    `${longest}x`,
    "/".repeat(300) + "a",
    "52-54-00-ab-cd-56",
    "52-54-00-ab-cd-56/",
    "52-54-00-ab-cd-56/..",
    "52-54-00-ab-cd-56/52-54-00-ab-cd-56/\u202e",
  ];
  for (const name of refused) assert.equal(placeOf(name), undefined, JSON.stringify(name));
  for (
    const target of [
      "/",
      "/boot",
      "/boot/",
      "/Boot/a",
      "boot/a",
      "/boot/../a",
      "//boot/a",
      "/boot/%61",
      "http://x/boot/a",
    ]
  ) {
    assert.equal(placeOfTarget(target), undefined, target);
  }
});

test("a place comes back from both of its forms", () => {
  const place = { mac: "52:54:00:ab:cd:56", name: "a/b.efi" };
  assert.equal(tftpName(place), "52-54-00-ab-cd-56/a/b.efi");
  assert.equal(httpPath(place), "/boot/52-54-00-ab-cd-56/a/b.efi");
  assert.deepEqual(placeOf(tftpName(place)), place);
  assert.deepEqual(placeOfTarget(httpPath(place)), place);
  assert.equal(tftpName({ name: "x" }), "x");
});

test("hardware addresses of one machine only, and networks", () => {
  assert.equal(readMac("52-54-00-AB-cd-56"), "52:54:00:ab:cd:56");
  for (
    const text of [
      "52-54:00-ab-cd-56",
      "01:00:5e:00:00:01",
      "00:00:00:00:00:00",
      "ff:ff:ff:ff:ff:ff",
      "52:54:00:ab:cd",
      "525400abcd56",
    ]
  ) {
    assert.equal(readMac(text), undefined, text);
  }
  assert.equal(maskOf(24), "255.255.255.0");
  assert.equal(maskOf(0), "0.0.0.0");
  assert.equal(maskOf(32), "255.255.255.255");
  assert.equal(broadcastOf("10.1.2.3", maskOf(22)), "10.1.3.255");
  assert.ok(isSameNetwork("192.168.255.1", "192.168.200.9", maskOf(16)));
  assert.ok(!isSameNetwork("192.168.0.1", "192.169.0.1", maskOf(16)));
});
