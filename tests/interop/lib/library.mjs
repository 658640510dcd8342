// Accounts of a published transport library on our backbone, in the words of these suites: bytes and reference texts in, bytes and
// reference texts out. The generations 6 and 7 differ little enough to share this; each brings its own versions of the types it takes.

import { createRequire } from "node:module";

import { quietLoggers } from "./quiet.mjs";

const require = createRequire(import.meta.url);
const { LokiJsConnection } = require("@js-soft/docdb-access-loki");
const { EventEmitter2EventBus } = require("@js-soft/ts-utils");

/** Generation 7: the current one, /api/v2 on the wire. */
export const V7 = {
    transport: require("@nmshd/transport"),
    types: require("@nmshd/core-types"),
    crypto: require("@nmshd/crypto"),
};

/** Generation 6: the one before, /api/v1 on the wire. Loaded on demand, since both register their types in one process-wide table. */
export function v6() {
    const own = createRequire(require.resolve("transport-v6"));
    return { transport: require("transport-v6"), types: own("@nmshd/core-types"), crypto: own("@nmshd/crypto") };
}

/** What a library needs to know about a backbone. */
export function configurationFor(backbone) {
    return {
        baseUrl: backbone.url,
        platformClientId: backbone.client.id,
        platformClientSecret: backbone.client.secret,
        supportedIdentityVersion: 1,
        addressGenerationHostnameOverride: "localhost",
        datawalletEnabled: true,
        allowIdentityCreation: true,
    };
}

/** One installation of a library; accounts live in it, in memory or as files in a folder. */
export class Library {
    constructor(generation, backbone, transport, connection) {
        this.generation = generation;
        this.backbone = backbone;
        this.transport = transport;
        this.connection = connection;
        this.opened = 0;
    }

    static async open(backbone, generation = V7, folder = undefined) {
        const bus = new EventEmitter2EventBus((error) => {
            throw error;
        });
        const transport = await new generation.transport.Transport(configurationFor(backbone), bus, quietLoggers).init();
        const connection = folder ? LokiJsConnection.fileSystem(folder) : LokiJsConnection.inMemory();
        return new Library(generation, backbone, transport, connection);
    }

    /** Creates an identity or, given the secret that another device handed out, becomes a device of that one's identity. */
    async account(deviceSharedSecret) {
        return this.#open(`account-${this.opened++}`, deviceSharedSecret);
    }

    /** The account over the same local database, as after a restart: logs in with what it has stored. */
    async reopened(account) {
        return this.#open(account.database);
    }

    async #open(name, deviceSharedSecret) {
        const database = await this.connection.getDatabase(name);
        const { AccountController } = this.generation.transport;
        const controller = await new AccountController(this.transport, database, this.transport.config).init(deviceSharedSecret);
        return new Account(this, controller, name);
    }

    /** The token functions that need no identity (generation 7). */
    anonymousTokens() {
        return new this.generation.transport.AnonymousTokenController(this.transport.config);
    }

    async close() {
        await this.connection.close();
        await this.transport.eventBus.close();
    }
}

/** One device of one identity. */
export class Account {
    constructor(library, controller, database) {
        this.library = library;
        this.controller = controller;
        this.database = database;
    }

    get #generation() {
        return this.library.generation;
    }

    get address() {
        return this.controller.identity.address.toString();
    }

    async upload(bytes, { filename = "file.bin", mimetype = "application/octet-stream", title = "", tags } = {}) {
        const { CoreBuffer } = this.#generation.crypto;
        return this.controller.files.sendFile({
            buffer: CoreBuffer.from(new Uint8Array(bytes)),
            filename,
            mimetype,
            title,
            tags,
            expiresAt: this.#tomorrow(),
        });
    }

    /** A token that opens `file`. */
    async tokenFor(file, options) {
        const { TokenContentFile } = this.#generation.transport;
        return this.token(TokenContentFile.from({ fileId: file.id, secretKey: file.secretKey }), options);
    }

    /** A token with any content; `password` or `pin` protects it. */
    async token(content, { ephemeral = true, forIdentity, password, pin } = {}) {
        const { CoreAddress } = this.#generation.types;
        const token = await this.controller.tokens.sendToken({
            content,
            ephemeral,
            expiresAt: this.#tomorrow(),
            forIdentity: forIdentity && CoreAddress.from(forIdentity),
            passwordProtection: protection(password, pin),
        });
        return { token, reference: token.toTokenReference(this.library.backbone.url) };
    }

    /** The token behind a reference text, truncated or URL. */
    async loadToken(reference, { ephemeral = true, password } = {}) {
        const { TokenReference } = this.#generation.transport;
        return this.controller.tokens.loadPeerTokenByReference(TokenReference.from(reference), ephemeral, password);
    }

    /** The token behind a reference, the file that it names, and that file's bytes. */
    async openFileToken(reference, options) {
        const token = await this.loadToken(reference, options);
        const { fileId, secretKey } = facts(token).content;
        const file = await this.controller.files.getOrLoadFile(fileId, secretKey);
        return { token: facts(token), file: facts(file), bytes: await this.bytes(file) };
    }

    /** The file behind its own reference, and its bytes. */
    async openFile(reference) {
        const { FileReference } = this.#generation.types;
        const file = await this.controller.files.getOrLoadFileByReference(FileReference.from(reference));
        return { file: facts(file), bytes: await this.bytes(file) };
    }

    async bytes(file) {
        return Buffer.from((await this.controller.files.downloadFileContent(file.id)).buffer);
    }

    /** Registers another device of this identity and answers the secret that it starts with, without the identity key if it is no admin device. */
    async secretForNewDevice(name, isAdmin = true) {
        const device = await this.controller.devices.sendDevice({ name, isAdmin });
        await this.controller.syncDatawallet();
        return this.controller.devices.getSharedSecret(device.id);
    }

    #tomorrow() {
        return this.#generation.types.CoreDate.utc().add({ days: 1 });
    }
}

/** Generation 6 keeps what the backbone told in `cache`, generation 7 in the object itself. */
export function facts(record) {
    return record.cache ?? record;
}

function protection(password, pin) {
    if (pin) return { password: pin, passwordType: `pin${pin.length}` };
    return password ? { password, passwordType: "pw" } : undefined;
}
