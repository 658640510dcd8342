// Transfers a file directly from one program to another on loopback, with enlace and with other programs, alternating, and prints their
// rates side by side, with what a connection without encryption and files carries. Then what enlace needs for it: time and memory.
//
//   ENLACE_BIN=target/release/enlace node benches/compare/direct.mjs [--mib 1024] [--rounds 3] [--only PATTERN] [--json]
//
// Time is that of the processors, per GiB, at both ends: it depends less than the rate on what else runs. Of the memory, what the peak
// has beside the pages of files (its program, mostly) stands in parentheses.
//
// Ours is `share --direct-only` and `receive`, over TCP and over QUIC. `sendme` (a Rust package) is found by SENDME or PATH, without
// relays; `wormhole` (magic-wormhole of PyPI, with a mailbox server and a transit relay on this machine, both from `twist` beside it) by
// WORMHOLE or PATH. What is not installed is skipped, and said. All of them verify what arrives, and it is compared once more here.
//
// "ready" is the time from the start of the sending program until a receiver can begin; the rate counts from the start of the
// receiving program to its end. Through the far line, a proxy with a round trip of 60 ms, all goes over TCP. Each figure is the median
// over the rounds; the best one is printed beside it. `--only` leaves out transfers whose place and name do not match, and what comes after them.

import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { binary, run, scratch, start, startBackbone, startNode, CLIENT } from "../../tests/interop/lib/enlace.mjs";
import { RestNode } from "../../tests/interop/lib/rest.mjs";
import { FarLine } from "./far-line.mjs";
import { freePort, has, serve } from "./programs.mjs";
import { MIB, fill, hash, readyMemory } from "./sample-file.mjs";
import { median, printTable } from "./table.mjs";

const { values: options } = parseArgs({
    options: {
        mib: { type: "string", default: "1024" },
        rounds: { type: "string", default: "3" },
        only: { type: "string" },
        json: { type: "boolean", default: false },
    },
});
const mib = Number(options.mib);
const rounds = Number(options.rounds);
const SENDME = process.env.SENDME ?? "sendme";
const WORMHOLE = process.env.WORMHOLE ?? "wormhole";
const PEERS = process.env.ENLACE_PEERS ?? path.join(path.dirname(binary()), "peers");
const BARE_TCP = fileURLToPath(new URL("bare-tcp.mjs", import.meta.url));

/** Round trip of the far line, in milliseconds. */
const ROUND_TRIP_MS = 60;

/** Peers that are connected and do nothing. */
const IDLE_PEERS = 200;

/** Of the clock of `/proc`, in a second. */
const TICKS = 100;

/** Time left to a program before its memory is read, in milliseconds. */
const SETTLE_MS = 2000;

const { dir, remove } = await scratch();
const servers = [];
try {
    const plain = path.join(dir, "plain.bin");
    await fill(plain, mib);
    const wanted = await hash(plain);
    const only = options.only && new RegExp(options.only);
    const sides = (await programs(plain)).filter(({ where, name }) => !only || only.test(`${where}, ${name}`));
    const results = new Map(sides.map((side) => [side, { ready: [], rate: [], memory: [], own: [], cpu: [] }]));
    for (let round = 0; round < rounds; round++) {
        for (const side of round % 2 ? sides.toReversed() : sides) await once(side, results.get(side), wanted);
    }
    const needs = only ? [] : [...(await firstBytes(plain)), ...(await idleMemory())];
    print(sides, results, needs);
} finally {
    for (const stop of servers.reverse()) await stop();
    await remove();
}

/** All that is measured: `ready` answers what `receive` takes; `receive` the file that arrived, if there is one. */
async function programs(plain) {
    const sides = [
        { where: "loopback", name: "enlace, tcp", ...ours(plain, "/ip4/127.0.0.1/tcp/0") },
        { where: "loopback", name: "enlace, quic", ...ours(plain, "/ip4/127.0.0.1/udp/0/quic-v1") },
    ];
    if (installed("sendme", SENDME)) sides.push({ where: "loopback", name: "sendme", ...sendme(plain) });
    if (installed("magic-wormhole", WORMHOLE)) sides.push({ where: "loopback", name: "magic-wormhole", ...(await wormhole(plain)) });
    if (installed("a bare libp2p stream", PEERS)) {
        for (const carrier of ["tcp", "tcp-noise", "quic"]) sides.push({ where: "loopback", name: `bare libp2p stream, ${carrier}`, ...bareStream(carrier) });
    }
    sides.push({ where: "loopback", name: "bare TCP connection", ...bareTcp() });
    sides.push({ where: "far line", name: "enlace, tcp", ...ours(plain, "/ip4/127.0.0.1/tcp/0", ROUND_TRIP_MS) });
    if (has(PEERS)) sides.push({ where: "far line", name: "bare libp2p stream, tcp", ...bareStream("tcp", ROUND_TRIP_MS) });
    sides.push({ where: "far line", name: "bare TCP connection", ...bareTcp(ROUND_TRIP_MS) });
    return sides;
}

