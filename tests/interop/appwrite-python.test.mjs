// The published Appwrite SDK for Python in an environment of its own, against a node.

import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { scratch, startBackbone, startNode } from "./lib/enlace.mjs";

const run = promisify(execFile);
const HERE = fileURLToPath(new URL("python", import.meta.url));

/** Why Python cannot be used here; nothing if it can. In continuous integration a check that did not run has not passed. */
async function missing() {
    try {
        await run("python3", ["-c", "import venv, ensurepip"]);
        return undefined;
    } catch (error) {
        if (process.env.CI) throw error;
        return "python3 with venv is not installed";
    }
}

test("the SDK for Python works with a node", async (context) => {
    const reason = await missing();
    if (reason) return context.skip(reason);
    const { dir, remove } = await scratch();
    const closers = [remove];
    try {
        const environment = path.join(dir, "venv");
        await run("python3", ["-m", "venv", environment]);
        const python = path.join(environment, "bin", "python");
        await run(python, ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", path.join(HERE, "requirements.txt")]);
        const { running: backbone, url } = await startBackbone(path.join(dir, "backbone"));
        closers.push(() => backbone.stop());
        const { running } = await startNode(path.join(dir, "node"), url);
        closers.push(() => running.stop());
        const { endpoint, project, keyFile } = running.announced.appwrite;
        const key = (await readFile(keyFile, "utf8")).trim();
        await run(python, [path.join(HERE, "appwrite_client.py"), endpoint, project], { env: { ...process.env, ENLACE_APPWRITE_KEY: key } });
    } finally {
        for (const close of closers.reverse()) await close();
    }
});
