//! Logs on stderr: warnings by default, more with `-v`, exactly what `RUST_LOG` says if it is set.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::args::{Global, LogFormat};

/// Starts logging for the whole process.
pub(crate) fn start(global: &Global) {
    let filter = match std::env::var("RUST_LOG") {
        Ok(directives) if !directives.is_empty() => EnvFilter::new(directives),
        _ => EnvFilter::new(directives(global.verbose)),
    };
    let colours = std::io::stderr().is_terminal();
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr);
    let result = match global.log_format {
        Some(LogFormat::Json) => subscriber.json().try_init(),
        None if global.json => subscriber.json().try_init(),
        _ => subscriber.try_init(),
    };
    // Only a second call could fail, and there is none.
    debug_assert!(result.is_ok());
}

fn directives(verbose: u8) -> &'static str {
    match verbose {
        // libp2p warns of what peers and networks do wrong; what matters of that is an answer or an event of our own crates.
        0 => "warn,libp2p=off",
        1 => "warn,libp2p=off,api=info,enlace=info,runtime=info,swarm=info,transport=info,backbone_mock=info",
        2 => "info,libp2p=warn,api=debug,enlace=debug,runtime=debug,swarm=debug,transport=debug,backbone_mock=debug",
        // Never more of other crates: their traces show headers and bodies.
        _ => "debug,api=trace,enlace=trace,runtime=trace,swarm=trace,transport=trace,backbone_mock=trace",
    }
}
