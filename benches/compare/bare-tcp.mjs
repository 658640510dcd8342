// One TCP connection without anything on it, from memory to memory, each side a process of its own.
//
//   node bare-tcp.mjs send MIB      prints its port, and sends to each who connects
//   node bare-tcp.mjs fetch PORT    prints how many bytes came, and in how many seconds

import net from "node:net";

const PIECE = Buffer.alloc(256 * 1024, 7);

function send(mib) {
    const server = net.createServer((socket) => {
        let left = (mib * 1024 * 1024) / PIECE.length;
        const more = () => {
            while (left > 0) {
                left -= 1;
                if (!socket.write(PIECE)) return;
            }
            socket.end();
        };
        socket.on("drain", more).on("error", () => {});
        more();
    });
    server.listen(0, "127.0.0.1", () => console.log(JSON.stringify({ port: server.address().port })));
}

function fetch(port) {
    const began = performance.now();
    const buffer = Buffer.alloc(1024 * 1024);
    let bytes = 0;
    const onread = { buffer, callback: (read) => (bytes += read) };
    const socket = net.connect({ port, host: "127.0.0.1", onread });
    socket.on("close", () => console.log(JSON.stringify({ bytes, seconds: (performance.now() - began) / 1000 })));
}

const [what, argument] = process.argv.slice(2);
({ send, fetch })[what](Number(argument));
