import assert from "node:assert/strict";
import { test } from "node:test";
import { follow } from "../src/follow.js";
import { pauseMs } from "../src/verdict.js";
import { answering, at, block, never, NOW, TOKEN, until } from "./parts.js";

const whole = (blocks, more = {}) => [
  200,
  { cursor: "1-0", blocks, allowlist: [], fallback: { captcha: "ban", throttle: "ignore" }, ...more },
  { etag: '"e1"' },
];
const changed = (cursor, more) => [200, { cursor, added: [], removed: [], allow_added: [], allow_removed: [], ...more }];

function followerOf(t, answers, options = {}) {
  const clock = { ms: NOW };
  const { fetch, asked } = answering(...answers, never);
  const [errors, pauses] = [[], []];
  const follower = follow({
    ...{ url: "http://b:8000", token: TOKEN, fetch, now: () => clock.ms, random: () => 1 },
    ...{ onError: (error) => errors.push(error), sleep: async (ms) => pauses.push(ms), ...options },
  });
  t.after(() => follower.stop());
  const hasAsked = (n) => until(() => asked.length >= n);
  return { follower, asked, clock, errors, pauses, hasAsked };
}

test("the whole list comes first, then its changes, and every lookup is from memory", async (t) => {
  const { follower, asked, hasAsked } = followerOf(t, [
    whole([block("203.0.113.9"), block("198.51.100.0/24"), block("2001:db8:1:2::/64")], {
      allowlist: [{ value: "198.51.100.7", until: null }],
    }),
    changed("2-0", {
      added: [block("192.0.2.1")],
      removed: [{ id: "id-203.0.113.9", value: "203.0.113.9", scope: "Ip" }],
      allow_added: [{ value: "2001:db8:1:2::1", until: null }],
      allow_removed: [{ value: "198.51.100.7" }],
    }),
  ]);
  assert.equal(follower.lookup("203.0.113.9").known, false);
  await follower.ready;
  await hasAsked(2);
  const before = ["203.0.113.9", "198.51.100.8", "198.51.100.7", "192.0.2.1", "2001:db8:1:2::1"];
  await hasAsked(3);
  assert.deepEqual(before.map((ip) => follower.lookup(ip).blocked), [false, true, true, true, false]);
  assert.equal(follower.lookup("2001:db8:1:2::1").allowlisted, true);
  assert.equal(follower.lookup("2001:db8:1:2:ffff::").reference, "id-2001:db8:1:2::/64");
  assert.equal(asked[0].url.href, "http://b:8000/v1/blocklist?format=json");
  assert.equal(asked[1].url.href, "http://b:8000/v1/blocklist/changes?since=1-0&wait=30");
  assert.equal(asked[2].url.searchParams.get("since"), "2-0");
  assert.equal(asked[0].headers.authorization, `Bearer ${TOKEN}`);
  assert.deepEqual(follower.status(), {
    ...{ hasList: true, isConnected: true, cursor: "2-0", failures: 0, lastContactMs: NOW, skipped: 0, entries: 3 },
  });
});

test("the strongest decision answers, and of equal ones the most specific; the allowlist beats them all", async (t) => {
  const { follower, clock } = followerOf(
    t,
    [
      whole(
        [
          block("203.0.113.0/24", { type: "captcha", id: "wide" }),
          block("203.0.113.9", { type: "throttle", id: "exact" }),
          block("203.0.113.10", { type: "captcha", id: "narrow" }),
          block("203.0.0.0/16", { type: "ban", id: "ban", until: at(1000) }),
          block("FR", { scope: "Country", id: "fr" }),
          block("64500", { scope: "AS", type: "throttle", id: "as" }),
          block("alice", { scope: "User", id: "alice" }),
        ],
        { allowlist: [{ value: "203.0.113.77", until: null }] },
      ),
    ],
    { types: ["captcha", "throttle"] },
  );
  await follower.ready;
  const of = (ip, facts) => follower.lookup(ip, facts).reference;
  assert.equal(of("203.0.113.9"), "ban");
  clock.ms += 1000;
  assert.equal(of("203.0.113.9"), "wide");
  assert.equal(of("203.0.113.10"), "narrow");
  assert.equal(of("203.0.113.9", { user: "alice" }), "alice");
  assert.equal(of("203.0.113.77", { user: "alice" }), null);
  assert.equal(of("192.0.2.1"), null);
  assert.equal(of("192.0.2.1", { country: "fr" }), "fr");
  assert.equal(of("192.0.2.1", { asn: "AS64500" }), "as");
  assert.equal(of("192.0.2.1", { asn: 64500, user: "alice" }), "alice");
});

