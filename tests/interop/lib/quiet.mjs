// The published libraries talk a lot; suites want silence, or everything when ENLACE_INTEROP_LOG is set.

const silent = () => undefined;
const loud = (...messages) => console.error(...messages);
const speak = process.env.ENLACE_INTEROP_LOG ? loud : silent;

const logger = { trace: silent, debug: speak, info: speak, warn: speak, error: speak, fatal: speak };

/** Logger factory in the shape that the libraries take. */
export const quietLoggers = { getLogger: () => logger };
