export { createClient } from "./client.js";
export { follow } from "./follow.js";
export { TrustedProxies } from "./addresses.js";
