// script: templates are filled exactly, or not at all.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Fault, VirtualClock } from "../../mq/mod.ts";
import { kernelWordsBytesMax, templateBytesMax, templateValuesMax } from "./limits.ts";
import { fill, grubConfig, ipxeDiskScript, ipxeScript, type Values } from "./script.ts";

const URL_1 = "http://10.0.0.1:8080/boot/52-54-00-12-34-56/kernel";

function refused(template: string, values: Values, why: RegExp): void {
  assert.throws(
    () => fill(template, values),
    (e) => e instanceof Fault && e.kind === "usage" && why.test(e.message),
    JSON.stringify(values),
  );
}

test("the script that boots a kernel", () => {
  const script = ipxeScript({
    kernel: URL_1,
    initrds: ["http://10.0.0.1/a.img", "http://10.0.0.1/b.img"],
    args: ["console=ttyS0,115200", "ip=dhcp", "quiet"],
  });
  assert.equal(
    script,
    `#!ipxe
kernel --name kernel ${URL_1} initrd=initrd0 initrd=initrd1 console=ttyS0,115200 ip=dhcp quiet || goto failed
initrd --name initrd0 http://10.0.0.1/a.img || goto failed
initrd --name initrd1 http://10.0.0.1/b.img || goto failed
boot || goto failed
:failed
exit 1
`,
  );
  assert.match(ipxeDiskScript("bios"), /^#!ipxe\nsanboot /);
  assert.equal(ipxeDiskScript("uefi-arm64"), "#!ipxe\nexit 1\n");
});

test("a configuration for GRUB", () => {
  const config = grubConfig({ address: "10.0.0.1", httpPort: 8080 }, {
    kernel: "/boot/kernel",
    initrds: ["/boot/a.img", "/boot/b.img"],
    args: ["quiet"],
  });
  assert.match(config, /^set root=\(http,10\.0\.0\.1:8080\)$/m);
  assert.match(config, /^ {2}linux \/boot\/kernel quiet$/m);
  assert.match(config, /^ {2}initrd \/boot\/a\.img \/boot\/b\.img$/m);
});

test("a value that does not fit its type is a fault", () => {
  const wrong: Record<string, string[]> = {
    url: [
      "https://x/",
      "http://x",
      "http://x/a b",
      "http://x/${net0/mac}",
      "http://x/a\nboot",
      "http://x/../y",
      "http://x/a/..",
      "http://x/./y",
      "http://u@x/",
      "http://x/?a",
      "",
      "tftp://x/a",
    ],
    path: ["a", "/", "//a", "/a/../b", "/a b", "/a;b"],
    name: ["", "a b", "../a", "a;b", ".a"],
    mac: ["52-54-00-12-34-56", "525400123456", "ff:ff:ff:ff:ff:ff", ""],
    address: ["10.0.0.256", "10.0.0", "10.0.0.01", "::1"],
    number: ["-1", "01", "1e3", "", "1234567890"],
  };
  for (const [type, values] of Object.entries(wrong)) {
    for (const value of values) refused(`x {{${type} a}}`, { a: value }, new RegExp(`no ${type}`));
  }
  for (
    const word of [
      "a b",
      "a\nreboot",
      "$(reboot)",
      "${x}",
      "a;b",
      "a|b",
      "a&&b",
      'a"b',
      "a'b",
      "a`b",
      "a\\b",
      "#a",
      "a{",
      "\u202e",
      "\u001b[31m",
      "a\0",
    ]
  ) {
    refused("{{words a}}", { a: [word] }, /no words/);
  }
});

test("a blank without a value, a value without a blank, a type that is none, half a blank: each a fault", () => {
  refused("{{url a}}", {}, /no value/);
  refused("x", { a: "b" }, /no blank/);
  refused("{{code a}}", { a: "b" }, /no type/);
  refused("{{constructor a}}", { a: "b" }, /no type/);
  refused("{{url toString}}", {}, /no value/);
  refused("{{name a}} {{name", { a: "b" }, /written/);
  refused("{{name  a}}", { a: "b" }, /written/);
  refused("{{name a}}", { a: ["b"] }, /one value/);
  refused("{{name* a}} {{name* b}}", { a: ["x", "y"], b: ["x"] }, /as many/);
  refused("x".repeat(templateBytesMax + 1), {}, /at most/);
  refused("{{name* a}}", { a: Array(templateValuesMax + 1).fill("x") }, /more than/);
  refused("{{words a}}", { a: Array(60).fill("x".repeat(kernelWordsBytesMax / 50)) }, /more than/);
});

test("a line with a star is there once for each value, and not at all without any", () => {
  assert.equal(fill("a\n{{name* x}} {{number* n}}\nb", { x: ["p", "q"], n: ["1", "2"] }), "a\np 1\nq 2\nb");
  assert.equal(fill("a\n{{name* x}}\nb", { x: [] }), "a\nb");
  assert.equal(fill("{{words a}}.", { a: [] }), ".");
});

test("nothing that is filled in is a blank again, or ends its line", () => {
  const chance = new VirtualClock(3);
  let filled = 0;
  for (let n = 0; n < 20_000; n++) {
    const value = String.fromCharCode(
      ...Array.from({ length: 1 + chance.u32() % 6 }, () => chance.u32() % 160),
    );
    try {
      const text = fill("begin {{words a}} end", { a: value });
      assert.match(text, /^begin [A-Za-z0-9_@%+=:,./~-]* end$/);
      filled++;
    } catch (e) {
      assert.ok(e instanceof Fault);
    }
  }
  assert.ok(filled > 100);
});