test("a block ends by the own clock, and what falls back to what is the policy's word", async (t) => {
  const { follower, clock } = followerOf(t, [
    whole([
      block("203.0.113.1", { until: at(1000) }),
      block("203.0.113.2", { type: "captcha" }),
      block("203.0.113.3", { type: "throttle" }),
    ]),
    changed("2-0", { fallback: { captcha: "ignore", throttle: "ban" } }),
  ]);
  await follower.ready;
  assert.equal(follower.lookup("203.0.113.1").blocked, true);
  clock.ms += 1000;
  assert.equal(follower.lookup("203.0.113.1").blocked, false);
  await until(() => follower.status().cursor === "2-0");
  assert.deepEqual(["203.0.113.2", "203.0.113.3"].map((ip) => follower.lookup(ip).action), [null, "ban"]);
});

test("what is missing in an entry means what it meant before there were types", async (t) => {
  const old = { id: "1", value: "203.0.113.1", reason: "", rule: null, incident_id: null, created_at: at(0), until: null };
  const { follower } = followerOf(t, [[200, { cursor: "1-0", blocks: [old], allowlist: [] }]]);
  await follower.ready;
  assert.equal(follower.lookup("203.0.113.1").action, "ban");
});

test("an entry that cannot be read is left out and counted", async (t) => {
  const wrong = [block("nonsense"), block("203.0.113.2", { until: "soon" }), null, block("203.0.113.0/33"), 7];
  const { follower } = followerOf(t, [whole([...wrong, block("203.0.113.1")])]);
  await follower.ready;
  assert.equal(follower.lookup("203.0.113.1").blocked, true);
  assert.equal(follower.status().skipped, 5);
});

test("while Bartizan is away the list stays in force, and it comes back ever more slowly", async (t) => {
  const away = new TypeError("fetch failed");
  const { follower, errors, pauses, hasAsked } = followerOf(t, [
    whole([block("203.0.113.1")]),
    ...[away, [503, "", { "retry-after": "7" }], away, changed("2-0", { added: [block("203.0.113.2")] })],
  ]);
  await hasAsked(6);
  assert.deepEqual(pauses, [500, 8750, 2000]);
  assert.equal(errors.length, 3);
  assert.ok(follower.lookup("203.0.113.1").blocked && follower.lookup("203.0.113.2").blocked);
  assert.equal(follower.status().failures, 0);
  assert.equal(pauseMs(30, 0, 0), 7500);
});

test("without a list fail decides", async (t) => {
  for (const [fail, blocked] of [["open", false], ["closed", true]]) {
    const { follower } = followerOf(t, [new TypeError("fetch failed"), never], { fail });
    await follower.ready;
    const verdict = follower.lookup("203.0.113.1");
    assert.deepEqual([verdict.blocked, verdict.known], [blocked, false]);
  }
});

for (const [what, answer] of [
  ["a 404", [404, {}]],
  ["no JSON", [200, "<html>"]],
  ["no cursor", [200, { added: [] }]],
  ["a list that is none", changed("2-0", { added: 7 })],
]) {
  test(`after ${what} the whole list is asked for, and only if it is another one`, async (t) => {
    const { follower, asked, hasAsked } = followerOf(t, [whole([block("203.0.113.1")]), answer, [304]]);
    await hasAsked(4);
    assert.equal(asked[2].url.pathname, "/v1/blocklist");
    assert.equal(asked[2].headers["if-none-match"], '"e1"');
    assert.equal(asked[3].url.searchParams.get("since"), "1-0");
    assert.equal(follower.lookup("203.0.113.1").blocked, true);
  });
}

test("a cursor too old brings the whole list", async (t) => {
  const reset = whole([block("203.0.113.2")], { reset: true, cursor: "9-0" });
  const { follower, asked, hasAsked } = followerOf(t, [whole([block("203.0.113.1")]), reset]);
  await hasAsked(3);
  assert.deepEqual(["203.0.113.1", "203.0.113.2"].map((ip) => follower.lookup(ip).blocked), [false, true]);
  assert.equal(asked[2].url.searchParams.get("since"), "9-0");
});

test("an entry that came and went in one answer is looked up in the whole list", async (t) => {
  const both = { added: [block("203.0.113.2")], removed: [{ id: "id-203.0.113.2", value: "203.0.113.2" }] };
  const { asked, hasAsked } = followerOf(t, [whole([]), changed("2-0", both), whole([])]);
  await hasAsked(3);
  assert.equal(asked[2].url.pathname, "/v1/blocklist");
});

test("an answer that comes at once with nothing makes no busy loop", async (t) => {
  const { pauses, hasAsked } = followerOf(t, [whole([]), changed("1-0"), changed("1-0")]);
  await hasAsked(4);
  assert.deepEqual(pauses, [500, 500]);
});

test("no error ever has the token in it", async (t) => {
  const { errors } = followerOf(t, [[401, {}], never]);
  await until(() => errors.length === 1);
  assert.match(errors[0].message, /401 \(is it a token with the role lookup\?\)/);
  assert.ok(!errors[0].message.includes(TOKEN));
});
