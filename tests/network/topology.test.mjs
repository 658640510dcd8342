// That the networks of the other tests are what they claim to be. Else those tests would pass or fail for another reason.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, test } from "node:test";

import { Network, removeAbandoned } from "./lib/namespaces.mjs";
import { BACKBONE, NATS, RELAY, behindNats, oneLan, oneLanBehindNat } from "./lib/networks.mjs";
import { Program } from "./lib/programs.mjs";
import { skipReason } from "./lib/requirement.mjs";

const PROBE = fileURLToPath(new URL("lib/probe.mjs", import.meta.url));
const skip = skipReason();

/** How long a probe waits for what must not come, in milliseconds. */
const SILENCE_MS = 500;

let network;

beforeEach(() => {
    if (!skip) network = new Network();
});
afterEach(() => network?.close());

function probe(host, ...args) {
    return new Program(host, process.execPath, [PROBE, ...args.map(String)]);
}

async function ready(program) {
    await program.says("ready", (said) => said?.ready);
    return program;
}

/** The addresses and ports by which the hosts at BACKBONE and RELAY see `host`. */
async function seen(hosts, host, transport) {
    for (const observer of [hosts.backbone, hosts.relay]) await ready(probe(observer, "observe", 7000));
    const asking = probe(host, "ask", transport, 5000, 7000, BACKBONE, RELAY);
    await asking.ends();
    return asking.lines.map(({ said }) => said);
}

for (const transport of ["tcp", "udp"]) {
    test(`a cone NAT shows one port to all, by ${transport}`, { skip }, async () => {
        const hosts = behindNats(network, "cone");
        const here = { address: "203.0.113.11", port: 5000 };
        assert.deepEqual(await seen(hosts, hosts.sender, transport), [here, here]);
    });

    test(`a symmetric NAT shows a port of its own to each, by ${transport}`, { skip }, async () => {
        const hosts = behindNats(network, "symmetric");
        const [first, second] = await seen(hosts, hosts.sender, transport);
        assert.deepEqual([first.address, second.address], ["203.0.113.11", "203.0.113.11"]);
        assert.notEqual(first.port, second.port);
    });
}

/** What each of two hosts behind NATs hears from the other if both send to the port that a cone NAT would show. */
async function punch(kind) {
    const { sender, receiver } = behindNats(network, kind);
    // The first one's packets arrive while nothing is open on the other side, as some do in life.
    const one = await ready(probe(sender, "exchange", 5000, "203.0.113.12", 5001, 4 * SILENCE_MS));
    const other = await ready(probe(receiver, "exchange", 5001, "203.0.113.11", 5000, 2 * SILENCE_MS));
    await Promise.all([one.ends(), other.ends()]);
    return [one, other].map(({ lines }) => lines[1].said);
}

test("two cone NATs can be punched through", { skip }, async () => {
    assert.deepEqual(await punch("cone"), [{ address: "203.0.113.12", port: 5001 }, { address: "203.0.113.11", port: 5000 }]);
});

test("two symmetric NATs cannot", { skip }, async () => {
    assert.deepEqual(await punch("symmetric"), [null, null]);
});

for (const kind of Object.keys(NATS)) {
    test(`nothing comes through a ${kind} NAT that nobody inside asked for`, { skip }, async () => {
        const { sender, backbone } = behindNats(network, kind);
        await ready(probe(sender, "observe", 5000));
        const outside = probe(backbone, "exchange", 5000, "203.0.113.11", 5000, SILENCE_MS);
        await outside.ends();
        assert.equal(outside.lines[1].said, null);
    });
}

describe("multicast", () => {
    /** Whether `listener` hears what `speaker` says to the group. */
    async function hears(listener, listenerAddress, speaker, speakerAddress, within = 10_000) {
        const listening = await ready(probe(listener, "listen", listenerAddress));
        await ready(probe(speaker, "announce", speakerAddress));
        return listening.says("an announcement", (said) => said?.address === speakerAddress, { within }).catch(() => false);
    }

    test("reaches the hosts of a LAN", { skip }, async () => {
        const { sender, receiver } = oneLan(network);
        assert.ok(await hears(receiver, "192.168.1.11", sender, "192.168.1.10"));
    });

    test("reaches the hosts of a LAN behind a router", { skip }, async () => {
        const { sender, receiver } = oneLanBehindNat(network, "cone");
        assert.ok(await hears(receiver, "192.168.1.11", sender, "192.168.1.10"));
    });

    test("does not leave the LAN", { skip }, async () => {
        const { sender, backbone } = behindNats(network, "cone");
        assert.ok(!(await hears(backbone, BACKBONE, sender, "192.168.1.10", SILENCE_MS)));
    });
});

test("a network that is closed leaves nothing, and neither does one whose process was killed", { skip }, async () => {
    const { sender } = oneLan(network);
    const running = await ready(probe(sender, "observe", 7000));
    network.close();
    assert.equal((await running.ends()).signal, "SIGKILL");
    assert.deepEqual(namespaces(`enlace-net-${process.pid}-`), []);

    const script = `import { Network } from ${JSON.stringify(new URL("lib/namespaces.mjs", import.meta.url))};
        new Network().host("left"); process.kill(process.pid, "SIGKILL");`;
    let killed;
    try {
        execFileSync(process.execPath, ["--input-type=module", "-e", script], { stdio: "pipe" });
    } catch (error) {
        killed = error;
    }
    assert.equal(killed.signal, "SIGKILL");
    // The networks of tests that run at the same time may already have removed it.
    removeAbandoned();
    assert.deepEqual(namespaces("enlace-net-").filter((name) => name.endsWith("-left")), []);
});

function namespaces(prefix) {
    return execFileSync("ip", ["netns", "list"], { encoding: "utf8" }).split("\n").map((line) => line.split(" ")[0]).filter((name) => name.startsWith(prefix));
}
