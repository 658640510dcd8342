// Several devices of one identity: the published transport keeps them alike through our backbone's datawallet.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Library } from "./lib/library.mjs";
import { sampleBytes } from "./lib/samples.mjs";
import { openWorld } from "./lib/world.mjs";

/** More than one page of modifications, so that the pull has to turn pages. */
const MANY = 120;

let world;
let library;
let first;

before(async () => {
    world = await openWorld();
    library = await Library.open(world.backbone);
    first = await library.account();
});

after(async () => {
    await library?.close();
    await world?.close();
});

test("a second device has the files and tokens that the first one kept", async () => {
    const bytes = sampleBytes(2000, "devices");
    const file = await first.upload(bytes);
    for (let index = 0; index < MANY; index++) await first.tokenFor(file, { ephemeral: false });

    const second = await library.account(await first.secretForNewDevice("second"));

    assert.equal(second.address, first.address);
    assert.notEqual(deviceOf(second), deviceOf(first));
    assert.deepEqual(await tokenIds(second), await tokenIds(first));
    const [sameFile] = await second.controller.files.getFiles();
    assert.ok((await second.bytes(sameFile)).equals(bytes));
});

test("what one device does the other learns, in both directions", async () => {
    const second = await library.account(await first.secretForNewDevice("third"));
    const file = await second.upload(sampleBytes(10, "by the second"));
    await second.controller.syncDatawallet();
    await first.controller.syncDatawallet();
    const known = await first.controller.files.getFile(file.id);
    assert.equal(known.filename, file.filename);

    await first.controller.files.deleteFile(known);
    await first.controller.syncDatawallet();
    await second.controller.syncDatawallet();
    assert.equal(await second.controller.files.getFile(file.id), undefined);
});

test("a device that was added logs in again with the password that it chose", async () => {
    const second = await library.account(await first.secretForNewDevice("returning"));
    const again = await library.reopened(second);
    assert.equal(deviceOf(again), deviceOf(second));
    assert.deepEqual(await tokenIds(again), await tokenIds(first));
    await again.controller.syncEverything();
});

test("a node opens what a second device shares", async () => {
    const second = await library.account(await first.secretForNewDevice("fourth"));
    const bytes = sampleBytes(300, "by another device");
    const { reference } = await second.tokenFor(await second.upload(bytes));
    const loaded = await world.nodes[0].loadFile(reference.truncate());
    assert.equal(loaded.createdBy, first.address);
    assert.equal(loaded.createdByDevice, deviceOf(second));
    assert.ok((await world.nodes[0].download(loaded.id)).equals(bytes));
});

test("an ownership token moves a file to another identity, and the former owner hears of it", async () => {
    const heir = await library.account();
    const file = await first.upload(sampleBytes(10, "handed over"));
    const { reference } = await first.tokenFor(file);
    await heir.openFileToken(reference.truncate());
    await heir.controller.files.claimFileOwnership(file.id, file.ownershipToken);
    await first.controller.syncEverything();
    const after = await first.controller.files.getFile(file.id);
    assert.equal(after.isOwn, false);
    assert.equal(after.owner.toString(), heir.address);
});

function deviceOf(account) {
    return account.controller.activeDevice.id.toString();
}

async function tokenIds(account) {
    return (await account.controller.tokens.getTokens()).map((token) => token.id.toString()).sort();
}
