// The published transport 7.0.0 and our node on our backbone: what one makes the other opens, in both directions.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { Library, V7 } from "./lib/library.mjs";
import { AWKWARD_NAME, inHours, sampleBytes, strangerTo } from "./lib/samples.mjs";
import { openWorld } from "./lib/world.mjs";

const { CoreAddress } = V7.types;
const { CryptoSignature, CryptoSignaturePublicKey, CryptoSignatures, CoreBuffer } = V7.crypto;

/** Sizes around the boundaries of the formats: nothing, one base64 group more or less, and some megabytes. */
const SIZES = [0, 1, 2, 3, 1023, 65_536, 3_000_001];

const PASSWORD = "pässword with blanks";
const PIN = "12345678";

let world;
let node;
let library;
let account;

before(async () => {
    world = await openWorld();
    node = world.nodes[0];
    library = await Library.open(world.backbone);
    account = await library.account();
});

after(async () => {
    await library?.close();
    await world?.close();
});

describe("identities", () => {
    test("both derive an address from its key in the same way", async () => {
        const { address, publicKey } = await node.call("GET", "/Account/IdentityInfo");
        const key = CryptoSignaturePublicKey.fromBase64(publicKey);
        const derived = await V7.transport.IdentityUtil.createAddress(key, "localhost");
        assert.equal(derived.toString(), address);
        assert.ok(await V7.transport.IdentityUtil.checkAddress(CoreAddress.from(address), "localhost", key));
    });

    test("the library verifies a challenge that the node signed", async () => {
        const { publicKey } = await node.call("GET", "/Account/IdentityInfo");
        const { challengeString, signature } = await node.call("POST", "/Challenges", { body: { challengeType: "Identity" } });
        const key = CryptoSignaturePublicKey.fromBase64(publicKey);
        const signed = CryptoSignature.fromBase64(signature);
        assert.ok(await CryptoSignatures.verify(CoreBuffer.fromUtf8(challengeString), signed, key));
        assert.ok(!(await CryptoSignatures.verify(CoreBuffer.fromUtf8(challengeString + " "), signed, key)));
    });
});

describe("made by the library, opened by the node", () => {
    for (const size of SIZES) {
        test(`a file of ${size} bytes arrives unchanged`, async () => {
            const bytes = sampleBytes(size, "to the node");
            const file = await account.upload(bytes, { filename: AWKWARD_NAME, mimetype: "text/plain", title: "Títle", tags: ["x:a"] });
            const { reference } = await account.tokenFor(file);
            const loaded = await node.loadFile(reference.truncate());
            assert.equal(loaded.id, file.id.toString());
            assert.equal(loaded.filename, AWKWARD_NAME);
            assert.equal(loaded.mimetype, "text/plain");
            assert.equal(loaded.title, "Títle");
            assert.deepEqual(loaded.tags, ["x:a"]);
            assert.equal(loaded.filesize, size);
            assert.equal(loaded.createdBy, account.address);
            assert.equal(loaded.owner, account.address);
            assert.equal(loaded.isOwn, false);
            assert.ok((await node.download(loaded.id)).equals(bytes));
        });
    }

    const bytes = sampleBytes(5000, "shared");
    let file;

    before(async () => {
        file = await account.upload(bytes);
    });

    const opens = async (reference, password) => {
        const loaded = await node.loadFile(reference, password);
        assert.equal(loaded.id, file.id.toString());
        assert.ok((await node.download(loaded.id)).equals(bytes));
    };

    test("a file reference opens in both forms", async () => {
        const reference = file.toFileReference(world.backbone.url);
        await opens(reference.truncate());
        await opens(reference.toUrl());
        await opens(reference.toUrl("some-app"));
    });

    test("a plain token opens in both forms", async () => {
        const { reference } = await account.tokenFor(file, { ephemeral: false });
        await opens(reference.truncate());
        await opens(reference.toUrl());
    });

    test("a personalized token opens for the node and not for others", async () => {
        await opens((await account.tokenFor(file, { forIdentity: await node.address() })).reference.truncate());

        const { reference } = await account.tokenFor(file, { forIdentity: strangerTo(await node.address()) });
        const body = { reference: reference.truncate() };
        assert.equal(await node.refused("POST", "/Files/Peer", { body, expected: 400 }), "error.transport.general.notIntendedForYou");
    });

    test("the backbone refuses a personalized token whose reference was bent to name the node", async () => {
        const { reference } = await account.tokenFor(file, { forIdentity: strangerTo(await node.address()) });
        reference.forIdentityTruncated = (await node.address()).slice(-4);
        const body = { reference: reference.truncate() };
        assert.equal(await node.refused("POST", "/Files/Peer", { body, expected: 404 }), "error.runtime.recordNotFound");
    });

    for (const [kind, options] of Object.entries({ password: { password: PASSWORD }, PIN: { pin: PIN } })) {
        test(`a token protected by a ${kind} opens with it and only with it`, async () => {
            const { reference } = await account.tokenFor(file, options);
            const wrong = { reference: reference.truncate(), password: "87654321" };
            const missing = { reference: reference.truncate() };
            assert.equal(await node.refused("POST", "/Files/Peer", { body: missing, expected: 400 }), "error.transport.noPasswordProvided");
            assert.equal(await node.refused("POST", "/Files/Peer", { body: wrong, expected: 404 }), "error.runtime.recordNotFound");
            await opens(reference.toUrl(), options.password ?? options.pin);
        });
    }

    test("an arbitrary token content arrives as it was", async () => {
        const { JSONWrapper } = await import("@js-soft/ts-serval").then((module) => module.default ?? module);
        const content = { text: "ä", list: [1, { two: [3.25, null] }], empty: {} };
        const { reference } = await account.token(JSONWrapper.from(content));
        const loaded = await node.call("POST", "/Tokens/Peer", { body: { reference: reference.truncate(), ephemeral: true } });
        assert.deepEqual(loaded.content, content);
    });

    test("an empty token is recognized, and opens once it is filled", async () => {
        const empty = await library.anonymousTokens().createEmptyToken();
        const reference = empty.toTokenReference(world.backbone.url);
        const password = empty.passwordProtection.password;
        const body = { reference: reference.truncate(), password, ephemeral: true };
        assert.equal(await node.refused("POST", "/Tokens/Peer", { body, expected: 400 }), "error.transport.tokens.emptyToken");

        await account.controller.tokens.updateTokenContent({
            id: empty.id,
            secretKey: empty.secretKey,
            content: V7.transport.TokenContentFile.from({ fileId: file.id, secretKey: file.secretKey }),
            passwordProtection: reference.passwordProtection,
        });
        const loaded = await node.call("POST", "/Tokens/Peer", { body });
        assert.equal(loaded.createdBy, account.address);
        await opens(reference.truncate(), password);
    });

    test("a deleted token and a deleted file open no more", async () => {
        const doomed = await account.upload(bytes);
        const { reference } = await account.tokenFor(doomed);
        const { token } = await account.tokenFor(file);
        await account.controller.tokens.delete(token);
        await account.controller.files.deleteFile(doomed);
        for (const gone of [token.toTokenReference(world.backbone.url), reference]) {
            const body = { reference: gone.truncate() };
            assert.equal(await node.refused("POST", "/Files/Peer", { body, expected: 404 }), "error.runtime.recordNotFound");
        }
    });
});

