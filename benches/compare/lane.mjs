// A minimal HTTP/1.1 client. Node.js's own takes more time per request than our node needs to answer, so it would measure itself.

import net from "node:net";

/** Connections to one server, as many as there are requests in flight. */
export class Lanes {
    constructor(url, apiKey) {
        const { hostname, port, host } = new URL(url);
        this.target = { host: hostname, port: Number(port), noDelay: true };
        this.common = `Host: ${host}\r\nX-API-KEY: ${apiKey}\r\nAccept: */*\r\n`;
        this.idle = [];
    }

    /** One request; answers status and body. */
    async request(method, path, body = Buffer.alloc(0), type = "application/json") {
        const lane = this.idle.pop() ?? (await Lane.connect(this.target));
        const head = `${method} ${path} HTTP/1.1\r\n${this.common}Content-Type: ${type}\r\nContent-Length: ${body.length}\r\n\r\n`;
        const answer = await lane.exchange(Buffer.from(head), body);
        this.idle.push(lane);
        return answer;
    }

    /** One request with a JSON body; answers the `result` of the envelope. */
    async json(method, path, body) {
        const answer = await this.request(method, path, Buffer.from(JSON.stringify(body)));
        if (answer.status >= 300) throw new Error(`${method} ${path} answered ${answer.status}: ${answer.body}`);
        return JSON.parse(answer.body).result;
    }

    close() {
        for (const lane of this.idle) lane.socket.destroy();
    }
}

/** One connection that carries one request at a time. */
class Lane {
    static async connect(target) {
        const socket = net.connect(target);
        await new Promise((resolve, reject) => socket.once("connect", resolve).once("error", reject));
        return new Lane(socket);
    }

    constructor(socket) {
        this.socket = socket;
        socket.on("data", (chunk) => this.#take(chunk));
        socket.on("error", (error) => this.#fail(error));
        socket.on("close", () => this.#fail(new Error("the server closed the connection")));
    }

    exchange(head, body) {
        return new Promise((resolve, reject) => {
            this.waiting = { resolve, reject, answer: new Answer() };
            this.socket.cork();
            this.socket.write(head);
            if (body.length) this.socket.write(body);
            this.socket.uncork();
        });
    }

    #take(chunk) {
        const { resolve, answer } = this.waiting;
        if (!answer.take(chunk)) return;
        this.waiting = undefined;
        resolve(answer.finished());
    }

    #fail(error) {
        this.waiting?.reject(error);
        this.waiting = undefined;
    }
}

/** Collects one answer from the chunks in which it arrives. */
class Answer {
    chunks = [];
    received = 0;
    headerEnd = -1;

    /** Takes a chunk; true when the answer is complete. */
    take(chunk) {
        this.chunks.push(chunk);
        this.received += chunk.length;
        if (this.headerEnd < 0) this.#readHeader();
        if (this.headerEnd < 0) return false;
        if (this.chunked) return chunk.length >= 5 ? chunk.subarray(-5).equals(LAST_CHUNK) : this.#all().subarray(-5).equals(LAST_CHUNK);
        return this.received >= this.headerEnd + this.length;
    }

    finished() {
        const body = this.#all().subarray(this.headerEnd);
        return { status: this.status, body: this.chunked ? unchunk(body) : body };
    }

    #readHeader() {
        const text = this.#all();
        const end = text.indexOf("\r\n\r\n");
        if (end < 0) return;
        const header = text.toString("latin1", 0, end);
        this.headerEnd = end + 4;
        this.status = Number(header.slice(9, 12));
        this.chunked = /\r\ntransfer-encoding: chunked/i.test(header);
        this.length = Number(/\r\ncontent-length: (\d+)/i.exec(header)?.[1] ?? 0);
    }

    #all() {
        if (this.chunks.length > 1) this.chunks = [Buffer.concat(this.chunks)];
        return this.chunks[0];
    }
}

const LAST_CHUNK = Buffer.from("0\r\n\r\n");

function unchunk(body) {
    const parts = [];
    for (let at = 0; ; ) {
        const end = body.indexOf("\r\n", at);
        const size = parseInt(body.toString("latin1", at, end), 16);
        if (!size) return Buffer.concat(parts);
        parts.push(body.subarray(end + 2, end + 2 + size));
        at = end + 2 + size + 2;
    }
}
