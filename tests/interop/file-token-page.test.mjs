// The page on which a browser opens a file whose uses are counted: what a person sees and clicks.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";
import { after, before, test } from "node:test";

import { chromium } from "playwright-core";

import { scratch, startBackbone, startNode } from "./lib/enlace.mjs";
import { pngOf } from "./lib/samples.mjs";

const { Client, Storage, Tokens } = createRequire(import.meta.url)("node-appwrite");
const { InputFile } = createRequire(import.meta.url)("node-appwrite/file");

const PHOTO = pngOf(40, 20, [10, 120, 200]);
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
// A check that did not run has not passed.
if (process.env.CI && !existsSync(CHROMIUM)) throw new Error(`no Chromium at ${CHROMIUM}: install it or set CHROMIUM`);
const skip = existsSync(CHROMIUM) ? false : `no Chromium at ${CHROMIUM}: install it or set CHROMIUM`;

const closers = [];
let appwrite;
let key;
let tokens;
let browser;

before(async () => {
    if (skip) return;
    const { dir, remove } = await scratch();
    closers.push(remove);
    const { running: backbone, url } = await startBackbone(path.join(dir, "backbone"));
    closers.push(() => backbone.stop());
    const { running } = await startNode(path.join(dir, "node"), url);
    closers.push(() => running.stop());
    appwrite = running.announced.appwrite;
    key = (await readFile(appwrite.keyFile, "utf8")).trim();
    const client = new Client().setEndpoint(appwrite.endpoint).setProject(appwrite.project).setKey(key);
    const storage = new Storage(client);
    tokens = new Tokens(client);
    await storage.createBucket({ bucketId: "shared", name: "Shared" });
    await storage.createFile({ bucketId: "shared", fileId: "photo", file: InputFile.fromBuffer(PHOTO, "photo.png") });
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox", "--disable-quic"] });
    closers.push(() => browser.close());
});

after(async () => {
    for (const close of closers.reverse()) await close();
});

/** Makes a token as no SDK can: it has a limit. */
async function limited(maxDownloads) {
    const headers = { "content-type": "application/json", "x-appwrite-project": appwrite.project, "x-appwrite-key": key };
    const body = JSON.stringify({ maxDownloads });
    const answer = await fetch(`${appwrite.endpoint}/tokens/buckets/shared/files/photo`, { method: "POST", headers, body });
    assert.equal(answer.status, 201);
    return answer.json();
}

function address({ secret }, endpoint) {
    const query = new URLSearchParams({ project: appwrite.project, token: secret });
    return `${appwrite.endpoint}/storage/buckets/shared/files/photo/${endpoint}?${query}`;
}

const used = async ({ $id }) => (await tokens.get({ tokenId: $id })).downloads;
/** Uses that are left for others, of which neither open nor counted ones are part. */
const left = async ({ $id }) => (await tokens.get({ tokenId: $id })).remaining;

async function visit(url, look) {
    const context = await browser.newContext();
    try {
        const page = await context.newPage();
        await page.goto(url);
        return await look(page);
    } finally {
        await context.close();
    }
}

test("the button shows the picture, and uses the link once", { skip }, async () => {
    const token = await limited(2);
    await visit(address(token, "view"), async (page) => {
        assert.equal(await page.title(), "A file for you");
        await page.reload();
        assert.equal(await left(token), 2, "to look at the page uses nothing");
        await page.getByRole("button", { name: "Open" }).click();
        await page.waitForURL(/claim=/);
        const [width, height] = await page.locator("img").evaluate((image) => [image.naturalWidth, image.naturalHeight]);
        assert.deepEqual([width, height], [40, 20]);
        await page.reload();
        assert.equal(await left(token), 1, "the same visitor goes on with the same use");
    });
    assert.equal(await used(token), 0, "a use that nobody has committed counts when its lease is over");
});

test("the button of a download saves the file under its name", { skip }, async () => {
    const token = await limited(1);
    const saved = await visit(address(token, "download"), async (page) => {
        const downloaded = page.waitForEvent("download");
        await page.getByRole("button", { name: "Download" }).click();
        const download = await downloaded;
        return [download.suggestedFilename(), await readFile(await download.path())];
    });
    assert.deepEqual(saved, ["photo.png", PHOTO]);
});

test("who comes too late is told so on a page", { skip }, async () => {
    const token = await limited(1);
    await visit(address(token, "view"), (page) => page.getByRole("button", { name: "Open" }).click());
    await visit(address(token, "view"), async (page) => {
        assert.equal(await page.getByRole("button").count(), 0, await page.content());
        assert.match(await page.textContent("body"), /no .*left|used up|cannot be used/i);
    });
});
