// Idle cost: time from start to ready with existing data, and memory while idle.

import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import { CLIENT, startBackbone, startNode } from "../../tests/interop/lib/enlace.mjs";

/** How often a program is started; the median counts. */
const STARTS = 5;

/** Time left to a program before its memory is read, in milliseconds. */
const SETTLE_MS = 2000;

/** Rows for start to ready and idle memory of the library's process, our node and our backbone. */
export async function footprints(dir) {
    const data = path.join(dir, "backbone");
    await (await startBackbone(data)).running.stop();
    const backboneStarts = await starts(() => startBackbone(data));
    const backbone = await startBackbone(data);
    try {
        const node = await footprint(() => startNode(path.join(dir, "node"), backbone.url));
        const theirs = await footprint(() => startTheirs(path.join(dir, "theirs"), backbone.url));
        await sleep(SETTLE_MS);
        const backboneMemory = residentMib(backbone.running.pid);
        return [
            row("start to ready", "ms", theirs.start, node.start),
            row("idle resident memory", "MiB", theirs.memory, node.memory),
            { name: "backbone: start to ready", unit: "ms", ours: backboneStarts },
            { name: "backbone: idle resident memory", unit: "MiB", ours: backboneMemory },
        ];
    } finally {
        await backbone.running.stop();
    }
}

async function footprint(begin) {
    await (await begin()).running.stop();
    const start = await starts(begin);
    const { running } = await begin();
    await sleep(SETTLE_MS);
    const memory = residentMib(running.pid);
    await running.stop();
    return { start, memory };
}

async function starts(begin) {
    const times = [];
    for (let index = 0; index < STARTS; index++) {
        const { running } = await begin();
        times.push(running.startMs);
        await running.stop();
    }
    return times.sort((a, b) => a - b)[STARTS >> 1];
}

/** Starts a Node process with the published library and one account whose data lies in `dir`. */
async function startTheirs(dir, url) {
    const began = performance.now();
    const script = fileURLToPath(new URL("their-process.mjs", import.meta.url));
    const child = spawn(process.execPath, [script, dir, url, CLIENT.id, CLIENT.secret], { stdio: ["ignore", "pipe", "inherit"] });
    const ended = new Promise((resolve) => child.once("exit", resolve));
    await Promise.race([
        new Promise((resolve) => child.stdout.once("data", resolve)),
        ended.then((code) => Promise.reject(new Error(`the library's process ended with ${code}`))),
    ]);
    const stop = async () => {
        child.kill("SIGTERM");
        await ended;
    };
    return { running: { pid: child.pid, startMs: performance.now() - began, stop } };
}

function residentMib(pid) {
    return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1]) / 1024;
}

function row(name, unit, theirs, ours) {
    return { name, unit, theirs, ours, ratio: theirs / ours };
}
