// Other programs: whether they are there, and those that serve.

import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import net from "node:net";

/** Whether a program is installed. */
export function has(tool) {
    return existsSync(tool) || spawnSync("sh", ["-c", 'command -v "$0"', tool], { stdio: "ignore" }).status === 0;
}

/** Starts a server, adds to `servers` how to end it, and waits until it accepts connections. */
export async function serve(servers, program, args, port) {
    const child = spawn(program, args, { stdio: "ignore" });
    const ended = new Promise((resolve) => child.once("exit", resolve).once("error", resolve));
    servers.push(() => child.kill() && ended);
    for (let attempt = 0; attempt < 200 && child.exitCode === null; attempt++) {
        if (await accepts(port)) return;
        await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`${program} ${args.join(" ")} does not accept connections`);
}

function accepts(port) {
    return new Promise((resolve) => {
        const socket = net.connect(port, "127.0.0.1");
        socket.once("connect", () => socket.destroy() && resolve(true)).once("error", () => resolve(false));
    });
}

/** A port that nobody uses. */
export async function freePort() {
    const server = net.createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    const { port } = server.address();
    await new Promise((resolve) => server.close(resolve));
    return port;
}
