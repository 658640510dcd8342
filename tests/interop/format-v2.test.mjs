// Files of format v2, which only enlace reads, beside the published clients: they refuse such a file cleanly and go on working.

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";
import { after, before, test } from "node:test";

import { App, value } from "./lib/app.mjs";
import { onboard, run, start, startNode, CLIENT } from "./lib/enlace.mjs";
import { Library } from "./lib/library.mjs";
import { RestNode } from "./lib/rest.mjs";
import { inHours, sampleBytes } from "./lib/samples.mjs";
import { openWorld } from "./lib/world.mjs";

const require = createRequire(import.meta.url);
const { CoreId } = require("@nmshd/core-types");

/** More than one chunk. */
const large = sampleBytes(1_100_000, "format v2");
const small = sampleBytes(20_000, "format v1");

let world;
let source;

before(async () => {
    world = await openWorld();
    source = path.join(world.dir, "large.bin");
    await writeFile(source, large);
});

after(async () => {
    await world?.close();
});

/** What the command line needs to work for the node over `dataDir`. */
function options(dataDir) {
    return ["--data-dir", dataDir, "--backbone", world.backbone.url, "--client", `${CLIENT.id}:${CLIENT.secret}`, "--json"];
}

test("a client of another identity refuses the file, stores nothing, and goes on", async (t) => {
    const sharing = await start(["share", source, "--format", "v2", "--local", "--listen", "127.0.0.1:0", ...options(path.join(world.dir, "sharer"))]);
    t.after(() => sharing.stop());
    const { token, file } = sharing.announced;
    assert.equal(file.filesize, large.length);
    const app = await App.open(world.backbone);
    t.after(() => app.close());
    const { files, tokens, account } = app.getServices().transportServices;

    for (const { reference } of [token, file]) {
        for (const text of [reference.url, reference.truncated]) {
            const refused = await files.getOrLoadFile({ reference: text });
            assert.ok(refused.isError, text);
            assert.match(`${refused.error.code}: ${refused.error.message}`, /FileMetadata\.plaintextHash :: Value is not defined/);
        }
    }
    assert.deepEqual(value(await files.getFiles({})), []);
    assert.deepEqual(value(await tokens.getTokens({})), []);
    const absent = await files.downloadFile({ id: file.id });
    assert.equal(absent.error.code, "error.runtime.recordNotFound");

    // The token itself is an ordinary one.
    const loaded = value(await tokens.loadPeerToken({ reference: token.reference.truncated, ephemeral: true }));
    assert.equal(loaded.content.fileId, file.id);

    const node = world.nodes[0];
    const readable = await node.upload(small, { filename: "small.bin" });
    const { reference } = await node.tokenFor(readable.id);
    assert.equal(value(await files.getOrLoadFile({ reference: reference.url })).id, readable.id);
    assert.ok(Buffer.from(value(await files.downloadFile({ id: readable.id })).content).equals(small));
    value(await files.uploadOwnFile({ content: new Uint8Array(small), filename: "own.bin", mimetype: "text/plain" }));
    await syncs(account);
    assert.equal(value(await files.getFiles({})).length, 2);

    // A node of the other identity reads what the client could not.
    const received = await node.loadFile(token.reference.url);
    assert.ok((await node.download(received.id)).equals(large));
});

