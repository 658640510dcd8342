// The published connector SDK drives every Files, Tokens, Account, Challenges, IdentityMetadata and Monitoring function of a node.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { after, before, describe, test } from "node:test";

import { AWKWARD_NAME, inHours, isPng, sampleBytes, strangerTo } from "./lib/samples.mjs";
import { openWorld } from "./lib/world.mjs";

const { ConnectorClient } = createRequire(import.meta.url)("@nmshd/connector-sdk");

const ADDRESS = /^did:e:localhost:dids:[0-9a-f]{22}$/;
const UNKNOWN_FILE = "FIL" + "A".repeat(17);
const UNKNOWN_TOKEN = "TOK" + "A".repeat(17);

let world;
let own;
let peer;

before(async () => {
    world = await openWorld({ nodes: 2 });
    [own, peer] = world.nodes.map(({ url, apiKey }) => ConnectorClient.create({ baseUrl: url, apiKey }));
});

after(() => world?.close());

describe("account", () => {
    test("identity info names an address and a public key", async () => {
        const info = ok(await own.account.getIdentityInfo());
        assert.match(info.address, ADDRESS);
        const key = JSON.parse(Buffer.from(info.publicKey, "base64"));
        assert.equal(Buffer.from(key.pub, "base64url").length, 32);
        assert.equal(key.alg, 3);
    });

    test("sync answers nothing and leaves its time behind", async () => {
        const before = Date.now();
        assert.equal(ok(await own.account.sync()), undefined);
        const { lastSyncRun } = ok(await own.account.getSyncInfo());
        assert.ok(Date.parse(lastSyncRun.completedAt) >= before - 1000, lastSyncRun.completedAt);
    });
});

