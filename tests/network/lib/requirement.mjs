// Whether this machine can run these tests.

import { spawnSync } from "node:child_process";

import { Network } from "./namespaces.mjs";
import { NATS, behindNats } from "./networks.mjs";

/**
 * `false`, or the reason why the tests are skipped. With `CI` set a reason is an error: a check that did not run has not passed.
 */
export function skipReason() {
    const reason = missing();
    if (reason && process.env.CI) throw new Error(`network tests cannot run: ${reason}`);
    if (reason) console.log(`network tests are skipped: ${reason}`);
    return reason;
}

function missing() {
    if (process.platform !== "linux") return "they need the network namespaces of Linux";
    if (process.getuid() !== 0) return "they need root to create network namespaces";
    const programs = [["ip", "-V", "iproute2"], ["tc", "-V", "iproute2"], ["nft", "-v", "nftables"], ["sysctl", "-V", "procps"]];
    for (const [program, ask, home] of programs) {
        if (spawnSync(program, [ask]).status !== 0) return `\`${program}\` is not installed (Debian package ${home})`;
    }
    for (const kind of Object.keys(NATS)) {
        const network = new Network();
        try {
            behindNats(network, kind).sender.limit("eth0", 100);
        } catch (error) {
            return `this kernel or container does not permit it: ${String(error.stderr ?? error.message).trim()}`;
        } finally {
            network.close();
        }
    }
    return false;
}
