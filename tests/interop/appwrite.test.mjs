// The published Appwrite SDK drives buckets, files, their contents and tokens at a node, with only endpoint, project and key changed.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";
import { after, before, describe, test } from "node:test";

import { scratch, startBackbone, startNode } from "./lib/enlace.mjs";
import { pngOf, pngSize, sampleBytes } from "./lib/samples.mjs";

const { AppwriteException, Client, ID, ImageFormat, ImageGravity, Permission, Query, Role, Storage, Tokens } = createRequire(import.meta.url)("node-appwrite");
const { InputFile } = createRequire(import.meta.url)("node-appwrite/file");

const PART = 5 * 1024 * 1024;
const READER = "READER_of_files_and_buckets_0123456789";
const LISTER = "LISTER_of_tokens_and_of_nothing_else_12";

let closers = [];
let admin;
let appwrite;
let storage;
let reader;
let guest;
/** Ends the node at once, as the system does when memory is short. */
let kill;
let restart;

before(async () => {
    const { dir, remove } = await scratch();
    closers.push(remove);
    const { running: backbone, url } = await startBackbone(path.join(dir, "backbone"));
    closers.push(() => backbone.stop());
    const keys = "--enlace:appwrite:keys:reader";
    const lister = "--enlace:appwrite:keys:lister";
    const options = [`${keys}:key=${READER}`, `${keys}:scopes=["files.read","buckets.read"]`, `${lister}:key=${LISTER}`, `${lister}:scopes=["tokens.read"]`];
    const begin = () => startNode(path.join(dir, "node"), url, options);
    let { running } = await begin();
    closers.push(() => running.stop());
    appwrite = running.announced.appwrite;
    restart = async () => {
        ({ running } = await begin());
        appwrite = running.announced.appwrite;
    };
    kill = () => running.kill();
    const key = (await readFile(appwrite.keyFile, "utf8")).trim();
    [storage, reader, guest] = [key, READER, undefined].map((key) => client(key));
    admin = key;
});

after(async () => {
    for (const close of closers.reverse()) await close();
});

function client(key, Service = Storage) {
    const client = new Client().setEndpoint(appwrite.endpoint).setProject(appwrite.project);
    return new Service(key === undefined ? client : client.setKey(key));
}

/** Asks for a content without any key, as somebody does who was given a URL. */
function content(file, token, { endpoint = "download", headers = {}, method = "GET" } = {}) {
    const url = new URL(`${appwrite.endpoint}/storage/buckets/shared/files/${file}/${endpoint}`);
    url.searchParams.set("project", appwrite.project);
    if (token !== undefined) url.searchParams.set("token", token);
    return fetch(url, { headers, method });
}

async function told(response) {
    const body = await response.json();
    assert.equal(body.code, response.status);
    return [response.status, body.type];
}

async function refuses(promise, code, type) {
    await assert.rejects(promise, (error) => {
        assert.ok(error instanceof AppwriteException, String(error));
        assert.deepEqual([error.code, error.type], [code, type], error.message);
        return true;
    });
}

describe("buckets", () => {
    test("are created, read, listed, replaced and deleted", async () => {
        const created = await storage.createBucket({ bucketId: "b1", name: "First", permissions: [Permission.read(Role.any())] });
        assert.equal(created.maximumFileSize, 30_000_000);
        assert.deepEqual(created.$permissions, ['read("any")']);
        assert.deepEqual(await storage.getBucket({ bucketId: "b1" }), created);
        await storage.createBucket({ bucketId: ID.unique(), name: "Second", enabled: false });
        const list = await storage.listBuckets({ queries: [Query.equal("name", "First"), Query.limit(5)] });
        assert.deepEqual([list.total, list.buckets.map((bucket) => bucket.$id)], [1, ["b1"]]);
        assert.equal((await storage.listBuckets({ total: false })).total, 0);
        const updated = await storage.updateBucket({ bucketId: "b1", name: "New", fileSecurity: true });
        assert.deepEqual([updated.name, updated.fileSecurity, updated.$permissions], ["New", true, ['read("any")']]);
        assert.equal((await storage.listBuckets({ search: "Sec" })).total, 1);
        await storage.deleteBucket({ bucketId: "b1" });
        await refuses(storage.getBucket({ bucketId: "b1" }), 404, "storage_bucket_not_found");
    });

    test("need scopes and valid arguments", async () => {
        await refuses(guest.listBuckets(), 401, "general_unauthorized_scope");
        await refuses(reader.createBucket({ bucketId: "x", name: "x" }), 401, "general_unauthorized_scope");
        await reader.listBuckets();
        await refuses(storage.createBucket({ bucketId: "no/id", name: "x" }), 400, "general_argument_invalid");
        await refuses(storage.listBuckets({ queries: [Query.equal("nothing", "x")] }), 400, "general_argument_invalid");
        const stranger = new Storage(new Client().setEndpoint(appwrite.endpoint).setProject("other"));
        await refuses(stranger.listBuckets(), 404, "project_not_found");
    });
});