describe("files", () => {
    const bytes = sampleBytes(100_000, "sdk");
    let file;

    before(async () => {
        file = ok(await own.files.uploadOwnFile(upload(bytes, { title: "A title", description: "A description" })));
    });

    test("an upload answers the file as it was described", async () => {
        const { address } = ok(await own.account.getIdentityInfo());
        assert.match(file.id, /^FIL[A-Za-z0-9]{17}$/);
        assert.match(file.createdByDevice, /^DVC[A-Za-z0-9]{17}$/);
        assert.equal(file.createdBy, address);
        assert.equal(file.owner, address);
        assert.equal(file.filename, AWKWARD_NAME);
        assert.equal(file.filesize, bytes.length);
        assert.equal(file.title, "A title");
        assert.equal(file.description, "A description");
        assert.equal(file.mimetype, "text/plain");
        assert.equal(file.isOwn, true);
        assert.ok(file.ownershipToken);
        assert.ok(file.truncatedReference.startsWith("RklM"));
        assert.equal(file.reference.truncated, file.truncatedReference);
        assert.ok(file.reference.url.startsWith(`${world.backbone.url}/r/${file.id}#`));
    });

    test("a file is found by id, by truncated reference and by filter", async () => {
        assert.deepEqual(ok(await own.files.getFile(file.id)), file);
        assert.deepEqual(ok(await own.files.getFile(file.truncatedReference)), file);
        assert.deepEqual(ok(await own.files.getFile(encodeURIComponent(file.reference.url))), file);
        assert.deepEqual(ok(await own.files.getFiles({ filename: AWKWARD_NAME, isOwn: true })), [file]);
        assert.deepEqual(ok(await own.files.getOwnFiles({ title: ["A title", "another"] })), [file]);
        assert.deepEqual(ok(await own.files.getOwnFiles({ title: "!A title" })), []);
    });

    test("a download gives the bytes back", async () => {
        assert.ok(Buffer.from(ok(await own.files.downloadFile(file.id))).equals(bytes));
    });

    test("an empty file survives the round trip", async () => {
        const empty = ok(await own.files.uploadOwnFile(upload(Buffer.alloc(0))));
        assert.equal(empty.filesize, 0);
        const loaded = ok(await peer.files.loadPeerFile({ reference: empty.truncatedReference }));
        assert.equal(Buffer.from(ok(await peer.files.downloadFile(loaded.id))).length, 0);
    });

    test("a file and a token for it are shown as QR codes", async () => {
        assert.ok(isPng(ok(await own.files.getQrCodeForFile(file.id))));
        assert.ok(isPng(ok(await own.files.createTokenQrCodeForFile(file.id, { expiresAt: inHours(1) }))));
    });

    test("a token without options is ephemeral and lives as long as the file", async () => {
        const token = ok(await own.files.createTokenForFile(file.id));
        assert.equal(token.isEphemeral, true);
        assert.equal(token.expiresAt, file.expiresAt);
        assert.equal(token.content["@type"], "TokenContentFile");
        assert.equal(token.content.fileId, file.id);
        assert.ok(token.truncatedReference.startsWith("VE9L"));
        refused(await own.tokens.getToken(token.id), "error.runtime.recordNotFound");
    });

    test("a token that is not ephemeral is stored", async () => {
        const token = ok(await own.files.createTokenForFile(file.id, { ephemeral: false, expiresAt: inHours(2) }));
        assert.equal(token.isEphemeral, false);
        assert.deepEqual(ok(await own.tokens.getToken(token.id)), token);
    });

    test("a peer loads a file by token and by file reference, and lists it", async () => {
        const token = ok(await own.files.createTokenForFile(file.id, { expiresAt: inHours(1) }));
        const loaded = ok(await peer.files.loadPeerFile({ reference: token.truncatedReference }));
        assert.equal(loaded.id, file.id);
        assert.equal(loaded.isOwn, false);
        assert.equal(loaded.filename, AWKWARD_NAME);
        assert.equal(loaded.ownershipToken, undefined);
        assert.deepEqual(ok(await peer.files.loadPeerFile({ reference: file.reference.url })), loaded);
        assert.deepEqual(ok(await peer.files.getPeerFiles({ createdBy: file.createdBy, filename: AWKWARD_NAME, title: "A title" })), [loaded]);
        assert.ok(Buffer.from(ok(await peer.files.downloadFile(file.id))).equals(bytes));
    });

    test("a personalized token opens for its identity only", async () => {
        const { address } = ok(await peer.account.getIdentityInfo());
        const mine = ok(await own.files.createTokenForFile(file.id, { forIdentity: address }));
        assert.equal(mine.forIdentity, address);
        assert.equal(ok(await peer.files.loadPeerFile({ reference: mine.truncatedReference })).id, file.id);

        const other = ok(await own.files.createTokenForFile(file.id, { forIdentity: strangerTo(address) }));
        refused(await peer.files.loadPeerFile({ reference: other.truncatedReference }), "error.transport.general.notIntendedForYou");
    });

    test("a protected token asks for its password", async () => {
        const passwordProtection = { password: "correct horse" };
        const token = ok(await own.files.createTokenForFile(file.id, { passwordProtection }));
        assert.deepEqual(token.passwordProtection, passwordProtection);
        const reference = token.truncatedReference;
        refused(await peer.files.loadPeerFile({ reference }), "error.transport.noPasswordProvided");
        refused(await peer.files.loadPeerFile({ reference, password: "wrong" }), "error.runtime.recordNotFound");
        assert.equal(ok(await peer.files.loadPeerFile({ reference, password: "correct horse" })).id, file.id);
    });

    test("a PIN has to consist of digits", async () => {
        const pin = (password) => ({ passwordProtection: { password, passwordIsPin: true } });
        refused(await own.files.createTokenForFile(file.id, pin("12ab")), "error.runtime.validation.invalidPropertyValue");
        const token = ok(await own.files.createTokenForFile(file.id, pin("1234")));
        assert.equal(ok(await peer.files.loadPeerFile({ reference: token.truncatedReference, password: "1234" })).id, file.id);
    });

    test("mistakes have their documented codes", async () => {
        const invalid = "error.runtime.validation.invalidPropertyValue";
        refused(await own.files.createTokenForFile(UNKNOWN_FILE), "error.runtime.recordNotFound");
        refused(await own.files.createTokenForFile(file.id, { expiresAt: inHours(-1) }), invalid);
        refused(await own.files.createTokenForFile("FILtooShort"), invalid);
        refused(await own.files.getFile(UNKNOWN_FILE), "error.runtime.recordNotFound");
        refused(await own.files.downloadFile(UNKNOWN_FILE), "error.runtime.recordNotFound");
        refused(await own.files.loadPeerFile({ reference: "nonsense" }), invalid);
        refused(await own.files.uploadOwnFile(upload(bytes, { expiresAt: inHours(-1) })), invalid);
        refused(await own.files.getFiles({ unknownField: "x" }), invalid);
    });
});

