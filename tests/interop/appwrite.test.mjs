// The published Appwrite SDK drives buckets, files and their contents at a node, with only endpoint, project and key changed.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";
import { after, before, describe, test } from "node:test";

import { scratch, startBackbone, startNode } from "./lib/enlace.mjs";
import { pngOf, pngSize, sampleBytes } from "./lib/samples.mjs";

const { AppwriteException, Client, ID, ImageFormat, ImageGravity, Permission, Query, Role, Storage } = createRequire(import.meta.url)("node-appwrite");
const { InputFile } = createRequire(import.meta.url)("node-appwrite/file");

const PART = 5 * 1024 * 1024;
const READER = "READER_of_files_and_buckets_0123456789";

let closers = [];
let appwrite;
let storage;
let reader;
let guest;

before(async () => {
    const { dir, remove } = await scratch();
    closers.push(remove);
    const { running: backbone, url } = await startBackbone(path.join(dir, "backbone"));
    closers.push(() => backbone.stop());
    const keys = "--enlace:appwrite:keys:reader";
    const { running } = await startNode(path.join(dir, "node"), url, [`${keys}:key=${READER}`, `${keys}:scopes=["files.read","buckets.read"]`]);
    closers.push(() => running.stop());
    appwrite = running.announced.appwrite;
    const key = (await readFile(appwrite.keyFile, "utf8")).trim();
    [storage, reader, guest] = [key, READER, undefined].map(client);
});

after(async () => {
    for (const close of closers.reverse()) await close();
});

function client(key) {
    const client = new Client().setEndpoint(appwrite.endpoint).setProject(appwrite.project);
    return new Storage(key === undefined ? client : client.setKey(key));
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
