// What a person's browser does with a node: its pages rendered under their own security headers, and foreign pages kept out.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { createServer } from "node:http";
import path from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";

import { scratch } from "./lib/enlace.mjs";
import { openWorld } from "./lib/world.mjs";

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";

/** Time that the page has to render, on the browser's own fast-forward clock, in milliseconds. */
const VIRTUAL_TIME_MS = 20_000;

// A check that did not run has not passed.
if (process.env.CI && !existsSync(CHROMIUM)) throw new Error(`no Chromium at ${CHROMIUM}: install it or set CHROMIUM`);
const skip = existsSync(CHROMIUM) ? false : `no Chromium at ${CHROMIUM}: install it or set CHROMIUM`;

let world;
let folder;

before(async () => {
    if (skip) return;
    folder = await scratch();
    world = await openWorld();
});

after(async () => {
    await world?.close();
    await folder?.remove();
});

test("the documentation page lists the routes", { skip }, async () => {
    const page = await rendered(`${world.nodes[0].url}/docs/swagger/`);
    for (const route of ["/api/v2/Files/Own", "/api/v2/Files/Peer", "/api/v2/Tokens/Own", "/api/v2/Account/IdentityInfo"]) {
        assert.ok(page.replaceAll(/<wbr\s*\/?>|\u200b/g, "").includes(route), `${route} is not on the page`);
    }
});

test("a token's link leads to a page that says what to do with it", { skip }, async () => {
    const node = world.nodes[0];
    const file = await node.upload(Buffer.from("linked"));
    const { reference } = await node.tokenFor(file.id);
    const page = await rendered(reference.url);
    assert.ok(page.includes("enlace receive"), page);
});

test("a page of another origin cannot drive the node, not even with the key", { skip }, async () => {
    const node = world.nodes[0];
    const before = await node.call("GET", "/Files");
    const page = await withForeignPage(drivingPage(node), rendered);
    assert.match(page, /id="outcome"[^>]*>read: refused, write: refused, blind write: refused</);
    assert.deepEqual(await node.call("GET", "/Files"), before, "the page left something behind");
});

/** A page that tries to list files, to upload one with the key in a header, and to upload one blindly as a plain form. */
function drivingPage({ url, apiKey }) {
    return `<!doctype html><p id="outcome"></p><script type="module">
        const files = ${JSON.stringify(`${url}/api/v2/Files`)};
        const headers = { "x-api-key": ${JSON.stringify(apiKey)} };
        const form = () => { const form = new FormData(); form.append("file", new Blob(["planted"]), "planted.txt"); return form; };
        const attempt = (...call) => fetch(...call).then((answer) => "answered " + answer.type + " " + answer.status, () => "refused");
        const read = await attempt(files, { headers });
        const write = await attempt(files + "/Own", { method: "POST", headers, body: form() });
        const blind = await attempt(files + "/Own", { method: "POST", mode: "no-cors", body: form() });
        outcome.textContent = "read: " + read + ", write: " + write + ", blind write: " + blind;
    </script>`;
}

/** Serves `html` on an origin of its own while `visit` has its address. */
async function withForeignPage(html, visit) {
    const server = createServer((_, answer) => answer.setHeader("content-type", "text/html").end(html));
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    try {
        return await visit(`http://127.0.0.1:${server.address().port}/`);
    } finally {
        server.closeAllConnections();
        server.close();
    }
}

/** The document at `url` as it stands once its scripts have run. */
async function rendered(url) {
    const { stdout } = await promisify(execFile)(
        CHROMIUM,
        [
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
            "--disable-component-update", "--disable-sync", `--user-data-dir=${path.join(folder.dir, "profile")}`,
            `--virtual-time-budget=${VIRTUAL_TIME_MS}`, "--dump-dom", url,
        ],
        { maxBuffer: 64 * 1024 * 1024, timeout: 120_000 },
    );
    return stdout;
}
