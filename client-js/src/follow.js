// Follows the whole blocklist for processes that live long: every lookup is answered from memory.

import { Table } from "./table.js";
import { clear, pauseMs, readOptions, retryAfterMs, unknown, verdictOn } from "./verdict.js";

const CONNECT_MS = 20_000;
/** After a poll that came back at once with nothing, so that no answer can make a busy loop. */
const IDLE_PAUSE_MS = 500;
const SWEEP_EVERY_MS = 60_000;

/** Bartizan did not answer, or answered what is no use; `status` is 0 where there was no answer. */
class FeedError extends Error {
  constructor(message, status = 0, retryMs = 0) {
    super(message);
    this.name = "FeedError";
    this.status = status;
    this.retryMs = retryMs;
  }

  /** Whether the same question would get the same answer, so that it is better to begin anew. */
  get isMisunderstanding() {
    return this.status === 200 || (this.status >= 400 && this.status < 500 && ![401, 403, 429].includes(this.status));
  }
}

/**
 * Begin to follow a blocklist. What is known stays in force while Bartizan is away, and ends on time.
 * @param {import("./index.d.ts").FollowOptions} options
 */
export function follow(options) {
  return new Follower(options);
}

class Follower {
  #options;
  #table = new Table();
  #fallback = undefined;
  #cursor = null;
  #etag = null;
  #needsList = true;
  #resets = 0;
  #sweptAt = 0;
  #stop = new AbortController();
  #resolveReady;
  #status = { hasList: false, isConnected: false, cursor: null, failures: 0, lastContactMs: null, skipped: 0 };

