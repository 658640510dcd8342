// What a suite runs against: a backbone and some nodes. They are started here unless the environment names running ones:
//   ENLACE_BACKBONE_URL                                        a backbone with the OAuth client ENLACE_CLIENT (id:secret, default test:test)
//   ENLACE_NODE_URL, ENLACE_API_KEY                            the first node
//   ENLACE_PEER_URL, ENLACE_PEER_API_KEY                       the second node

import path from "node:path";

import { CLIENT, scratch, startBackbone, startNode } from "./enlace.mjs";
import { RestNode } from "./rest.mjs";

const GIVEN_NODES = [
    ["ENLACE_NODE_URL", "ENLACE_API_KEY"],
    ["ENLACE_PEER_URL", "ENLACE_PEER_API_KEY"],
];

/** Opens a world with `nodes` nodes; `close()` ends whatever was started for it, and `dir` goes with it. */
export async function openWorld({ nodes = 1 } = {}) {
    const closers = [];
    const close = async () => {
        for (const closer of closers.reverse()) await closer();
    };
    try {
        const { dir, remove } = await scratch();
        closers.push(remove);
        const backbone = await openBackbone(dir, closers);
        const opened = [];
        for (let index = 0; index < nodes; index++) opened.push(await openNode(index, dir, backbone, closers));
        return { dir, backbone, nodes: opened, close };
    } catch (error) {
        await close();
        throw error;
    }
}

async function openBackbone(dir, closers) {
    const [id, secret] = (process.env.ENLACE_CLIENT ?? `${CLIENT.id}:${CLIENT.secret}`).split(":");
    if (process.env.ENLACE_BACKBONE_URL) return { url: process.env.ENLACE_BACKBONE_URL, client: { id, secret } };
    const { running, url } = await startBackbone(path.join(dir, "backbone"));
    closers.push(() => running.stop());
    return { url, client: CLIENT };
}

async function openNode(index, dir, backbone, closers) {
    const [urlName, keyName] = GIVEN_NODES[index] ?? [];
    if (urlName && process.env[urlName]) return new RestNode(process.env[urlName], process.env[keyName]);
    const { running, url, apiKey } = await startNode(path.join(dir, `node-${index}`), backbone.url);
    closers.push(() => running.stop());
    return new RestNode(url, apiKey);
}
