// The jobs on the published transport: one account creates, another one loads.

import { Library } from "../../tests/interop/lib/library.mjs";
import { sampleBytes } from "../../tests/interop/lib/samples.mjs";

export class TheirSide {
    static async open(backbone) {
        const library = await Library.open(backbone);
        const side = new TheirSide();
        Object.assign(side, { library, maker: await library.account(), loader: await library.account() });
        side.file = await side.maker.upload(Buffer.from("what tokens are made for"));
        side.samples = new Map();
        return side;
    }

    async createToken(ephemeral) {
        return this.maker.tokenFor(this.file, { ephemeral });
    }

    async references(count) {
        const made = [];
        for (let index = 0; index < count; index++) made.push((await this.createToken(true)).reference.truncate());
        return made;
    }

    async loadToken(reference) {
        await this.loader.loadToken(reference, { ephemeral: true });
    }

    async upload(size) {
        if (!this.samples.has(size)) this.samples.set(size, sampleBytes(size));
        return this.maker.upload(this.samples.get(size));
    }

    async uploaded(size) {
        return this.upload(size);
    }

    async download(file, size) {
        const bytes = await this.maker.bytes(file);
        if (bytes.length !== size) throw new Error(`downloaded ${bytes.length} bytes instead of ${size}`);
    }

    async close() {
        await this.library.close();
    }
}