describe("files", () => {
    before(() => storage.createBucket({ bucketId: "docs", name: "Docs" }));

    test("of one request are uploaded, changed and deleted", async () => {
        const text = Buffer.from("some text");
        const file = await storage.createFile({ bucketId: "docs", fileId: "f1", file: InputFile.fromBuffer(text, 'a "b".txt'), permissions: [Permission.read(Role.any())] });
        assert.deepEqual([file.name, file.mimeType, file.sizeOriginal], ['a "b".txt', "text/plain", 9]);
        assert.equal(file.signature, createHash("md5").update(text).digest("hex"));
        assert.deepEqual(file.$permissions, ['read("any")']);
        assert.deepEqual(await reader.getFile({ bucketId: "docs", fileId: "f1" }), file);
        const changed = await storage.updateFile({ bucketId: "docs", fileId: "f1", name: "c.txt" });
        assert.deepEqual([changed.name, changed.$permissions], ["c.txt", ['read("any")']]);
        const listed = await storage.listFiles({ bucketId: "docs", queries: [Query.startsWith("name", "c"), Query.orderDesc("$createdAt")] });
        assert.deepEqual([listed.total, listed.files[0].$id], [1, "f1"]);
        assert.equal(Buffer.from(await storage.getFileView({ bucketId: "docs", fileId: "f1" })).toString(), "some text");
        await refuses(storage.createFile({ bucketId: "docs", fileId: "f1", file: InputFile.fromBuffer(text, "a.txt") }), 409, "storage_file_already_exists");
        await storage.deleteFile({ bucketId: "docs", fileId: "f1" });
        await refuses(storage.deleteFile({ bucketId: "docs", fileId: "f1" }), 404, "storage_file_not_found");
    });

    test("of many parts are uploaded in parallel and come back as they were", async () => {
        const bytes = sampleBytes(4 * PART + 12_345, "appwrite");
        const progress = [];
        const onProgress = (step) => progress.push(step.chunksUploaded);
        const file = await storage.createFile({ bucketId: "docs", fileId: ID.unique(), file: InputFile.fromBuffer(bytes, "big.bin"), onProgress });
        assert.deepEqual([file.chunksUploaded, file.chunksTotal, file.sizeActual], [5, 5, bytes.length]);
        assert.equal(progress.length, 5);
        const back = Buffer.from(await storage.getFileDownload({ bucketId: "docs", fileId: file.$id }));
        assert.ok(back.equals(bytes));
    });

    test("too large, of other types, or not permitted are refused", async () => {
        await storage.createBucket({ bucketId: "small", name: "Small", maximumFileSize: 4, allowedFileExtensions: ["txt"] });
        const upload = (as, content, name) => as.createFile({ bucketId: "small", fileId: ID.unique(), file: InputFile.fromBuffer(Buffer.from(content), name) });
        await refuses(upload(storage, "12345", "a.txt"), 400, "storage_invalid_file_size");
        await refuses(upload(storage, "1234", "a.exe"), 400, "storage_file_type_unsupported");
        await refuses(upload(guest, "1234", "a.txt"), 401, "user_unauthorized");
        await refuses(upload(reader, "1234", "a.txt"), 401, "general_unauthorized_scope");
        await refuses(guest.getFileView({ bucketId: "small", fileId: "x" }), 401, "user_unauthorized");
    });
});

