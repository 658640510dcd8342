// Previews of a photo of 12 megapixels, by a node over HTTP and by sharp in its own process, alternating, side by side.
//
//   npm ci --prefix benches/compare
//   ENLACE_BIN=target/release/enlace node benches/compare/preview.mjs [--rounds 10] [--json]
//
// Both get the same JPEG image and make a JPEG preview of it with the same size and quality. Ours also fetches the content from a backbone, verifies
// and decrypts it, and answers over loopback; each round asks for another width, so that no preview is kept from before, and then once more for what is
// kept. sharp is a binding of libvips, which is written in C and decodes JPEG images at the size that is needed; it gets the bytes in memory, and one
// thread. Each figure is the median over the rounds; the best one is printed beside it.

import { readFile } from "node:fs/promises";
import path from "node:path";
import { parseArgs } from "node:util";

import sharp from "sharp";

import { scratch, startBackbone, startNode } from "../../tests/interop/lib/enlace.mjs";
import { median, printTable } from "./table.mjs";

const { values: options } = parseArgs({ options: { rounds: { type: "string", default: "10" }, json: { type: "boolean", default: false } } });
const rounds = Number(options.rounds);
const [WIDTH, HEIGHT] = [4000, 3000];
const QUALITY = 80;
/** Bytes of a part of an upload. */
const PART = 5 * 1024 * 1024;

sharp.concurrency(1);
sharp.cache(false);

const { dir, remove } = await scratch();
const closers = [remove];
try {
    const photo = await sample();
    const { running: backbone, url } = await startBackbone(path.join(dir, "backbone"));
    closers.push(() => backbone.stop());
    const node = await startNode(path.join(dir, "node"), url);
    closers.push(() => node.running.stop());
    const preview = await uploaded(node.running.announced.appwrite, photo);
    const [rendered, kept, theirs] = [[], [], []];
    for (let round = 0; round < rounds; round++) {
        const width = 400 + round;
        const ours = async () => {
            rendered.push(await timed(() => preview(width, "miss")));
            kept.push(await timed(() => preview(width, "hit")));
        };
        const other = async () => theirs.push(await timed(() => sharp(photo).resize(width, 300, { fit: "cover" }).jpeg({ quality: QUALITY }).toBuffer()));
        for (const side of round % 2 ? [other, ours] : [ours, other]) await side();
    }
    print(photo, { "enlace, rendered": rendered, "enlace, kept": kept, "sharp, one thread": theirs });
} finally {
    for (const close of closers.reverse()) await close();
}

/** Soft shapes with grain, so that it compresses about as a photo does. */
async function sample() {
    const pixels = Buffer.alloc(WIDTH * HEIGHT * 3);
    let grain = 1;
    for (let y = 0, at = 0; y < HEIGHT; y++) {
        for (let x = 0; x < WIDTH; x++) {
            grain = (Math.imul(grain, 1_664_525) + 1_013_904_223) >>> 0;
            const noise = grain >>> 29;
            const [across, down] = [x / WIDTH, y / HEIGHT];
            for (const frequency of [5, 7, 11]) {
                pixels[at++] = 100 + 70 * Math.sin(frequency * (across * across + down)) + 40 * Math.cos(9 * frequency * across * down) + noise;
            }
        }
    }
    return sharp(pixels, { raw: { width: WIDTH, height: HEIGHT, channels: 3 } }).jpeg({ quality: 90 }).toBuffer();
}

/** Uploads the photo, and answers how to ask for its previews. */
async function uploaded({ endpoint, project, keyFile }, photo) {
    const headers = { "x-appwrite-project": project, "x-appwrite-key": (await readFile(keyFile, "utf8")).trim() };
    const ask = async (method, where, body, more = {}) => {
        const answer = await fetch(`${endpoint}/storage/buckets${where}`, { method, headers: { ...headers, ...more }, body });
        if (!answer.ok) throw new Error(`${method} ${where}: ${answer.status} ${await answer.text()}`);
        return answer;
    };
    await ask("POST", "", JSON.stringify({ bucketId: "bench", name: "Bench" }), { "content-type": "application/json" });
    for (let start = 0; start < photo.length; start += PART) {
        const part = photo.subarray(start, start + PART);
        const form = new FormData();
        form.set("fileId", "photo");
        form.set("file", new Blob([part]), "photo.jpg");
        const range = photo.length > PART ? { "content-range": `bytes ${start}-${start + part.length - 1}/${photo.length}` } : {};
        await ask("POST", "/bench/files", form, range);
    }
    return async (width, expected) => {
        const answer = await ask("GET", `/bench/files/photo/preview?width=${width}&height=300&quality=${QUALITY}&output=jpg`);
        const cache = answer.headers.get("x-appwrite-cache");
        if (cache !== expected) throw new Error(`the preview is a ${cache}, not a ${expected}`);
        return answer.arrayBuffer();
    };
}

async function timed(work) {
    const began = performance.now();
    await work();
    return performance.now() - began;
}

function print(photo, times) {
    const figures = Object.entries(times).map(([name, all]) => ({ name, median: median(all), best: Math.min(...all) }));
    if (options.json) return console.log(JSON.stringify({ bytes: photo.length, rounds, figures }));
    console.log(`\nPreview of 400x300 of a photo of ${WIDTH}x${HEIGHT}, ${(photo.length / (1 << 20)).toFixed(1)} MiB, in ms:\n`);
    const beside = figures.at(-1).median;
    const rows = figures.map(({ name, median, best }) => [name, median.toFixed(1), best.toFixed(1), (median / beside).toFixed(2)]);
    printTable([["side", "median", "best", "/sharp"], ...rows], 1);
}
