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
/**
 * The others are left out, each for a reason:
 * - `positive_data_acceptance`: what the document allows can still be refused, such as a date in the past or the id of nothing.
 * - `negative_data_rejection`: more is accepted than the document says, as published clients send it: null for a flag, an empty text for no date.
 * - `missing_required_header`: no operation has one.
 * - `use_after_free`, `ensure_resource_availability`: they follow links between operations, and the document has none.
 * - `object_level_authorization`: it needs a second identity at the same node.
 */
const CHECKS = [
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance", "response_schema_conformance",
    "ignored_auth", "unsupported_method", "allow_header_conformance",
];
/** Last as long as their requests: two lines of JSON, and the second one when the sender leaves. */
const STREAMS = ["/api/enlace/v1/Files/Direct", "/api/enlace/v1/Codes"];
/** Operations that do not succeed here, and why. */
const NEVER = [
    [/^POST .*\/(Files|Tokens)\/Peer$/, "the reference is one of somebody else"],
];
/** Things of a kind that are used in the same way: those that are deleted are not read. */
const GROUP = 4;
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
        const { identity, rest, appwrite } = running.announced;
        const [apiKey, appwriteKey] = await Promise.all([rest.apiKeyFile, appwrite.keyFile].map(async (file) => (await readFile(file, "utf8")).trim()));
        node = { url: rest.url, address: identity.address, apiKey, appwriteKey, project: appwrite.project };
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

    /** Creates groups of things, one thing after the other, and answers a list of what `create` answers for each group. */
    async function groups(number, create) {
        const all = [];
        for (let group = 0; group < number; group++) {
            all.push([]);
            for (let index = 0; index < GROUP; index++) all[group].push(await create(`${group}-${index}`));
        }
        return all;
    }

    /** What there is at the faces with files and tokens. */
    async function filesAndTokens(prefix) {
        const post = async (where, body) => (await ask("POST", prefix + where, { "X-API-KEY": node.apiKey }, body)).result;
        const file = async (name) => (await post("/Files/Own", form({ title: "A", expiresAt: LATER }, `content ${name}`))).id;
        const token = async (name) => (await post("/Tokens/Own", { content: { name }, expiresAt: LATER, ephemeral: false })).id;
        const [files, deletedFiles] = await groups(2, file);
        const [tokens, deletedTokens, rotated, revoked] = await groups(4, token);
        return [
            ...bindings("^(GET|HEAD|POST|PATCH) .*/Files/", { "path.id": files }),
            ...bindings("^DELETE .*/Files/", { "path.id": deletedFiles }),
            ...bindings("^((GET|HEAD|PATCH) .*/Tokens/|POST .*/Unlock$)", { "path.id": tokens }),
            ...bindings("^DELETE .*/Tokens/", { "path.id": deletedTokens }),
            ...bindings("^POST .*/Rotate$", { "path.id": rotated }),
            ...bindings("^POST .*/Revoke$", { "path.id": revoked }),
        ];
    }

    /** The same, and what the dialects have beside them. */
    async function dialect(prefix) {
        const headers = { "X-API-KEY": node.apiKey };
        const keep = (key) => ask("PUT", `${prefix}/IdentityMetadata`, headers, { reference: node.address, key, value: 1 });
        const [kept, deleted] = await groups(2, async (key) => (await keep(key)).result.key);
        const { challengeString, signature } = (await ask("POST", `${prefix}/Challenges`, headers, { challengeType: "Identity" })).result;
        // Nobody's challenge has an answer without a relationship.
        const { createdBy, createdByDevice, ...nobodys } = JSON.parse(challengeString);
        return [
            ...(await filesAndTokens(prefix)),
            ...bindings("^GET .*/IdentityMetadata$", { "query.reference": [node.address], "query.key": kept }),
            ...bindings("^PUT .*/IdentityMetadata$", { "body.reference": [node.address] }),
            ...bindings("^DELETE .*/IdentityMetadata$", { "query.reference": [node.address], "query.key": deleted }),
            ...bindings("^POST .*/Challenges/Validate$", { "body.challengeString": [JSON.stringify(nobodys)], "body.signature": [signature] }),
        ];
    }

    /** The same, and what only the project's own face has. */
    async function own(prefix) {
        const headers = { "X-API-KEY": node.apiKey };
        const [file] = (await ask("GET", `${prefix}/Files`, headers)).result;
        const downloads = await groups(1, async () => {
            const answer = await fetch(`${node.url}${prefix}/Files/${file.id}/Download`, { headers });
            await answer.arrayBuffer();
            return answer.headers.get("X-Correlation-Id");
        });
        const query = JSON.stringify({ method: "limit", values: [2] });
        return [
            ...(await filesAndTokens(prefix)),
            ...bindings("^(GET|HEAD) .*/Downloads/", { "path.id": downloads.flat() }),
            ...bindings("^(GET|HEAD) .*/v1/Tokens$", { "query.queries[]": [query], "query.total": ["true", "false"], "query.file": [file.id] }),
        ];
    }

    async function bucketsAndFiles() {
        const headers = { "X-Appwrite-Project": node.project, "X-Appwrite-Key": node.appwriteKey };
        const post = (where, body) => ask("POST", where, headers, body);
        const [kept, deleted] = await groups(2, async (id) => (await post("/v1/storage/buckets", { bucketId: id, name: id })).$id);
        const file = async (bucketId, fileId) => (await post(`/v1/storage/buckets/${bucketId}/files`, form({ fileId }, pngOf(20, 10, [1, 2, 3])))).$id;
        for (const bucketId of kept) await groups(2, (fileId) => file(bucketId, fileId));
        const token = (fileId, label) => post(`/v1/tokens/buckets/${kept[0]}/files/${fileId}`, { maxDownloads: 1000, label });
        const [tokens, deletedTokens, revoked] = await groups(3, () => token(kept[0], "kept"));
        await token(kept[0], "unwanted");
        const [claims] = await groups(1, async () => (await post("/v1/tokens/claims", { token: (await token(kept[1], "claimed")).secret })).claimId);
        const claimed = await token(kept[1], "claimed");
        const [ids, deletedIds, revokedIds] = [tokens, deletedTokens, revoked].map((group) => group.map(({ $id }) => $id));
        const query = (method, attribute, ...values) => JSON.stringify({ method, attribute, values });
        return [
            ...bindings("^(GET|HEAD|PATCH) .*/tokens/[{]tokenId", { "path.tokenId": ids }),
            ...bindings("^POST .*/tokens/[{]tokenId[}]/rotate$", { "path.tokenId": ids }),
            ...bindings("^DELETE .*/tokens/[{]tokenId", { "path.tokenId": deletedIds }),
            ...bindings("^POST .*/tokens/[{]tokenId[}]/revoke$", { "path.tokenId": revokedIds }),
            ...bindings("^DELETE .*/v1/tokens$", { "query.queries[]": [query("equal", "label", "unwanted")] }),
            ...bindings("^(GET|HEAD) .*/v1/(tokens|storage/buckets)$", { "query.queries[]": [query("limit", undefined, 2)] }),
            ...bindings("/tokens/claims$", { "body.token": [claimed.secret] }),
            ...bindings("/claims/[{]claimId", { "path.claimId": claims }),
            ...bindings("^(GET|HEAD|POST|PUT) .*/buckets/", { "path.bucketId": kept, "path.fileId": kept }),
            ...bindings("^DELETE .*/files/", { "path.bucketId": kept, "path.fileId": deleted }),
            ...bindings("^DELETE .*/buckets/[^/]*$", { "path.bucketId": deleted }),
        ];
    }

    let dictionaries = 0;

    /** Lines of a configuration that name values of parameters, of operations with a name such as `GET /path` or of all. Most cases have one of them. */
    function bindings(name, values) {
        const named = Object.entries(values).map(([parameter, all]) => ({ parameter, all, dictionary: `values-${dictionaries++}` }));
        const lines = named.map(({ parameter, dictionary }) => `"${parameter}" = { dictionary = "${dictionary}", probability = 0.8 }`);
        const scope = name ? ["[[operations]]", `include-name-regex = '${name}'`, "[operations.parameters]"] : ["[parameters]"];
        return [...named.flatMap(({ dictionary, all }) => [`[dictionaries.${dictionary}]`, `values = ${JSON.stringify(all)}`]), ...scope, ...lines];
    }

    /** The operations of a face in the document, such as `GET /path`, without streams. */
    async function described(prefix) {
        const { paths } = await (await fetch(`${node.url}/docs/json`)).json();
        const ofFace = Object.entries(paths).filter(([path]) => path.startsWith(`${prefix}/`) && !STREAMS.includes(path));
        return ofFace.flatMap(([path, operations]) => Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`));
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
    for (const [prefix, prepare, headers] of [
        ["/api/v2", dialect, withApiKey],
        ["/api/core/v1", dialect, withApiKey],
        ["/api/enlace/v1", own, withApiKey],
        ["/v1", bucketsAndFiles, () => [`X-Appwrite-Key:${node.appwriteKey}`, `X-Appwrite-Project:${node.project}`]],
    ]) {
        test(prefix, async () => {
            const place = path.join(dir, prefix.replaceAll("/", "-"));
            const [configuration, report] = [`${place}.toml`, `${place}.ndjson`];
            const common = bindings(undefined, { "body.expiresAt": [LATER], "body.maxDownloads": [5], "body.challengeType": ["Identity", "Device"] });
            await writeFile(configuration, [...common, ...(await prepare(prefix)), "[cache]", "enabled = false"].join("\n"));
            const paths = ["--include-path-regex", `^${prefix}/`, ...STREAMS.flatMap((stream) => ["--exclude-path", stream])];
            await compare(`${node.url}/docs/json`, configuration, [
                ...paths, ...headers().flatMap((header) => ["--header", header]),
                "--phases", "examples,coverage,fuzzing", "--max-examples", `${EXAMPLES}`, "--report", "ndjson", "--report-ndjson-path", report,
            ]);
            // A face that refuses everything would be described well. Claims that lead to the content have a redirection.
            const operations = await answered(report);
            const refused = [...operations].filter(([name, statuses]) => !NEVER.some(([pattern]) => pattern.test(name)) && !Object.keys(statuses).some((status) => /^[23]/.test(status)));
            assert.deepEqual(refused, []);
            assert.deepEqual([...operations.keys()].sort(), (await described(prefix)).sort());
        });
    }
});
