import assert from "node:assert/strict";
import { test } from "node:test";
import { createClient } from "../src/client.js";
import { answering, at, block, NOW, TOKEN } from "./parts.js";

function clientOf(answers, options = {}) {
  const clock = { ms: NOW };
  const { fetch, asked } = answering(...answers);
  const errors = [];
  const client = createClient({
    ...{ url: "http://b:8000/", token: TOKEN, fetch, now: () => clock.ms, random: () => 1 },
    ...{ onError: (error) => errors.push(error), ...options },
  });
  return { client, asked, clock, errors };
}

const no = [200, { ip: "x", blocked: false, decision: null, allowlisted: false }];
const yes = (more) => [200, { ip: "x", blocked: true, decision: block("203.0.113.9", more), allowlisted: false }];

test("an address is asked about with the token, and the answer is remembered for a while", async () => {
  const { client, asked, clock } = clientOf([no, yes()], { types: ["captcha"] });
  assert.equal((await client.lookup("2001:db8::1")).blocked, false);
  assert.equal(asked[0].url.href, "http://b:8000/v1/lookup/2001%3Adb8%3A%3A1?types=ban%2Ccaptcha");
  assert.equal(asked[0].headers.authorization, `Bearer ${TOKEN}`);
  clock.ms += 4999;
  await client.lookup("2001:db8::1");
  assert.equal(asked.length, 1);
  clock.ms += 1;
  const verdict = await client.lookup("2001:db8::1");
  assert.deepEqual([verdict.blocked, verdict.action, verdict.reference], [true, "ban", "id-203.0.113.9"]);
  assert.equal(asked.length, 2);
});

test("a block is believed for a minute, and never past its end", async () => {
  const { client, asked, clock } = clientOf([yes({ until: at(30_000) }), no]);
  assert.equal((await client.lookup("203.0.113.9")).blocked, true);
  clock.ms = NOW + 29_999;
  assert.equal((await client.lookup("203.0.113.9")).blocked, true);
  assert.equal(asked.length, 1);
  clock.ms = NOW + 30_000;
  assert.equal((await client.lookup("203.0.113.9")).blocked, false);
});

test("what the caller knows is asked with it, and is another question", async () => {
  const { client, asked } = clientOf([no]);
  await client.lookup("203.0.113.9", { user: "a&b=c", country: "FR", asn: 64500 });
  await client.lookup("203.0.113.9");
  assert.equal(asked[0].url.searchParams.get("user"), "a&b=c");
  assert.equal(asked[0].url.search, "?types=ban&user=a%26b%3Dc&country=FR&asn=64500");
  assert.equal(asked.length, 2);
});

test("many who ask at once are one request", async () => {
  const { client, asked } = clientOf([no]);
  await Promise.all(Array.from({ length: 50 }, () => client.lookup("203.0.113.9")));
  assert.equal(asked.length, 1);
});

test("a type that cannot be acted on is what the service makes of it", async () => {
  const captcha = (blocked) => [200, { blocked, decision: block("203.0.113.9", { type: "captcha" }), allowlisted: false }];
  assert.equal((await clientOf([captcha(true)]).client.lookup("203.0.113.9")).action, "ban");
  assert.equal((await clientOf([captcha(false)]).client.lookup("203.0.113.9")).action, null);
  const able = clientOf([captcha(true)], { types: ["captcha"] });
  assert.equal((await able.client.lookup("203.0.113.9")).action, "captcha");
});

for (const [what, answer] of [
  ["an error of the network", new TypeError("fetch failed")],
  ["a 503", [503, "", { "retry-after": "2" }]],
  ["a 401", [401, {}]],
  ["a redirect", [302, "", { location: "http://elsewhere/" }]],
  ["no JSON", [200, "<html>"]],
  ["another JSON", [200, "[]"]],
  ["a block without a sensible end", yes({ until: "soon" })],
]) {
  test(`after ${what} nobody waits, fail decides, and one request tries again after a pause`, async () => {
    for (const [fail, blocked] of [["open", false], ["closed", true]]) {
      const { client, asked, clock, errors } = clientOf([answer, no], { fail });
      const verdict = await client.lookup("203.0.113.9");
      assert.deepEqual([verdict.blocked, verdict.known], [blocked, false]);
      assert.equal(errors.length, 1);
      assert.ok(!String(errors[0]).includes(TOKEN));
      await Promise.all(["203.0.113.1", "203.0.113.2"].map((ip) => client.lookup(ip)));
      assert.equal(asked.length, 1);
      clock.ms += 2600;
      assert.equal((await client.lookup("203.0.113.9")).known, true);
      assert.equal((await client.lookup("203.0.113.1")).known, true);
      assert.equal(asked.length, 3);
    }
  });
}

test("while Bartizan is away who was blocked stays blocked until the end", async () => {
  const { client, clock } = clientOf([yes({ until: at(90_000) }), new TypeError("fetch failed")]);
  await client.lookup("203.0.113.9");
  clock.ms = NOW + 70_000;
  assert.equal((await client.lookup("203.0.113.9")).blocked, true);
  assert.equal((await client.lookup("203.0.113.1")).blocked, false);
  clock.ms = NOW + 90_000;
  const verdict = await client.lookup("203.0.113.9");
  assert.deepEqual([verdict.blocked, verdict.known], [false, false]);
});

test("an answer that does not come is given up", async () => {
  const hang = (_, init) => new Promise((_, reject) => init.signal.addEventListener("abort", () => reject(init.signal.reason)));
  const { client, errors } = clientOf([hang], { timeoutMs: 20 });
  assert.equal((await client.lookup("203.0.113.9")).known, false);
  assert.equal(errors[0].name, "TimeoutError");
});

test("what is no address is not asked about", async () => {
  const { client, asked } = clientOf([no], { fail: "closed" });
  for (const ip of ["", "unknown", "../v1/admin", null, undefined]) assert.equal((await client.lookup(ip)).blocked, true);
  assert.equal(asked.length, 0);
});

test("the cache is bounded, the oldest answer goes first", async () => {
  const { client, asked } = clientOf([no], { maxEntries: 2 });
  for (const ip of ["203.0.113.1", "203.0.113.2", "203.0.113.3", "203.0.113.2", "203.0.113.1"]) await client.lookup(ip);
  assert.equal(asked.length, 4);
});

test("wrong settings are named", () => {
  for (const [options, name] of [
    [{ url: "b:8000", token: TOKEN }, /url/],
    [{ url: "http://b", token: "" }, /token/],
    [{ url: "http://b", token: "a b" }, /token/],
    [{ url: "http://b", token: TOKEN, fail: "shut" }, /fail/],
    [{ url: "http://b", token: TOKEN, types: ["slap"] }, /slap/],
  ]) {
    assert.throws(() => createClient(options), name);
  }
});
