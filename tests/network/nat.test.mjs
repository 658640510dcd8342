// Files between hosts behind NATs, with a backbone on the internet between them.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { afterEach, beforeEach, test } from "node:test";

import { AT_BACKBONE, arrived, backbone, hash, longestPause, receive, received, receiving, relay, relaying, sample, share } from "./lib/enlace.mjs";
import { Network } from "./lib/namespaces.mjs";
import { BACKBONE, behindNats, oneLanBehindNat } from "./lib/networks.mjs";
import { skipReason } from "./lib/requirement.mjs";

const skip = skipReason();

/** What the sender's cable carries, in megabits per second, where something happens in mid-transfer: 20 MB/s. */
const SLOW = 160;

/**
 * How long it may take to notice that a path is dead, in milliseconds: `SILENCE` of `runtime/src/peer/drive/alive.rs` and `CHECK_TIME` of
 * `support/swarm/src/connection.rs`.
 */
const NOTICED_MS = 5_000;

/** Longest pause of a transfer whose path dies. Half of it is for machines that are busy; time limits of protocols and systems are longer. */
const PAUSE_MS = 2 * NOTICED_MS;

let network;

beforeEach(() => {
    if (!skip) network = new Network();
});
afterEach(() => network?.close());

async function assertArrived(result, file, what) {
    assert.equal(await hash(result.savedTo), file.sha256, what);
    assert.equal(result.sha256, file.sha256, what);
}

function assertGoesOn(receiver) {
    const pause = longestPause(receiver);
    assert.ok(pause < PAUSE_MS, `nothing arrived for ${pause} ms`);
}

/** The paths by which the bytes came, in their order. */
function paths(result) {
    return result.paths ? result.paths.map(({ path }) => path) : [result.path];
}

test("two cone NATs: a hole is punched", { skip }, async () => {
    const hosts = behindNats(network, "cone");
    await backbone(hosts.backbone, relaying(BACKBONE));
    const file = await sample(hosts.sender, 96);
    const { reference } = await share(hosts.sender, file, ["--format", "v2", ...AT_BACKBONE]);
    // So slow that the hole is there before the file has passed through the relay.
    hosts.sender.limit("eth0", SLOW);
    const result = await receive(hosts.receiver, reference, AT_BACKBONE);
    await assertArrived(result, file);
    assert.equal(result.path, "punched", JSON.stringify(result.paths));
});

test("two symmetric NATs: the relay carries the file", { skip }, async () => {
    const hosts = behindNats(network, "symmetric");
    await backbone(hosts.backbone, relaying(BACKBONE));
    const file = await sample(hosts.sender, 16);
    const { reference } = await share(hosts.sender, file, AT_BACKBONE);
    const result = await receive(hosts.receiver, reference, AT_BACKBONE);
    await assertArrived(result, file);
    assert.equal(result.path, "relayed", JSON.stringify(result.paths));
});

test("a code is typed behind the other NAT", { skip }, async () => {
    const hosts = behindNats(network, "symmetric");
    await backbone(hosts.backbone, relaying(BACKBONE));
    const file = await sample(hosts.sender, 4);
    const { code } = await share(hosts.sender, file, ["--code", ...AT_BACKBONE]);
    const result = await receive(hosts.receiver, code, AT_BACKBONE);
    await assertArrived(result, file);
});

test("the relay is killed: the file goes on from the backbone", { skip }, async () => {
    const hosts = behindNats(network, "symmetric");
    await backbone(hosts.backbone);
    const { program, peer } = await relay(hosts.relay);
    const config = path.join(hosts.sender.home, "config.json");
    writeFileSync(config, JSON.stringify({ enlace: { peers: { relays: peer.addresses } } }));
    const file = await sample(hosts.sender, 64);
    const { reference } = await share(hosts.sender, file, ["--format", "v2", "--config", config, ...AT_BACKBONE]);
    hosts.sender.limit("eth0", SLOW);
    const receiver = receiving(hosts.receiver, reference, AT_BACKBONE);
    await arrived(receiver, 0.3);
    await program.stop("SIGKILL");
    const result = await received(receiver);
    await assertArrived(result, file);
    assert.deepEqual(paths(result), ["relayed", "backbone"]);
    assertGoesOn(receiver);
});

for (const [who, host, last] of [["sharing", "sender", 10], ["receiving", "receiver", 11]]) {
    test(`the ${who} host gets another address: the file goes on`, { skip }, async () => {
        const hosts = oneLanBehindNat(network, "cone");
        await backbone(hosts.backbone, relaying(BACKBONE));
        const file = await sample(hosts.sender, 64);
        const { reference } = await share(hosts.sender, file, ["--format", "v2", ...AT_BACKBONE]);
        hosts.sender.limit("eth0", SLOW);
        const receiver = receiving(hosts.receiver, reference, AT_BACKBONE);
        await arrived(receiver, 0.3);
        hosts[host].ip("address", "delete", `192.168.1.${last}/24`, "dev", "eth0");
        hosts[host].ip("address", "add", `192.168.1.${last + 10}/24`, "dev", "eth0");
        hosts[host].gateway("192.168.1.1");
        const result = await received(receiver);
        await assertArrived(result, file);
        assert.equal(paths(result)[0], "lan", JSON.stringify(result.paths));
        assertGoesOn(receiver);
    });
}
