// The transport of the generation before, 6.60.5, which calls /api/v1 and writes the older references and payloads.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Library, facts, v6 } from "./lib/library.mjs";
import { AWKWARD_NAME, sampleBytes } from "./lib/samples.mjs";
import { openWorld } from "./lib/world.mjs";

const bytes = sampleBytes(40_000, "generation 6");

let world;
let node;
let library;
let account;

before(async () => {
    world = await openWorld();
    node = world.nodes[0];
    library = await Library.open(world.backbone, v6());
    account = await library.account();
});

after(async () => {
    await library?.close();
    await world?.close();
});

test("the node opens what generation 6 shares", async () => {
    const file = await account.upload(bytes, { filename: AWKWARD_NAME, mimetype: "text/plain", title: "T" });
    const forIdentity = await node.address();
    for (const options of [{}, { ephemeral: false }, { forIdentity }, { password: "pässword" }, { pin: "1234" }]) {
        const { reference } = await account.tokenFor(file, options);
        for (const text of [reference.truncate(), reference.toUrl()]) {
            const loaded = await node.loadFile(text, options.password ?? options.pin);
            assert.equal(loaded.id, file.id.toString());
            assert.equal(loaded.filename, AWKWARD_NAME);
        }
    }
    assert.ok((await node.download(file.id.toString())).equals(bytes));
});

test("generation 6 opens what the node shares", async () => {
    const file = await node.upload(bytes, { filename: AWKWARD_NAME, title: "T" });
    const passwordProtection = { password: "pässword" };
    for (const options of [{}, { forIdentity: account.address }, { passwordProtection }]) {
        const { reference } = await node.tokenFor(file.id, options);
        for (const text of [reference.truncated, reference.url]) {
            const opened = await account.openFileToken(text, { password: options.passwordProtection?.password });
            assert.ok(opened.bytes.equals(bytes));
            assert.equal(opened.file.filename, AWKWARD_NAME);
        }
    }
    assert.ok((await account.openFile(file.reference.truncated)).bytes.equals(bytes));
});

test("a second device of generation 6 fetches its records by lists of ids", async () => {
    const kept = [];
    const file = await account.upload(bytes);
    for (let index = 0; index < 5; index++) kept.push((await account.tokenFor(file, { ephemeral: false })).token.id.toString());
    const second = await library.account(await account.secretForNewDevice("second"));
    const known = await second.controller.tokens.getTokens();
    assert.ok(kept.every((id) => known.some((token) => token.id.toString() === id && facts(token).content)));
    assert.ok((await second.bytes(file)).equals(bytes));
});

test("generation 6 synchronizes without complaint", async () => {
    await account.controller.syncEverything();
    assert.ok(await account.controller.getLastCompletedSyncTime());
});
