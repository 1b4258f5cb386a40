// Lookups over HTTP with a cache: for short-lived and edge runtimes, where nothing can follow the list.
// Nothing but fetch, URL, AbortSignal and timers of the web platform is used.

import { parseAddress } from "./addresses.js";
import { clear, endOf, pauseMs, readOptions, retryAfterMs, unknown, verdictOn } from "./verdict.js";

/**
 * A client that asks `GET /v1/lookup/{ip}`, remembers the answers for a while, and never throws for what it is asked.
 *
 * While Bartizan does not answer, what was blocked stays blocked until its end, and `fail` decides about all others;
 * after a failure nobody waits: Bartizan is asked again after a pause that grows, by one request.
 * @param {import("./index.d.ts").ClientOptions} options
 */
export function createClient(options) {
  const { url, token, isClosed, able } = readOptions(options);
  const {
    timeoutMs = 1000,
    blockedTtlMs = 60_000,
    allowedTtlMs = 5_000,
    maxEntries = 10_000,
    onError = () => {},
    now = Date.now,
    random = Math.random,
    fetch: ask = (...request) => globalThis.fetch(...request),
  } = options;
  const types = [...able].join(",");
  const headers = { authorization: `Bearer ${token}` };
  /** @type {Map<string, {verdict: object, freshUntil: number, until: number}>} oldest first */
  const cache = new Map();
  const waiting = new Map();
  const counts = { hits: 0, asked: 0, failed: 0, unknown: 0 };
  let failures = 0;
  let pausedUntil = 0;

  async function lookup(ip, facts = {}) {
    if (parseAddress(ip) === null) {
      counts.unknown += 1;
      return unknown(isClosed);
    }
    const query = queryOf(types, facts);
    const key = `${ip}?${query}`;
    const known = cache.get(key);
    if (known !== undefined && now() < known.freshUntil) {
      counts.hits += 1;
      return known.verdict;
    }
    if (now() < pausedUntil) return withoutAnswer(known);
    let answer = waiting.get(key);
    if (answer === undefined) {
      answer = request(ip, query, key).finally(() => waiting.delete(key));
      waiting.set(key, answer);
    }
    return (await answer) ?? withoutAnswer(known);
  }

  /** The answer, or null where there is none; then nothing is asked for a while. */
  async function request(ip, query, key) {
    counts.asked += 1;
    if (pausedUntil > 0) pausedUntil = now() + pauseMs(failures, 0, random()); // one asks, the others do not wait
    let retryMs = 0;
    try {
      const response = await ask(`${url}/v1/lookup/${encodeURIComponent(ip)}?${query}`, {
        headers,
        redirect: "manual",
        cache: "no-store",
        signal: AbortSignal.timeout(timeoutMs),
      });
      retryMs = retryAfterMs(response);
      if (response.status !== 200) throw new Error(`Bartizan answered ${response.status}`);
      const verdict = read(await response.json(), able);
      failures = 0;
      pausedUntil = 0;
      remember(key, verdict);
      return verdict;
    } catch (error) {
      counts.failed += 1;
      failures += 1;
      pausedUntil = now() + pauseMs(failures, retryMs, random());
      onError(error);
      return null;
    }
  }

  function withoutAnswer(known) {
    if (known !== undefined && known.verdict.blocked && now() < known.until) return known.verdict;
    counts.unknown += 1;
    return unknown(isClosed);
  }

  function remember(key, verdict) {
    cache.delete(key);
    if (cache.size >= maxEntries) cache.delete(cache.keys().next().value);
    const until = verdict.decision === null ? Infinity : endOf(verdict.decision.until);
    const freshUntil = Math.min(until, now() + (verdict.blocked ? blockedTtlMs : allowedTtlMs));
    cache.set(key, { verdict, freshUntil, until });
  }

  return {
    lookup,
    /** What it is able to act on. */
    types: able,
    counts,
    /** Forget all answers. */
    clear: () => cache.clear(),
  };
}

function queryOf(types, facts) {
  const query = new URLSearchParams({ types });
  for (const name of ["user", "country", "asn"]) {
    if (facts[name] !== undefined && facts[name] !== null) query.set(name, String(facts[name]));
  }
  return query.toString();
}

/** Throws a TypeError where the answer makes no sense. */
function read(answer, able) {
  if (typeof answer?.blocked !== "boolean") throw new TypeError("no answer to a lookup");
  if (answer.decision === null) return clear(answer.allowlisted === true);
  const verdict = verdictOn(answer.decision, able);
  // What falls back to what is the service's word.
  if (answer.blocked === verdict.blocked) return verdict;
  return { ...verdict, blocked: answer.blocked, action: answer.blocked ? "ban" : null };
}
