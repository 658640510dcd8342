// Every face as its OpenAPI document describes it: Schemathesis makes valid and invalid requests from the document, and compares the answers with it.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";

import { scratch, start } from "./lib/enlace.mjs";
import { environment, missingPython } from "./lib/python.mjs";
import { pngOf } from "./lib/samples.mjs";

const run = promisify(execFile);
/** Cases of an operation that are drawn at random, beside those that follow from the document. */
const EXAMPLES = 20;
/** The same cases in each run. */
const SEED = 20300101;
const CHECKS = ["not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance", "response_schema_conformance"];
/** Last as long as their requests: two lines of JSON, and the second one when the sender leaves. */
const STREAMS = ["/api/enlace/v1/Files/Direct", "/api/enlace/v1/Codes"];
/** Operations that do not succeed here, and why. */
const NEVER = [
    [/^POST .*\/(Files|Tokens)\/Peer$/, "the reference is one of somebody else"],
    [/ .*\/IdentityMetadata$/, "the address is the own one, or that of a peer"],
    [/^POST .*\/Challenges\/Validate$/, "the signature is that of the challenge"],
    [/^PUT .*\/claims\/{claimId}\/commit$/, "the id is that of a claim"],
    [/^GET .*\/Downloads\/{id}$/, "the id is that of a request for a download"],
];
/** Things of each kind, half of which may be deleted. */
const THINGS = 8;
const LATER = "2099-01-01T00:00:00.000Z";

const reason = await missingPython();

