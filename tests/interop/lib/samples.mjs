// Bytes, names and dates that suites share.

import { createHash } from "node:crypto";

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
