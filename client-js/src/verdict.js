// What is known of a client, and what a client is told. The same for lookups and for the follower.

/** Strongest first. */
export const TYPES = ["ban", "captcha", "throttle"];
const FALLBACK = { captcha: "ban", throttle: "ignore" };
const DETAIL = {
  403: "Requests from this address are refused.",
  503: "The blocklist is not known yet; try again.",
};
const TITLE = { 403: "Forbidden", 503: "Service Unavailable" };

/** @param {string} type @returns {number} 0 for the strongest; a type that is not known counts as a ban. */
export function rank(type) {
  return Math.max(0, TYPES.indexOf(type));
}

/**
 * A verdict because of a decision. Somebody who cannot act on its type bans or ignores it, as `fallback` says.
 * @param {{id: string, type?: string}} decision
 * @param {ReadonlySet<string>} able
 * @param {Record<string, string>} [fallback]
 */
export function verdictOn(decision, able, fallback = FALLBACK) {
  const type = TYPES.includes(decision.type) ? decision.type : "ban";
  const action = able.has(type) || type === "ban" ? type : (fallback[type] ?? FALLBACK[type]) === "ban" ? "ban" : null;
  return { blocked: action !== null, action, reference: decision.id, decision, allowlisted: false, known: true };
}

/** Nothing speaks against this client. */
export function clear(allowlisted = false) {
  return { blocked: false, action: null, reference: null, decision: null, allowlisted, known: true };
}

/** Nobody can say: let through, or turned away with 503 where `fail` is "closed". */
export function unknown(isClosed) {
  return { blocked: isClosed, action: null, reference: null, decision: null, allowlisted: false, known: false };
}

/** Settings that both sources have. Throws a TypeError that names the wrong one. */
export function readOptions({ url, token, fail = "open", types = ["ban"] }) {
  if (typeof url !== "string" || !/^https?:\/\//.test(url)) throw new TypeError("url: no http or https address");
  if (typeof token !== "string" || !/^[\x21-\x7e]+$/.test(token)) {
    throw new TypeError("token: a token with the role lookup is needed");
  }
  if (fail !== "open" && fail !== "closed") throw new TypeError("fail: 'open' or 'closed'");
  for (const type of types) if (!TYPES.includes(type)) throw new TypeError(`types: ${JSON.stringify(type)} is none`);
  return { url: url.replace(/\/+$/, ""), token, isClosed: fail === "closed", able: new Set(["ban", ...types]) };
}

/**
 * What a refused client gets: a problem body (RFC 9457) without reason, rule or end.
 * @returns {{status: number, headers: Record<string, string>, body: string}}
 */
export function refusal(verdict) {
  const status = verdict.known ? 403 : 503;
  const problem = { type: "about:blank", title: TITLE[status], status, detail: DETAIL[status] };
  if (verdict.reference !== null) problem.reference = verdict.reference;
  const headers = { "content-type": "application/problem+json", "cache-control": "no-store" };
  if (status === 503) headers["retry-after"] = "2";
  return { status, headers, body: JSON.stringify(problem) };
}

/** Milliseconds to wait after so many failures in a row; `chance` is 0 to 1. */
export function pauseMs(failures, retryAfterMs, chance, firstMs = 500, longestMs = 15_000) {
  const pause = Math.min(longestMs, firstMs * 2 ** Math.min(failures - 1, 10));
  return Math.max(pause * (0.5 + chance / 2), retryAfterMs * (1 + chance / 4));
}

/** Retry-After in milliseconds, at most a minute; 0 where there is none, or a date. Source: RFC 9110 10.2.3. */
export function retryAfterMs(response) {
  const text = response.headers.get("retry-after") ?? "";
  return /^[0-9]{1,9}$/.test(text) ? Math.min(Number(text), 60) * 1000 : 0;
}

/** Epoch milliseconds of an RFC 3339 time; Infinity for null. Throws a TypeError where it is neither. */
export function endOf(until) {
  if (until === null) return Infinity;
  const ms = typeof until === "string" ? Date.parse(until) : NaN;
  if (Number.isNaN(ms)) throw new TypeError("no time");
  return ms;
}
