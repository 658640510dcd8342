// The jobs on our node through its REST API: one node creates, another one loads.

import { sampleBytes } from "../../tests/interop/lib/samples.mjs";
import { Lanes } from "./lane.mjs";

const BOUNDARY = "----compare";

export class OurSide {
    static async open(node, peer) {
        const side = new OurSide();
        side.node = new Lanes(node.url, node.apiKey);
        side.peer = new Lanes(peer.url, peer.apiKey);
        side.samples = new Map();
        side.file = (await side.#send(Buffer.from("what tokens are made for"))).id;
        return side;
    }

    async createToken(ephemeral) {
        return this.node.json("POST", `/api/v2/Files/${this.file}/Token`, { ephemeral });
    }

    async references(count) {
        const made = [];
        for (let index = 0; index < count; index++) made.push((await this.createToken(true)).reference.truncated);
        return made;
    }

    async loadToken(reference) {
        await this.peer.json("POST", "/api/v2/Tokens/Peer", { reference, ephemeral: true });
    }

    async upload(size) {
        if (!this.samples.has(size)) this.samples.set(size, multipart(sampleBytes(size)));
        return this.#post(this.samples.get(size));
    }

    async uploaded(size) {
        return (await this.upload(size)).id;
    }

    async download(file, size) {
        const { status, body } = await this.node.request("GET", `/api/v2/Files/${file}/Download`);
        if (status !== 200 || body.length !== size) throw new Error(`download answered ${status} with ${body.length} bytes`);
    }

    close() {
        this.node.close();
        this.peer.close();
    }

    #send(bytes) {
        return this.#post(multipart(bytes));
    }

    async #post(body) {
        const { status, body: answer } = await this.node.request("POST", "/api/v2/Files/Own", body, `multipart/form-data; boundary=${BOUNDARY}`);
        if (status !== 201) throw new Error(`upload answered ${status}: ${answer}`);
        return JSON.parse(answer).result;
    }
}

function multipart(bytes) {
    const head = `--${BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="f.bin"\r\nContent-Type: application/octet-stream\r\n\r\n`;
    return Buffer.concat([Buffer.from(head), bytes, Buffer.from(`\r\n--${BOUNDARY}--\r\n`)]);
}
