import assert from "node:assert/strict";
import { isIP } from "node:net";
import { test } from "node:test";
import { parseAddress, parseNetwork, TrustedProxies } from "../src/addresses.js";

test("an address is a number, whatever its spelling", () => {
  for (const [text, version, number] of [
    ["0.0.0.0", 4, 0],
    ["203.0.113.9", 4, 0xcb007109],
    ["255.255.255.255", 4, 0xffffffff],
    ["::ffff:203.0.113.9", 4, 0xcb007109],
    ["::FFFF:cb00:7109", 4, 0xcb007109],
    ["::", 6, 0n],
    ["::1", 6, 1n],
    ["2001:DB8::1", 6, 0x20010db8000000000000000000000001n],
    ["2001:db8:0:0:0:0:0:1", 6, 0x20010db8000000000000000000000001n],
    ["2001:db8::192.0.2.1", 6, 0x20010db80000000000000000c0000201n],
    ["1:2:3:4:5:6:7::", 6, 0x00010002000300040005000600070000n],
    ["fe80::1%eth0", 6, 0xfe800000000000000000000000000001n],
  ]) {
    assert.deepEqual(parseAddress(text), { version, number }, text);
  }
});

test("what readers disagree on is no address", () => {
  const wrong = [
    ...["", " ", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.4 ", "0x1.2.3.4", "16909060", "1.2.3.-4"],
    ...[":", ":::", "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "::12345", "::g", "1.2.3.4::", "::1.2.3", ":1"],
    ...["1:2:3:4:5:6:7:8::", "::1.2.3.4:5", "[::1]", "example.com", "1.2.3.4:80", "x".repeat(100), null, undefined, 7],
  ];
  for (const text of wrong) assert.equal(parseAddress(text), null, String(text));
});

test("Node.js agrees about what is an address", () => {
  const parts = ["", "0", "1", "ffff", "12345", "::", ":", ".", "255", "256", "1.2.3.4", "g"];
  let seed = 7;
  const chance = (n) => (seed = (seed * 48271) % 2147483647) % n;
  for (let round = 0; round < 20_000; round++) {
    const text = Array.from({ length: 1 + chance(9) }, () => parts[chance(parts.length)]).join([":", ".", ""][chance(3)]);
    assert.equal(parseAddress(text) !== null, isIP(text) !== 0, JSON.stringify(text));
  }
});

test("a network is what remains of its address", () => {
  assert.deepEqual(parseNetwork("203.0.113.9"), { version: 4, key: 0xcb007109, shift: 0 });
  assert.deepEqual(parseNetwork("203.0.113.9/24"), { version: 4, key: 0xcb0071, shift: 8 });
  assert.deepEqual(parseNetwork("0.0.0.0/0"), { version: 4, key: 0, shift: 32 });
  assert.deepEqual(parseNetwork("2001:db8::/32"), { version: 6, key: 0x20010db8n, shift: 96 });
  assert.deepEqual(parseNetwork("::ffff:203.0.113.0/120"), { version: 4, key: 0xcb0071, shift: 8 });
  for (const text of ["203.0.113.0/33", "203.0.113.0/", "203.0.113.0/-1", "/8", "::/129", "x/8", "1.2.3.4/8/8"]) {
    assert.equal(parseNetwork(text), null, text);
  }
});

test("the client is the first from the right that is no trusted proxy", () => {
  const proxies = new TrustedProxies(["127.0.0.1", "10.0.0.0/8", "2001:db8:ffff::/48"]);
  for (const [peer, chain, expected] of [
    ["203.0.113.9", undefined, "203.0.113.9"],
    ["203.0.113.9", "198.51.100.1", "203.0.113.9"],
    ["127.0.0.1", "198.51.100.1", "198.51.100.1"],
    ["::ffff:127.0.0.1", "198.51.100.1", "198.51.100.1"],
    ["127.0.0.1", "192.0.2.1, 198.51.100.1, 10.0.0.1", "198.51.100.1"],
    ["127.0.0.1", "192.0.2.1, unknown, 10.0.0.1", null],
    ["127.0.0.1", "10.0.0.2, 10.0.0.1", "10.0.0.2"],
    ["127.0.0.1", '"[2001:db8::1]:443"', "2001:db8::1"],
    ["127.0.0.1", "198.51.100.1:80", "198.51.100.1"],
    ["127.0.0.1", "", "127.0.0.1"],
    [undefined, "198.51.100.1", null],
    ["127.0.0.1", "198.51.100.1," + " 10.0.0.1,".repeat(40), null],
    ["127.0.0.1", "198.51.100.1" + ", 10.0.0.1".repeat(40), "10.0.0.1"],
  ]) {
    assert.equal(proxies.clientAddress(peer, chain), expected, `${peer} ${chain}`);
  }
  assert.throws(() => new TrustedProxies(["10.0.0.0/8", "nonsense"]), /nonsense/);
  assert.throws(() => new TrustedProxies("10.0.0.0/8"), /list/);
});
