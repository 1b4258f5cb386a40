import assert from "node:assert/strict";
import http from "node:http";
import { test } from "node:test";
import { bartizan as express } from "../src/express.js";
import { bartizan as next } from "../src/next.js";
import { clear, unknown, verdictOn } from "../src/verdict.js";
import { block } from "./parts.js";

/** Knows three addresses; asynchronous, as a client is, or at once, as a follower. */
function sourceOf(able = ["ban"], isAsync = false) {
  const types = { "203.0.113.9": "ban", "203.0.113.20": "captcha", "203.0.113.30": "throttle" };
  const lookup = (ip, facts) => {
    if (ip === "203.0.113.99") return unknown(true);
    if (facts?.user === "alice") return verdictOn(block("alice", { scope: "User" }), new Set(able));
    return types[ip] ? verdictOn(block(ip, { type: types[ip] }), new Set(able)) : clear();
  };
  return { types: new Set(able), lookup: isAsync ? async (...asked) => lookup(...asked) : lookup };
}

async function ask(middleware, headers = {}, method = "GET") {
  const server = http.createServer((req, res) => middleware(req, res, (error) => res.end(error ? `${error}` : "in")));
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    const response = await fetch(`http://127.0.0.1:${server.address().port}/`, { headers, method });
    return [response.status, await response.text(), response.headers];
  } finally {
    server.close();
    server.closeAllConnections?.();
  }
}

for (const isAsync of [false, true]) {
  test(`express: a blocked client is refused and nobody else (${isAsync ? "asked" : "from memory"})`, async () => {
    const middleware = express({ source: sourceOf(["ban"], isAsync), trustedProxies: ["127.0.0.1"] });
    const [status, body, headers] = await ask(middleware, { "X-Forwarded-For": "203.0.113.1, 203.0.113.9" });
    assert.equal(status, 403);
    assert.deepEqual(JSON.parse(body), {
      ...{ type: "about:blank", title: "Forbidden", status: 403, detail: "Requests from this address are refused." },
      reference: "id-203.0.113.9",
    });
    assert.equal(headers.get("content-type"), "application/problem+json");
    assert.equal(headers.get("cache-control"), "no-store");
    assert.deepEqual((await ask(middleware, { "X-Forwarded-For": "203.0.113.9, 203.0.113.1" })).slice(0, 2), [200, "in"]);
    assert.equal((await ask(middleware, { "X-Forwarded-For": "203.0.113.9" }, "POST"))[0], 403);
    assert.equal((await ask(middleware, { "X-Forwarded-For": "203.0.113.99" }))[0], 503);
  });
}

test("express: without trusted proxies the header is not believed", async () => {
  const middleware = express({ source: sourceOf() });
  assert.equal((await ask(middleware, { "X-Forwarded-For": "203.0.113.9" }))[0], 200);
});

test("express: who cannot be named is let through, or turned away", async () => {
  for (const [fail, status] of [["open", 200], ["closed", 503]]) {
    const middleware = express({ source: sourceOf(), trustedProxies: ["127.0.0.1"], fail });
    const answer = await ask(middleware, { "X-Forwarded-For": "unknown" });
    assert.equal(answer[0], status);
    if (status === 503) assert.equal(answer[2].get("retry-after"), "2");
  }
});

test("express: a type with a handler is the handler's", async () => {
  const on = {
    captcha: (req, res, next, verdict) => res.end(`prove it: ${verdict.action}`),
    throttle: (req, res, next) => setTimeout(next, 1),
  };
  const source = sourceOf(["captcha", "throttle"]);
  const middleware = express({ source, trustedProxies: ["127.0.0.1"], on });
  assert.equal((await ask(middleware, { "X-Forwarded-For": "203.0.113.20" }))[1], "prove it: captcha");
  assert.equal((await ask(middleware, { "X-Forwarded-For": "203.0.113.30" }))[1], "in");
  const without = express({ source: sourceOf(), trustedProxies: ["127.0.0.1"] });
  assert.equal((await ask(without, { "X-Forwarded-For": "203.0.113.20" }))[0], 403);
  assert.equal((await ask(without, { "X-Forwarded-For": "203.0.113.30" }))[0], 200);
});

test("express: what the application knows of a client is asked with it", async () => {
  const middleware = express({ source: sourceOf(), facts: (req) => ({ user: req.headers["x-user"] }) });
  assert.equal((await ask(middleware, { "X-User": "alice" }))[0], 403);
  assert.equal((await ask(middleware, { "X-User": "bob" }))[0], 200);
});

const requestOf = (headers) => new Request("https://example.com/", { headers });

test("next: a refused request is answered, another goes on", async () => {
  const check = next({ source: sourceOf(["ban"], true) });
  const response = await check(requestOf({ "x-forwarded-for": "203.0.113.9" }));
  assert.equal(response.status, 403);
  assert.equal((await response.json()).reference, "id-203.0.113.9");
  assert.equal(await check(requestOf({ "x-forwarded-for": "203.0.113.1" })), undefined);
});

test("next: the end of the chain counts, or the header that is named", async () => {
  const source = sourceOf();
  const check = next({ source });
  assert.equal((await check(requestOf({ "x-forwarded-for": "203.0.113.1, 203.0.113.9" })))?.status, 403);
  assert.equal(await check(requestOf({ "x-forwarded-for": "203.0.113.9, 203.0.113.1" })), undefined);
  const behind = next({ source, trustedProxies: ["10.0.0.0/8"] });
  assert.equal((await behind(requestOf({ "x-forwarded-for": "203.0.113.9, 10.0.0.1" })))?.status, 403);
  const real = next({ source, header: "x-real-ip" });
  assert.equal((await real(requestOf({ "x-real-ip": "203.0.113.9", "x-forwarded-for": "203.0.113.1" })))?.status, 403);
});

test("next: who cannot be named is let through, or turned away", async () => {
  assert.equal(await next({ source: sourceOf() })(requestOf({})), undefined);
  assert.equal((await next({ source: sourceOf(), fail: "closed" })(requestOf({}))).status, 503);
  const garbled = requestOf({ "x-forwarded-for": "203.0.113.1, unknown" });
  assert.equal((await next({ source: sourceOf(), fail: "closed" })(garbled)).status, 503);
});

test("next: a handler may let a request go on", async () => {
  const on = { captcha: () => new Response("prove it", { status: 401 }), throttle: () => undefined };
  const check = next({ source: sourceOf(["captcha", "throttle"]), on });
  assert.equal((await check(requestOf({ "x-forwarded-for": "203.0.113.20" }))).status, 401);
  assert.equal(await check(requestOf({ "x-forwarded-for": "203.0.113.30" })), undefined);
});