describe("faces answer as they are described", { skip: reason }, () => {
    const closers = [];
    let program;
    let dir;
    let node;

    before(async () => {
        const { dir: place, remove } = await scratch();
        closers.push(remove);
        dir = place;
        program = path.join(await environment(dir, "schemathesis.txt"), "schemathesis");
        const running = await start(["serve", "--listen", "127.0.0.1:0", "--data-dir", path.join(dir, "node"), "--no-direct", "--json"]);
        closers.push(() => running.stop());
        const { rest, appwrite } = running.announced;
        const [apiKey, appwriteKey] = await Promise.all([rest.apiKeyFile, appwrite.keyFile].map(async (file) => (await readFile(file, "utf8")).trim()));
        node = { url: rest.url, apiKey, appwriteKey, project: appwrite.project };
    });

    after(async () => {
        for (const close of closers.reverse()) await close();
    });

    /** Answers JSON, or throws. An object is sent as JSON. */
    async function ask(method, where, headers, body) {
        const isForm = body instanceof FormData;
        const type = isForm ? {} : { "Content-Type": "application/json" };
        const answer = await fetch(node.url + where, { method, headers: { ...headers, ...type }, body: isForm ? body : JSON.stringify(body) });
        if (!answer.ok) throw new Error(`${method} ${where}: ${answer.status} ${await answer.text()}`);
        return answer.json();
    }

    function form(fields, file) {
        const form = new FormData();
        for (const [name, value] of Object.entries(fields)) form.set(name, value);
        form.set("file", new Blob([file]), "a.png");
        return form;
    }

    /** What there is at the faces with files and tokens. */
    async function filesAndTokens(prefix) {
        const post = async (where, body) => (await ask("POST", prefix + where, { "X-API-KEY": node.apiKey }, body)).result;
        const [files, tokens] = [[], []];
        for (let index = 0; index < THINGS; index++) {
            files.push((await post("/Files/Own", form({ title: "A", expiresAt: LATER }, `content ${index}`))).id);
            tokens.push((await post("/Tokens/Own", { content: { index }, expiresAt: LATER, ephemeral: false })).id);
        }
        return [["Files", files], ["Tokens", tokens]].flatMap(([area, ids]) => {
            const [kept, deleted] = halves(ids);
            return [...bindings(`^(GET|POST|PATCH) .*/${area}/`, { "path.id": kept }), ...bindings(`^DELETE .*/${area}/`, { "path.id": deleted })];
        });
    }

    async function bucketsAndFiles() {
        const headers = { "X-Appwrite-Project": node.project, "X-Appwrite-Key": node.appwriteKey };
        const ids = Array.from({ length: THINGS }, (_, index) => `thing${index}`);
        for (const id of ids) {
            await ask("POST", "/v1/storage/buckets", headers, { bucketId: id, name: id });
            for (const fileId of ids) await ask("POST", `/v1/storage/buckets/${id}/files`, headers, form({ fileId }, pngOf(20, 10, [1, 2, 3])));
        }
        const [kept, deleted] = halves(ids);
        const tokens = [];
        for (const fileId of ids) tokens.push(await ask("POST", `/v1/tokens/buckets/${kept[0]}/files/${fileId}`, headers, { maxDownloads: 1000 }));
        const [keptTokens, deletedTokens] = halves(tokens.map((token) => token.$id));
        return [
            ...bindings("^(GET|POST|PATCH) .*/tokens/[{]tokenId", { "path.tokenId": keptTokens }),
            ...bindings("^DELETE .*/tokens/[{]tokenId", { "path.tokenId": deletedTokens }),
            ...bindings("/tokens/claims$", { "body.token": tokens.map((token) => token.secret) }),
            ...bindings("^(GET|POST|PUT) .*/buckets/", { "path.bucketId": kept, "path.fileId": kept }),
            ...bindings("^DELETE .*/files/", { "path.bucketId": kept, "path.fileId": deleted }),
            ...bindings("^DELETE .*/buckets/[^/]*$", { "path.bucketId": deleted }),
        ];
    }

    /** Ids of things that stay, and of those that may be deleted. */
    function halves(ids) {
        return [ids.slice(0, THINGS / 2), ids.slice(THINGS / 2)];
    }

    let dictionaries = 0;

    /** Lines of a configuration that name values of parameters, of operations with a name such as `GET /path` or of all. Most cases have one of them. */
    function bindings(name, values) {
        const named = Object.entries(values).map(([parameter, all]) => ({ parameter, all, dictionary: `values-${dictionaries++}` }));
        const lines = named.map(({ parameter, dictionary }) => `"${parameter}" = { dictionary = "${dictionary}", probability = 0.8 }`);
        const scope = name ? ["[[operations]]", `include-name-regex = '${name}'`, "[operations.parameters]"] : ["[parameters]"];
        return [...named.flatMap(({ dictionary, all }) => [`[dictionaries.${dictionary}]`, `values = ${JSON.stringify(all)}`]), ...scope, ...lines];
    }

    /** How often each operation was answered with each status. */
    async function answered(report) {
        const operations = new Map();
        for (const line of (await readFile(report, "utf8")).split("\n").filter(Boolean)) {
            const recorder = JSON.parse(line).ScenarioFinished?.recorder;
            for (const { response } of Object.values(recorder?.interactions ?? {})) {
                const statuses = operations.get(recorder.label) ?? {};
                operations.set(recorder.label, statuses);
                statuses[response?.status_code] = (statuses[response?.status_code] ?? 0) + 1;
            }
        }
        return operations;
    }

    /** Runs Schemathesis, and throws what it found. */
    async function compare(document, configuration, options) {
        const common = [
            "--url", node.url, "--checks", CHECKS.join(","), "--seed", `${SEED}`, "--continue-on-failure", "--no-shrink", "--no-color",
            "--warnings", "off", "--generation-database", "none", "--request-timeout", "60",
        ];
        const ran = run(program, ["--config-file", configuration, "run", document, ...common, ...options], { cwd: dir, maxBuffer: 64 << 20 });
        await ran.catch((error) => {
            throw new Error(error.stdout || error.message);
        });
    }

    test("and an answer that is described in another way is found", async () => {
        const document = await (await fetch(`${node.url}/docs/json`)).json();
        document.components.schemas.AppwriteBucketList.required.push("missing");
        const [wrong, configuration] = [path.join(dir, "wrong.json"), path.join(dir, "wrong.toml")];
        await Promise.all([writeFile(wrong, JSON.stringify(document)), writeFile(configuration, "[cache]\nenabled = false\n")]);
        const headers = [`X-Appwrite-Key:${node.appwriteKey}`, `X-Appwrite-Project:${node.project}`].flatMap((header) => ["--header", header]);
        const options = ["--include-path", "/v1/storage/buckets", "--include-method", "GET", ...headers, "--phases", "fuzzing", "--mode", "positive", "--max-examples", "5"];
        await assert.rejects(compare(wrong, configuration, options), /Response violates schema/);
    });

    const withApiKey = () => [`X-API-KEY:${node.apiKey}`];
    for (const [prefix, least, prepare, headers] of [
        ["/api/v2", 23, filesAndTokens, withApiKey],
        ["/api/core/v1", 25, filesAndTokens, withApiKey],
        ["/api/enlace/v1", 24, filesAndTokens, withApiKey],
        ["/v1", 22, bucketsAndFiles, () => [`X-Appwrite-Key:${node.appwriteKey}`, `X-Appwrite-Project:${node.project}`]],
    ]) {
        test(prefix, async () => {
            const place = path.join(dir, prefix.replaceAll("/", "-"));
            const [configuration, report] = [`${place}.toml`, `${place}.ndjson`];
            const common = bindings(undefined, { "body.expiresAt": [LATER], "body.challengeType": ["Identity", "Device"] });
            await writeFile(configuration, [...common, ...(await prepare(prefix)), "[cache]", "enabled = false"].join("\n"));
            const paths = ["--include-path-regex", `^${prefix}/`, ...STREAMS.flatMap((stream) => ["--exclude-path", stream])];
            await compare(`${node.url}/docs/json`, configuration, [
                ...paths, ...headers().flatMap((header) => ["--header", header]),
                "--phases", "examples,coverage,fuzzing", "--max-examples", `${EXAMPLES}`, "--report", "ndjson", "--report-ndjson-path", report,
            ]);
            // A face that refuses everything would be described well.
            const operations = await answered(report);
            const refused = [...operations].filter(([name, statuses]) => !NEVER.some(([pattern]) => pattern.test(name)) && !Object.keys(statuses).some((status) => status.startsWith("2")));
            assert.deepEqual(refused, []);
            assert.ok(operations.size >= least, `${operations.size} operations were tried`);
        });
    }
});
