// The few REST calls to our node that suites need besides the published SDK.

import assert from "node:assert/strict";

export class RestNode {
    constructor(url, apiKey) {
        this.url = url.replace(/\/$/, "");
        this.apiKey = apiKey;
    }

    /** One call; answers the `result` of the envelope, or fails with the whole answer if the status is not `expected`. */
    async call(method, path, { body, expected = method === "POST" ? 201 : 200 } = {}) {
        const answer = await this.raw(method, path, body);
        const text = await answer.text();
        assert.equal(answer.status, expected, `${method} ${path}: ${text}`);
        return text ? JSON.parse(text).result : undefined;
    }

    /** One call whose refusal is the point: answers the error code. */
    async refused(method, path, { body, expected }) {
        const answer = await this.raw(method, path, body);
        const text = await answer.text();
        assert.equal(answer.status, expected, `${method} ${path}: ${text}`);
        return JSON.parse(text).error.code;
    }

    async raw(method, path, body) {
        const form = body instanceof FormData;
        return fetch(`${this.url}/api/v2${path}`, {
            method,
            headers: { "X-API-KEY": this.apiKey, ...(body && !form ? { "content-type": "application/json" } : {}) },
            body: form || body === undefined ? body : JSON.stringify(body),
        });
    }

    async address() {
        return (await this.call("GET", "/Account/IdentityInfo")).address;
    }

    /** Uploads `bytes` as a file of the node and answers the File. */
    async upload(bytes, { filename = "file.bin", mimetype = "application/octet-stream", ...fields } = {}) {
        const form = new FormData();
        for (const [name, value] of Object.entries(fields)) form.append(name, value);
        form.append("file", new Blob([bytes], { type: mimetype }), filename);
        return this.call("POST", "/Files/Own", { body: form });
    }

    /** The decrypted bytes of a file that the node knows. */
    async download(fileId) {
        const answer = await this.raw("GET", `/Files/${fileId}/Download`);
        assert.equal(answer.status, 200, `download of ${fileId}`);
        return Buffer.from(await answer.arrayBuffer());
    }

    async tokenFor(fileId, request = {}) {
        return this.call("POST", `/Files/${fileId}/Token`, { body: request });
    }

    async loadFile(reference, password) {
        return this.call("POST", "/Files/Peer", { body: { reference, password } });
    }
}