function ours(plain, listen, roundTripMs) {
    const again = path.join(dir, "again.bin");
    const identity = (who) => ["--data-dir", path.join(dir, who), "--json"];
    return {
        async ready() {
            const sharing = await start(["share", plain, "--direct-only", "--no-mdns", "--peer-listen", listen, "--listen", "127.0.0.1:0", ...identity("sender")]);
            const { reference, peer } = sharing.announced;
            if (!roundTripMs) return { sharing, reference };
            const line = await FarLine.to(tcpPort(peer.addresses), roundTripMs);
            return { sharing, line, reference: redirected(reference, tcpPort(peer.addresses), line.port) };
        },
        async receive({ sharing, line, reference }, result) {
            // As a person does it: with --json it computes the SHA-256 of the file, too.
            const receiving = measured(binary(), ["receive", reference, "--max-size", "1T", "--output", again, "--data-dir", path.join(dir, "receiver")]);
            const by = /^Path +(.*)$/m.exec(await receiving.out)?.[1];
            if (by !== "direct (lan)") throw new Error(`it came by ${by}`);
            if (line && line.carried < mib * MIB) throw new Error(`only ${line.carried} bytes came through the far line`);
            note(result, usage(sharing.pid), receiving.peak());
            return again;
        },
        async stop({ sharing, line }) {
            await sharing.stop();
            await line?.close();
        },
    };
}

/** The port of the one TCP address. */
function tcpPort(addresses) {
    return Number(addresses.map((address) => /^\/ip4\/127\.0\.0\.1\/tcp\/(\d+)/.exec(address)?.[1]).find(Boolean));
}

/** A reference with another port in its addresses, which are in binary form (`docs/peer-protocols.md`, section 10.1). */
function redirected(reference, from, to) {
    const url = new URL(reference);
    const direct = Buffer.from(url.searchParams.get("direct"), "base64url");
    const [old, other] = [from, to].map((port) => Buffer.from([0x04, 127, 0, 0, 1, 0x06, port >> 8, port & 0xff]));
    const at = direct.indexOf(old);
    if (at < 0) throw new Error(`port ${from} is not in the addresses of ${reference}`);
    other.copy(direct, at);
    return reference.replace(url.searchParams.get("direct"), direct.toString("base64url"));
}

function sendme(plain) {
    const inbox = path.join(dir, "sendme");
    return {
        async ready() {
            const args = ["send", "--relay", "disabled", "--ticket-type", "addresses", "--magic-ipv4-addr", "127.0.0.1:0", "--no-progress", plain];
            const sending = spawn(SENDME, args, { cwd: dir, stdio: ["ignore", "pipe", "inherit"] });
            const ticket = await said(sending, /sendme receive (\S+)/);
            return { sending, ticket };
        },
        async receive({ ticket, sending }, result) {
            mkdirSync(inbox);
            const receiving = measured(SENDME, ["receive", "--relay", "disabled", "--no-progress", ticket], inbox);
            await receiving.out;
            note(result, usage(sending.pid), receiving.peak());
            return path.join(inbox, path.basename(plain));
        },
        async stop({ sending }) {
            await ended(sending, "SIGINT");
            await rm(inbox, { recursive: true });
        },
    };
}

