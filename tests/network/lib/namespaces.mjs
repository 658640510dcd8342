// Hosts, switches and cables as network namespaces and veth pairs. Interfaces are created inside the namespaces, so nothing of them is ever
// visible in the namespace of whoever runs the tests, and removing a namespace removes all that is in it.

import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

/** Begins the name of each namespace and folder; behind it come process id and start time of the process that created it. */
const PREFIX = "enlace-net-";
const OWNED = /^enlace-net-(\d+)-(\d+)-/;

/** This process, in a form that no later process has. */
const OWNER = `${process.pid}-${startTime(process.pid)}`;

const open = new Set();
let serial = 0;

/** Hosts that belong together, and a folder for their files. */
export class Network {
    constructor() {
        removeAbandoned();
        this.id = `${PREFIX}${OWNER}-${serial++}`;
        this.dir = path.join(tmpdir(), this.id);
        mkdirSync(this.dir, { mode: 0o700 });
        this.hosts = new Map();
        open.add(this);
    }

    /** A host without any cable. */
    host(name) {
        const host = new Host(this, name);
        this.hosts.set(name, host);
        return host;
    }

    /** A host that does nothing but connect the cables that are plugged into it. */
    switch(name) {
        return this.host(name).bridge("switch");
    }

    /** Ends all processes on the hosts, and removes hosts and files. */
    close() {
        if (!open.delete(this)) return;
        for (const { namespace } of this.hosts.values()) removeNamespace(namespace);
        rmSync(this.dir, { recursive: true, force: true });
    }
}

/** A machine of its own as far as the network is concerned, with its own folder as home. */
export class Host {
    constructor(network, name) {
        this.name = name;
        this.namespace = `${network.id}-${name}`;
        this.home = path.join(network.dir, name);
        mkdirSync(this.home);
        call("ip", "netns", "add", this.namespace);
        // Addresses are unique here, and checking that takes a second in which they cannot be used.
        this.run("sysctl", "-qw", "net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0");
        this.ip("link", "set", "lo", "up");
    }

    /** Adds a bridge that forwards everything, multicast too, and answers on `addresses` itself. */
    bridge(name, addresses = []) {
        this.ip("link", "add", name, "type", "bridge", "mcast_snooping", "0");
        this.#configure(name, addresses);
        this.switchName = name;
        return this;
    }

    /** Plugs a cable from the new interface `name` of this host into `target`, a host with a bridge. */
    cable(name, target, addresses = []) {
        const port = `p${target.ports ?? 0}`;
        target.ports = (target.ports ?? 0) + 1;
        this.ip("link", "add", name, "type", "veth", "peer", "name", port, "netns", target.namespace);
        target.ip("link", "set", port, "master", target.switchName, "up");
        this.#configure(name, addresses);
        return this;
    }

    #configure(name, addresses) {
        for (const address of addresses) this.ip("address", "add", address, "dev", name);
        this.ip("link", "set", name, "up");
    }

    /** Where packets go whose destination is not in a network of this host. */
    gateway(address) {
        this.ip("route", "replace", "default", "via", address);
        return this;
    }

    /** Takes `interface` down, as if its cable were pulled. */
    pull(name) {
        this.ip("link", "set", name, "down");
        return this;
    }

    /** Limits what leaves by an interface, in megabits per second. */
    limit(name, megabits) {
        call("tc", "-n", this.namespace, "qdisc", "replace", "dev", name, "root", "tbf", "rate", `${megabits}mbit`, "burst", "512kb", "latency", "50ms");
        return this;
    }

    /** `ip` in this namespace. */
    ip(...args) {
        return call("ip", "-n", this.namespace, ...args);
    }

    /** Loads a ruleset. */
    nft(rules) {
        execFileSync("ip", ["netns", "exec", this.namespace, "nft", "-f", "-"], { input: rules, stdio: ["pipe", "ignore", "pipe"] });
        return this;
    }

    /** Runs a program on this host to its end. */
    run(program, ...args) {
        return call("ip", "netns", "exec", this.namespace, program, ...args);
    }

    /** Starts a program on this host. Its environment has nothing of ours but the path, so that it is not told of proxies or other homes. */
    spawn(program, args, { cwd = this.home, env = {} } = {}) {
        return spawn("ip", ["netns", "exec", this.namespace, program, ...args], {
            cwd,
            env: { PATH: process.env.PATH, HOME: this.home, TMPDIR: this.home, ...env },
            stdio: ["ignore", "pipe", "pipe"],
        });
    }
}

/** Removes what processes left that could not clean up. */
export function removeAbandoned() {
    for (const name of namespaces().filter(isAbandoned)) removeNamespace(name);
    for (const name of readdirSync(tmpdir()).filter(isAbandoned)) rmSync(path.join(tmpdir(), name), { recursive: true, force: true });
}

function isAbandoned(name) {
    const [, pid, start] = OWNED.exec(name) ?? [];
    return pid !== undefined && startTime(pid) !== start;
}

function namespaces() {
    return call("ip", "netns", "list").split("\n").map((line) => line.split(" ")[0]);
}

function removeNamespace(name) {
    try {
        for (const pid of call("ip", "netns", "pids", name).split("\n").filter(Boolean)) kill(Number(pid));
        call("ip", "netns", "delete", name);
    } catch (error) {
        // Another process may be removing what was abandoned, too.
        if (namespaces().includes(name)) throw error;
    }
}

function kill(pid) {
    try {
        process.kill(pid, "SIGKILL");
    } catch {
        // It has ended by itself.
    }
}

/** When a process began, in ticks since the system started; tells it from a later one with the same id. */
function startTime(pid) {
    try {
        const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
        // The name of the program, in parentheses, may contain spaces.
        return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
    } catch {
        return undefined;
    }
}

function call(program, ...args) {
    return execFileSync(program, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

function closeAll() {
    for (const network of [...open]) network.close();
}

process.once("exit", closeAll);
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
    process.once(signal, () => {
        closeAll();
        process.exit(1);
    });
}
