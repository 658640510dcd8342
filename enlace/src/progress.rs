//! Progress on stderr: a bar if a person is watching, nothing if not.

use std::io::IsTerminal;
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use runtime::facade::{Observer, Phase};

use crate::output::Output;

/// A progress bar, possibly invisible.
#[derive(Clone)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// A bar for one transfer.
    pub(crate) fn new(output: Output) -> Self {
        if output.is_json() || !std::io::stderr().is_terminal() {
            return Self(ProgressBar::hidden());
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{msg:12} [{wide_bar}] {bytes}/{total_bytes} {bytes_per_sec} {eta}");
        Self(bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")))
    }

    /// Tells the bar how far a facade's transfer is.
    pub(crate) fn observer(&self) -> Observer {
        let bar = self.0.clone();
        Arc::new(move |progress| {
            let phase = phase_name(progress.phase);
            if bar.message() != phase {
                bar.reset_eta();
                bar.set_message(phase);
            }
            if let Some(total) = progress.total {
                bar.set_length(total);
            }
            bar.set_position(progress.bytes);
        })
    }

    /// Names a step that has a length.
    pub(crate) fn step(&self, name: &'static str, total: Option<u64>) {
        self.0.set_message(name);
        if let Some(total) = total {
            self.0.set_length(total);
        }
        self.0.set_position(0);
    }

    /// Counts bytes done in this step.
    pub(crate) fn add(&self, bytes: u64) {
        self.0.inc(bytes);
    }

    /// Removes the bar.
    pub(crate) fn finish(&self) {
        self.0.finish_and_clear();
    }
}

fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Sealing => "encrypting",
        Phase::Uploading => "uploading",
        Phase::Downloading => "downloading",
        Phase::Verifying => "verifying",
    }
}
