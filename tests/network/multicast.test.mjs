// Tests of the libraries that need multicast, in a network that has it. `cargo test` skips them on machines without.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { after, before, test } from "node:test";

import { Network } from "./lib/namespaces.mjs";
import { oneLan } from "./lib/networks.mjs";
import { skipReason } from "./lib/requirement.mjs";

const ROOT = path.join(path.dirname(fileURLToPath(import.meta.url)), "..", "..");
const CHECKS = [
    ["support/swarm", ["--test", "network"], "discovery::a_peer_of_the_local_network_is_found_and_dialled_without_configuration"],
    ["runtime", ["--lib"], "peer::tests::codes::who_offers_a_code_is_found_in_the_local_network_without_any_setting"],
];
const skip = skipReason();

let network;
let host;

before(() => {
    if (skip) return;
    network = new Network();
    // Both peers of a check are on one host. The route shows it which interface leads to others.
    host = oneLan(network).sender.gateway("192.168.1.11");
});
after(() => network?.close());

for (const [folder, target, check] of CHECKS) {
    test(`${check.split("::").at(-1).replaceAll("_", " ")}`, { skip }, () => {
        // Built outside, where the network is that of the machine; for the whole workspace, as `cargo test --workspace` did before.
        const build = ["test", "--locked", "--no-run", "--message-format=json", "--workspace", ...target];
        const built = execFileSync("cargo", build, { cwd: ROOT, encoding: "utf8", maxBuffer: 1 << 28, stdio: ["ignore", "pipe", "inherit"] });
        const messages = built.split("\n").filter(Boolean).map((line) => JSON.parse(line));
        const manifest = path.join(ROOT, folder, "Cargo.toml");
        const { executable } = messages.find((message) => message.manifest_path === manifest && message.executable && message.profile.test);
        const said = host.run("env", "ENLACE_MULTICAST=required", executable, "--exact", check);
        assert.match(said, /1 passed; 0 failed/);
    });
}
