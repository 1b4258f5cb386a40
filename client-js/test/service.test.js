// Against a real service, under a real Express and in Vercel's Edge runtime. tests/client_js/ starts the service and
// says in the environment where it is and where Express and the Edge runtime are installed; else this is skipped.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { test } from "node:test";
import { createClient, follow } from "../src/index.js";
import { bartizan } from "../src/express.js";
import { until } from "./parts.js";

const { SERVICE_URL: url, LOOKUP_TOKEN: token, RESPONDER_TOKEN, MODULES } = process.env;
const skip = url === undefined && "tests/client_js/test_client_js.py starts the service";
const installed = createRequire(`${MODULES ?? "."}/`);

async function admin(method, path, body) {
  const headers = { authorization: `Bearer ${RESPONDER_TOKEN}`, "content-type": "application/json" };
  const response = await fetch(`${url}/v1/admin${path}`, { method, headers, body: body && JSON.stringify(body) });
  assert.ok(response.ok, `${method} ${path} answered ${response.status}`);
  return response.json();
}

const blockIt = (value, more = {}) => admin("POST", "/blocks", { value, duration: "1h", reason: "test", ...more });
const lift = ({ id }) => admin("DELETE", `/blocks/${id}?reason=test`);

test("a follower knows of a block at once, and of its end", { skip }, async (t) => {
  const follower = follow({ url, token, types: ["captcha"] });
  t.after(() => follower.stop());
  await follower.ready;
  assert.equal(follower.status().isConnected, true);
  const blocks = await Promise.all([
    blockIt("203.0.113.9"),
    blockIt("198.51.100.0/24", { type: "captcha" }),
    blockIt("2001:db8:1:2::/64"),
    blockIt("FR", { scope: "Country" }),
  ]);
  await until(() => follower.lookup("203.0.113.9").blocked);
  await until(() => follower.lookup("198.51.100.7").action === "captcha");
  await until(() => follower.lookup("2001:db8:1:2::9").blocked);
  await until(() => follower.lookup("192.0.2.1", { country: "FR" }).blocked);
  assert.equal(follower.lookup("203.0.113.10").blocked, false);
  assert.equal(follower.lookup("203.0.113.9").reference, blocks[0].id);
  await Promise.all(blocks.map(lift));
  await until(() => !["203.0.113.9", "198.51.100.7", "2001:db8:1:2::9"].some((ip) => follower.lookup(ip).blocked));
  assert.equal(follower.status().skipped, 0);
});

test("a client asks, and remembers", { skip }, async () => {
  const client = createClient({ url, token, allowedTtlMs: 0, blockedTtlMs: 0 });
  const block = await blockIt("203.0.113.9");
  await until(async () => (await client.lookup("203.0.113.9")).blocked);
  assert.equal((await client.lookup("203.0.113.9")).reference, block.id);
  assert.equal((await client.lookup("2001:db8::1")).known, true);
  await lift(block);
  await until(async () => !(await client.lookup("203.0.113.9")).blocked);
  const wrong = createClient({ url, token: "wrong", fail: "closed" });
  assert.deepEqual([(await wrong.lookup("203.0.113.9")).blocked, wrong.counts.failed], [true, 1]);
});

test("Express refuses a blocked client before anything of the application runs", { skip }, async (t) => {
  const express = installed("express");
  const app = express();
  const middleware = bartizan({ url, token, trustedProxies: ["127.0.0.1"] });
  t.after(() => middleware.source.stop());
  const ran = [];
  app.use(middleware);
  app.use(express.json());
  app.post("/orders", (req, res) => res.json({ ran: ran.push(req.body), blocked: req.bartizan.blocked }));
  const server = await new Promise((resolve) => {
    const listening = app.listen(0, "127.0.0.1", () => resolve(listening));
  });
  t.after(() => (server.close(), server.closeAllConnections()));
  const order = async (forwarded) => {
    const response = await fetch(`http://127.0.0.1:${server.address().port}/orders`, {
      method: "POST",
      headers: { "x-forwarded-for": forwarded, "content-type": "application/json" },
      body: '{"a":1}',
    });
    return [response.status, await response.json()];
  };
  await middleware.source.ready;
  assert.deepEqual(await order("203.0.113.9"), [200, { ran: 1, blocked: false }]);
  const block = await blockIt("203.0.113.9");
  await until(() => middleware.source.lookup("203.0.113.9").blocked);
  const [status, problem] = await order("203.0.113.10, 203.0.113.9");
  assert.deepEqual([status, problem.reference], [403, block.id]);
  assert.equal((await order("203.0.113.9, 203.0.113.10"))[0], 200);
  assert.deepEqual(ran, [{ a: 1 }, { a: 1 }]);
  await lift(block);
});

test("the middleware for Next.js runs in the Edge runtime", { skip }, async () => {
  const { EdgeRuntime } = installed("edge-runtime");
  const files = ["addresses", "verdict", "client", "next"].map((name) => new URL(`../src/${name}.js`, import.meta.url));
  const sources = await Promise.all(files.map((file) => readFile(file, "utf8")));
  // The Edge runtime's own loader takes scripts; a bundler makes the same of modules.
  const script = sources.join("\n").replace(/^import .*$/gm, "").replace(/^export /gm, "");
  const runtime = new EdgeRuntime({
    initialCode: `${script}
      const check = bartizan({ url: ${JSON.stringify(url)}, token: ${JSON.stringify(token)}, allowedTtlMs: 0 });
      addEventListener("fetch", (event) => {
        event.respondWith(check(event.request).then((refused) => refused ?? new Response("in")));
      });`,
  });
  const visit = (ip) => runtime.dispatchFetch("http://example.com/", { headers: { "x-forwarded-for": ip } });
  assert.equal(await (await visit("203.0.113.9")).text(), "in");
  const block = await blockIt("203.0.113.9");
  await until(async () => (await visit("203.0.113.9")).status === 403);
  const refused = await visit("203.0.113.9");
  assert.equal((await refused.json()).reference, block.id);
  assert.equal((await visit("203.0.113.10")).status, 200);
  await lift(block);
});
