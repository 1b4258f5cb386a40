import type { IncomingMessage, ServerResponse } from "node:http";
import type { DecisionType, Facts, Follower, FollowOptions, Source, Verdict } from "./index.js";

type Next = (error?: unknown) => void;
type Handler = (req: any, res: any, next: Next, verdict: Verdict) => void;

export interface Options extends Partial<FollowOptions> {
  /** What `createClient` or `follow` made; else `url` and `token` are needed, and the list is followed. */
  source?: Source;
  /** Addresses and CIDRs whose X-Forwarded-For is believed. Default: none. */
  trustedProxies?: Iterable<string>;
  /** What you know of the client: its user, say, where that is known before this middleware. */
  facts?: (req: any) => Facts | undefined;
  /** What to do for a type. A type without a handler is refused (ban), or banned or ignored as the policy says. */
  on?: Partial<Record<DecisionType, Handler>>;
}

export interface Middleware {
  (req: IncomingMessage & { bartizan?: Verdict }, res: ServerResponse, next: Next): void;
  source: Source | Follower;
}

export function bartizan(options: Options): Middleware;