async function wormhole(plain) {
    const again = path.join(dir, "again.bin");
    const twist = existsSync(WORMHOLE) ? path.join(path.dirname(WORMHOLE), "twist") : "twist";
    const [mailbox, transit] = [await freePort(), await freePort()];
    const endpoint = (port) => `tcp:${port}:interface=127.0.0.1`;
    await serve(servers, twist, ["wormhole-mailbox", "--port", endpoint(mailbox), "--channel-db", path.join(dir, "mailbox.sqlite")], mailbox);
    await serve(servers, twist, ["transitrelay", "--port", endpoint(transit)], transit);
    const common = ["--relay-url", `ws://127.0.0.1:${mailbox}/v1`, "--transit-helper", `tcp:127.0.0.1:${transit}`];
    let number = 0;
    return {
        async ready() {
            const code = `${++number}-not-secret`;
            const sending = spawn(WORMHOLE, [...common, "send", "--hide-progress", "--no-qr", "--code", code, plain], { stdio: ["ignore", "pipe", "pipe"] });
            await Promise.any([said(sending, /wormhole receive/), said(sending, /wormhole receive/, "stderr")]);
            return { sending, code };
        },
        async receive({ sending, code }, result) {
            const receiving = measured(WORMHOLE, [...common, "receive", "--hide-progress", "--accept-file", "--output-file", again, code]);
            const sender = watchPeak(sending);
            await receiving.out;
            note(result, sender(), receiving.peak());
            return again;
        },
        stop: ({ sending }) => ended(sending),
    };
}

function bareStream(carrier, roundTripMs) {
    return {
        async ready() {
            const sending = spawn(PEERS, ["send", "--mib", String(mib), "--carrier", carrier], { stdio: ["ignore", "pipe", "inherit"] });
            const { peer, address } = JSON.parse(await said(sending, /(.*)\n/));
            if (!roundTripMs) return { sending, peer, address };
            const line = await FarLine.to(tcpPort([address]), roundTripMs);
            return { sending, line, peer, address: `/ip4/127.0.0.1/tcp/${line.port}` };
        },
        receive: async ({ peer, address }) => JSON.parse(await measured(PEERS, ["fetch", "--peer", peer, address]).out),
        async stop({ sending, line }) {
            await ended(sending);
            await line?.close();
        },
    };
}

function bareTcp(roundTripMs) {
    return {
        async ready() {
            const sending = spawn(process.execPath, [BARE_TCP, "send", String(mib)], { stdio: ["ignore", "pipe", "inherit"] });
            const port = Number(await said(sending, /"port":(\d+)/));
            return { sending, port, line: roundTripMs && (await FarLine.to(port, roundTripMs)) };
        },
        async receive({ port, line }) {
            return JSON.parse(await measured(process.execPath, [BARE_TCP, "fetch", String(line?.port ?? port)]).out);
        },
        async stop({ sending, line }) {
            await ended(sending);
            await line?.close();
        },
    };
}

/** One transfer, compared with what was sent. */
async function once(side, result, wanted) {
    await readyMemory(dir, mib);
    const began = performance.now();
    const sending = await side.ready();
    const ready = performance.now();
    const sender = sending.sharing ?? sending.sending;
    result.before = sender && usage(sender.pid)?.seconds;
    const got = await side.receive(sending, result);
    let seconds = (performance.now() - ready) / 1000;
    if (typeof got === "string") {
        result.ready.push((ready - began) / 1000);
        if ((await hash(got)) !== wanted) throw new Error(`${side.name} brought another file`);
        await rm(got);
    } else {
        if (got.bytes !== mib * MIB) throw new Error(`${side.name} brought ${got.bytes} bytes`);
        seconds = got.seconds;
    }
    await side.stop(sending);
    result.rate.push((mib * MIB) / 1e6 / seconds);
    console.error(`${side.where}, ${side.name}: ${result.rate.at(-1).toFixed(0)} MB/s`);
}

/** Times from asking to the first byte. */
async function firstBytes(plain) {
    const identity = (who) => ["--data-dir", path.join(dir, who), "--json"];
    const listen = ["--peer-listen", "/ip4/127.0.0.1/tcp/0", "--peer-listen", "/ip4/127.0.0.1/udp/0/quic-v1"];
    const sharing = await start(["share", plain, "--direct-only", "--no-mdns", ...listen, "--listen", "127.0.0.1:0", ...identity("sender")]);
    const cold = async (who) => {
        const began = performance.now();
        const child = spawn(binary(), ["receive", sharing.announced.reference, "--max-size", "1T", "--output", "-", ...identity(who)], { stdio: ["ignore", "pipe", "pipe"] });
        let talk = "";
        child.stderr.on("data", (piece) => (talk = (talk + piece).slice(-8192)));
        await new Promise((resolve, reject) => child.stdout.once("data", resolve).once("end", () => reject(new Error(`nothing came: ${talk}`))));
        const took = performance.now() - began;
        child.stdout.destroy();
        await ended(child);
        return took;
    };
    const [fresh, again] = [[], []];
    for (let index = 0; index < 3 + rounds; index++) {
        fresh.push(await cold(`fresh-${index}`));
        again.push(await cold("receiver"));
    }
    await sharing.stop();
    return [
        need("first byte of `receive`, first time", "ms", fresh),
        need("first byte of `receive`", "ms", again),
        need("first byte of a download once connected", "ms", await connected()),
    ];
}

