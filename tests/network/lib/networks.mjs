// The networks that the tests use.

/** Rules by which a router chooses the port that the internet sees. */
export const NATS = {
    // The port of the host, whatever the destination: what one host on the internet sees is true for all others.
    cone: "masquerade persistent",
    // A port of its own for each destination.
    symmetric: "masquerade fully-random",
};

/** Addresses of two hosts in a LAN, by family. */
const LAN = {
    ipv4: { sender: "192.168.1.10/24", receiver: "192.168.1.11/24" },
    ipv6: { sender: "fd6e:1::10/64", receiver: "fd6e:1::11/64" },
};

export const BACKBONE = "203.0.113.1";
export const RELAY = "203.0.113.2";

/** Two hosts at one switch, and nothing else. */
export function oneLan(network, family = "ipv4") {
    const lan = network.switch("lan");
    const [sender, receiver] = ["sender", "receiver"].map((name) => network.host(name).cable("eth0", lan, [LAN[family][name]]));
    return { lan, sender, receiver };
}

/** Two hosts, each in a LAN behind a router with NAT, and between them the internet with two hosts at BACKBONE and RELAY. */
export function behindNats(network, kind) {
    const outside = internet(network);
    const { host: sender } = behindRouter(network, outside, kind, { router: "router-a", wan: "203.0.113.11", lan: "192.168.1", host: "sender" });
    const { host: receiver } = behindRouter(network, outside, kind, { router: "router-b", wan: "203.0.113.12", lan: "192.168.2", host: "receiver" });
    return { ...outside, sender, receiver };
}

/** Two hosts in one LAN behind a router with NAT; the internet is as for `behindNats`. */
export function oneLanBehindNat(network, kind) {
    const outside = internet(network);
    const { router, host: sender } = behindRouter(network, outside, kind, { router: "router", wan: "203.0.113.11", lan: "192.168.1", host: "sender" });
    const receiver = network.host("receiver").cable("eth0", router, ["192.168.1.11/24"]).gateway("192.168.1.1");
    return { ...outside, router, sender, receiver };
}

function internet(network) {
    const exchange = network.switch("internet");
    const backbone = network.host("backbone").cable("eth0", exchange, [`${BACKBONE}/24`]);
    const relay = network.host("relay").cable("eth0", exchange, [`${RELAY}/24`]);
    return { exchange, backbone, relay };
}

function behindRouter(network, { exchange }, kind, names) {
    const router = network.host(names.router).bridge("lan", [`${names.lan}.1/24`]).cable("wan", exchange, [`${names.wan}/24`]);
    router.run("sysctl", "-qw", "net.ipv4.ip_forward=1");
    router.nft(rules(NATS[kind]));
    const host = network.host(names.host).cable("eth0", router, [`${names.lan}.10/24`]).gateway(`${names.lan}.1`);
    return { router, host };
}

// What nobody inside has asked for is dropped without an answer, also when it is for the router itself: an answer would end the
// attempt of a host outside whose packets come before those that open the way for them.
function rules(masquerade) {
    return `
        table ip nat {
            chain postrouting {
                type nat hook postrouting priority srcnat;
                oifname "wan" ${masquerade}
            }
        }
        table inet filter {
            chain input {
                type filter hook input priority filter;
                iifname "wan" ct state new,invalid drop
            }
            chain forward {
                type filter hook forward priority filter;
                iifname "wan" ct state new,invalid drop
            }
        }
    `;
}