describe("tokens", () => {
    const content = { aText: "ä", aNumber: 1.5, aList: [1, "two", null, { three: true }] };

    test("an own token keeps its content and is listed", async () => {
        const token = ok(await own.tokens.createOwnToken({ content, expiresAt: inHours(1) }));
        assert.match(token.id, /^TOK[A-Za-z0-9]{17}$/);
        assert.equal(token.isEphemeral, false);
        assert.deepEqual(token.content, content);
        assert.deepEqual(ok(await own.tokens.getToken(token.id)), token);
        assert.deepEqual(ok(await own.tokens.getOwnTokens({ expiresAt: token.expiresAt })), [token]);
        assert.ok(isPng(ok(await own.tokens.getQrCodeForToken(token.id))));
    });

    test("an ephemeral token opens for peers but is not kept", async () => {
        const token = ok(await own.tokens.createOwnToken({ content, expiresAt: inHours(1), ephemeral: true }));
        refused(await own.tokens.getToken(token.id), "error.runtime.recordNotFound");
        const loaded = ok(await peer.tokens.loadPeerToken({ reference: token.truncatedReference, ephemeral: true }));
        assert.deepEqual(loaded.content, content);
        refused(await peer.tokens.getToken(token.id), "error.runtime.recordNotFound");
    });

    test("a peer token that is not ephemeral is listed", async () => {
        const { address } = ok(await peer.account.getIdentityInfo());
        const token = ok(await own.tokens.createOwnToken({ content, expiresAt: inHours(1), forIdentity: address }));
        const loaded = ok(await peer.tokens.loadPeerToken({ reference: token.reference.url, ephemeral: false }));
        assert.equal(loaded.createdBy, token.createdBy);
        assert.equal(loaded.forIdentity, address);
        assert.deepEqual(ok(await peer.tokens.getPeerTokens({ createdBy: token.createdBy, forIdentity: address })), [loaded]);
    });

    test("a protected token asks for its password", async () => {
        const token = ok(await own.tokens.createOwnToken({ content, expiresAt: inHours(1), passwordProtection: { password: "p" } }));
        const reference = token.truncatedReference;
        refused(await peer.tokens.loadPeerToken({ reference, ephemeral: true }), "error.transport.noPasswordProvided");
        assert.deepEqual(ok(await peer.tokens.loadPeerToken({ reference, ephemeral: true, password: "p" })).content, content);
    });

    test("mistakes have their documented codes", async () => {
        const invalid = "error.runtime.validation.invalidPropertyValue";
        refused(await own.tokens.createOwnToken({ content }), invalid);
        refused(await own.tokens.createOwnToken({ content, expiresAt: inHours(-1) }), invalid);
        refused(await own.tokens.createOwnToken({ content: { "@type": "Unheard" }, expiresAt: inHours(1) }), "error.runtime.invalidTokenContent");
        refused(await own.tokens.getToken(UNKNOWN_TOKEN), "error.runtime.recordNotFound");
        refused(await own.tokens.getOwnTokens({ unknownField: "x" }), invalid);
        refused(await peer.tokens.loadPeerToken({ reference: "nonsense", ephemeral: true }), invalid);
    });
});