/** A node that listens for peers on loopback. */
function peerNode(who, backbone) {
    const peers = ["--peer-listen", "/ip4/127.0.0.1/tcp/0", "--no-mdns", "--enlace:peers:loopbackAddresses=true"];
    return startNode(path.join(dir, who), backbone, peers);
}

/** Times from the request for a file to its first byte, at a node that is connected to the one that shares it. */
async function connected() {
    const backbone = await startBackbone(path.join(dir, "backbone"));
    const nodes = [await peerNode("owner", backbone.url), await peerNode("reader", backbone.url)];
    try {
        const [owner, reader] = nodes.map(({ url, apiKey }) => new RestNode(url, apiKey));
        const times = [];
        for (let index = 0; index < 3 + rounds; index++) {
            const file = await owner.upload(Buffer.alloc(MIB, index), { filename: `${index}.bin` });
            const { id } = await reader.loadFile((await owner.tokenFor(file.id)).reference.url);
            const began = performance.now();
            const answer = await reader.raw("GET", `/Files/${id}/Download`);
            await answer.body.getReader().read();
            times.push(performance.now() - began);
            const by = answer.headers.get("x-enlace-path");
            if (by !== "lan") throw new Error(`the download came by ${by}`);
        }
        return times;
    } finally {
        for (const { running } of [...nodes, backbone]) await running.stop();
    }
}

/** Memory of a node that does nothing. */
async function idleMemory() {
    const backbone = await startBackbone(path.join(dir, "backbone"));
    const settled = async ({ running }) => {
        await sleep(SETTLE_MS);
        return residentMib(running.pid);
    };
    const off = await startNode(path.join(dir, "off"), backbone.url, ["--no-direct"]);
    const on = await peerNode("idle", backbone.url);
    try {
        const [without, alone] = [await settled(off), await settled(on)];
        const rows = [need("idle node without peers", "MiB", [without]), need("idle node", "MiB", [alone])];
        if (!installed("idle peers", PEERS)) return rows;
        const { self } = await connectivity(on);
        const idle = spawn(PEERS, ["idle", "--count", String(IDLE_PEERS), "--peer", self.id, ...self.addresses], { stdio: ["pipe", "pipe", "inherit"] });
        await said(idle, /"connected":(\d+)/);
        const many = await settled(on);
        idle.stdin.end();
        const open = Number(await said(idle, /"stillConnected":(\d+)/));
        if (open !== IDLE_PEERS) throw new Error(`${open} of ${IDLE_PEERS} peers stayed connected`);
        return [...rows, need(`${IDLE_PEERS} idle peers`, "MiB", [many - alone])];
    } finally {
        for (const { running } of [off, on, backbone]) await running.stop();
    }
}

/** What a node says of its peers. */
async function connectivity({ url, apiKey }) {
    const answer = await fetch(`${url}/api/enlace/v1/Peers`, { headers: { "x-api-key": apiKey } });
    if (!answer.ok) throw new Error(`a node does not tell its peers: ${await answer.text()}`);
    const { result, ...plain } = await answer.json();
    return result ?? plain;
}

/** A program that runs to its end: `out` is what it printed, `peak` the memory that it took. */
function measured(program, args, cwd = dir) {
    const child = spawn(program, args, { cwd, stdio: ["ignore", "pipe", "pipe"] });
    let [out, talk] = ["", ""];
    child.stdout.on("data", (piece) => (out += piece));
    child.stderr.on("data", (piece) => (talk = (talk + piece).slice(-8192)));
    const peak = watchPeak(child);
    const closed = new Promise((resolve, reject) => child.once("close", resolve).once("error", reject));
    const end = closed.then((code) => {
        if (code !== 0) throw new Error(`${program} ${args[0]} ended with ${code}\n${talk}`);
        return out;
    });
    return { out: end, peak };
}

