// The jobs of both sides. `run(side, count)` repeats a job `count` times; both sides have the same methods.

const MIB = 1024 * 1024;

/** Requests in flight in the concurrent job. */
const CONCURRENT = 16;

/** All jobs; `quick` reduces precision for a run of a few seconds. */
export function jobs(quick) {
    const scale = quick ? 0.1 : 1;
    return [
        tokens("create ephemeral token", scale, sequential, (side) => side.createToken(true)),
        tokens("create stored token", scale, sequential, (side) => side.createToken(false)),
        tokens(`create ephemeral token, ${CONCURRENT} at once`, scale, concurrent, (side) => side.createToken(true)),
        {
            ...tokens("load token", scale, sequential, (side, reference) => side.loadToken(reference)),
            prepare: (side, count) => side.references(count),
        },
        ...[1, 10].flatMap((size) => [
            bytes(`upload ${size} MiB`, size, quick, (side) => side.upload(size * MIB)),
            {
                ...bytes(`download ${size} MiB`, size, quick, (side, file) => side.download(file, size * MIB)),
                prepare: async (side, count) => new Array(count).fill(await side.uploaded(size * MIB)),
            },
        ]),
    ];
}

function tokens(name, scale, repeat, once) {
    return {
        name,
        unit: "tokens/s",
        unitsEach: 1,
        warmUp: Math.ceil(100 * scale),
        theirCount: Math.ceil(300 * scale),
        ourCount: Math.ceil(3000 * scale),
        run: (side, count, inputs) => repeat(count, (index) => once(side, inputs?.[index])),
    };
}

function bytes(name, size, quick, once) {
    return {
        name,
        unit: "MiB/s",
        unitsEach: size,
        warmUp: 1,
        theirCount: quick ? 1 : 2,
        ourCount: quick ? 2 : 10,
        run: (side, count, inputs) => sequential(count, (index) => once(side, inputs?.[index])),
    };
}

async function sequential(count, once) {
    for (let index = 0; index < count; index++) await once(index);
}

async function concurrent(count, once) {
    let next = 0;
    const worker = async () => {
        while (next < count) await once(next++);
    };
    await Promise.all(Array.from({ length: CONCURRENT }, worker));
}