describe("challenges", () => {
    for (const challengeType of ["Identity", "Device"]) {
        test(`a challenge of type ${challengeType} is signed`, async () => {
            const challenge = ok(await own.challenges.createChallenge({ challengeType }));
            const { address } = ok(await own.account.getIdentityInfo());
            assert.match(challenge.id, /^CHL[A-Za-z0-9]{17}$/);
            assert.equal(challenge.type, challengeType);
            assert.equal(challenge.createdBy, address);
            const text = JSON.parse(challenge.challengeString);
            assert.equal(text.id, challenge.id);
            assert.equal(text.type, challengeType);
            assert.ok(challenge.signature);
        });
    }

    test("a challenge of a stranger is not found", async () => {
        const { challengeString, signature } = ok(await own.challenges.createChallenge({ challengeType: "Identity" }));
        refused(await peer.challenges.validateChallenge({ challengeString, signature }), "error.transport.recordNotFound");
    });

    test("mistakes have their documented codes", async () => {
        const invalid = "error.runtime.validation.invalidPropertyValue";
        const { signature } = ok(await own.challenges.createChallenge({ challengeType: "Identity" }));
        refused(await own.challenges.createChallenge({ challengeType: "Other" }), "error.runtime.validation.invalidPayload");
        refused(await own.challenges.createChallenge({ challengeType: "Relationship", relationship: "REL" + "A".repeat(17) }), "error.runtime.recordNotFound");
        refused(await own.challenges.validateChallenge({ challengeString: "{}", signature: "nonsense" }), invalid);
        refused(await own.challenges.validateChallenge({ challengeString: "nonsense", signature }), invalid);
    });
});

describe("identity metadata", () => {
    test("a note about an identity is written, read and deleted", async () => {
        const { address: reference } = ok(await own.account.getIdentityInfo());
        const written = ok(await own.identityMetadata.upsertIdentityMetadata({ reference, key: "note", value: { liked: true } }));
        assert.deepEqual(written, { reference, key: "note", value: { liked: true } });
        assert.deepEqual(ok(await own.identityMetadata.getIdentityMetadata(reference, "note")), written);
        assert.equal(ok(await own.identityMetadata.deleteIdentityMetadata(reference, "note")), undefined);
        refused(await own.identityMetadata.getIdentityMetadata(reference, "note"), "error.runtime.identityMetadata.notFound");
    });
});

describe("monitoring", () => {
    test("a node that reaches its backbone is healthy", async () => {
        const health = await own.monitoring.getHealth();
        assert.equal(health.isHealthy, true);
        assert.deepEqual(new Set(Object.values(health.services)), new Set(["healthy"]));
    });

    test("version, counters and support information are told", async () => {
        assert.equal(typeof (await own.monitoring.getVersion()).version, "string");
        const { requestCount, requestCountByStatus } = await own.monitoring.getRequests();
        assert.ok(requestCount > 0);
        assert.ok(requestCountByStatus["200"] > 0);
        const support = await own.monitoring.getSupport();
        const { address } = ok(await own.account.getIdentityInfo());
        assert.equal(support.identityInfo.address, address);
        assert.equal(support.health.isHealthy, true);
    });

    test("a wrong API key is refused", async () => {
        const stranger = ConnectorClient.create({ baseUrl: world.nodes[0].url, apiKey: "not-the-key" });
        refused(await stranger.account.getIdentityInfo(), "error.connector.unauthorized");
    });
});

function upload(bytes, fields = {}) {
    return { title: "", filename: AWKWARD_NAME, file: bytes, expiresAt: inHours(24), ...fields };
}

function ok(response) {
    assert.ok(response.isSuccess, response.isError ? `${response.error.code}: ${response.error.message}` : "");
    return response.result;
}

function refused(response, code) {
    assert.ok(response.isError, `expected ${code}, got ${JSON.stringify(response.isSuccess && response.result)}`);
    assert.equal(response.error.code, code, response.error.message);
    assert.match(response.error.id, /^ERR/);
}
