//! The output of a program: its hash, what is kept of it, and its way into the transcript.
//!
//! Invariant: memory is bounded whatever a program prints; the hash is of all of it.

use damascus_core::{Digest, Hasher, RunId, display};
use damascus_sandbox::{Sink, Stream};
use damascus_store::transcript::Chunk;
use damascus_store::{Lease, Store};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Duration, Instant};

use crate::ports::agent::Transcript;

/// How much of each stream is kept for reading a report, in bytes.
pub(crate) const KEPT_BYTES: usize = 16 << 20;
/// How much of the end of the output goes into feedback, in characters.
pub(crate) const TAIL_CHARS: usize = 3_000;
/// How long a line of a transcript may be, in characters.
const LINE_MAX_CHARS: usize = 4_000;
/// Pieces that wait to be written; beyond these they are left out and counted.
const QUEUE: usize = 4_096;
/// How often a transcript is written while it grows, and how much at once, in bytes.
const WRITE_EVERY: Duration = Duration::from_millis(300);
const CHUNK_BYTES: usize = 16 << 10;
/// How long a database that does not answer may hold up the end of a run.
const LAST_WRITE: Duration = Duration::from_secs(10);

/// Takes a program's output.
#[derive(Debug, Default)]
pub(crate) struct Log {
    hasher: Hasher,
    pub(crate) out: Vec<u8>,
    pub(crate) err: Vec<u8>,
    pub(crate) cut: bool,
    live: Option<Live>,
}

impl Log {
    /// A log that is also written to a transcript.
    pub(crate) fn following(live: Option<Live>) -> Self {
        Self { live, ..Self::default() }
    }

    pub(crate) fn digest(&self) -> Digest {
        self.hasher.clone().finish()
    }

    /// The end of both streams, safe to show.
    pub(crate) fn tail(&self) -> String {
        let mut text = String::new();
        for bytes in [&self.out, &self.err] {
            let from = bytes.len().saturating_sub(TAIL_CHARS * 2);
            let part = display::many_lines(&String::from_utf8_lossy(&bytes[from..]), TAIL_CHARS * 2);
            if !part.trim().is_empty() {
                text.push_str(part.trim_end());
                text.push('\n');
            }
        }
        let skip = text.chars().count().saturating_sub(TAIL_CHARS);
        text.chars().skip(skip).collect()
    }

    /// Both streams as kept, one after the other.
    pub(crate) fn all(&self) -> Vec<u8> {
        [self.out.as_slice(), self.err.as_slice()].concat()
    }
}

impl Sink for Log {
    fn write(&mut self, stream: Stream, bytes: &[u8]) {
        self.hasher.update(bytes);
        let kept = match stream {
            Stream::Out => &mut self.out,
            Stream::Err => &mut self.err,
        };
        let room = KEPT_BYTES.saturating_sub(kept.len());
        self.cut |= bytes.len() > room;
        kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if let Some(live) = &mut self.live {
            live.bytes(bytes);
        }
    }
}

/// Writes a run's transcript to the database while it grows.
#[derive(Debug)]
pub(crate) struct Recorder {
    sender: mpsc::Sender<String>,
    task: JoinHandle<()>,
}

/// Where pieces of a transcript go in.
#[derive(Debug, Clone)]
pub(crate) struct Live {
    sender: mpsc::Sender<String>,
    partial: Vec<u8>,
    left_out: u64,
}

impl Recorder {
    pub(crate) fn start(store: Store, lease: Lease) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE);
        Self { sender, task: tokio::spawn(write_down(store, lease, receiver)) }
    }

    pub(crate) fn live(&self) -> Live {
        Live { sender: self.sender.clone(), partial: Vec::new(), left_out: 0 }
    }

    /// Says a line of Damascus' own.
    pub(crate) fn say(&self, text: &str) {
        // A full queue means that more is printed than anybody reads.
        let _ = self.sender.try_send(format!("— {}\n", display::one_line(text, LINE_MAX_CHARS)));
    }

    /// Waits until what came in is written; bounded, since a transcript decides nothing.
    pub(crate) async fn finish(self, run: RunId) {
        drop(self.sender);
        let abort = self.task.abort_handle();
        if tokio::time::timeout(LAST_WRITE, self.task).await.is_err() {
            abort.abort();
            tracing::warn!(run.id = run.0, "the end of a transcript could not be written in time");
        }
    }
}

impl Live {
    fn bytes(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|&b| b == b'\n') {
            self.partial.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.partial.len() > LINE_MAX_CHARS {
                let line = std::mem::take(&mut self.partial);
                self.line(&String::from_utf8_lossy(&line));
            }
        }
    }

    fn line(&mut self, text: &str) {
        let safe = display::one_line(text.trim_end_matches(['\n', '\r']), LINE_MAX_CHARS);
        if self.left_out > 0 && self.sender.try_send(format!("… {} lines left out\n", self.left_out)).is_ok() {
            self.left_out = 0;
        }
        if self.sender.try_send(format!("{safe}\n")).is_err() {
            self.left_out += 1;
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if !self.partial.is_empty() {
            let rest = std::mem::take(&mut self.partial);
            self.line(&String::from_utf8_lossy(&rest));
        }
    }
}

impl Transcript for Live {
    fn write(&mut self, text: &str) {
        for line in text.lines() {
            self.line(line);
        }
    }
}

async fn write_down(store: Store, lease: Lease, mut receiver: mpsc::Receiver<String>) {
    let mut open = true;
    for ordinal in 0_u32.. {
        let mut text = String::new();
        let mut until = Instant::now();
        while open && text.len() < CHUNK_BYTES {
            // Nothing to write yet: wait for as long as it takes.
            let next = if text.is_empty() {
                let first = receiver.recv().await;
                until = Instant::now() + WRITE_EVERY;
                Ok(first)
            } else {
                tokio::time::timeout_at(until, receiver.recv()).await
            };
            match next {
                Ok(Some(piece)) => text.push_str(&piece),
                Ok(None) => open = false,
                Err(_) => break,
            }
        }
        if text.is_empty() {
            return;
        }
        if !write_chunk(&store, &lease, &Chunk { ordinal, text }).await {
            return;
        }
    }
}

/// Writes one chunk; says whether the transcript can go on. The same chunk is tried again, since an earlier try may have gone through.
async fn write_chunk(store: &Store, lease: &Lease, chunk: &Chunk) -> bool {
    loop {
        match store.append_transcript(lease, std::slice::from_ref(chunk)).await {
            Ok(()) => return true,
            // What gathers meanwhile is bounded by the queue, and the wait by whoever waits for the end.
            Err(error) if error.retryable() => tokio::time::sleep(WRITE_EVERY).await,
            Err(error) => {
                tracing::debug!(%error, run.id = lease.run.0, "the transcript is not written any further");
                return false;
            }
        }
    }
}
