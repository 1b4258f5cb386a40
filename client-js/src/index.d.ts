export type DecisionType = "ban" | "captcha" | "throttle";

/** A decision as Bartizan sends it. Times are RFC 3339; `until` null is for good. */
export interface Decision {
  id: string;
  value: string;
  reason: string;
  rule: string | null;
  incident_id: string | null;
  created_at: string;
  until: string | null;
  scope?: string;
  type?: DecisionType;
  origin?: string;
}

/** What holds for a client. */
export interface Verdict {
  /** Refuse it, with `action`; where `known` is false, because `fail` is "closed". */
  blocked: boolean;
  /** What to do, among the types that you can act on; null where nothing is to be done. */
  action: DecisionType | null;
  /** The id of the block, for people. */
  reference: string | null;
  /** The decision that holds, whether or not it is acted on. */
  decision: Decision | null;
  allowlisted: boolean;
  /** False where nobody could say: no list, no answer, no address. */
  known: boolean;
}

/** What a caller knows of a client besides its address. */
export interface Facts {
  user?: string;
  /** ISO 3166, two letters. */
  country?: string;
  asn?: string | number;
}

export interface Source {
  lookup(ip: string, facts?: Facts): Verdict | Promise<Verdict>;
  readonly types: ReadonlySet<DecisionType>;
}

export interface CommonOptions {
  /** Where Bartizan is, such as `https://bartizan.internal:8000`. */
  url: string;
  /** A token with the role lookup. */
  token: string;
  /** What becomes of a client about which nobody can say anything. Default: "open". */
  fail?: "open" | "closed";
  /** The types that you can act on. Others are banned or ignored as the policy says. Default: ["ban"]. */
  types?: DecisionType[];
  /** Called with each failure; nothing is thrown. */
  onError?: (error: Error) => void;
  now?: () => number;
  random?: () => number;
  fetch?: typeof fetch;
}

export interface ClientOptions extends CommonOptions {
  /** For one lookup. Default: 1,000. */
  timeoutMs?: number;
  /** How long a block is believed without asking again; never past its end. Default: 60,000. */
  blockedTtlMs?: number;
  /** How long "not blocked" is believed. Default: 5,000. */
  allowedTtlMs?: number;
  /** Answers kept. Default: 10,000. */
  maxEntries?: number;
}

export interface Client extends Source {
  lookup(ip: string, facts?: Facts): Promise<Verdict>;
  readonly counts: { hits: number; asked: number; failed: number; unknown: number };
  clear(): void;
}

export function createClient(options: ClientOptions): Client;

export interface FollowOptions extends CommonOptions {
  /** How long Bartizan may hold a poll while nothing changes, at most 60 s. Default: 30. */
  pollWaitS?: number;
  sleep?: (ms: number, signal: AbortSignal) => Promise<void>;
}

export interface FollowerStatus {
  /** Whether there has ever been a list. */
  hasList: boolean;
  isConnected: boolean;
  entries: number;
  cursor: string | null;
  /** Attempts that failed since the last success. */
  failures: number;
  /** Epoch milliseconds of the last answer. */
  lastContactMs: number | null;
  /** Entries of the list that could not be read. */
  skipped: number;
}

export interface Follower extends Source {
  lookup(ip: string, facts?: Facts): Verdict;
  /** Resolves when there is a list, or the first attempt has failed. */
  readonly ready: Promise<void>;
  readonly done: Promise<void>;
  status(): FollowerStatus;
  stop(): Promise<void>;
}

export function follow(options: FollowOptions): Follower;

export class TrustedProxies {
  constructor(networks?: Iterable<string>);
  clientAddress(peer: string | null | undefined, forwardedFor: string | null | undefined): string | null;
  lastStranger(forwardedFor: string): string | null;
}
