// For the middleware of Next.js (middleware.ts, proxy.ts) and other handlers of web requests, on Vercel or elsewhere.
// Nothing but the web platform is used: it runs in the Edge runtime.

import { TrustedProxies } from "./addresses.js";
import { createClient } from "./client.js";
import { refusal, unknown } from "./verdict.js";

/**
 * A function that answers a request with a `Response` where it is refused, and with undefined where it may go on.
 * Make it once, outside the handler: it holds the cache.
 * @param {import("./next.d.ts").Options} options
 */
export function bartizan(options) {
  const { trustedProxies = [], header = "x-forwarded-for", facts = () => undefined, on = {}, ...rest } = options;
  const proxies = new TrustedProxies(trustedProxies);
  const source = options.source ?? createClient({ ...rest, types: ["ban", ...Object.keys(on)] });
  const isClosed = options.fail === "closed";

  async function check(request) {
    const forwarded = request.headers.get(header);
    const address = forwarded === null ? null : proxies.lastStranger(forwarded);
    const verdict = address === null ? unknown(isClosed) : await source.lookup(address, facts(request));
    const handle = verdict.action !== null && Object.hasOwn(on, verdict.action) ? on[verdict.action] : undefined;
    if (handle !== undefined) return handle(request, verdict);
    if (!verdict.blocked) return undefined;
    const { status, headers, body } = refusal(verdict);
    return new Response(body, { status, headers });
  }

  check.source = source;
  return check;
}
