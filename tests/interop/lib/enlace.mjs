// Starts the programs under test as a person would: by their command line, reading the one JSON line each prints once it serves.

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

/** OAuth client that every backbone started here knows. */
export const CLIENT = { id: "test", secret: "test" };

/** Longest wait for the JSON line, in milliseconds; the first start makes an identity. */
const START_TIMEOUT_MS = 60_000;

/** Longest wait between the polite and the impolite signal, in milliseconds. */
const STOP_TIMEOUT_MS = 10_000;

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));

/** Path of the binary: ENLACE_BIN, else what cargo last built. */
export function binary() {
    if (process.env.ENLACE_BIN) return path.resolve(process.env.ENLACE_BIN);
    const built = ["release", "debug"].map((profile) => path.join(ROOT, "target", profile, "enlace"));
    const found = built.find(existsSync);
    if (!found) throw new Error("no enlace binary: run `cargo build --workspace --bins` or set ENLACE_BIN");
    return found;
}

/** A running `enlace` process and the line that it announced itself with. */
export class Running {
    /** @param {import("node:child_process").ChildProcess} child */
    constructor(child, announced, startMs) {
        this.child = child;
        this.announced = announced;
        /** Milliseconds from spawn to the announcement. */
        this.startMs = startMs;
    }

    get pid() {
        return this.child.pid;
    }

    /** Ends the process without asking it and resolves once it has ended. */
    async kill() {
        const ended = new Promise((resolve) => this.child.once("exit", resolve));
        this.child.kill("SIGKILL");
        await ended;
    }

    /** Asks the process to end and resolves once it has. */
    async stop() {
        if (this.child.exitCode !== null || this.child.signalCode !== null) return;
        const ended = new Promise((resolve) => this.child.once("exit", resolve));
        this.child.kill("SIGTERM");
        const impolite = setTimeout(() => this.child.kill("SIGKILL"), STOP_TIMEOUT_MS);
        await ended;
        clearTimeout(impolite);
    }
}

/** Runs `enlace ARGS` and resolves with its announcement; rejects with what it said on stderr if it ends before. */
export function start(args) {
    const began = performance.now();
    const child = spawn(binary(), args, { stdio: ["ignore", "pipe", "pipe"] });
    return new Promise((resolve, reject) => {
        let out = "";
        let talk = "";
        const fail = (why) => {
            clearTimeout(timer);
            child.kill("SIGKILL");
            reject(new Error(`enlace ${args[0]}: ${why}\n${talk}`));
        };
        const timer = setTimeout(() => fail("did not announce itself in time"), START_TIMEOUT_MS);
        child.once("error", (error) => fail(error.message));
        child.once("exit", (code, signal) => fail(`ended with ${signal ?? code} before it served`));
        child.stderr.on("data", (chunk) => (talk = (talk + chunk).slice(-8192)));
        child.stdout.on("data", (chunk) => {
            out += chunk;
            const end = out.indexOf("\n");
            if (end < 0) return;
            clearTimeout(timer);
            child.removeAllListeners("exit");
            child.stdout.removeAllListeners("data").resume();
            resolve(new Running(child, JSON.parse(out.slice(0, end)), performance.now() - began));
        });
    });
}

/** Runs `enlace ARGS` to its end and resolves with the one JSON line of its result; rejects with what it said on stderr if it fails. */
export async function run(args) {
    const child = spawn(binary(), args, { stdio: ["ignore", "pipe", "pipe"] });
    let out = "";
    let talk = "";
    child.stdout.on("data", (chunk) => (out += chunk));
    child.stderr.on("data", (chunk) => (talk = (talk + chunk).slice(-8192)));
    const code = await new Promise((resolve, reject) => child.once("close", resolve).once("error", reject));
    if (code !== 0) throw new Error(`enlace ${args[0]} ended with ${code}\n${talk}`);
    return JSON.parse(out);
}

/** Starts a backbone over `dataDir` on a free port, with further `options` of its command line. */
export async function startBackbone(dataDir, options = []) {
    const running = await start([
        "backbone", "--listen", "127.0.0.1:0", "--data-dir", dataDir,
        "--did-domain-name", "localhost", "--client", `${CLIENT.id}:${CLIENT.secret}`, "--json", ...options,
    ]);
    return { running, url: running.announced.url };
}

/** Starts a node over `dataDir` on free ports, talking to the backbone at `backboneUrl`, with further `options` of its command line. */
export async function startNode(dataDir, backboneUrl, options = []) {
    const running = await start([
        "serve", "--listen", "127.0.0.1:0", "--data-dir", dataDir,
        "--backbone", backboneUrl, "--client", `${CLIENT.id}:${CLIENT.secret}`, "--json", ...peers(options), ...options,
    ]);
    const { identity, rest } = running.announced;
    const apiKey = (await readFile(rest.apiKeyFile, "utf8")).trim();
    return { running, url: rest.url, apiKey, address: identity.address };
}

/** Peers reach nodes that are started here on loopback only, unless `options` say something else. */
function peers(options) {
    const isSaid = ["--peer-listen", "--no-direct"].some((option) => options.includes(option));
    return isSaid ? [] : ["--peer-listen", "/ip4/127.0.0.1/tcp/0", "--no-mdns"];
}

/** Makes the node over `dataDir` a device of the identity whose device handed out `sharedSecret` (a JSON text), before its first start. */
export async function onboard(dataDir, backboneUrl, sharedSecret) {
    const child = spawn(example("second_device"), [backboneUrl, CLIENT.id, CLIENT.secret, dataDir], { stdio: ["pipe", "ignore", "pipe"] });
    let talk = "";
    child.stderr.on("data", (chunk) => (talk += chunk));
    child.stdin.end(sharedSecret);
    const code = await new Promise((resolve, reject) => child.once("exit", resolve).once("error", reject));
    if (code !== 0) throw new Error(`second_device ended with ${code}\n${talk}`);
}

/** Path of an example of the runtime, which `cargo test` builds. */
function example(name) {
    const built = path.join(process.env.ENLACE_EXAMPLES ?? path.join(ROOT, "target", "debug", "examples"), name);
    if (!existsSync(built)) throw new Error(`no example ${built}: run \`cargo build --workspace --examples\` or set ENLACE_EXAMPLES`);
    return built;
}

/** A scratch directory and a way to be rid of it. */
export async function scratch() {
    const dir = await mkdtemp(path.join(tmpdir(), "enlace-interop-"));
    return { dir, remove: () => rm(dir, { recursive: true, force: true }) };
}