describe("previews", () => {
    const upload = (fileId, content, name) => storage.createFile({ bucketId: "images", fileId, file: InputFile.fromBuffer(content, name) });

    before(async () => {
        await storage.createBucket({ bucketId: "images", name: "Images", permissions: [Permission.read(Role.any())] });
        await upload("photo", pngOf(640, 400, [200, 100, 0]), "photo.png");
    });

    test("have the size, the frame and the format that are asked for", async () => {
        const preview = (parameters) => guest.getFilePreview({ bucketId: "images", fileId: "photo", ...parameters });
        assert.deepEqual(pngSize(await preview({})), [640, 400]);
        assert.deepEqual(pngSize(await preview({ width: 300, height: 100, gravity: ImageGravity.Topleft })), [300, 100]);
        assert.deepEqual(pngSize(await preview({ width: 200, height: 80, borderWidth: 5, borderColor: "f02e65" })), [210, 90]);
        const all = { width: 300, height: 100, borderRadius: 50, opacity: 0.5, output: ImageFormat.Png };
        for (const rotation of [45, -315]) assert.deepEqual(pngSize(await preview({ ...all, rotation })), [284, 284]);
        const jpeg = Buffer.from(await preview({ width: 10, quality: 80, background: "eceff1", output: ImageFormat.Jpg }));
        assert.equal(jpeg.subarray(0, 3).toString("hex"), "ffd8ff");
        for (const output of [ImageFormat.Heic, ImageFormat.Avif]) await refuses(preview({ output }), 400, "general_argument_invalid");
        await refuses(preview({ width: 4001 }), 400, "general_argument_invalid");
    });

    test("are for whoever presents a token, too", async () => {
        await storage.createBucket({ bucketId: "private", name: "Private" });
        await storage.createFile({ bucketId: "private", fileId: "photo", file: InputFile.fromBuffer(pngOf(640, 400, [200, 100, 0]), "photo.png") });
        const token = await client(admin, Tokens).createFileToken({ bucketId: "private", fileId: "photo" });
        const all = { bucketId: "private", fileId: "photo", width: 300, height: 100, borderRadius: 50, opacity: 0.5, rotation: 45, output: ImageFormat.Png };
        assert.deepEqual(pngSize(await guest.getFilePreview({ ...all, token: token.secret })), [284, 284]);
        await refuses(guest.getFilePreview(all), 401, "user_unauthorized");
        await refuses(guest.getFilePreview({ ...all, token: `${token.secret}x` }), 401, "token_invalid");
    });

    test("of files that are no images are icons, and those of damaged and enormous images are refused", async () => {
        const preview = (fileId) => storage.getFilePreview({ bucketId: "images", fileId, output: ImageFormat.Png });
        await upload("text", Buffer.from("some text"), "notes.txt");
        assert.deepEqual(pngSize(await preview("text")), [512, 512]);
        await upload("wide", pngOf(60_000, 1, [0, 0, 0]), "wide.png");
        await refuses(preview("wide"), 400, "storage_image_resolution_exceeded");
        await upload("cut", pngOf(64, 64, [0, 0, 0]).subarray(0, 50), "cut.png");
        await refuses(preview("cut"), 400, "storage_file_type_unsupported");
        await refuses(preview("none"), 404, "storage_file_not_found");
    });

    test("are kept, but not for another file under the same id", async () => {
        const { endpoint, project } = appwrite;
        const get = () => fetch(`${endpoint}/storage/buckets/images/files/again/preview?width=20&project=${project}`);
        const cache = async (answer) => [answer.headers.get("x-appwrite-cache"), Buffer.from(await answer.arrayBuffer()).toString("base64")];
        await upload("again", pngOf(40, 40, [255, 0, 0]), "a.png");
        const [first, red] = await cache(await get());
        assert.deepEqual([first, await cache(await get())], ["miss", ["hit", red]]);
        await storage.deleteFile({ bucketId: "images", fileId: "again" });
        assert.equal((await get()).status, 404);
        await upload("again", pngOf(40, 40, [0, 0, 255]), "a.png");
        const [second, blue] = await cache(await get());
        assert.deepEqual([second, blue === red], ["miss", false]);
        await storage.updateBucket({ bucketId: "images", name: "Images", permissions: [Permission.read(Role.any())], transformations: false });
        await refuses(guest.getFilePreview({ bucketId: "images", fileId: "again" }), 403, "storage_bucket_transformations_disabled");
    });
});

test("guests write up to a limit", async () => {
    const { endpoint, project } = appwrite;
    const url = `${endpoint}/storage/buckets/none/files/none`;
    const answers = [];
    for (let count = 0; count < 150 && answers.at(-1)?.status !== 429; count++) answers.push(await fetch(url, { method: "DELETE", headers: { "x-appwrite-project": project } }));
    assert.ok(answers.length > 60, `${answers.length}`);
    const refused = answers.at(-1);
    assert.equal((await refused.json()).type, "general_rate_limit_exceeded");
    assert.deepEqual(["limit", "remaining"].map((name) => refused.headers.get(`x-ratelimit-${name}`)), ["60", "0"]);
    await refuses(guest.deleteFile({ bucketId: "none", fileId: "none" }), 429, "general_rate_limit_exceeded");
    await refuses(storage.deleteFile({ bucketId: "none", fileId: "none" }), 404, "storage_bucket_not_found");
});