describe("made by the node, opened by the library", () => {
    for (const size of SIZES) {
        test(`a file of ${size} bytes arrives unchanged`, async () => {
            const bytes = sampleBytes(size, "from the node");
            const file = await node.upload(bytes, { filename: AWKWARD_NAME, mimetype: "text/plain", title: "Títle", description: "D" });
            const token = await node.tokenFor(file.id);
            const opened = await account.openFileToken(token.reference.truncated);
            assert.ok(opened.bytes.equals(bytes));
            assert.equal(opened.file.filename, AWKWARD_NAME);
            assert.equal(opened.file.mimetype, "text/plain");
            assert.equal(opened.file.title, "Títle");
            assert.equal(opened.file.description, "D");
            assert.equal(opened.file.filesize, size);
            assert.equal(opened.file.owner.toString(), await node.address());
            assert.equal(opened.token.createdBy.toString(), await node.address());
        });
    }

    const bytes = sampleBytes(5000, "shared back");
    let file;

    before(async () => {
        file = await node.upload(bytes);
    });

    test("a file reference opens in both forms", async () => {
        assert.ok((await account.openFile(file.reference.truncated)).bytes.equals(bytes));
        assert.ok((await account.openFile(file.reference.url)).bytes.equals(bytes));
    });

    test("a plain token opens in both forms", async () => {
        const token = await node.tokenFor(file.id, { ephemeral: false });
        assert.ok((await account.openFileToken(token.reference.truncated)).bytes.equals(bytes));
        assert.ok((await account.openFileToken(token.reference.url)).bytes.equals(bytes));
    });

    test("a personalized token opens for the account and not for others", async () => {
        const token = await node.tokenFor(file.id, { forIdentity: account.address });
        const other = await library.account();
        await assert.rejects(other.openFileToken(token.reference.truncated), code("error.transport.general.notIntendedForYou"));
        assert.ok((await account.openFileToken(token.reference.truncated)).bytes.equals(bytes));
    });

    for (const [kind, password, passwordIsPin] of [["password", PASSWORD, undefined], ["PIN", PIN, true]]) {
        test(`a token protected by a ${kind} opens with it and only with it`, async () => {
            const { reference } = await node.tokenFor(file.id, { passwordProtection: { password, passwordIsPin } });
            await assert.rejects(account.openFileToken(reference.truncated), code("error.transport.noPasswordProvided"));
            await assert.rejects(account.openFileToken(reference.truncated, { password: "87654321" }), code("error.platform.recordNotFound"));
            assert.ok((await account.openFileToken(reference.url, { password })).bytes.equals(bytes));
        });
    }

    test("an arbitrary token content arrives as it was", async () => {
        const content = { text: "ä", list: [1, { two: [3.25, null] }], empty: {} };
        const token = await node.call("POST", "/Tokens/Own", { body: { content, expiresAt: inHours(1), ephemeral: true } });
        assert.deepEqual((await account.loadToken(token.reference.truncated)).content.toJSON(), content);
    });

    test("a file loaded from the account is shared again by the node", async () => {
        const first = await account.upload(bytes);
        const loaded = await node.loadFile((await account.tokenFor(first)).reference.truncate());
        const again = await node.tokenFor(loaded.id);
        const other = await library.account();
        assert.ok((await other.openFileToken(again.reference.truncated)).bytes.equals(bytes));
    });
});

function code(expected) {
    return (error) => {
        assert.equal(error.code, expected, error.message);
        return true;
    };
}
