//! Signals that ask the process to end.
//!
//! Invariant: a command that holds nothing ends at once; one that drains handles them itself.

use tokio::signal::unix::{SignalKind, signal};

/// Waits for Ctrl-C or a request to terminate. Never ends where signals can't be listened for.
pub async fn asked_to_end() {
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
