// The file that is transferred, and its hash.

import { createHash, randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, rm } from "node:fs/promises";
import path from "node:path";

export const MIB = 1024 * 1024;

/** Random bytes, so that nothing can be compressed or found twice. */
export async function fill(file, mib) {
    const handle = await open(file, "wx");
    for (let index = 0; index < mib; index++) await handle.write(randomBytes(MIB));
    await handle.sync();
    await handle.close();
}

export async function hash(file) {
    const sum = createHash("sha256");
    for await (const piece of createReadStream(file, { highWaterMark: MIB })) sum.update(piece);
    return sum.digest("hex");
}

/** Leaves memory that is ready to be used for files: getting it first is slow in virtual machines, and would count for whoever is next. */
export async function readyMemory(dir, mib) {
    const file = path.join(dir, "memory.bin");
    const handle = await open(file, "w");
    const piece = Buffer.alloc(MIB);
    for (let index = 0; index < 3 * mib; index++) await handle.write(piece);
    await handle.close();
    await rm(file);
}
