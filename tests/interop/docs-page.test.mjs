// What a person sees who opens a node's documentation in a browser: rendered by Chromium, under the page's own security headers.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import path from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";

import { scratch } from "./lib/enlace.mjs";
import { openWorld } from "./lib/world.mjs";

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";

/** Time that the page has to render, on the browser's own fast-forward clock, in milliseconds. */
const VIRTUAL_TIME_MS = 20_000;

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
