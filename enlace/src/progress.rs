//! Progress on standard error: a bar if a person is watching, JSON lines for scripts, nothing otherwise.

use std::convert::Infallible;
use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use runtime::Path;
use runtime::facade::{Observer, Phase, Progress};
use serde_json::{Value, json};

use crate::code::Kind;
use crate::failure::Failure;
use crate::output::Output;
use crate::paths::Paths;

/// Shortest time between two lines but the last one. With it, there are at most ten in any second.
const INTERVAL: Duration = Duration::from_millis(125);

/// How often it is looked whether somebody is waited for.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// The progress of one transfer. Clones show the same one.
#[derive(Clone)]
pub(crate) struct ProgressOutput {
    bar: ProgressBar,
    lines: Option<Arc<Mutex<Lines>>>,
    output: Option<Output>,
    /// Bytes of the file that had arrived before this run.
    resumed: Arc<AtomicU64>,
    /// Whether the same command goes on with what this one has sent.
    is_resumable: Arc<AtomicBool>,
    /// By which paths a download comes.
    paths: Arc<Mutex<Paths>>,
}

impl ProgressOutput {
    /// Shows one transfer.
    pub(crate) fn new(output: Output) -> Self {
        if output.is_json() {
            let started = Instant::now();
            return Self::writing(move || started.elapsed(), move |line| output.progress(&line));
        }
        if !std::io::stderr().is_terminal() {
            return Self::with(ProgressBar::hidden(), None, Some(output));
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let template = "{msg:12} [{wide_bar}] {bytes}/{total_bytes} {bytes_per_sec} {eta} left {prefix}";
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        Self::with(bar.with_style(style.progress_chars("=> ")), None, Some(output))
    }

    /// Writes lines by a clock that says how long the transfer takes.
    fn writing(clock: impl Fn() -> Duration + Send + 'static, write: impl Fn(Value) + Send + 'static) -> Self {
        let lines = Lines {
            clock: Box::new(clock),
            write: Box::new(write),
            length: None,
            has_begun: false,
            last: None,
            resumed: 0,
            path: None,
            told: None,
        };
        Self::with(ProgressBar::hidden(), Some(Arc::new(Mutex::new(lines))), None)
    }

    fn with(bar: ProgressBar, lines: Option<Arc<Mutex<Lines>>>, output: Option<Output>) -> Self {
        Self { bar, lines, output, resumed: Arc::default(), is_resumable: Arc::default(), paths: Arc::default() }
    }

    /// Bytes of the file that had arrived before this run.
    pub(crate) fn resumed(&self) -> u64 {
        self.resumed.load(Ordering::Relaxed)
    }

    /// Says that an upload goes on behind what had arrived, or that it cannot.
    fn resume(&self, progress: &Progress) {
        let Progress { bytes, total, resumed, .. } = *progress;
        self.resumed.store(resumed, Ordering::Relaxed);
        self.with_lines(|lines| lines.resume(resumed));
        let text = match resumed {
            0 => "a file has changed; uploading it anew".to_owned(),
            _ => format!("resuming at {}%", u128::from(bytes) * 100 / u128::from(total.unwrap_or(bytes).max(1))),
        };
        if let Some(output) = self.output {
            self.talk(text, output);
        }
    }

    /// Says something to a person, above the bar.
    pub(crate) fn talk(&self, text: impl AsRef<str>, output: Output) {
        self.bar.suspend(|| output.talk(text));
    }

    /// Says how many bytes the file has. Lines are written from now on.
    pub(crate) fn begin(&self, length: u64) {
        self.with_lines(|lines| lines.length = Some(length));
    }

    /// Says how many bytes of the file were transferred by an earlier run. The step goes on behind them.
    pub(crate) fn begin_behind(&self, bytes: u64) {
        self.bar.set_position(bytes);
        self.bar.reset_eta();
        self.with_lines(|lines| lines.resumed = bytes);
    }

    /// Says that nobody knows yet how many bytes the file has. Lines are written from now on.
    pub(crate) fn begin_without_length(&self) {
        self.with_lines(|lines| lines.has_begun = true);
    }

    /// Tells how far a facade's transfer is.
    pub(crate) fn observer(&self) -> Observer {
        let this = self.clone();
        Arc::new(move |progress| {
            // Chunks are sealed while others are sent.
            if progress.phase == Phase::Sealing && this.bar.message() == phase_name(Phase::Uploading) {
                return;
            }
            let is_resumed = progress.phase == Phase::Uploading && progress.resumed != this.resumed();
            if is_resumed {
                this.resume(&progress);
            }
            this.name(phase_name(progress.phase));
            this.show_path(progress.path);
            if let Some(total) = progress.total {
                this.bar.set_length(total);
            }
            this.bar.set_position(progress.bytes);
            if is_resumed {
                // What was sent before says nothing about the rate.
                this.bar.reset_eta();
            }
            if let (Phase::Uploading | Phase::Downloading, Some(total)) = (progress.phase, progress.total) {
                this.with_lines(|lines| lines.sent(progress.bytes, total));
            }
        })
    }

    /// Follows by which paths a download comes from now on.
    pub(crate) fn comes_by(&self, paths: &Paths) {
        *self.locked_paths() = paths.clone();
    }

    /// By which paths the download has come.
    pub(crate) fn paths(&self) -> Paths {
        self.locked_paths().clone()
    }

    fn locked_paths(&self) -> MutexGuard<'_, Paths> {
        self.paths.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows by which path bytes come, if that has changed.
    fn show_path(&self, path: Option<Path>) {
        let description = path.map_or("", Path::description);
        if self.bar.prefix() != description {
            self.bar.set_prefix(description);
        }
        if path.is_some() {
            self.with_lines(|lines| lines.path = path);
        }
    }

    /// Does the work, and shows meanwhile when nothing comes because somebody is waited for.
    pub(crate) async fn watching<T>(&self, work: impl Future<Output = T>) -> T {
        tokio::select! {
            done = work => done,
            never = self.watch() => match never {},
        }
    }

    async fn watch(&self) -> Infallible {
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            self.show_waiting();
        }
    }

