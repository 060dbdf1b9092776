//! Showing the status again whenever something happens.
//!
//! Invariants: at most four pictures a second; at most a fifth of the time goes into asking; a lost notification delays a picture, it does
//! not stop them; a database that fails is asked again.

use std::time::Duration;

use anyhow::Result;
use damascus_core::{ProjectId, display};
use damascus_store::{Channel, Listener, Store, StoreError};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep, timeout};

use crate::output::screen::Screen;
use crate::output::style::Tone;
use crate::output::{Output, OutputError};

use super::view;

/// The least time between two pictures.
const MIN_INTERVAL: Duration = Duration::from_millis(250);
/// A picture is drawn after this long even when nothing was heard of; ages grow meanwhile.
const MAX_INTERVAL: Duration = Duration::from_secs(2);
/// How many times as long as an answer took is waited before asking again.
const REST: u32 = 4;

/// Draws until the caller drops it.
pub(super) async fn watch(out: &Output, store: &Store, project: Option<ProjectId>) -> Result<()> {
    // The first answer comes before the screen is taken over, so that an error is printed like any other.
    let mut status = store.status(project).await?;
    let mut screen = if out.is_json() { None } else { Some(Screen::enter(out)?) };
    let mut resized = signal(SignalKind::window_change()).ok();
    let mut listener = None;
    let mut trouble: Option<StoreError> = None;
    let mut rest = MIN_INTERVAL;
    loop {
        match &mut screen {
            Some(screen) => draw(screen, out, &status, trouble.as_ref())?,
            None => out.json_line(&status)?,
        }
        if listener.is_none() {
            listener = store.listen(&[Channel::Events]).await.ok();
        }
        wait(&mut listener, &mut resized, rest).await;
        let asked = Instant::now();
        match store.status(project).await {
            Ok(fresh) => (status, trouble) = (fresh, None),
            Err(error) if error.retryable() => trouble = Some(error),
            Err(error) => return Err(error.into()),
        }
        rest = (asked.elapsed() * REST).max(MIN_INTERVAL);
    }
}

fn draw(
    screen: &mut Screen<'_>,
    out: &Output,
    status: &damascus_store::status::Status,
    trouble: Option<&StoreError>,
) -> Result<(), OutputError> {
    let mut picture = view::draw(status, out);
    if let Some(error) = trouble {
        let text = format!("{}; trying again", display::one_line(&error.to_string(), 200));
        picture = format!("{}\n{picture}", out.style().paint(Tone::Bad, &text));
    }
    screen.draw(picture)
}

/// Rests, then waits for a notification, another size of the terminal, or the longest interval.
async fn wait(listener: &mut Option<Listener>, resized: &mut Option<Signal>, rest: Duration) {
    sleep(rest).await;
    let heard = async {
        match listener {
            // A listener that failed is made anew after the next answer.
            Some(some) => some.wait().await.is_ok(),
            None => std::future::pending().await,
        }
    };
    let redraw = async {
        match resized {
            Some(signal) => drop(signal.recv().await),
            None => std::future::pending().await,
        }
    };
    let lives = timeout(MAX_INTERVAL, async {
        tokio::select! {
            lives = heard => lives,
            () = redraw => true,
        }
    })
    .await
    .unwrap_or(true);
    if !lives {
        *listener = None;
    }
}
