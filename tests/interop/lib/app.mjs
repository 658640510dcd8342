// The published runtime 7.0.0 as an embedding app uses it: facades that take and give plain objects.

import { createRequire } from "node:module";

import { quietLoggers } from "./quiet.mjs";
import { configurationFor } from "./library.mjs";

const require = createRequire(import.meta.url);
const { LokiJsConnection } = require("@js-soft/docdb-access-loki");
const { ConsumptionController } = require("@nmshd/consumption");
const { Runtime } = require("@nmshd/runtime");
const { AccountController } = require("@nmshd/transport");

/** A runtime with one account, in memory and without modules. The library allows one per process at a time. */
export class App extends Runtime {
    /** With the secret that a device handed out, the account becomes another device of that one's identity. */
    static async open(backbone, deviceSharedSecret) {
        const app = new App({ transportLibrary: configurationFor(backbone), modules: {} }, quietLoggers);
        app.deviceSharedSecret = deviceSharedSecret;
        await app.init();
        await app.start();
        return app;
    }

    async createDatabaseConnection() {
        this.connection = LokiJsConnection.inMemory();
        return this.connection;
    }

    async initAccount() {
        const database = await this.databaseConnection.getDatabase("account");
        const account = await new AccountController(this.transport, database, this.transport.config).init(this.deviceSharedSecret);
        const consumption = await new ConsumptionController(this.transport, account, { setDefaultOwnIdentityAttributes: false }).init();
        this.services = await this.login(account, consumption);
    }

    getServices() {
        return this.services;
    }

    async getHealth() {
        return { isHealthy: true, services: {} };
    }

    async loadModule(configuration) {
        throw new Error(`no module is configured, yet ${configuration.location} was asked for`);
    }

    async close() {
        await this.stop();
        await this.connection.close();
    }
}

/** The value of a facade's answer; a refusal becomes an error that shows its code. */
export function value(result) {
    if (result.isError) throw new Error(`${result.error.code}: ${result.error.message}`);
    return result.value;
}
