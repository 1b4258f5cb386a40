// Addresses as numbers, and which address a request comes from when proxies stand in between.
//
// Text from a header is attacker's text: everything here is short, bounded, and refuses what it cannot read.

/** 39 characters of IPv6 and a zone fit; anything longer is no address. */
const LONGEST_ADDRESS = 64;
/** Entries of X-Forwarded-For that are looked at, from the right. */
const LONGEST_CHAIN = 32;
export const WIDTH = { 4: 32, 6: 128 };
const DECIMAL = /^(0|[1-9][0-9]{0,2})$/;
const GROUP = /^[0-9a-f]{1,4}$/i;
const PREFIX = /^[0-9]{1,3}$/;

/**
 * Version and number of an address: a Number for IPv4, a BigInt for IPv6; null where it is none.
 * `::ffff:203.0.113.9` is the IPv4 address, a zone is dropped. Spellings that readers disagree on (leading zeros, hex,
 * integers) are no address. Source: RFC 4291 2.2 and 2.5.5.2.
 * @param {unknown} text
 * @returns {{version: 4, number: number} | {version: 6, number: bigint} | null}
 */
export function parseAddress(text) {
  if (typeof text !== "string" || text.length > LONGEST_ADDRESS) return null;
  if (!text.includes(":")) {
    const number = parseV4(text);
    return number === null ? null : { version: 4, number };
  }
  const zone = text.indexOf("%");
  const number = parseV6(zone < 0 ? text : text.slice(0, zone));
  if (number === null) return null;
  if (number >> 32n === 0xffffn) return { version: 4, number: Number(number & 0xffffffffn) };
  return { version: 6, number };
}

function parseV4(text) {
  const parts = text.split(".");
  if (parts.length !== 4) return null;
  let number = 0;
  for (const part of parts) {
    const value = DECIMAL.test(part) ? Number(part) : 256;
    if (value > 255) return null;
    number = number * 256 + value;
  }
  return number;
}

function parseV6(text) {
  const halves = text.split("::");
  if (halves.length > 2) return null;
  const left = groupsOf(halves[0], halves.length === 1);
  const right = halves.length === 2 ? groupsOf(halves[1], true) : [];
  if (left === null || right === null) return null;
  const missing = 8 - left.length - right.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return null;
  let number = 0n;
  for (const group of [...left, ...Array(missing).fill(0), ...right]) number = (number << 16n) | BigInt(group);
  return number;
}

/** The 16-bit groups of one side of `::`; the last one of an address may be an IPv4 address. */
function groupsOf(text, isLast) {
  if (text === "") return [];
  const groups = [];
  const parts = text.split(":");
  for (const [index, part] of parts.entries()) {
    if (isLast && index === parts.length - 1 && part.includes(".")) {
      const number = parseV4(part);
      if (number === null) return null;
      groups.push(Math.floor(number / 65536), number % 65536);
    } else if (GROUP.test(part)) {
      groups.push(parseInt(part, 16));
    } else {
      return null;
    }
  }
  return groups;
}

/**
 * Version, number shifted right and shift (how many host bits) of an address or CIDR; null where it is neither.
 * @param {unknown} text
 * @returns {{version: 4 | 6, key: number | bigint, shift: number} | null}
 */
export function parseNetwork(text) {
  if (typeof text !== "string") return null;
  const slash = text.indexOf("/");
  const base = slash < 0 ? text : text.slice(0, slash);
  const address = parseAddress(base);
  if (address === null) return null;
  let shift = 0;
  if (slash >= 0) {
    const bits = text.slice(slash + 1);
    shift = (base.includes(":") ? 128 : 32) - (PREFIX.test(bits) ? Number(bits) : 999);
    if (shift < 0 || shift > WIDTH[address.version]) return null;
  }
  return { version: address.version, key: shifted(address.version, address.number, shift), shift };
}

/** What remains of a number without its last bits. */
export function shifted(version, number, shift) {
  if (version === 6) return number >> BigInt(shift);
  return shift === 0 ? number : shift >= 32 ? 0 : number >>> shift;
}

/** One X-Forwarded-For entry without quotes, brackets and port: `"[2001:db8::1]:443"`, `192.0.2.1:80`. */
function stripPort(entry) {
  const text = entry.replace(/^[ \t"]+|[ \t"]+$/g, "");
  if (text.startsWith("[")) return text.slice(1).split("]")[0];
  return text.split(":").length === 2 ? text.split(":")[0] : text;
}

/** Whose X-Forwarded-For is believed, and whose address a request has because of that. */
export class TrustedProxies {
  #networks = [];

  /** @param {Iterable<string>} [networks] Throws a TypeError that names the entry which is no address or CIDR. */
  constructor(networks = []) {
    if (typeof networks === "string") throw new TypeError("trustedProxies: a list is needed, not one text");
    for (const text of networks) {
      const network = parseNetwork(text);
      if (network === null) throw new TypeError(`trustedProxies: ${JSON.stringify(text)} is no address or CIDR`);
      this.#networks.push(network);
    }
  }

  /** Whether this (parsed) address is one of them. */
  trusts({ version, number }) {
    return this.#networks.some((n) => n.version === version && shifted(version, number, n.shift) === n.key);
  }

  /**
   * The address a request comes from, or null where nobody can say.
   *
   * `peer` is the other end of the connection, `forwardedFor` the X-Forwarded-For header(s), joined by commas. Read
   * right to left, because the left end is written by the client: the answer is the first entry that is no trusted
   * proxy. Where that one is no address the answer is null, never its neighbour.
   * @param {string | null | undefined} peer
   * @param {string | null | undefined} forwardedFor
   * @returns {string | null}
   */
  clientAddress(peer, forwardedFor) {
    const other = parseAddress(peer);
    if (other === null) return null;
    if (!forwardedFor || !this.trusts(other)) return peer;
    return this.lastStranger(forwardedFor) ?? null;
  }

  /** The same for a header that the nearest proxy wrote, where the other end of the connection is not known. */
  lastStranger(forwardedFor) {
    let answer = null;
    for (const entry of forwardedFor.split(",").slice(-LONGEST_CHAIN).reverse()) {
      answer = stripPort(entry);
      const address = parseAddress(answer);
      if (address === null) return null;
      if (!this.trusts(address)) return answer;
    }
    return answer;
  }
}
