//! The program as its users run it: separate processes, exit codes, what is written where.
#![allow(clippy::unwrap_used)] // a test that cannot go on shall stop

mod backbone_peers;
mod broken_lines;
mod configuration;
mod continuing;
mod counted;
mod credentials;
mod early;
mod formats;
mod lost_stores;
mod messages;
mod moving_files;
mod node_commands;
#[cfg(unix)]
mod other_users;
mod peers;
mod proxy;
mod receiving;
mod recorder;
mod refusals;
mod sandbox;
mod sharing;
mod sharing_several;
mod starting;
mod stopped_uploads;
mod streams;
#[cfg(target_os = "linux")]
mod terminal;
mod transcripts;
mod valve;
mod waiting;
