// A line with a delay: a TCP proxy in user space that passes on what it gets after a time.

import net from "node:net";

/** Bytes that are on their way at most, in each direction of each connection; more are not read. */
const IN_FLIGHT = 32 * 1024 * 1024;

/** A proxy on a free port to `port`, both on loopback. */
export class FarLine {
    /** `roundTripMs` is for both directions together. */
    static async to(port, roundTripMs) {
        const line = new FarLine(port, roundTripMs / 2);
        await new Promise((resolve) => line.server.listen(0, "127.0.0.1", resolve));
        return line;
    }

    constructor(port, delayMs) {
        /** Bytes that were passed on, in both directions. */
        this.carried = 0;
        this.sockets = new Set();
        this.server = net.createServer({ noDelay: true }, (near) => {
            const far = net.connect({ port, host: "127.0.0.1", noDelay: true });
            for (const [from, to] of [[near, far], [far, near]]) {
                this.sockets.add(from);
                from.on("error", () => to.destroy()).on("close", () => this.sockets.delete(from));
                this.#delay(from, to, delayMs);
            }
        });
    }

    get port() {
        return this.server.address().port;
    }

    #delay(from, to, delayMs) {
        const queue = [];
        let inFlight = 0;
        let timer;
        const deliver = () => {
            timer = undefined;
            to.cork();
            while (queue.length && queue[0].due <= performance.now()) {
                const { piece } = queue.shift();
                if (!piece) to.end();
                else if (to.writable) to.write(piece, () => arrived(piece.length));
            }
            to.uncork();
            if (queue.length) timer = setTimeout(deliver, queue[0].due - performance.now());
        };
        const arrived = (bytes) => {
            this.carried += bytes;
            inFlight -= bytes;
            if (inFlight < IN_FLIGHT) from.resume();
        };
        const send = (piece) => {
            queue.push({ due: performance.now() + delayMs, piece });
            timer ??= setTimeout(deliver, delayMs);
        };
        from.on("end", () => send(undefined));
        from.on("data", (piece) => {
            inFlight += piece.length;
            if (inFlight >= IN_FLIGHT) from.pause();
            send(piece);
        });
    }

    async close() {
        for (const socket of this.sockets) socket.destroy();
        await new Promise((resolve) => this.server.close(resolve));
    }
}
