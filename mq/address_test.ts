// address: what is read, in which one form it is written, and how libp2p writes it.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  dialable,
  formatAddress,
  fromMultiaddr,
  isLoopback,
  isName,
  parseAddress,
  toMultiaddr,
} from "./address.ts";

const CASES: [text: string, normal: string, multiaddr: string][] = [
  ["192.0.2.1:4726", "192.0.2.1:4726", "/ip4/192.0.2.1/tcp/4726"],
  ["127.0.0.1:0", "127.0.0.1:0", "/ip4/127.0.0.1/tcp/0"],
  ["[::]:4726", "[::]:4726", "/ip6/::/tcp/4726"],
  ["[2001:DB8:0:0:0:0:0:1]:1", "[2001:db8::1]:1", "/ip6/2001:db8::1/tcp/1"],
  ["HostA.example.com:65535", "hosta.example.com:65535", "/dns/hosta.example.com/tcp/65535"],
  ["localhost:1", "localhost:1", "/dns/localhost/tcp/1"],
];

test("an address is read, written in one form, and turned into libp2p's and back", () => {
  for (const [text, normal, multiaddr] of CASES) {
    const address = parseAddress(text);
    assert.equal(formatAddress(address), normal);
    assert.equal(toMultiaddr(address), multiaddr);
    assert.deepEqual(fromMultiaddr(multiaddr), address);
    assert.deepEqual(fromMultiaddr(`${multiaddr}/p2p/12D3KooWabc`), address);
  }
});

test("everything else is a usage fault, or no address of libp2p's that we can dial", () => {
  const bad = [
    "",
    "4726",
    "192.0.2.1",
    "192.0.2.1:",
    "192.0.2.1:65536",
    "192.0.2.256:1",
    "::1:4726",
    "[::1]",
    "a b:1",
  ];
  for (
    const text of [
      ...bad,
      "[fe80::1%eth0]:1",
      "[192.0.2.1]:1",
      "-a:1",
      "a:1\n",
      " a:1",
      "\u001b[2J:1",
      "1.2.3:1",
    ]
  ) {
    assert.throws(() => parseAddress(text), { kind: "usage" }, text);
  }
  for (
    const text of [
      "/ip4/1.2.3.4/udp/1",
      "/ip4/1.2.3.4/tcp/1/ws",
      "/unix/x",
      "/ip4/x y/tcp/1",
      "/ip4/1.2.3.4/tcp/99999",
    ]
  ) {
    assert.equal(fromMultiaddr(text), undefined, text);
  }
});

test("what is a name, what is this machine, and where others can dial", () => {
  assert.deepEqual(["1.2.3.4:1", "[::1]:1", "a:1"].map((text) => isName(parseAddress(text))), [
    false,
    false,
    true,
  ]);
  assert.deepEqual(["127.9.9.9:1", "[::1]:1", "10.0.0.1:1"].map((text) => isLoopback(parseAddress(text))), [
    true,
    true,
    false,
  ]);
  assert.deepEqual(dialable({ host: "192.0.2.1", port: 7 }), [{ host: "192.0.2.1", port: 7 }]);
  for (const host of ["0.0.0.0", "::"]) {
    for (const address of dialable({ host, port: 7 })) {
      assert.equal(address.port, 7);
      assert.ok(address.host !== host && !/^(fe80|169\.254)/.test(address.host));
    }
  }
  assert.ok(dialable({ host: "0.0.0.0", port: 7 }).some(isLoopback));
});
