// Python programs with packages of their own.

import { execFile } from "node:child_process";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Programs, and the packages that they need. */
export const PYTHON = fileURLToPath(new URL("../python", import.meta.url));

/** Why Python cannot be used here; nothing if it can. In continuous integration a check that did not run has not passed. */
export async function missingPython() {
    try {
        await run("python3", ["-c", "import venv, ensurepip"]);
        return undefined;
    } catch (error) {
        if (process.env.CI) throw error;
        return "python3 with venv is not installed";
    }
}

/** Makes an environment below `dir` with the packages that a file below `PYTHON` pins, and resolves with the directory of its programs. */
export async function environment(dir, requirements) {
    const place = path.join(dir, "venv");
    await run("python3", ["-m", "venv", place]);
    const programs = path.join(place, "bin");
    const install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", path.join(PYTHON, requirements)];
    await run(path.join(programs, "python"), install);
    return programs;
}
