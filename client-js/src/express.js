// For Express, Connect and plain `node:http`: refuses blocked clients before anything of the application runs.

import { TrustedProxies } from "./addresses.js";
import { follow } from "./follow.js";
import { refusal, unknown } from "./verdict.js";

/**
 * A middleware `(req, res, next)`. Give it a `source` (what `createClient` or `follow` made), or `url` and `token`: then
 * it follows the list itself, in `middleware.source`.
 * @param {import("./express.d.ts").Options} options
 */
export function bartizan(options) {
  const { trustedProxies = [], facts = () => undefined, on = {}, ...rest } = options;
  const proxies = new TrustedProxies(trustedProxies);
  const source = options.source ?? follow({ ...rest, types: ["ban", ...Object.keys(on)] });
  const isClosed = options.fail === "closed";

  function middleware(req, res, next) {
    const address = proxies.clientAddress(req.socket?.remoteAddress, req.headers["x-forwarded-for"]);
    const verdict = address === null ? unknown(isClosed) : source.lookup(address, facts(req));
    if (typeof verdict.then === "function") {
      verdict.then((found) => act(found, req, res, next)).catch(next);
    } else {
      act(verdict, req, res, next);
    }
  }

  function act(verdict, req, res, next) {
    req.bartizan = verdict;
    const handle = verdict.action !== null && Object.hasOwn(on, verdict.action) ? on[verdict.action] : undefined;
    if (handle !== undefined) handle(req, res, next, verdict);
    else if (!verdict.blocked) next();
    else refuse(res, verdict);
  }

  middleware.source = source;
  return middleware;
}

function refuse(res, verdict) {
  const { status, headers, body } = refusal(verdict);
  res.writeHead(status, { ...headers, "content-length": Buffer.byteLength(body) });
  res.end(body);
}
