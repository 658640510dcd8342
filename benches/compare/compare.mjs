// Runs the same jobs with the published TypeScript transport and with our node, alternating on one backbone, and prints ratios.
//
//   ENLACE_BIN=target/release/enlace node benches/compare/compare.mjs [--rounds N] [--quick] [--json]
//
// The library is called directly and our node through its REST API, so ours includes one more HTTP round trip. Each figure is the
// median over the rounds. A round runs a job on one side and then on the other, so that other load affects both equally.

import path from "node:path";
import { parseArgs } from "node:util";

import { scratch, startBackbone, startNode, CLIENT } from "../../tests/interop/lib/enlace.mjs";
import { jobs } from "./jobs.mjs";
import { footprints } from "./footprint.mjs";
import { OurSide } from "./our-side.mjs";
import { TheirSide } from "./their-side.mjs";

const { values: options } = parseArgs({
    options: {
        rounds: { type: "string", default: "5" },
        quick: { type: "boolean", default: false },
        json: { type: "boolean", default: false },
    },
});

const { dir, remove } = await scratch();
try {
    const rows = [...(await ratesOfJobs(dir)), ...(await footprints(path.join(dir, "footprint")))];
    if (options.json) console.log(JSON.stringify(rows));
    else print(rows);
} finally {
    await remove();
}

async function ratesOfJobs(parent) {
    const backbone = await startBackbone(path.join(parent, "backbone"));
    const node = await startNode(path.join(parent, "node"), backbone.url);
    const peer = await startNode(path.join(parent, "peer"), backbone.url);
    const ours = await OurSide.open(node, peer);
    const theirs = await TheirSide.open({ url: backbone.url, client: CLIENT });
    try {
        const rows = [];
        for (const job of jobs(options.quick)) rows.push(await measure(job, ours, theirs));
        return rows;
    } finally {
        await theirs.close();
        ours.close();
        for (const { running } of [peer, node, backbone]) await running.stop();
    }
}

async function measure(job, ours, theirs) {
    const rates = { ours: [], theirs: [] };
    await rate(job, theirs, job.warmUp);
    await rate(job, ours, job.warmUp);
    for (let round = 0; round < Number(options.rounds); round++) {
        rates.theirs.push(await rate(job, theirs, job.theirCount));
        rates.ours.push(await rate(job, ours, job.ourCount));
        console.error(`${job.name}, round ${round + 1}: ${rates.theirs.at(-1).toFixed(1)} and ${rates.ours.at(-1).toFixed(1)} ${job.unit}`);
    }
    return row(job.name, job.unit, median(rates.theirs), median(rates.ours));
}

/** The rate of `side` in units per second, over `count` repetitions of a job. */
async function rate(job, side, count) {
    const prepared = await job.prepare?.(side, count);
    const began = performance.now();
    await job.run(side, count, prepared);
    return (count * job.unitsEach) / ((performance.now() - began) / 1000);
}

function row(name, unit, theirs, ours) {
    return { name, unit, theirs, ours, ratio: ours / theirs };
}

function median(numbers) {
    const sorted = [...numbers].sort((a, b) => a - b);
    const middle = sorted.length >> 1;
    return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function print(rows) {
    const figure = (number) => (number === undefined ? "-" : number >= 100 ? number.toFixed(0) : number.toFixed(1));
    const lines = [["job", "unit", "TypeScript", "enlace", "times better"]];
    for (const { name, unit, theirs, ours, ratio } of rows) lines.push([name, unit, figure(theirs), figure(ours), Number.isFinite(ratio) ? figure(ratio) : "-"]);
    const widths = lines[0].map((_, column) => Math.max(...lines.map((line) => line[column].length)));
    for (const line of lines) console.log(line.map((text, column) => (column < 2 ? text.padEnd(widths[column]) : text.padStart(widths[column]))).join("  "));
}
