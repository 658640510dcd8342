// What a host can see of the network, for the test of the networks themselves: `node probe.mjs JOB ARGUMENTS`. Each job writes one line of
// JSON for each thing that it learns.

import dgram from "node:dgram";
import net from "node:net";

/** Multicast group and port of mDNS. */
const GROUP = "224.0.0.251";
const PORT = 5353;

/** Between two packets of the same, in milliseconds: the first ones may come too early. */
const REPEAT_MS = 50;

const jobs = { observe, ask, exchange, listen, announce };

/** Tells everybody who comes, by TCP or UDP, from which address that is. */
function observe(port) {
    const udp = dgram.createSocket("udp4").on("message", (_, from) => udp.send(JSON.stringify(endpoint(from.address, from.port)), from.port, from.address));
    net.createServer((socket) => socket.on("error", () => {}).end(JSON.stringify(endpoint(socket.remoteAddress, socket.remotePort)))).listen(port, "0.0.0.0", () =>
        udp.bind(port, () => say({ ready: true })),
    );
}

/** Asks hosts that observe, each from the same port. */
async function ask(transport, localPort, port, ...hosts) {
    for (const host of hosts) say(await { tcp: askTcp, udp: askUdp }[transport](Number(localPort), Number(port), host));
}

function askTcp(localPort, port, host) {
    return new Promise((resolve, reject) => {
        const socket = net.connect({ host, port, localPort });
        let text = "";
        socket.on("data", (piece) => (text += piece)).on("end", () => resolve(JSON.parse(text))).on("error", reject);
    });
}

function askUdp(localPort, port, host) {
    return new Promise((resolve) => {
        const udp = dgram.createSocket("udp4");
        const again = setInterval(() => udp.send("?", port, host), REPEAT_MS);
        udp.on("message", (message) => {
            clearInterval(again);
            udp.close(() => resolve(JSON.parse(message)));
        });
        udp.bind(localPort);
    });
}

/** Sends to a host again and again and tells what comes from anywhere; ends after `milliseconds`, with `null` if that was nothing. */
function exchange(localPort, host, port, milliseconds) {
    const udp = dgram.createSocket("udp4");
    const again = setInterval(() => udp.send("!", Number(port), host), REPEAT_MS);
    const end = (result) => {
        say(result);
        // Its own packets must still open the way for the other side.
        setTimeout(() => {
            clearInterval(again);
            udp.close();
        }, 5 * REPEAT_MS);
    };
    const late = setTimeout(end, Number(milliseconds), null);
    udp.once("message", (_, from) => {
        clearTimeout(late);
        end(endpoint(from.address, from.port));
    });
    udp.bind(Number(localPort), () => say({ ready: true }));
}

/** Tells who announces itself to the multicast group. */
function listen(address) {
    const udp = dgram.createSocket({ type: "udp4", reuseAddr: true });
    udp.on("message", (_, from) => say(endpoint(from.address, from.port)));
    udp.bind(PORT, () => {
        udp.addMembership(GROUP, address);
        say({ ready: true });
    });
}

/** Announces itself to the multicast group until it is ended. */
function announce(address) {
    const udp = dgram.createSocket({ type: "udp4", reuseAddr: true });
    udp.bind(0, () => {
        udp.setMulticastInterface(address);
        setInterval(() => udp.send("here", PORT, GROUP), REPEAT_MS);
        say({ ready: true });
    });
}

function endpoint(address, port) {
    return { address: address.replace("::ffff:", ""), port };
}

function say(value) {
    console.log(JSON.stringify(value));
}

const [job, ...args] = process.argv.slice(2);
await jobs[job](...args);
