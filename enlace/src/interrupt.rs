//! Ctrl-C and SIGTERM: the first asks for an orderly end, the second ends at once.

use tokio::sync::watch;

use crate::code::Kind;
use crate::failure::Failure;

/// Tells that an end was asked for.
///
/// Signals are taken over at the first use only: before that, at a password prompt, Ctrl-C simply ends the process.
#[derive(Default)]
pub(crate) struct Interrupt(Option<watch::Receiver<bool>>);

impl Interrupt {
    fn receiver(&mut self) -> &mut watch::Receiver<bool> {
        self.0.get_or_insert_with(|| {
            let (asked, receiver) = watch::channel(false);
            tokio::spawn(async move {
                signal().await;
                let _ = asked.send(true);
                signal().await;
                std::process::exit(Kind::Interrupted as i32);
            });
            receiver
        })
    }

    /// Returns when an end was asked for. Cancel-safe.
    pub(crate) async fn asked(&mut self) {
        if self.receiver().wait_for(|asked| *asked).await.is_err() {
            // No listener, no signal: wait for ever rather than end without reason.
            std::future::pending::<()>().await;
        }
    }

    /// Does the work, or drops it when an end is asked for.
    ///
    /// # Errors
    /// The work's own, or [`Kind::Interrupted`].
    pub(crate) async fn or<T>(&mut self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        tokio::select! {
            result = work => result,
            () = self.asked() => Err(Failure::new(Kind::Interrupted, "interrupted")),
        }
    }
}

#[cfg(unix)]
async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

#[cfg(not(unix))]
async fn signal() {
    let _ = tokio::signal::ctrl_c().await;
}
