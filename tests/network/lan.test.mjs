// Files between two hosts of one LAN, without a backbone that both can reach.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { afterEach, beforeEach, test } from "node:test";

import { arrived, hash, receive, receiving, sample, share } from "./lib/enlace.mjs";
import { Network } from "./lib/namespaces.mjs";
import { oneLan, oneLanBehindNat } from "./lib/networks.mjs";
import { skipReason } from "./lib/requirement.mjs";

const skip = skipReason();

/** Words of codes, one of which no code has twice. */
const WORDS = readFileSync(new URL("../../transport/src/peer/code/words.txt", import.meta.url), "utf8").split(/\s+/).filter(Boolean);

/** Longest wait for a file although an interface is dead, in milliseconds: nobody waits for its time-outs. */
const DESPITE_DEAD_INTERFACE_MS = 10_000;

let network;

beforeEach(() => {
    if (!skip) network = new Network();
});
afterEach(() => network?.close());

async function assertArrived(result, file, expected) {
    assert.equal(await hash(result.savedTo), file.sha256);
    assert.equal(result.sha256, file.sha256);
    assert.equal(result.path, expected, JSON.stringify(result.paths));
}

test("nothing is configured: the file goes straight across", { skip }, async () => {
    const { sender, receiver } = oneLan(network);
    const file = await sample(sender, 32);
    const { reference, peer } = await share(sender, file);
    assert.match(peer.id, /^12D3KooW/);
    assert.ok(peer.addresses.some((address) => address.startsWith("/ip4/192.168.1.10/")), JSON.stringify(peer));
    await assertArrived(await receive(receiver, reference), file, "lan");
});

test("a code is typed on the other host", { skip }, async () => {
    const { sender, receiver } = oneLan(network);
    const file = await sample(sender, 4);
    const { code } = await share(sender, file, ["--code"]);
    assert.match(code, /^[1-9]\d{0,2}-[a-z]+-[a-z]+$/);
    await assertArrived(await receive(receiver, code), file, "lan");
});

test("one wrong guess burns a code", { skip }, async () => {
    const { sender, receiver } = oneLan(network);
    const file = await sample(sender, 1);
    const { code, reference, peer, program } = await share(sender, file, ["--code"]);
    const [number, first, second] = code.split("-");
    const wrong = [number, first, WORDS.find((word) => word !== first && word !== second)].join("-");
    const refused = receiving(receiver, wrong);
    assert.notEqual((await refused.ends()).code, 0);
    assert.equal((await program.says("what became of the code", (said) => said?.code?.end && said.code)).end, "burned");
    // It is asked for there only, so that nobody waits for others to be found.
    const late = receiving(receiver, code, ["--no-mdns", ...peer.addresses.flatMap((address) => ["--peer-address", `${address}/p2p/${peer.id}`])]);
    assert.notEqual((await late.ends()).code, 0);
    await late.says("that nobody has the code", (said) => said?.error?.code === "error.runtime.codes.notFound");
    // The reference goes on to work.
    await assertArrived(await receive(receiver, reference), file, "lan");
});

test("no backbone and no way out: the file is sealed from its source as it is asked for", { skip }, async () => {
    const { router, sender, receiver } = oneLanBehindNat(network, "cone");
    router.pull("wan");
    const file = await sample(sender, 32);
    const { reference } = await share(sender, file, ["--direct-only"]);
    await assertArrived(await receive(receiver, reference), file, "lan");
    const kept = Number(execFileSync("du", ["--summarize", "--block-size=1", sender.home], { encoding: "utf8" }).split("\t")[0]);
    assert.ok(kept < 1.25 * file.bytes, `${kept} bytes are in the home of the sender, whose file has ${file.bytes}`);
});

test("a code and no backbone", { skip }, async () => {
    const { sender, receiver } = oneLan(network);
    const file = await sample(sender, 4);
    const { code } = await share(sender, file, ["--direct-only", "--code"]);
    await assertArrived(await receive(receiver, code), file, "lan");
});

test("a LAN has IPv6 only", { skip }, async () => {
    const { sender, receiver } = oneLan(network, "ipv6");
    const file = await sample(sender, 4);
    const { reference, code, peer } = await share(sender, file, ["--code"]);
    assert.ok(peer.addresses.length > 0 && peer.addresses.every((address) => address.startsWith("/ip6/")), JSON.stringify(peer));
    await assertArrived(await receive(receiver, reference), file, "lan");
    await assertArrived(await receive(receiver, code, ["--output", "by-code.iso"]), file, "lan");
});

test("hosts have interfaces that lead nowhere", { skip }, async () => {
    const { lan, sender, receiver } = oneLan(network);
    for (const [host, last] of [[sender, 10], [receiver, 11]]) {
        // In the same network by their addresses, but at different switches: what one sends is neither answered nor refused.
        host.cable("dead0", network.switch(`nowhere-${last}`), [`10.99.0.${last}/24`, `fd99::${last}/64`]);
        host.cable("dead1", lan, [`10.98.0.${last}/24`]).pull("dead1");
    }
    const file = await sample(sender, 4);
    const { reference, code } = await share(sender, file, ["--code"]);
    const began = performance.now();
    await assertArrived(await receive(receiver, reference), file, "lan");
    const took = performance.now() - began;
    assert.ok(took < DESPITE_DEAD_INTERFACE_MS, `it took ${took} ms`);
    await assertArrived(await receive(receiver, code, ["--output", "by-code.iso"]), file, "lan");
});

test("a receiver that begins again goes on where it was when the sharing host comes back", { skip }, async () => {
    const { sender, receiver } = oneLan(network);
    sender.limit("eth0", 160);
    const file = await sample(sender, 48);
    const { program, reference } = await share(sender, file);
    const first = receiving(receiver, reference);
    await arrived(first, 0.3);
    await program.stop("SIGKILL");
    await first.stop("SIGKILL");
    const again = await share(sender, file);
    const result = await receive(receiver, again.reference);
    await assertArrived(result, file, "lan");
});
