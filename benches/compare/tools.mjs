// Encrypts and transfers one large file with enlace and with other programs, alternating, and prints their rates side by side.
//
//   ENLACE_BIN=target/release/enlace node benches/compare/tools.mjs [--mib 256] [--rounds 3] [--install] [--json]
//
// Encrypting is from file to file: ours is `target/release/seal` (or ENLACE_SEAL), beside `age` and `rclone` with a crypt remote on
// this disk, and `cp` as what the disk allows. Transfers go over loopback to a server in another process: ours with `share` and
// `receive` and a backbone; `rclone` with a crypt remote on `rclone serve s3`, or on `rclone serve webdav` where the version has no
// s3; `restic` on `rclone serve restic`. What is not installed is skipped, and said; --install asks apt-get for it first.
//
// The programs do not promise the same: ours flushes what it acknowledges, age, rclone and cp do not; restic also looks for parts
// that it has already. Each figure is the median over the rounds; the best one is printed beside it.

import { execFileSync, spawnSync } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { binary, run, scratch, start, startBackbone, CLIENT } from "../../tests/interop/lib/enlace.mjs";
import { freePort, has, serve } from "./programs.mjs";
import { MIB, fill, hash, readyMemory } from "./sample-file.mjs";
import { median, printTable } from "./table.mjs";

const { values: options } = parseArgs({
    options: {
        mib: { type: "string", default: "256" },
        rounds: { type: "string", default: "3" },
        install: { type: "boolean", default: false },
        json: { type: "boolean", default: false },
    },
});
const mib = Number(options.mib);
const SEAL = process.env.ENLACE_SEAL ?? fileURLToPath(new URL("../../target/release/seal", import.meta.url));

if (options.install) spawnSync("apt-get", ["install", "-y", "-qq", "--no-install-recommends", "age", "rclone", "restic"], { stdio: "ignore" });
const { dir, remove } = await scratch();
const servers = [];
try {
    const plain = path.join(dir, "plain.bin");
    await fill(plain, mib);
    const wanted = await hash(plain);
    const sides = [...(await encrypting(plain)), ...(await transfers(plain))];
    const rates = new Map(sides.map((side) => [side, { there: [], back: [] }]));
    for (let round = 0; round < Number(options.rounds); round++) {
        const order = round % 2 ? sides.toReversed() : sides;
        for (const side of order) await once(side, rates.get(side), path.join(dir, "again.bin"), wanted);
    }
    print(sides, rates);
} finally {
    for (const stop of servers.reverse()) await stop();
    await remove();
}

/** Programs that encrypt a file into a file. `there` and `back` get a path and answer what `back` and `clean` need. */
async function encrypting(plain) {
    const sealed = path.join(dir, "sealed.bin");
    const clean = () => rm(sealed, { recursive: true, force: true });
    const sides = [
        { what: "encrypt", name: "enlace, format v2", tool: SEAL, there: () => execFileSync(SEAL, ["seal", plain, sealed], { encoding: "utf8" }).trim(), back: (again, root) => execFileSync(SEAL, ["open", sealed, again, root]), clean },
        { what: "encrypt", name: "cp", tool: "cp", there: () => execFileSync("cp", [plain, sealed]), back: (again) => execFileSync("cp", [sealed, again]), clean },
        { what: "encrypt", name: "age", tool: "age", ...age(plain, sealed), clean },
        { what: "encrypt", name: "rclone crypt", tool: "rclone", ...crypt(plain, path.join(dir, "crypt"), "local") },
    ];
    return sides.filter(installed);
}

function age(plain, sealed) {
    const identity = path.join(dir, "age.txt");
    return {
        there() {
            if (!existsSync(identity)) execFileSync("age-keygen", ["-o", identity], { stdio: "ignore" });
            const recipient = execFileSync("age-keygen", ["-y", identity], { encoding: "utf8" }).trim();
            execFileSync("age", ["-r", recipient, "-o", sealed, plain]);
        },
        back: (again) => execFileSync("age", ["-d", "-i", identity, "-o", again, sealed]),
    };
}

/** rclone with a crypt remote over `remote`, which is a folder or something that `configuration` describes. */
function crypt(plain, remote, name, configuration = "") {
    const config = path.join(dir, `rclone-${name}.conf`);
    const rclone = (...args) => execFileSync("rclone", ["--config", config, "--retries", "1", ...args], { stdio: ["ignore", "ignore", "inherit"] });
    const prepare = () => {
        if (existsSync(config)) return;
        const password = execFileSync("rclone", ["obscure", "not a secret"], { encoding: "utf8" }).trim();
        writeFileSync(config, `${configuration}\n[crypt]\ntype = crypt\nremote = ${remote}\npassword = ${password}\n`);
    };
    return {
        there() {
            prepare();
            rclone("copyto", plain, "crypt:plain.bin");
        },
        back: (again) => rclone("copyto", "crypt:plain.bin", again),
        // Not behind the back of a server, which remembers what it has.
        clean: () => rclone("deletefile", "crypt:plain.bin"),
    };
}

