// The published runtime 7.0.0, as an app embeds it, beside our node.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { App, value } from "./lib/app.mjs";
import { AWKWARD_NAME, inHours, sampleBytes } from "./lib/samples.mjs";
import { openWorld } from "./lib/world.mjs";

const bytes = sampleBytes(70_000, "runtime");

let world;
let node;
let app;
let services;

before(async () => {
    world = await openWorld();
    node = world.nodes[0];
    app = await App.open(world.backbone);
    services = app.getServices().transportServices;
});

after(async () => {
    await app?.close();
    await world?.close();
});

test("the runtime finds the backbone compatible", async () => {
    const answer = value(await app.anonymousServices.backboneCompatibility.checkBackboneCompatibility());
    assert.equal(answer.isCompatible, true);
});

test("the app shares a file, the node opens it", async () => {
    const file = value(await services.files.uploadOwnFile({ content: new Uint8Array(bytes), filename: AWKWARD_NAME, mimetype: "text/plain" }));
    const forIdentity = await node.address();
    const passwordProtection = { password: "1234", passwordIsPin: true };
    for (const options of [{}, { ephemeral: false }, { forIdentity }, { passwordProtection }, { forIdentity, passwordProtection }]) {
        const token = value(await services.files.createTokenForFile({ fileId: file.id, expiresAt: inHours(1), ...options }));
        const loaded = await node.loadFile(token.reference.url, options.passwordProtection?.password);
        assert.equal(loaded.id, file.id);
        assert.equal(loaded.filename, AWKWARD_NAME);
    }
    assert.ok((await node.download(file.id)).equals(bytes));
});

test("the node shares a file, the app opens it", async () => {
    const { address: forIdentity } = value(await services.account.getIdentityInfo());
    const file = await node.upload(bytes, { filename: AWKWARD_NAME, mimetype: "text/plain", title: "T" });
    const passwordProtection = { password: "word" };
    for (const options of [{}, { ephemeral: false }, { forIdentity }, { passwordProtection }, { forIdentity, passwordProtection }]) {
        const { reference } = await node.tokenFor(file.id, options);
        const loaded = value(await services.files.getOrLoadFile({ reference: reference.truncated, password: options.passwordProtection?.password }));
        assert.equal(loaded.id, file.id);
        assert.equal(loaded.title, "T");
    }
    const download = value(await services.files.downloadFile({ id: file.id }));
    assert.ok(Buffer.from(download.content).equals(bytes));
    assert.equal(download.filename, AWKWARD_NAME);
});

test("tokens with any content pass both ways", async () => {
    const content = { a: [1, "ä", null], b: { c: true } };
    const own = value(await services.tokens.createOwnToken({ content, expiresAt: inHours(1), ephemeral: false }));
    const loaded = await node.call("POST", "/Tokens/Peer", { body: { reference: own.reference.truncated, ephemeral: false } });
    assert.deepEqual(loaded.content, content);

    const made = await node.call("POST", "/Tokens/Own", { body: { content, expiresAt: inHours(1) } });
    const seen = value(await services.tokens.loadPeerToken({ reference: made.reference.truncated, ephemeral: false }));
    assert.deepEqual(seen.content, content);
    assert.equal(seen.createdBy, await node.address());
});

test("the app loads a token with a limit as often as it allows, and is not counted twice", async () => {
    const file = await node.upload(bytes, { filename: "counted.txt", mimetype: "text/plain" });
    const token = await node.tokenFor(file.id, { maxDownloads: 1, label: "for the app" });
    assert.deepEqual([token.maxDownloads, token.label], [1, "for the app"]);
    const reference = token.reference.truncated;
    for (let time = 0; time < 2; time++) assert.equal(value(await services.files.getOrLoadFile({ reference })).id, file.id);
    const other = await App.open(world.backbone);
    try {
        const refused = await other.getServices().transportServices.files.getOrLoadFile({ reference });
        assert.equal(refused.isError, true);
    } finally {
        await other.close();
    }
});

test("the app synchronizes without complaint", async () => {
    value(await services.account.syncDatawallet());
    value(await services.account.syncEverything());
    const { lastSyncRun } = value(await services.account.getSyncInfo());
    assert.ok(lastSyncRun.completedAt);
});

test("the app makes an empty token without its identity, and the node sees that it is empty", async () => {
    const empty = value(await app.anonymousServices.tokens.createEmptyToken());
    const body = { reference: empty.reference.truncated, password: empty.passwordProtection.password, ephemeral: true };
    assert.equal(await node.refused("POST", "/Tokens/Peer", { body, expected: 400 }), "error.transport.tokens.emptyToken");
});
