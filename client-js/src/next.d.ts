import type { Client, ClientOptions, DecisionType, Facts, Source, Verdict } from "./index.js";

type Handler = (request: Request, verdict: Verdict) => Response | undefined | Promise<Response | undefined>;

export interface Options extends Partial<ClientOptions> {
  /** What `createClient` made; else `url` and `token` are needed. */
  source?: Source;
  /** The header with the client's address, or a chain of which the nearest proxy wrote the end. Default: "x-forwarded-for". */
  header?: string;
  /** Addresses and CIDRs of that chain that are proxies of yours. Default: none. */
  trustedProxies?: Iterable<string>;
  facts?: (request: Request) => Facts | undefined;
  /** What to do for a type; answer undefined to let the request go on. */
  on?: Partial<Record<DecisionType, Handler>>;
}

export interface Check {
  /** A response where the request is refused, else undefined. */
  (request: Request): Promise<Response | undefined>;
  source: Source | Client;
}

export function bartizan(options: Options): Check;