/** Programs that bring a file to a server and back. */
async function transfers(plain) {
    const sides = [];
    const backbone = await startBackbone(path.join(dir, "backbone"));
    servers.push(() => backbone.running.stop());
    sides.push({ what: "transfer", name: "enlace, backbone", tool: binary(), ...ours(plain, backbone.url) });
    if (installed({ what: "transfer", name: "rclone crypt", tool: "rclone" })) sides.push(await rcloneSide(plain));
    if (installed({ what: "transfer", name: "restic, rest server of rclone", tool: "restic" }) && has("rclone")) sides.push(await resticSide(plain));
    return sides;
}

function ours(plain, url) {
    const access = (who) => ["--data-dir", path.join(dir, who), "--backbone", url, "--client", `${CLIENT.id}:${CLIENT.secret}`, "--json"];
    return {
        // Identities are made once in a life.
        prepare: async () => {
            for (const who of ["sender", "receiver"]) await run(["identity", ...access(who)]);
        },
        there: () => start(["share", plain, "--format", "v2", "--no-direct", "--listen", "127.0.0.1:0", ...access("sender")]),
        back: (again, sharing) => run(["receive", sharing.announced.token.reference.url, "--no-direct", "--max-size", "1T", "--output", again, ...access("receiver")]),
        clean: (sharing) => sharing.stop(),
    };
}

async function rcloneSide(plain) {
    const served = path.join(dir, "served");
    mkdirSync(path.join(served, "bucket"), { recursive: true });
    const port = await freePort();
    const s3 = /^ +s3 /m.test(execFileSync("rclone", ["serve", "--help"], { encoding: "utf8" }));
    const kind = s3 ? ["s3", "--auth-key", "key,secret"] : ["webdav"];
    await serve(servers, "rclone", ["serve", ...kind, "--addr", `127.0.0.1:${port}`, served], port);
    const configuration = s3
        ? `[server]\ntype = s3\nprovider = Rclone\naccess_key_id = key\nsecret_access_key = secret\nendpoint = http://127.0.0.1:${port}`
        : `[server]\ntype = webdav\nvendor = other\nurl = http://127.0.0.1:${port}`;
    if (!s3) console.error("this version of rclone has no `serve s3`; webdav is measured in its place");
    return { what: "transfer", name: `rclone crypt, ${s3 ? "s3" : "webdav"}`, ...crypt(plain, "server:bucket", "server", configuration) };
}

async function resticSide(plain) {
    const port = await freePort();
    await serve(servers, "rclone", ["serve", "restic", "--addr", `127.0.0.1:${port}`, path.join(dir, "restic")], port);
    const env = { ...process.env, RESTIC_PASSWORD: "not a secret", RESTIC_CACHE_DIR: path.join(dir, "restic-cache") };
    let repository = 0;
    const restic = (args, output = "ignore") => {
        const address = ["-q", "-r", `rest:http://127.0.0.1:${port}/r${repository}/`];
        execFileSync("restic", [...address, ...args], { env, stdio: ["ignore", output, "inherit"] });
    };
    return {
        what: "transfer",
        name: "restic, rest server of rclone",
        // A repository of its own each time: the second time it would have all parts already. The server goes on to know those
        // that are removed, so they stay until the end.
        prepare: () => {
            repository += 1;
            restic(["init"]);
        },
        there: () => restic(["backup", plain]),
        back: (again) => {
            const output = openSync(again, "w");
            restic(["dump", "latest", plain], output);
            closeSync(output);
        },
    };
}

/** One file there and back, compared with what it was. */
async function once(side, rates, again, wanted) {
    await side.prepare?.();
    await readyMemory(dir, mib);
    const seconds = async (work) => {
        const began = performance.now();
        const result = await work();
        return [result, (performance.now() - began) / 1000];
    };
    const [sent, there] = await seconds(() => side.there());
    const [, back] = await seconds(() => side.back(again, sent));
    if ((await hash(again)) !== wanted) throw new Error(`${side.name} brought back another file`);
    await rm(again);
    await side.clean?.(sent);
    rates.there.push((mib * MIB) / 1e6 / there);
    rates.back.push((mib * MIB) / 1e6 / back);
    console.error(`${side.what}, ${side.name}: ${rates.there.at(-1).toFixed(0)} and ${rates.back.at(-1).toFixed(0)} MB/s`);
}

/** Whether a side can be measured; says why if not. */
function installed({ what, name, tool }) {
    const found = has(tool);
    if (!found) console.log(`skipped: ${what} with ${name}, because ${tool} is not installed`);
    return found;
}

function print(sides, rates) {
    const rows = sides.map((side) => {
        const { there, back } = rates.get(side);
        const first = rates.get(sides.find(({ what }) => what === side.what));
        return { what: side.what, name: side.name, there: median(there), back: median(back), best: [Math.max(...there), Math.max(...back)], ratios: [median(there) / median(first.there), median(back) / median(first.back)] };
    });
    if (options.json) return console.log(JSON.stringify(rows));
    const lines = [["job", "program", "there MB/s", "best", "/enlace", "back MB/s", "best", "/enlace"]];
    for (const { what, name, there, back, best, ratios } of rows) {
        lines.push([what, name, there.toFixed(0), best[0].toFixed(0), ratios[0].toFixed(2), back.toFixed(0), best[1].toFixed(0), ratios[1].toFixed(2)]);
    }
    printTable(lines, 2);
}
