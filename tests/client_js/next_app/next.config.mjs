import { fileURLToPath } from "node:url";

export default {
  transpilePackages: ["bartizan-client"],
  // Where node_modules is: the test puts this application beside it.
  turbopack: { root: fileURLToPath(new URL("..", import.meta.url)) },
};
