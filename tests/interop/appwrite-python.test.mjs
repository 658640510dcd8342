// The published Appwrite SDK for Python in an environment of its own, against a node.

import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";

import { scratch, startBackbone, startNode } from "./lib/enlace.mjs";
import { PYTHON, environment, missingPython } from "./lib/python.mjs";

const run = promisify(execFile);

test("the SDK for Python works with a node", async (context) => {
    const reason = await missingPython();
    if (reason) return context.skip(reason);
    const { dir, remove } = await scratch();
    const closers = [remove];
    try {
        const python = path.join(await environment(dir, "requirements.txt"), "python");
        const { running: backbone, url } = await startBackbone(path.join(dir, "backbone"));
        closers.push(() => backbone.stop());
        const { running } = await startNode(path.join(dir, "node"), url);
        closers.push(() => running.stop());
        const { endpoint, project, keyFile } = running.announced.appwrite;
        const key = (await readFile(keyFile, "utf8")).trim();
        await run(python, [path.join(PYTHON, "appwrite_client.py"), endpoint, project], { env: { ...process.env, ENLACE_APPWRITE_KEY: key } });
    } finally {
        for (const close of closers.reverse()) await close();
    }
});