test("other devices of the identity list the file, cannot download it, and go on", async (t) => {
    const library = await Library.open(world.backbone);
    t.after(() => library.close());
    const first = await library.account();
    const dataDir = path.join(world.dir, "device");
    await onboard(dataDir, world.backbone.url, JSON.stringify((await first.secretForNewDevice("node")).toJSON()));
    // The program did not make this store, so it does not know where its identity lives.
    const uploaded = await run(["files", "upload", source, "--format", "v2", "--title", "Large", "--change-backbone", ...options(dataDir)]);
    const started = await startNode(dataDir, world.backbone.url);
    t.after(() => started.running.stop());
    const node = new RestNode(started.url, started.apiKey);
    const sync = async () => {
        await node.call("POST", "/Account/Sync", { expected: 204 });
        await first.controller.syncDatawallet();
        await node.call("POST", "/Account/Sync", { expected: 204 });
    };
    const readable = await node.upload(small, { filename: "small.bin" });
    await sync();

    await t.test("the transport library", async () => {
        const { files } = first.controller;
        assert.deepEqual((await files.getFiles()).map(({ id }) => id.toString()).sort(), [uploaded.id, readable.id].sort());
        const known = await files.getFile(CoreId.from(uploaded.id));
        assert.deepEqual([known.title, known.filename, known.filesize, known.isOwn], ["Large", "large.bin", large.length, true]);
        // It takes the bytes for a text.
        await assert.rejects(files.downloadFileContent(known), TypeError);
        assert.ok((await first.bytes(await files.getFile(CoreId.from(readable.id)))).equals(small));

        // What the library knows of the file serves to pass it on.
        const { reference } = await first.tokenFor(known);
        const received = await world.nodes[0].loadFile(reference.truncate());
        assert.ok((await world.nodes[0].download(received.id)).equals(large));

        // What it changes, it pushes without the members that it does not know; the node keeps them.
        await files.setFileMetadata(known.id, { note: "by the library" });
        const { ownershipToken } = await files.regenerateFileOwnershipToken(known.id);
        await sync();
        assert.equal((await node.call("GET", `/Files/${uploaded.id}`)).ownershipToken, ownershipToken);
        assert.ok((await node.download(uploaded.id)).equals(large));
    });

    await t.test("the runtime", async (t) => {
        const app = await App.open(world.backbone, await first.secretForNewDevice("app"));
        t.after(() => app.close());
        const { files, tokens, account } = app.getServices().transportServices;
        assert.deepEqual(value(await files.getFiles({})).map(({ id }) => id).sort(), [uploaded.id, readable.id].sort());
        const known = value(await files.getFile({ id: uploaded.id }));
        assert.deepEqual([known.title, known.filesize, known.isOwn], ["Large", large.length, true]);
        assert.equal(known.reference.truncated, uploaded.reference.truncated);
        assert.equal(value(await files.getOrLoadFile({ reference: uploaded.reference.url })).id, uploaded.id);
        const refused = await files.downloadFile({ id: uploaded.id });
        assert.equal(refused.error.code, "error.runtime.unknown", refused.error.message);
        assert.ok(Buffer.from(value(await files.downloadFile({ id: readable.id })).content).equals(small));

        const token = value(await files.createTokenForFile({ fileId: uploaded.id, expiresAt: inHours(1), ephemeral: false }));
        assert.equal((await world.nodes[0].loadFile(token.reference.url)).id, uploaded.id);
        assert.equal(value(await tokens.getTokens({})).length, 1);
        await syncs(account);
    });

    await t.test("a node that is added later has the file from what all of them pushed", async (t) => {
        const later = path.join(world.dir, "later");
        await onboard(later, world.backbone.url, JSON.stringify((await first.secretForNewDevice("later")).toJSON()));
        const { running, url, apiKey } = await startNode(later, world.backbone.url, ["--change-backbone"]);
        t.after(() => running.stop());
        assert.ok((await new RestNode(url, apiKey).download(uploaded.id)).equals(large));
    });

    await t.test("a deletion by the library reaches the node", async () => {
        await first.controller.files.deleteFile(await first.controller.files.getFile(CoreId.from(uploaded.id)));
        await sync();
        assert.deepEqual((await node.call("GET", "/Files")).map(({ id }) => id), [readable.id]);
        await first.controller.syncEverything();
    });
});

/** Synchronizes both ways that an app may ask for, without complaint. */
async function syncs(account) {
    value(await account.syncDatawallet());
    value(await account.syncEverything());
}
