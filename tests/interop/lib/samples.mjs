// Bytes, names and dates that suites share.

import { createHash } from "node:crypto";
import { deflateSync } from "node:zlib";

/** `length` bytes that look random and are the same in each run for the same `seed`. */
export function sampleBytes(length, seed = "enlace") {
    const blocks = [];
    for (let index = 0; index * 64 < length; index++) blocks.push(createHash("sha512").update(`${seed}/${index}`).digest());
    return Buffer.concat(blocks).subarray(0, length);
}

/** A file name that breaks whoever mixes up bytes, characters and code units. */
export const AWKWARD_NAME = "Ärger & 100 % – 🗝️ (1).txt";

/** An address that nobody has, with a right check byte and other last four characters than `address`. */
export function strangerTo(address) {
    for (let attempt = 0; ; attempt++) {
        const body = "did:e:localhost:dids:" + createHash("sha256").update(`${address}/${attempt}`).digest("hex").slice(0, 20);
        const stranger = body + createHash("sha256").update(body).digest("hex").slice(0, 2);
        if (stranger.slice(-4) !== address.slice(-4)) return stranger;
    }
}

/** ISO text of the instant `hours` from now. */
export function inHours(hours) {
    return new Date(Date.now() + hours * 3_600_000).toISOString();
}

/** Whether `bytes` begin as a PNG does. */
export function isPng(bytes) {
    return Buffer.from(bytes).subarray(0, 8).equals(Buffer.from("89504e470d0a1a0a", "hex"));
}

/** A PNG image in one colour. */
export function pngOf(width, height, [red, green, blue]) {
    const row = Buffer.concat([Buffer.of(0), ...Array.from({ length: width }, () => Buffer.of(red, green, blue))]);
    const rows = deflateSync(Buffer.concat(Array.from({ length: height }, () => row)));
    const head = Buffer.alloc(13);
    head.writeUInt32BE(width, 0);
    head.writeUInt32BE(height, 4);
    head.set([8, 2], 8);
    return Buffer.concat([Buffer.from("89504e470d0a1a0a", "hex"), chunk("IHDR", head), chunk("IDAT", rows), chunk("IEND", Buffer.alloc(0))]);
}

/** Width and height of a PNG image. */
export function pngSize(bytes) {
    const image = Buffer.from(bytes);
    if (!isPng(image)) throw new Error("these bytes are no PNG image");
    return [image.readUInt32BE(16), image.readUInt32BE(20)];
}

function chunk(type, data) {
    const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(data.length);
    const checksum = Buffer.alloc(4);
    checksum.writeUInt32BE(crc32(body));
    return Buffer.concat([length, body, checksum]);
}

/** The checksum of PNG (section 5.5 of its specification), which `node:zlib` has in newer versions only. */
function crc32(bytes) {
    let crc = ~0;
    for (const byte of bytes) {
        crc ^= byte;
        for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (0xedb88320 & -(crc & 1));
    }
    return ~crc >>> 0;
}
