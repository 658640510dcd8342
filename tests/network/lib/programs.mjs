// Programs on hosts, and waiting for what they say. Each wait has a deadline, and an error shows the last of what the program said.

import { setTimeout as after } from "node:timers/promises";
import { StringDecoder } from "node:string_decoder";

/** Longest wait if nothing is said, in milliseconds. */
export const PATIENCE_MS = 30_000;

/** Longest wait between the polite and the impolite signal, in milliseconds. */
const STOP_MS = 10_000;

/** Lines that are remembered of each program. */
const MAX_LINES = 4096;

/** A program that runs on a host. Its output is read line by line, with the time in milliseconds; a line that is JSON is what that says, any other is a text. */
export class Program {
    constructor(host, program, args, options) {
        this.what = `${host.name}: ${program.split("/").at(-1)} ${args[0]}`;
        this.lines = [];
        this.waiting = new Set();
        this.child = host.spawn(program, args, options);
        for (const source of ["stdout", "stderr"]) this.#read(source);
        this.ended = new Promise((resolve) => {
            this.child.once("error", (error) => resolve({ error }));
            this.child.once("close", (code, signal) => resolve({ code, signal }));
        });
        this.ended.then((end) => {
            this.end = end;
            this.#look();
        });
    }

    #read(source) {
        const decoder = new StringDecoder("utf8");
        let rest = "";
        this.child[source].on("data", (piece) => {
            const lines = (rest + decoder.write(piece)).split("\n");
            rest = lines.pop();
            for (const text of lines) this.lines.push({ source, text, said: parsed(text), at: performance.now() });
            this.lines.splice(0, this.lines.length - MAX_LINES);
            this.#look();
        });
    }

    #look() {
        for (const look of [...this.waiting]) look();
    }

    /** The first thing said, before or from now on, for which `choose` answers something; what it answered. */
    async says(what, choose, { within = PATIENCE_MS, source } = {}) {
        const find = () => {
            for (const line of this.lines) {
                const found = (!source || line.source === source) && choose(line.said, line);
                if (found) return found;
            }
            return undefined;
        };
        return this.#until(what, find, within);
    }

    /** The last thing said on standard output before it ended well. */
    async result({ within = PATIENCE_MS } = {}) {
        const { code } = await this.ends({ within });
        if (code !== 0) throw this.#error(`ended with ${code}`);
        return this.lines.findLast(({ source }) => source === "stdout").said;
    }

    /** How it ended: its code, or the signal. */
    async ends({ within = PATIENCE_MS } = {}) {
        return this.#until("that it ends", () => this.end, within);
    }

    async #until(what, find, milliseconds) {
        const found = find();
        if (found) return found;
        let look;
        const late = new AbortController();
        try {
            return await Promise.race([
                new Promise((resolve, reject) => {
                    look = () => {
                        const found = find();
                        if (found) resolve(found);
                        else if (this.end) reject(this.#error(`ended with ${this.end.signal ?? this.end.code ?? this.end.error} while a test waited for ${what}`));
                    };
                    this.waiting.add(look);
                }),
                after(milliseconds, undefined, { signal: late.signal }).then(() => {
                    throw this.#error(`a test waited ${milliseconds / 1000} s for ${what}`);
                }),
            ]);
        } finally {
            this.waiting.delete(look);
            late.abort();
        }
    }

    #error(why) {
        const said = this.lines.slice(-30).map(({ source, text }) => `    ${source}: ${text}`);
        return new Error([`${this.what} ${why}`, ...said].join("\n"));
    }

    /** Ends it, and resolves when it has. */
    async stop(signal = "SIGTERM") {
        if (this.end) return;
        this.child.kill(signal);
        const impolite = setTimeout(() => this.child.kill("SIGKILL"), STOP_MS);
        await this.ended;
        clearTimeout(impolite);
    }
}

/** Asks again and again until `check` answers something. */
export async function eventually(what, check, { within = PATIENCE_MS, every = 50 } = {}) {
    const deadline = performance.now() + within;
    for (;;) {
        const answer = await check();
        if (answer) return answer;
        if (performance.now() > deadline) throw new Error(`a test waited ${within / 1000} s for ${what}`);
        await after(every);
    }
}

function parsed(text) {
    try {
        return JSON.parse(text);
    } catch {
        return text;
    }
}