describe("tokens", () => {
    const text = "some text that a stranger may read";
    const inDays = (days) => new Date(Date.now() + days * 24 * 60 * 60 * 1000).toISOString();
    const create = (expire, file = "f") => client(admin, Tokens).createFileToken({ bucketId: "shared", fileId: file, expire });
    const list = (queries) => client(admin, Tokens).list({ bucketId: "shared", fileId: "f", queries });
    /** What the SDK has no word for. */
    const api = async (method, path, body) => {
        const headers = { "x-appwrite-project": appwrite.project, "x-appwrite-key": admin, "content-type": "application/json" };
        const response = await fetch(`${appwrite.endpoint}${path}`, { method, headers, body: JSON.stringify(body ?? {}) });
        return response.json();
    };
    const counted = (maxDownloads) => api("POST", "/tokens/buckets/shared/files/f", { maxDownloads });

    before(async () => {
        await storage.createBucket({ bucketId: "shared", name: "Shared", fileSecurity: true });
        for (const fileId of ["f", "g"]) await storage.createFile({ bucketId: "shared", fileId, file: InputFile.fromBuffer(Buffer.from(text), "a.txt") });
    });

    test("are created, listed, read, changed and deleted", async () => {
        const tokens = client(admin, Tokens);
        const created = await create(inDays(1));
        assert.deepEqual([created.resourceId, created.resourceType, created.accessedAt], ["shared:f", "files", ""]);
        assert.ok(created.secret.length > 0 && created.secret.length <= 512);
        assert.deepEqual(await tokens.get({ tokenId: created.$id }), created);
        const endless = await create();
        assert.equal(endless.expire, "");
        const { total, tokens: listed } = await list([Query.isNotNull("expire"), Query.orderAsc("expire"), Query.limit(5)]);
        assert.deepEqual([total, listed], [1, [created]]);
        assert.deepEqual((await list([Query.isNull("expire")])).tokens, [endless]);
        assert.deepEqual((await list([Query.cursorAfter(created.$id)])).tokens, [endless]);
        const later = await tokens.update({ tokenId: created.$id, expire: inDays(30) });
        assert.deepEqual([later.secret, later.expire > created.expire], [created.secret, true]);
        assert.equal((await tokens.update({ tokenId: created.$id })).expire, "");
        assert.equal((await tokens.update({ tokenId: created.$id, expire: "" })).expire, "");
        for (const expire of ["2020-01-01", "yesterday"]) {
            await refuses(create(expire), 400, "general_argument_invalid");
            await refuses(tokens.update({ tokenId: created.$id, expire }), 400, "general_argument_invalid");
        }
        await refuses(tokens.list({ bucketId: "shared", fileId: "none" }), 404, "storage_file_not_found");
        for (const { $id } of [created, endless]) await tokens.delete({ tokenId: $id });
        await refuses(tokens.delete({ tokenId: created.$id }), 404, "token_not_found");
        await refuses(tokens.get({ tokenId: created.$id }), 404, "token_not_found");
    });

    test("are for keys with their scopes", async () => {
        const token = await create();
        const [lister, reader, guest] = [LISTER, READER, undefined].map((key) => client(key, Tokens));
        assert.equal((await lister.get({ tokenId: token.$id })).secret, "");
        for (const tokens of [lister, reader, guest]) {
            await refuses(tokens.createFileToken({ bucketId: "shared", fileId: "f" }), 401, "general_unauthorized_scope");
            await refuses(tokens.update({ tokenId: token.$id }), 401, "general_unauthorized_scope");
            await refuses(tokens.delete({ tokenId: token.$id }), 401, "general_unauthorized_scope");
        }
        for (const tokens of [reader, guest]) await refuses(tokens.list({ bucketId: "shared", fileId: "f" }), 401, "general_unauthorized_scope");
        assert.ok((await lister.list({ bucketId: "shared", fileId: "f" })).total > 0);
    });

    test("open their file for whoever presents the secret", async () => {
        const [token, other] = [await create(inDays(1)), await create(undefined, "g")];
        assert.equal((await content("f")).status, 404);
        const view = await content("f", token.secret, { endpoint: "view" });
        assert.deepEqual([view.status, view.headers.get("content-disposition"), await view.text()], [200, 'inline; filename="a.txt"', text]);
        const ranges = { "bytes=0-9": [206, 10], "bytes=0-": [206, text.length], "bytes=-4": [206, 4], "bytes=4": [416, undefined] };
        for (const [range, [status, length]] of Object.entries(ranges)) {
            const part = await content("f", token.secret, { headers: { range } });
            assert.deepEqual([part.status, length && (await part.arrayBuffer()).byteLength], [status, length], range);
        }
        for (const headers of [{ "x-file-token": token.secret }, { authorization: `Bearer ${token.secret}` }]) {
            assert.equal(await (await content("f", undefined, { headers })).text(), text);
        }
        const forged = `${token.$id}.${other.secret.split(".")[1]}`;
        for (const wrong of [token.secret.slice(0, -1), forged, "x", "x".repeat(2000)]) {
            assert.deepEqual(await told(await content("f", wrong)), [401, "token_invalid"]);
            assert.deepEqual(await told(await content("f", undefined, { headers: { "x-file-token": wrong } })), [401, "token_invalid"]);
            assert.deepEqual(await told(await content("f", undefined, { headers: { authorization: `Bearer ${wrong}` } })), [401, "token_invalid"]);
        }
        assert.deepEqual(await told(await content("f", other.secret)), [401, "user_unauthorized"]);
        const used = await client(admin, Tokens).get({ tokenId: token.$id });
        assert.notEqual(used.accessedAt, "");
        await client(admin, Tokens).delete({ tokenId: token.$id });
        assert.deepEqual(await told(await content("f", token.secret)), [401, "token_invalid"]);
        await refuses(storage.getFileDownload({ bucketId: "shared", fileId: "f", token: other.secret }), 401, "user_unauthorized");
        assert.equal(Buffer.from(await guest.getFileDownload({ bucketId: "shared", fileId: "g", token: other.secret })).toString(), text);
    });

    test("with a limit are used by claims, and never by looking", async () => {
        const token = await counted(1);
        const now = () => client(admin, Tokens).get({ tokenId: token.$id });
        await refuses(guest.getFileDownload({ bucketId: "shared", fileId: "f", token: token.secret }), 409, "token_claim_required");
        const browser = { accept: "text/html,application/xhtml+xml,*/*;q=0.8" };
        for (const agent of ["Mozilla/5.0", "Slackbot-LinkExpanding 1.0", "WhatsApp/2", "facebookexternalhit/1.1"]) {
            const page = await content("f", token.secret, { headers: { ...browser, "user-agent": agent } });
            assert.match(await page.text(), /<form method="post"/);
            assert.equal((await content("f", token.secret, { headers: { "user-agent": agent }, method: "HEAD" })).status, 200);
        }
        assert.deepEqual([(await now()).downloads, (await now()).remaining], [0, 1]);
        const attempts = await Promise.all(Array.from({ length: 64 }, () => content("f", token.secret, { headers: { "x-claim": "auto" } })));
        const got = attempts.filter(({ status }) => status === 200);
        assert.deepEqual([got.length, await got[0].text()], [1, text]);
        for (const attempt of attempts.filter(({ status }) => status !== 200)) assert.deepEqual(await told(attempt), [409, "token_exhausted"]);
        assert.deepEqual([(await now()).downloads, (await now()).status], [1, "exhausted"]);
    });

    test("with a limit keep it when the node is killed while it sends", async () => {
        const bytes = sampleBytes(24 * 1024 * 1024, "killed");
        await storage.createFile({ bucketId: "shared", fileId: "big", file: InputFile.fromBuffer(bytes, "big.bin") });
        const token = await api("POST", "/tokens/buckets/shared/files/big", { maxDownloads: 1 });
        const ask = () => content("big", token.secret, { headers: { "x-claim": "auto" } });
        const attempts = await Promise.all(Array.from({ length: 64 }, ask));
        const [got, ...others] = attempts.filter(({ status }) => status === 200);
        assert.equal(others.length, 0);
        await got.body.getReader().read();
        await kill();
        await restart();
        assert.deepEqual(await told(await ask()), [409, "token_exhausted"]);
        const after = await client(admin, Tokens).get({ tokenId: token.$id });
        assert.deepEqual([after.downloads, after.remaining], [1, 0]);
    });
});
