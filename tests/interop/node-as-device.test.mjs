// Our node and the published transport 7.0.0 as two devices of one identity: each pulls the datawallet that the other pushed.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import path from "node:path";
import { after, before, test } from "node:test";

import { App, value } from "./lib/app.mjs";
import { onboard, startNode } from "./lib/enlace.mjs";
import { Library } from "./lib/library.mjs";
import { RestNode } from "./lib/rest.mjs";
import { AWKWARD_NAME, inHours, sampleBytes, strangerTo } from "./lib/samples.mjs";
import { openWorld } from "./lib/world.mjs";

const bytes = sampleBytes(20_000, "one identity");

const require = createRequire(import.meta.url);
const { CoreId } = require("@nmshd/core-types");

let world;
let library;
let first;
let file;
let kept;
let running;
let node;

before(async () => {
    world = await openWorld({ nodes: 0 });
    library = await Library.open(world.backbone);
    first = await library.account();
    file = await first.upload(bytes, { filename: AWKWARD_NAME, mimetype: "text/plain", title: "T", tags: ["x:a"] });
    kept = [];
    for (const options of [{}, { forIdentity: strangerTo(first.address) }, { password: "pässword" }, { pin: "1234" }]) {
        kept.push((await first.tokenFor(file, { ...options, ephemeral: false })).token);
    }

    const dataDir = path.join(world.dir, "node");
    const secret = JSON.stringify((await first.secretForNewDevice("node")).toJSON());
    await onboard(dataDir, world.backbone.url, secret);
    // A store that has an identity keeps it, whatever secret it is given.
    await onboard(dataDir, world.backbone.url, secret);
    // The program did not make this store, so it does not know where its identity lives.
    const started = await startNode(dataDir, world.backbone.url, ["--change-backbone"]);
    running = started.running;
    node = new RestNode(started.url, started.apiKey);
});

after(async () => {
    await running?.stop();
    await library?.close();
    await world?.close();
});

test("the node is a device of the library's identity", async () => {
    assert.equal(await node.address(), first.address);
});

test("the node has the file that the library kept, and its bytes", async () => {
    const [known, ...others] = await node.call("GET", "/Files/Own");
    assert.deepEqual(others, []);
    assert.equal(known.id, file.id.toString());
    assert.equal(known.filename, AWKWARD_NAME);
    assert.equal(known.title, "T");
    assert.deepEqual(known.tags, ["x:a"]);
    assert.equal(known.isOwn, true);
    assert.equal(known.ownershipToken, file.ownershipToken);
    assert.equal(known.reference.truncated, file.toFileReference(world.backbone.url).truncate());
    assert.ok((await node.download(known.id)).equals(bytes));
});

test("the node has the tokens that the library kept", async () => {
    const known = await node.call("GET", "/Tokens/Own");
    assert.deepEqual(known.map((token) => token.id).sort(), kept.map((token) => token.id.toString()).sort());
    for (const token of kept) {
        const same = known.find((candidate) => candidate.id === token.id.toString());
        assert.equal(same.reference.truncated, token.toTokenReference(world.backbone.url).truncate());
        assert.equal(same.content.fileId, file.id.toString());
        assert.equal(same.forIdentity, token.forIdentity?.toString());
        assert.equal(same.passwordProtection?.password, token.passwordProtection?.password);
        assert.equal(same.expiresAt, token.expiresAt.toString());
    }
});

test("the library pulls what the node pushed", async () => {
    const made = await node.upload(bytes, { filename: "by the node.txt", mimetype: "text/plain", title: "N", description: "D" });
    const passwordProtection = { password: "98765", passwordIsPin: true };
    const token = await node.tokenFor(made.id, { ephemeral: false, passwordProtection });
    const content = { list: [1, "ä", null] };
    const arbitrary = await node.call("POST", "/Tokens/Own", { body: { content, expiresAt: inHours(1) } });
    await node.call("POST", "/Account/Sync", { expected: 204 });

    await first.controller.syncDatawallet();
    const pulled = (await first.controller.files.getFiles()).find((candidate) => candidate.id.toString() === made.id);
    assert.equal(pulled.filename, "by the node.txt");
    assert.equal(pulled.title, "N");
    assert.equal(pulled.description, "D");
    assert.equal(pulled.isOwn, true);
    assert.equal(pulled.ownershipToken, made.ownershipToken);
    assert.equal(pulled.toFileReference(world.backbone.url).truncate(), made.reference.truncated);
    assert.ok((await first.bytes(pulled)).equals(bytes));

    const tokens = await first.controller.tokens.getTokens();
    const pulledToken = tokens.find((candidate) => candidate.id.toString() === token.id);
    assert.equal(pulledToken.toTokenReference(world.backbone.url).truncate(), token.reference.truncated);
    assert.equal(pulledToken.passwordProtection.password, "98765");
    const pulledArbitrary = tokens.find((candidate) => candidate.id.toString() === arbitrary.id);
    assert.deepEqual(pulledArbitrary.content.toJSON(), content);
});

test("the library knows the node among its devices", async () => {
    await first.controller.syncDatawallet();
    const devices = await first.controller.devices.list();
    const added = devices.find((device) => device.name === "node");
    assert.ok(added.publicKey, "the node published its device key");
});

