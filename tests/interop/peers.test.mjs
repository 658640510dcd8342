// References and tokens that say where a node can be reached, beside the published clients: they ignore it, and load from the backbone.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { after, before, describe, test } from "node:test";

import { App, value } from "./lib/app.mjs";
import { startNode } from "./lib/enlace.mjs";
import { Library, V7 } from "./lib/library.mjs";
import { RestNode } from "./lib/rest.mjs";
import { inHours, sampleBytes } from "./lib/samples.mjs";
import { openWorld } from "./lib/world.mjs";

const { CoreCrypto, TokenReference } = { ...V7.transport, ...V7.types };
const { CryptoCipher } = V7.crypto;

const VECTORS = JSON.parse(readFileSync(new URL("../../transport/tests/vectors/reference-direct.json", import.meta.url), "utf8"));
const bytes = sampleBytes(300_000, "peers");

let world;
let node;
let other;
let library;

before(async () => {
    world = await openWorld({ nodes: 2 });
    [node, other] = world.nodes;
    library = await Library.open(world.backbone);
});

after(async () => {
    await library?.close();
    await world?.close();
});

/** A reference of which the URL form says where a node can be reached, too. */
function dialable({ url }, { text }) {
    const [before, fragment] = url.split("#");
    return `${before}?app=enlace&direct=${text}#${fragment}`;
}

/** The content of a token as it is sealed, with the members that the library does not know. */
async function sealedContent(account, url) {
    const { id, key } = TokenReference.from(url);
    const { content } = value(await account.controller.tokens.client.getToken(id.toString()));
    const opened = await CoreCrypto.decrypt(CryptoCipher.fromBase64(content), key);
    return JSON.parse(opened.toUtf8());
}

describe("a token that says where its node can be reached", () => {
    let token;
    let file;

    before(async () => {
        file = await node.upload(bytes, { filename: "peers.bin" });
        token = await node.tokenFor(file.id, { ephemeral: false });
    });

    test("has an unknown member for the library, which opens it", async () => {
        const account = await library.account();
        const sealed = await sealedContent(account, token.reference.url);
        assert.match(sealed.direct.peer, /^12D3KooW/);
        assert.ok(sealed.direct.addresses.length > 0, JSON.stringify(sealed.direct));
        for (const reference of [token.reference.url, token.reference.truncated]) {
            const opened = await account.openFileToken(reference);
            assert.ok(opened.bytes.equals(bytes));
            assert.deepEqual(Object.keys(opened.token.content.toJSON()).sort(), ["@type", "fileId", "secretKey"]);
        }
    });

    test("opens at another node, which loads the file directly", async () => {
        const loaded = await other.loadFile(token.reference.url);
        const answer = await other.raw("GET", `/Files/${loaded.id}/Download`);
        assert.equal(answer.headers.get("x-enlace-path"), "lan");
        assert.ok(Buffer.from(await answer.arrayBuffer()).equals(bytes));
    });

    test("does not show the member over REST", async () => {
        const own = await node.call("GET", `/Tokens/${token.id}`);
        assert.deepEqual(Object.keys(own.content).sort(), ["@type", "fileId", "secretKey"]);
        assert.deepEqual(own.content, token.content);
    });
});

test("the runtime opens what nodes share, lists it, and passes it on", async (t) => {
    const app = await App.open(world.backbone);
    t.after(() => app.close());
    const { files, tokens, account } = app.getServices().transportServices;
    const file = await node.upload(bytes, { filename: "runtime.bin" });
    const token = await node.tokenFor(file.id, { ephemeral: false });

    const known = value(await files.getOrLoadFile({ reference: token.reference.url }));
    assert.equal(known.id, file.id);
    assert.ok(Buffer.from(value(await files.downloadFile({ id: file.id })).content).equals(bytes));
    assert.deepEqual(value(await files.getFiles({})).map(({ id }) => id), [file.id]);

    const loaded = value(await tokens.loadPeerToken({ reference: token.reference.url, ephemeral: false }));
    assert.equal(loaded.content.fileId, file.id);
    assert.deepEqual(value(await tokens.getTokens({})).map(({ id }) => id), [token.id]);
    value(await account.syncDatawallet());
    value(await account.syncEverything());

    // Its own token says nothing of peers, and opens at a node that has some.
    const passedOn = value(await files.createTokenForFile({ fileId: file.id, expiresAt: inHours(1), ephemeral: false }));
    assert.equal((await other.loadFile(passedOn.reference.url)).id, file.id);
    assert.ok((await other.download(file.id)).equals(bytes));
    const own = value(await files.uploadOwnFile({ content: new Uint8Array(bytes), filename: "own.bin", mimetype: "text/plain" }));
    const { reference } = value(await files.createTokenForFile({ fileId: own.id, expiresAt: inHours(1), ephemeral: true }));
    assert.equal((await node.loadFile(reference.url)).id, own.id);
    const answer = await node.raw("GET", `/Files/${own.id}/Download`);
    assert.equal(answer.headers.get("x-enlace-path"), "backbone");
    assert.ok(Buffer.from(await answer.arrayBuffer()).equals(bytes));
});

describe("a reference that says where its node can be reached", () => {
    for (const vector of VECTORS.cases) {
        test(`opens in the library and at a node: ${vector.name}`, async () => {
            const account = await library.account();
            const file = await node.upload(bytes);
            const token = await node.tokenFor(file.id);
            const url = dialable(token.reference, vector);
            for (const form of [url, url.replace("app=enlace&", "")]) assert.equal(TokenReference.from(form).truncate(), token.reference.truncated);
            assert.ok((await account.openFileToken(url)).bytes.equals(bytes));
            assert.equal((await other.loadFile(url)).id, file.id);
            const ofFile = dialable(file.reference, vector);
            assert.ok((await account.openFile(ofFile)).bytes.equals(bytes));
        });
    }

    test("opens in the runtime", async (t) => {
        const app = await App.open(world.backbone);
        t.after(() => app.close());
        const { files, tokens } = app.getServices().transportServices;
        const file = await node.upload(bytes);
        const url = dialable((await node.tokenFor(file.id)).reference, VECTORS.cases.at(-1));
        assert.equal(value(await files.getOrLoadFile({ reference: url })).id, file.id);
        assert.equal(value(await tokens.loadPeerToken({ reference: url, ephemeral: false })).content.fileId, file.id);
        assert.deepEqual(value(await files.getFiles({})).map(({ id }) => id), [file.id]);
    });
});

test("a node without peers opens the same references", async (t) => {
    const started = await startNode(path.join(world.dir, "without-peers"), world.backbone.url, ["--no-direct"]);
    t.after(() => started.running.stop());
    const without = new RestNode(started.url, started.apiKey);
    const file = await node.upload(bytes);
    const token = await node.tokenFor(file.id);
    const loaded = await without.loadFile(dialable(token.reference, VECTORS.cases.at(-1)));
    const answer = await without.raw("GET", `/Files/${loaded.id}/Download`);
    assert.equal(answer.headers.get("x-enlace-path"), "backbone");
    assert.ok(Buffer.from(await answer.arrayBuffer()).equals(bytes));
});
