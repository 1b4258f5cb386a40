// As client-js/README.md says. Before Next.js 16 this file is middleware.js and the function `middleware`.
import { bartizan } from "bartizan-client/next";

const check = bartizan({ url: process.env.BLOCKLIST_URL, token: process.env.BLOCKLIST_TOKEN, allowedTtlMs: 0 });

export const proxy = (request) => check(request);
export const config = { matcher: "/((?!_next/static).*)" };