/** Reads what a program has used again and again, until it has ended; answers how to ask for the last. */
function watchPeak(child) {
    let last = { peak: 0, own: 0, seconds: 0 };
    const timer = setInterval(() => (last = usage(child.pid) ?? last), 25);
    child.once("close", () => clearInterval(timer));
    return () => last;
}

/** What `pattern` finds in the output of a program, as soon as it is there. */
function said(child, pattern, source = "stdout") {
    return new Promise((resolve, reject) => {
        let text = "";
        child[source].on("data", (piece) => {
            text += piece;
            const found = pattern.exec(text);
            if (found) resolve(found[1]);
        });
        child.once("close", () => reject(new Error(`a program ended before it said ${pattern}: ${text}`))).once("error", reject);
    });
}

async function ended(child, signal = "SIGTERM") {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const end = new Promise((resolve) => child.once("exit", resolve));
    child.kill(signal);
    await end;
}

function installed(name, tool) {
    const found = has(tool);
    if (!found) console.error(`skipped: ${name}, because ${tool} is not installed`);
    return found;
}

/** What a process has used: the peak of its memory in MiB, the same without pages of files, and seconds of processors; nothing if it has ended. */
function usage(pid) {
    const [peak, files] = [statusMib(pid, "VmHWM"), statusMib(pid, "RssFile")];
    if (peak === undefined || files === undefined) return undefined;
    try {
        const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ");
        return { peak, own: peak - files, seconds: (Number(fields[11]) + Number(fields[12])) / TICKS };
    } catch {
        return undefined;
    }
}

/** Notes what both ends have used. */
function note(result, sender, receiver) {
    result.memory.push([sender.peak, receiver.peak]);
    result.own.push([sender.own, receiver.own]);
    result.cpu.push([sender.seconds - (result.before ?? 0), receiver.seconds]);
}

function residentMib(pid) {
    return statusMib(pid, "VmRSS");
}

/** A member of the status of a process, in MiB; nothing if it has ended. */
function statusMib(pid, member) {
    try {
        const kib = new RegExp(`${member}:\\s+(\\d+) kB`).exec(readFileSync(`/proc/${pid}/status`, "utf8"));
        return kib ? Number(kib[1]) / 1024 : undefined;
    } catch {
        return undefined;
    }
}

function need(name, unit, values) {
    return { name, unit, median: median(values), best: Math.min(...values) };
}

function print(sides, results, needs) {
    const rows = sides.map((side) => {
        const { ready, rate, memory, own, cpu } = results.get(side);
        const first = results.get(sides.find(({ where }) => where === side.where));
        const ends = (values, choose) => (values.length ? [0, 1].map((end) => choose(values.map((both) => both[end]))) : []);
        const [sender, receiver] = ends(memory, (values) => Math.max(...values));
        const [senderOwn, receiverOwn] = ends(own, (values) => Math.max(...values));
        const [senderCpu, receiverCpu] = ends(cpu, median).map((seconds) => (seconds * 1024) / mib);
        const { where, name } = side;
        return { where, name, ready: ready.length ? median(ready) : undefined, rate: median(rate), best: Math.max(...rate), ratio: median(rate) / median(first.rate), sender, receiver, senderOwn, receiverOwn, senderCpu, receiverCpu };
    });
    if (options.json) return console.log(JSON.stringify({ rates: rows, needs }));
    const number = (value, digits) => (value === undefined ? "" : value.toFixed(digits));
    const memory = (all, own) => (all === undefined ? "" : `${number(all, 0)} (${number(own, 0)})`);
    printTable(
        [
            ["where", "program", "ready s", "MB/s", "best", "/enlace", "sender s/GiB", "receiver", "sender MiB", "receiver MiB"],
            ...rows.map((row) => [
                row.where,
                row.name,
                number(row.ready, 2),
                number(row.rate, 0),
                number(row.best, 0),
                number(row.ratio, 2),
                number(row.senderCpu, 2),
                number(row.receiverCpu, 2),
                memory(row.sender, row.senderOwn),
                memory(row.receiver, row.receiverOwn),
            ]),
        ],
        2,
    );
    console.log();
    printTable([["enlace needs", "unit", "median", "best"], ...needs.map(({ name, unit, median, best }) => [name, unit, median.toFixed(1), best.toFixed(1)])], 2);
}