  constructor(options) {
    const pollWaitS = options.pollWaitS ?? 30;
    if (!(pollWaitS > 0 && pollWaitS <= 60)) throw new TypeError("pollWaitS: more than 0 and at most 60 seconds");
    this.#options = {
      onError: () => {},
      now: Date.now,
      random: Math.random,
      fetch: (...request) => globalThis.fetch(...request),
      sleep: pause,
      ...options,
      ...readOptions(options),
      pollWaitS,
    };
    /** Resolves when there is a list, or the first attempt has failed. */
    this.ready = new Promise((resolve) => (this.#resolveReady = resolve));
    /** Resolves when it has stopped. */
    this.done = this.#run();
  }

  get types() {
    return this.#options.able;
  }

  /** What holds for a client now. `facts`: user, country, asn, where the caller knows them. */
  lookup(ip, facts) {
    const found = this.#status.hasList ? this.#table.find(ip, facts, this.#options.now()) : null;
    if (found === null) return unknown(this.#options.isClosed);
    if (found.decision === null) return clear(found.allowlisted);
    return verdictOn(found.decision, this.#options.able, this.#fallback);
  }

  status() {
    return { ...this.#status, entries: this.#table.size };
  }

  /** End the poll that is open; the process can end then. */
  async stop() {
    this.#stop.abort();
    await this.done;
  }

  async #run() {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        await this.#turn();
        this.#resolveReady();
      } catch (error) {
        if (signal.aborted) break;
        const failed = error instanceof FeedError ? error : new FeedError(`the answer makes no sense: ${error}`, 200);
        this.#status.failures += 1;
        this.#status.isConnected = false;
        this.#needsList ||= failed.isMisunderstanding;
        this.#options.onError(failed);
        this.#resolveReady();
        const ms = pauseMs(this.#status.failures, failed.retryMs, this.#options.random());
        await this.#options.sleep(ms, signal);
      }
    }
    this.#resolveReady();
  }

  /** One question to Bartizan, and what follows from the answer. */
  async #turn() {
    const askedAt = this.#options.now();
    if (this.#needsList || this.#cursor === null) {
      const headers = this.#etag === null ? {} : { "if-none-match": this.#etag };
      const response = await this.#get("/v1/blocklist?format=json", CONNECT_MS, headers);
      if (response.status !== 304) this.#take(await json(response), response.headers.get("etag"));
      this.#needsList = false;
      this.#succeed();
      return;
    }
    const { pollWaitS } = this.#options;
    const query = new URLSearchParams({ since: this.#cursor, wait: String(pollWaitS) });
    const answer = await json(await this.#get(`/v1/blocklist/changes?${query}`, pollWaitS * 1000 + CONNECT_MS));
    if (answer.reset) {
      this.#take(answer, null);
      this.#resets += 1;
      if (this.#resets > 1) throw new FeedError("every cursor is refused");
      this.#succeed();
      return;
    }
    this.#resets = 0;
    const before = this.#cursor;
    const isEmpty = this.#apply(answer);
    this.#succeed();
    if (Math.abs(askedAt - this.#sweptAt) >= SWEEP_EVERY_MS) {
      this.#sweptAt = askedAt;
      this.#table.sweep(askedAt);
    }
    if (isEmpty && this.#cursor === before && this.#options.now() - askedAt < IDLE_PAUSE_MS) {
      await this.#options.sleep(IDLE_PAUSE_MS * (0.5 + this.#options.random() / 2), this.#stop.signal);
    }
  }

  #take(answer, etag) {
    const cursor = checked(answer);
    const table = new Table();
    for (const block of list(answer, "blocks")) table.add(block);
    for (const allowed of list(answer, "allowlist")) table.allow(allowed);
    this.#table = table;
    this.#note(cursor, answer);
    this.#etag = etag;
  }

  /** Lift first and block then; where one entry is in both lists, ask for the whole list. Answers whether nothing changed. */
  #apply(answer) {
    const cursor = checked(answer);
    const [added, removed] = [list(answer, "added"), list(answer, "removed")];
    const [allowed, disallowed] = [list(answer, "allow_added"), list(answer, "allow_removed")];
    for (const block of removed) this.#table.remove(block);
    for (const entry of disallowed) this.#table.disallow(entry);
    for (const block of added) this.#table.add(block);
    for (const entry of allowed) this.#table.allow(entry);
    const lifted = new Set(removed.map((block) => block?.id));
    const forgotten = new Set(disallowed.map((entry) => entry?.value));
    this.#needsList = added.some((b) => lifted.has(b?.id)) || allowed.some((a) => forgotten.has(a?.value));
    this.#note(cursor, answer);
    const isEmpty = added.length + removed.length + allowed.length + disallowed.length === 0;
    if (!isEmpty) this.#etag = null;
    return isEmpty;
  }

  #note(cursor, answer) {
    this.#cursor = cursor;
    if (answer.fallback !== null && typeof answer.fallback === "object") this.#fallback = answer.fallback;
    Object.assign(this.#status, { hasList: true, cursor, skipped: this.#table.skipped });
  }

  #succeed() {
    Object.assign(this.#status, { isConnected: true, failures: 0, lastContactMs: this.#options.now() });
  }

  async #get(path, timeoutMs, headers = {}) {
    const { url, token, fetch } = this.#options;
    const authorization = `Bearer ${token}`;
    let response;
    const [signal, done] = either(this.#stop.signal, timeoutMs);
    try {
      response = await fetch(url + path, { headers: { authorization, ...headers }, redirect: "manual", signal });
      if (response.status === 200) response = new Response(await response.text(), response);
    } catch (error) {
      throw new FeedError(`${error?.name}: ${error?.message}`);
    } finally {
      done();
    }
    if (response.status === 200 || (response.status === 304 && headers["if-none-match"])) return response;
    const hint = [401, 403].includes(response.status) ? " (is it a token with the role lookup?)" : "";
    throw new FeedError(`GET ${path.split("?")[0]} answered ${response.status}${hint}`, response.status, retryAfterMs(response));
  }
}

/** A signal that aborts with another one or after a time; AbortSignal.any is missing in Node.js 18. */
function either(signal, timeoutMs) {
  const controller = new AbortController();
  const abort = () => controller.abort(signal.reason);
  const timer = setTimeout(() => controller.abort(new Error("timed out")), timeoutMs);
  signal.addEventListener("abort", abort, { once: true });
  if (signal.aborted) abort();
  const done = () => {
    clearTimeout(timer);
    signal.removeEventListener("abort", abort);
  };
  return [controller.signal, done];
}

async function json(response) {
  try {
    return await response.json();
  } catch (error) {
    throw new FeedError(`the answer is no JSON: ${error.message}`, 200);
  }
}

function checked(answer) {
  if (typeof answer?.cursor !== "string") throw new FeedError("an object with a cursor was expected", 200);
  return answer.cursor;
}

function list(answer, name) {
  const entries = answer[name] ?? [];
  if (!Array.isArray(entries)) throw new FeedError(`${name}: a list was expected`, 200);
  return entries;
}

function pause(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(end, ms);
    function end() {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    }
    signal.addEventListener("abort", end, { once: true });
    if (signal.aborted) end();
  });
}
