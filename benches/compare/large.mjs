// Uploads and downloads one large file through a node and its backbone, checks the bytes, and prints rates and peak memory.
//
//   ENLACE_BIN=target/release/enlace node benches/compare/large.mjs [--mib 1024]

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";

import { scratch, startBackbone, startNode } from "../../tests/interop/lib/enlace.mjs";

const { values: options } = parseArgs({ options: { mib: { type: "string", default: "1024" } } });
const MIB = 1024 * 1024;
const mib = Number(options.mib);
const piece = Buffer.alloc(MIB, "What is large is not kept in memory. ");

const { dir, remove } = await scratch();
try {
    const backbone = await startBackbone(path.join(dir, "backbone"), ["--max-file-size", String(mib * MIB)]);
    const node = await startNode(path.join(dir, "node"), backbone.url, [`--transportLibrary:platformMaxUnencryptedFileSize=${mib * MIB}`]);
    try {
        const sent = createHash("sha256");
        const file = await timed("upload", () => upload(node, sent));
        const received = createHash("sha256");
        await timed("download", () => download(node, file.id, received));
        if (sent.digest("hex") !== received.digest("hex")) throw new Error("what arrived is not what was sent");
        for (const [name, { running }] of Object.entries({ node, backbone })) {
            console.log(`${name}: at most ${(peakKib(running.pid) / 1024).toFixed(1)} MiB resident`);
        }
    } finally {
        for (const { running } of [node, backbone]) await running.stop();
    }
} finally {
    await remove();
}

async function timed(name, job) {
    const began = performance.now();
    const result = await job();
    console.log(`${name}: ${(mib / ((performance.now() - began) / 1000)).toFixed(0)} MiB/s`);
    return result;
}

async function upload({ url, apiKey }, hash) {
    const boundary = "enlace-large-file";
    async function* form() {
        yield Buffer.from(`--${boundary}\r\ncontent-disposition: form-data; name="file"; filename="large.bin"\r\ncontent-type: application/octet-stream\r\n\r\n`);
        for (let index = 0; index < mib; index++) {
            piece.writeUInt32LE(index);
            hash.update(piece);
            yield Buffer.from(piece);
        }
        yield Buffer.from(`\r\n--${boundary}--\r\n`);
    }
    const headers = { "x-api-key": apiKey, "content-type": `multipart/form-data; boundary=${boundary}` };
    const answer = await fetch(`${url}/api/v2/Files/Own`, { method: "POST", headers, body: ReadableStream.from(form()), duplex: "half" });
    const { result, error } = await answer.json();
    if (error) throw new Error(`${error.code}: ${error.message}`);
    return result;
}

async function download({ url, apiKey }, id, hash) {
    const answer = await fetch(`${url}/api/v2/Files/${id}/Download`, { headers: { "x-api-key": apiKey } });
    if (!answer.ok) throw new Error(`download answered ${answer.status}: ${await answer.text()}`);
    for await (const chunk of answer.body) hash.update(chunk);
}

function peakKib(pid) {
    return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1]);
}