test("a change and a deletion by one are learnt by the other", async () => {
    const doomed = await first.upload(sampleBytes(10), { filename: "doomed.bin" });
    await first.controller.syncDatawallet();
    await node.call("POST", "/Account/Sync", { expected: 204 });
    const regenerated = await node.call("PATCH", `/Files/${file.id}/RegenerateOwnershipToken`);
    await node.call("DELETE", `/Files/${doomed.id}`, { expected: 204 });
    await node.call("POST", "/Account/Sync", { expected: 204 });

    await first.controller.syncDatawallet();
    assert.equal(await first.controller.files.getFile(doomed.id), undefined);
    assert.equal((await first.controller.files.getFile(file.id)).ownershipToken, regenerated.ownershipToken);

    await first.controller.tokens.delete(kept[0]);
    await first.controller.syncDatawallet();
    await node.call("POST", "/Account/Sync", { expected: 204 });
    const code = await node.refused("GET", `/Tokens/${kept[0].id}`, { expected: 404 });
    assert.equal(code, "error.runtime.recordNotFound");
});

test("a device that is added later pulls what both of them pushed", async () => {
    await node.call("POST", "/Account/Sync", { expected: 204 });
    const third = await library.account(await first.secretForNewDevice("third"));
    const ids = async (path) => (await node.call("GET", path)).map((record) => record.id).sort();
    const own = (records) => records.map((record) => record.id.toString()).sort();
    assert.deepEqual(own(await third.controller.files.getFiles()), await ids("/Files"));
    assert.deepEqual(own(await third.controller.tokens.getTokens()), await ids("/Tokens/Own"));
});

test("what the node seals into its changes besides the object is nothing to the library", async () => {
    const made = await node.upload(bytes, { filename: "labelled.txt" });
    await node.call("POST", "/Account/Sync", { expected: 204 });
    await first.controller.syncDatawallet();
    const document = await first.controller.files.files.read(made.id);
    assert.equal(document["@datawallet"].id, made.id, "it came along");
    const pulled = await first.controller.files.getFile(CoreId.from(made.id));
    const names = Object.keys(pulled.toJSON());
    assert.deepEqual(names.filter((name) => name.startsWith("@")), ["@type"]);

    // What the library changes and pushes afterwards, the node takes over.
    await first.controller.files.setFileMetadata(pulled.id, { note: "by the library" });
    await first.controller.syncDatawallet();
    await node.call("POST", "/Account/Sync", { expected: 204 });
    const known = await node.call("GET", `/Files/${made.id}`);
    assert.deepEqual({ ...known, ownershipToken: "" }, { ...made, ownershipToken: "" });
    const answers = [known, ...(await node.call("GET", "/Files")), ...(await node.call("GET", "/Tokens/Own"))];
    assert.ok(!JSON.stringify(answers).includes("@datawallet"));
});

test("a device without the identity key gets its certificate from the node, and the library ignores it", async () => {
    const dataDir = path.join(world.dir, "member");
    await onboard(dataDir, world.backbone.url, JSON.stringify((await first.secretForNewDevice("member", false)).toJSON()));
    const started = await startNode(dataDir, world.backbone.url, ["--change-backbone"]);
    try {
        const member = new RestNode(started.url, started.apiKey);
        const synchronize = (node) => node.call("POST", "/Account/Sync", { expected: 204 });
        for (const one of [member, node, member]) await synchronize(one);

        await first.controller.syncDatawallet();
        const named = async (name) => (await first.controller.devices.list()).find((device) => device.name === name);
        const device = await named("member");
        assert.ok(device.publicKey);
        const document = async (account) => account.controller.devices.devices.read(device.id.toString());
        const { peerCertificate, peerCertificateRequest } = await document(first);
        assert.ok(peerCertificate && peerCertificateRequest, "they came along");
        assert.ok(!Object.keys(device.toJSON()).some((member) => member.startsWith("peer")));

        // The library changes the device, and a device that is new reads all of it.
        device.name = "renamed";
        await first.controller.devices.update(device);
        await first.controller.syncDatawallet();
        for (const one of [member, node]) await synchronize(one);
        const later = await library.account(await first.secretForNewDevice("later"));
        const names = (await later.controller.devices.list()).map(({ name }) => name);
        assert.ok(names.includes("renamed") && names.includes("node"), names.join());
        assert.equal((await document(later)).peerCertificate, peerCertificate);
        const app = await App.open(world.backbone, await first.secretForNewDevice("runtime"));
        const devices = value(await app.getServices().transportServices.devices.getDevices());
        assert.ok(devices.some(({ name }) => name === "renamed"));
        await app.close();
    } finally {
        await started.running.stop();
    }
});

test("a published runtime that becomes another device has everything that the node pushed", async () => {
    const reference = first.address;
    await node.call("PUT", "/IdentityMetadata", { body: { reference, key: "note", value: { by: "the node" } } });
    await node.call("POST", "/Account/Sync", { expected: 204 });
    const app = await App.open(world.backbone, await first.secretForNewDevice("app"));
    try {
        const { transportServices, consumptionServices } = app.getServices();
        const files = value(await transportServices.files.getFiles({}));
        const ofNode = await node.call("GET", "/Files");
        const shown = (file) => [file.id, file.filename, file.filesize, file.reference.truncated];
        assert.deepEqual(files.map(shown).sort(), ofNode.map(shown).sort());
        const tokens = value(await transportServices.tokens.getTokens({}));
        assert.deepEqual(tokens.map(({ id }) => id).sort(), (await node.call("GET", "/Tokens/Own")).map(({ id }) => id).sort());
        const note = value(await consumptionServices.identityMetadata.getIdentityMetadata({ reference, key: "note" }));
        assert.deepEqual(note.value, { by: "the node" });

        // The runtime changes what the node made, and the node follows.
        value(await consumptionServices.identityMetadata.upsertIdentityMetadata({ reference, key: "note", value: "by the app" }));
        value(await transportServices.account.syncDatawallet());
        await node.call("POST", "/Account/Sync", { expected: 204 });
        const followed = await node.call("GET", `/IdentityMetadata?reference=${encodeURIComponent(reference)}&key=note`);
        assert.equal(followed.value, "by the app");
    } finally {
        await app.close();
    }
});
