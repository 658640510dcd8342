// Makes a data directory with a program of version 0.1 and notes beside it what the program answered:
//
//     node make.mjs path/to/enlace /tmp/older stopped && mv /tmp/older.json stopped.json
//     tar c --format=ustar --sort=name --owner=0 --group=0 --numeric-owner -C /tmp/older . | gzip -9n >stopped.tar.gz
//
// and the same with `killed`. Nothing in it is secret: the identity was made for this and is used nowhere else.
import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { once } from "node:events";
const [program, dir, how] = process.argv.slice(2);
const child = spawn(program, ["serve", "--json", "--data-dir", dir, "--listen", "127.0.0.1:48211", "--backbone-listen", "127.0.0.1:48210"], { stdio: ["ignore", "pipe", "inherit"] });
const [line] = await once(child.stdout, "data");
const said = JSON.parse(line);
const key = readFileSync(`${dir}/api-key`, "utf8").trim();
const call = async (method, path, body) => {
    const form = body instanceof FormData;
    const answer = await fetch(`${said.rest.url}${path}`, { method, headers: { "x-api-key": key, ...(form || !body ? {} : { "content-type": "application/json" }) }, body: form ? body : body && JSON.stringify(body) });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return text ? JSON.parse(text).result : undefined;
};
const upload = async (name, content, more = {}) => {
    const form = new FormData();
    form.append("file", new Blob([content]), name);
    for (const [field, value] of Object.entries(more)) form.append(field, value);
    return { ...(await call("POST", "/api/v2/Files/Own", form)) };
};
const content = length => Uint8Array.from({ length }, (_, i) => i % 251);
const note = { address: said.identity.address, backbone: said.backbone.url, files: [], tokens: [], guarded: [], deleted: {} };
for (const [name, length] of [["small.txt", 300], ["Übersicht.bin", 3000]])
    note.files.push({ length, answer: await upload(name, content(length), { title: `title of ${name}` }) });
const [first, second] = note.files.map(file => file.answer.id);
note.tokens.push(await call("POST", `/api/v2/Files/${first}/Token`, { ephemeral: false }));
note.tokens.push(await call("POST", "/api/v2/Tokens/Own", { content: { text: "of an own kind" }, expiresAt: "2099-01-01T00:00:00.000Z", ephemeral: false }));
note.ephemeral = await call("POST", `/api/v2/Files/${second}/Token`, { ephemeral: true });
for (const attempts of [3, 4]) {
    const token = await call("POST", `/api/v2/Files/${second}/Token`, { ephemeral: false, passwordProtection: { password: "right" } });
    note.tokens.push(token);
    for (let number = 0; number < attempts; number++) {
        const answer = await fetch(`${said.backbone.url}/api/v2/Tokens/${token.id}?password=${encodeURIComponent(`${number}`.padStart(42, "0") + "8=")}`);
        if (answer.status !== 404) throw new Error(`attempt ${number}: ${answer.status} ${await answer.text()}`);
    }
    note.guarded.push({ attempts, token: token.id });
}
const gone = await upload("gone", content(40));
note.deleted.file = gone;
await call("DELETE", `/api/core/v1/Files/${gone.id}`);
const goneToken = await call("POST", `/api/v2/Files/${first}/Token`, { ephemeral: false });
note.deleted.token = goneToken;
await call("DELETE", `/api/core/v1/Tokens/${goneToken.id}`);
note.metadata = await call("PUT", "/api/v2/IdentityMetadata", { reference: note.address, key: "colour", value: { is: "blue" } });
writeFileSync(`${dir}.json`, JSON.stringify(note) + "\n");
const ended = once(child, "exit");
if (how === "stopped") child.kill("SIGTERM");
else child.kill("SIGKILL");
console.log(how, await ended);
