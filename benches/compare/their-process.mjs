// Opens one account of the published library with its data in files, then idles: the cost of an app that embeds it.

import { mkdirSync } from "node:fs";

import { Library } from "../../tests/interop/lib/library.mjs";

const [folder, url, id, secret] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });
const library = await Library.open({ url, client: { id, secret } }, undefined, folder);
await library.account();
process.once("SIGTERM", async () => {
    await library.close();
    process.exit(0);
});
console.log("ready");
setInterval(() => undefined, 1 << 30);
