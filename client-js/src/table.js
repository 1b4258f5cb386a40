// The blocklist in memory: the strongest decision in force for a client, without touching the network.
//
// One Map per prefix length, keyed by the address shifted right: a Number for IPv4, a BigInt for IPv6. Nothing has to
// tell the table that a block is over: its end is compared with the clock whenever it is found.

import { parseAddress, parseNetwork, shifted } from "./addresses.js";
import { endOf, rank } from "./verdict.js";

const NAMED = new Set(["Country", "AS", "User"]);

/** Networks of one IP version. */
class Levels {
  /** @type {Map<number, Map<number | bigint, {untilMs: number}>>} by shift */
  #levels = new Map();

  put(network, entry) {
    let level = this.#levels.get(network.shift);
    if (level === undefined) this.#levels.set(network.shift, (level = new Map()));
    level.set(network.key, entry);
  }

  drop(network) {
    const level = this.#levels.get(network.shift);
    level?.delete(network.key);
    if (level?.size === 0) this.#levels.delete(network.shift);
  }

  *covering(version, number, nowMs) {
    for (const [shift, level] of this.#levels) {
      const entry = level.get(shifted(version, number, shift));
      if (entry !== undefined && nowMs < entry.untilMs) yield entry;
    }
  }

  sweep(nowMs) {
    for (const [shift, level] of this.#levels) {
      for (const [key, entry] of level) if (entry.untilMs <= nowMs) level.delete(key);
      if (level.size === 0) this.#levels.delete(shift);
    }
  }

  get size() {
    let size = 0;
    for (const level of this.#levels.values()) size += level.size;
    return size;
  }
}

export class Table {
  #blocks = { 4: new Levels(), 6: new Levels() };
  #allowed = { 4: new Levels(), 6: new Levels() };
  #named = new Map();
  /** Entries that could not be read and were left out. */
  skipped = 0;

  /** Block, or change a block; an entry that cannot be read is left out and counted. */
  add(wire) {
    try {
      const entry = { ...wire, id: String(wire.id), untilMs: endOf(wire.until) };
      if (NAMED.has(wire.scope)) {
        this.#named.set(`${wire.scope}:${wire.value}`, entry);
        return;
      }
      const network = networkOf(wire.value);
      this.#blocks[network.version].put(network, { ...entry, specificity: -network.shift });
    } catch {
      this.skipped += 1;
    }
  }

  /** Lift the block of exactly this value, where there is one. */
  remove(wire) {
    if (NAMED.has(wire?.scope)) this.#named.delete(`${wire.scope}:${wire.value}`);
    else this.#change(wire, (network) => this.#blocks[network.version].drop(network));
  }

  allow(wire) {
    this.#change(wire, (network) => {
      this.#allowed[network.version].put(network, { untilMs: endOf(wire.until) });
    });
  }

  disallow(wire) {
    this.#change(wire, (network) => this.#allowed[network.version].drop(network));
  }

  #change(wire, change) {
    try {
      change(networkOf(wire?.value));
    } catch {
      this.skipped += 1;
    }
  }

  /**
   * The strongest decision in force for a client, the most specific among equals, those about its address first.
   * @returns {{decision: object | null, allowlisted: boolean} | null} null where `ip` is no address
   */
  find(ip, facts, nowMs) {
    const address = parseAddress(ip);
    if (address === null) return null;
    const { version, number } = address;
    for (const _ of this.#allowed[version].covering(version, number, nowMs)) return { decision: null, allowlisted: true };
    let found = null;
    for (const entry of this.#blocks[version].covering(version, number, nowMs)) {
      const ahead = found === null ? -1 : rank(entry.type) - rank(found.type);
      if (ahead < 0 || (ahead === 0 && entry.specificity > found.specificity)) found = entry;
    }
    if (this.#named.size > 0 && facts !== undefined) {
      for (const key of keysOf(facts)) {
        const entry = this.#named.get(key);
        if (entry === undefined || entry.untilMs <= nowMs) continue;
        if (found === null || rank(entry.type) < rank(found.type)) found = entry;
      }
    }
    return { decision: found, allowlisted: false };
  }

  /** Forget what is over; it blocks nobody, but takes memory. */
  sweep(nowMs) {
    for (const levels of [this.#blocks, this.#allowed]) for (const version of [4, 6]) levels[version].sweep(nowMs);
    for (const [key, entry] of this.#named) if (entry.untilMs <= nowMs) this.#named.delete(key);
  }

  get size() {
    return this.#blocks[4].size + this.#blocks[6].size + this.#named.size;
  }
}

function networkOf(value) {
  const network = parseNetwork(value);
  if (network === null) throw new TypeError("no address or network");
  return network;
}

function keysOf({ user, country, asn }) {
  const keys = [];
  if (user) keys.push(`User:${user}`);
  if (country) keys.push(`Country:${String(country).toUpperCase()}`);
  if (asn) keys.push(`AS:${String(asn).replace(/^AS/i, "")}`);
  return keys;
}
