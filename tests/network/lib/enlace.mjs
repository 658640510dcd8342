// `enlace` on hosts, as a person would start it: with its data in the home of that person.

import { createHash, randomBytes } from "node:crypto";
import { createReadStream, mkdirSync, openSync, writeSync, closeSync } from "node:fs";
import path from "node:path";

import { binary } from "../../interop/lib/enlace.mjs";
import { BACKBONE, RELAY } from "./networks.mjs";
import { PATIENCE_MS, Program } from "./programs.mjs";

const MIB = 1024 * 1024;

/** What nodes that use the backbone at BACKBONE are told of it. It has no certificate here. */
export const AT_BACKBONE = ["--backbone", `http://${BACKBONE}:4710`, "--client", "test:test", "--allow-plain-http"];

/** Longest wait for a file to arrive, in milliseconds; reached only if something hangs. */
const TRANSFER_MS = 90_000;

/** `enlace ARGS --json` on a host, running. */
export function enlace(host, args, options) {
    return new Program(host, binary(), [...args, "--json"], options);
}

/** A file of random bytes in the home of a host, and its hash. */
export async function sample(host, mib) {
    const file = path.join(host.home, "big.iso");
    const descriptor = openSync(file, "wx");
    for (let index = 0; index < mib; index++) writeSync(descriptor, randomBytes(MIB));
    closeSync(descriptor);
    return { file, bytes: mib * MIB, sha256: await hash(file) };
}

/** Runs the backbone at BACKBONE, with `options` of its command line. */
export async function backbone(host, options = []) {
    const args = ["backbone", "--listen", `${BACKBONE}:4710`, "--did-domain-name", "localhost", "--client", "test:test", "--max-file-size", String(1 << 30)];
    const program = enlace(host, [...args, ...options]);
    const { peer } = await announced(program);
    return { program, peer };
}

/** What makes a backbone on `address` a relay, too. */
export function relaying(address) {
    return ["--peer-listen", `/ip4/${address}/tcp/4001`, "--peer-listen", `/ip4/${address}/udp/4001/quic-v1`];
}

/** Runs a relay at RELAY; its peer id and addresses are in `peer`. */
export async function relay(host) {
    const program = enlace(host, ["backbone", "--listen", "127.0.0.1:4710", "--client", "test:test", ...relaying(RELAY)]);
    const { peer } = await announced(program);
    return { program, peer };
}

/** Shares a file on a host, and resolves with what the program says once receivers can load it. */
export async function share(host, { file }, options = []) {
    const program = enlace(host, ["share", file, ...options]);
    return { program, ...(await announced(program)) };
}

/** Receives on a host, and resolves with what the program says at the end. */
export async function receive(host, reference, options) {
    return receiving(host, reference, options).result({ within: TRANSFER_MS });
}

/** Begins to receive on a host. */
export function receiving(host, reference, options = []) {
    const inbox = path.join(host.home, "inbox");
    mkdirSync(inbox, { recursive: true });
    return enlace(host, ["receive", reference, ...options], { cwd: inbox });
}

/** Resolves with what a receiver says at the end. */
export function received(program) {
    return program.result({ within: TRANSFER_MS });
}

/** Resolves once a receiver has `part` of the file, a number between 0 and 1. */
export async function arrived(program, part) {
    return program.says(`${part * 100} % of the file`, (said) => said?.progress?.total && said.progress.bytes >= part * said.progress.total, { within: TRANSFER_MS });
}

/** The longest time in milliseconds in which nothing of the file arrived at a receiver, once something had. */
export function longestPause({ lines }) {
    const reports = lines.filter(({ said }) => said?.progress?.bytes > 0);
    const arrivals = reports.filter(({ said }, index) => index === 0 || said.progress.bytes > reports[index - 1].said.progress.bytes);
    return Math.max(...arrivals.slice(1).map(({ at }, index) => at - arrivals[index].at));
}

/** The SHA-256 of a file in hex. */
export async function hash(file) {
    const sum = createHash("sha256");
    for await (const piece of createReadStream(file, { highWaterMark: MIB })) sum.update(piece);
    return sum.digest("hex");
}

function announced(program) {
    return program.says("what it announces", (said) => typeof said === "object" && said, { source: "stdout", within: 2 * PATIENCE_MS });
}