    /// In place of the path, which comes back with the next byte.
    fn show_waiting(&self) {
        if let Some(who) = self.paths().waits_for()
            && self.bar.prefix() != who
        {
            self.bar.set_prefix(who);
        }
    }

    /// Whether the result is for scripts.
    pub(crate) fn is_json(&self) -> bool {
        self.lines.is_some()
    }

    /// Names a step that has a length.
    pub(crate) fn step(&self, name: &'static str, total: Option<u64>) {
        self.name(name);
        if let Some(total) = total {
            self.bar.set_length(total);
        }
        self.bar.set_position(0);
    }

    /// Counts bytes of the file done in this step.
    pub(crate) fn add(&self, bytes: u64) {
        self.show_path(self.paths().last());
        self.bar.inc(bytes);
        self.with_lines(|lines| lines.reached(self.bar.position()));
    }

    /// Counts bytes done in a step that transfers nothing.
    pub(crate) fn advance(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    /// A failure of an upload that the same command continues says so.
    pub(crate) fn explain_stopped(&self, failure: Failure) -> Failure {
        let is_hinted = failure.hint.is_some();
        match failure.kind {
            Kind::Interrupted | Kind::Network if self.is_resumable.load(Ordering::Relaxed) && !is_hinted => {
                failure.hint("run the same command again to continue the upload")
            }
            _ => failure,
        }
    }

    /// Notes that an upload begins that the same command continues.
    pub(crate) fn is_resumable(&self) {
        self.is_resumable.store(true, Ordering::Relaxed);
    }

    /// Removes the bar.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// Rate and time left are those of the step.
    fn name(&self, name: &'static str) {
        if self.bar.message() != name {
            self.bar.reset_eta();
            self.bar.reset_elapsed();
            self.bar.set_message(name);
        }
    }

    fn with_lines(&self, act: impl FnOnce(&mut Lines)) {
        if let Some(lines) = &self.lines {
            act(&mut lines.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }
}

/// Lines for scripts. They count bytes of the file and never go back, whatever steps the transfer has.
struct Lines {
    clock: Box<dyn Fn() -> Duration + Send>,
    write: Box<dyn Fn(Value) + Send>,
    /// Bytes of the file, once known.
    length: Option<u64>,
    /// Whether lines are written although the length is not known.
    has_begun: bool,
    /// What the last line said, and when.
    last: Option<(u64, Duration)>,
    /// Bytes of the file that had arrived before this run.
    resumed: u64,
    /// By which path bytes come, once that is known.
    path: Option<Path>,
    /// The path of the last line.
    told: Option<Path>,
}

impl Lines {
    /// So many of all bytes were transferred, of whatever form the file has on the way.
    fn sent(&mut self, bytes: u64, total: u64) {
        let Some(length) = self.length else { return };
        let share = u128::from(length) * u128::from(bytes) / u128::from(total.max(1));
        let is_all = bytes >= total;
        self.reached(if is_all { length } else { u64::try_from(share).unwrap_or(length) });
    }

    /// So many bytes of the file had arrived before this run.
    fn resume(&mut self, bytes: u64) {
        self.resumed = bytes;
        self.reached(bytes);
    }

    /// So many bytes of the file have been transferred.
    fn reached(&mut self, bytes: u64) {
        let total = self.length;
        if total.is_none() && !self.has_begun {
            return;
        }
        let (bytes, now) = (bytes.max(self.resumed).min(total.unwrap_or(u64::MAX)), (self.clock)());
        let is_due = match self.last {
            None => true,
            Some((before, _)) if bytes > before && Some(bytes) == total => true,
            Some((before, at)) => (bytes > before || self.path != self.told) && now.saturating_sub(at) >= INTERVAL,
        };
        if is_due {
            self.last = Some((bytes, now));
            self.told = self.path;
            let mut line = json!({ "bytes": bytes, "total": total, "resumed": self.resumed });
            if let Some(path) = self.path {
                line["path"] = json!(path);
            }
            (self.write)(json!({ "progress": line }));
        }
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

#[cfg(test)]
mod tests {
    use runtime::facade;

    use super::*;

    /// Progress by a clock that the test moves, and what it has written at which millisecond.
    struct Watched {
        progress: ProgressOutput,
        clock: Arc<AtomicU64>,
        written: Arc<Mutex<Vec<(u64, u64)>>>,
        resumed: Arc<AtomicU64>,
    }

    impl Watched {
        fn new(length: u64) -> Self {
            let (clock, written) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(Vec::new())));
            let (now, time, lines) = (clock.clone(), clock.clone(), written.clone());
            let resumed = Arc::new(AtomicU64::new(0));
            let expected = resumed.clone();
            let write = move |line: Value| {
                let resumed = expected.load(Ordering::SeqCst);
                let members = line["progress"].as_object().unwrap();
                assert_eq!(members.keys().collect::<Vec<_>>(), ["bytes", "total", "resumed"]);
                assert_eq!(
                    (&line["progress"]["total"], &line["progress"]["resumed"]),
                    (&length.into(), &resumed.into())
                );
                lines.lock().unwrap().push((time.load(Ordering::SeqCst), members["bytes"].as_u64().unwrap()));
            };
            let progress = ProgressOutput::writing(move || Duration::from_millis(now.load(Ordering::SeqCst)), write);
            progress.begin(length);
            Self { progress, clock, written, resumed }
        }

        fn observe(&self, phase: Phase, bytes: u64, total: Option<u64>) {
            let resumed = self.resumed.load(Ordering::SeqCst);
            (self.progress.observer())(facade::Progress { phase, bytes, total, resumed, path: None });
        }

        /// An upload of 200 bytes goes on behind these, which are so many of the file.
        fn resume(&self, bytes: u64, resumed: u64) {
            self.resumed.store(resumed, Ordering::SeqCst);
            (self.progress.observer())(facade::Progress {
                phase: Phase::Uploading,
                bytes,
                total: Some(200),
                resumed,
                path: None,
            });
        }

        fn written(&self) -> Vec<(u64, u64)> {
            self.written.lock().unwrap().clone()
        }
    }

    #[test]
    fn there_are_at_most_ten_lines_a_second_and_the_last_byte_is_always_told() {
        const LENGTH: u64 = 5_000;
        let watched = Watched::new(LENGTH);
        watched.progress.step("writing", Some(LENGTH));
        for millisecond in 0..LENGTH {
            watched.clock.store(millisecond, Ordering::SeqCst);
            watched.progress.add(1);
        }
        let written = watched.written();
        assert!(written.len() > 30, "{written:?}");
        for (at, _) in &written {
            let second = written.iter().filter(|(other, _)| (*at..at + 1000).contains(other)).count();
            assert!(second <= 10, "{second} lines from {at} ms on: {written:?}");
        }
        assert!(written.is_sorted_by(|(_, one), (_, next)| one < next), "{written:?}");
        assert_eq!(written.last(), Some(&(LENGTH - 1, LENGTH)));
    }

    #[test]
    fn lines_count_bytes_of_the_file_whatever_is_transferred_and_never_go_back() {
        let watched = Watched::new(300);
        for (millisecond, phase, bytes, total) in [
            (0, Phase::Sealing, 300, None),
            (1, Phase::Downloading, 10, None),
            (2, Phase::Downloading, 100, Some(400)),
            (1000, Phase::Downloading, 200, Some(400)),
            (1001, Phase::Downloading, 400, Some(400)),
            (2000, Phase::Verifying, 0, Some(300)),
        ] {
            watched.clock.store(millisecond, Ordering::SeqCst);
            watched.observe(phase, bytes, total);
        }
        watched.progress.step("writing", Some(300));
        watched.progress.add(150);
        assert_eq!(watched.written(), [(2, 75), (1000, 150), (1001, 300)]);
    }

    #[test]
    fn a_transfer_that_goes_on_starts_behind_what_an_earlier_run_did() {
        let watched = Watched::new(300);
        watched.resumed.store(200, Ordering::SeqCst);
        watched.progress.step("downloading", Some(300));
        watched.progress.begin_behind(200);
        watched.progress.add(50);
        watched.clock.store(500, Ordering::SeqCst);
        watched.progress.add(50);
        assert_eq!(watched.written(), [(0, 250), (500, 300)]);
    }

    #[test]
    fn what_had_arrived_before_counts_from_the_start() {
        let watched = Watched::new(100);
        watched.resume(80, 40);
        assert_eq!(watched.progress.resumed(), 40);
        for (millisecond, phase, bytes) in [
            (500, Phase::Sealing, 10),
            (1000, Phase::Uploading, 79),
            (2000, Phase::Uploading, 100),
            (3000, Phase::Uploading, 200),
        ] {
            watched.clock.store(millisecond, Ordering::SeqCst);
            watched.observe(phase, bytes, Some(200));
        }
        assert_eq!(watched.written(), [(0, 40), (2000, 50), (3000, 100)]);
        // It turns out that everything has to be sent.
        let watched = Watched::new(100);
        watched.resume(80, 40);
        watched.resume(0, 0);
        assert_eq!(watched.progress.resumed(), 0);
        watched.clock.store(1000, Ordering::SeqCst);
        watched.observe(Phase::Uploading, 200, Some(200));
        assert_eq!(watched.written(), [(0, 40), (1000, 100)]);
    }

    #[test]
    fn lines_without_a_length_count_from_the_first_byte() {
        let written = Arc::new(Mutex::new(Vec::new()));
        let lines = written.clone();
        let progress = ProgressOutput::writing(|| Duration::ZERO, move |line| lines.lock().unwrap().push(line));
        progress.add(1);
        assert!(written.lock().unwrap().is_empty(), "nothing has begun");
        progress.begin_without_length();
        progress.step("writing", None);
        progress.begin_behind(0);
        progress.add(5);
        let expected = json!({ "progress": { "bytes": 5, "total": null, "resumed": 0 } });
        assert_eq!(*written.lock().unwrap(), [expected]);
    }

    #[test]
    fn lines_name_the_path_from_when_it_is_known_and_when_it_changes() {
        const LENGTH: u64 = 100;
        let (written, clock) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicU64::new(0)));
        let (lines, now) = (written.clone(), clock.clone());
        let time = move || Duration::from_millis(now.load(Ordering::SeqCst));
        let progress = ProgressOutput::writing(time, move |line| lines.lock().unwrap().push(line));
        progress.begin(LENGTH);
        let observe = progress.observer();
        for (millisecond, bytes, path) in [
            (0, 0, None),
            (1, 10, Some(Path::Relayed)),
            (200, 20, Some(Path::Relayed)),
            // No byte more: the path alone has changed, and not so soon.
            (201, 20, Some(Path::Lan)),
            (400, 20, Some(Path::Lan)),
            (600, 20, Some(Path::Lan)),
            // What is on its way again says nothing.
            (800, 30, None),
            (801, LENGTH, Some(Path::Backbone)),
        ] {
            clock.store(millisecond, Ordering::SeqCst);
            let total = Some(LENGTH);
            observe(facade::Progress { phase: Phase::Downloading, bytes, total, resumed: 0, path });
        }
        let line = |bytes: u64, path: Option<&str>| {
            let mut line = json!({ "bytes": bytes, "total": LENGTH, "resumed": 0 });
            if let Some(path) = path {
                line["path"] = Value::from(path);
            }
            json!({ "progress": line })
        };
        let expected = [
            line(0, None),
            line(20, Some("relayed")),
            line(20, Some("lan")),
            line(30, Some("lan")),
            line(LENGTH, Some("backbone")),
        ];
        assert_eq!(*written.lock().unwrap(), expected);
    }

    #[test]
    fn chunks_that_are_sealed_while_others_are_sent_do_not_move_the_bar_back() {
        let watched = Watched::new(100);
        let bar = |phase, bytes| {
            watched.observe(phase, bytes, Some(200));
            (watched.progress.bar.message(), watched.progress.bar.position())
        };
        assert_eq!(bar(Phase::Sealing, 10), ("encrypting".to_owned(), 10));
        for (phase, bytes) in [(Phase::Uploading, 100), (Phase::Sealing, 60), (Phase::Uploading, 100)] {
            assert_eq!(bar(phase, bytes), ("uploading".to_owned(), 100));
        }
    }

    #[test]
    fn a_step_that_transfers_nothing_moves_the_bar_and_has_no_lines() {
        let watched = Watched::new(100);
        watched.progress.step("verifying", Some(100));
        watched.progress.advance(70);
        assert_eq!((watched.progress.bar.position(), watched.written()), (70, vec![]));
    }

    #[test]
    fn an_empty_file_has_one_line() {
        let watched = Watched::new(0);
        watched.observe(Phase::Downloading, 0, Some(0));
        watched.observe(Phase::Downloading, 60, Some(60));
        assert_eq!(watched.written(), [(0, 0)]);
    }
}
