//! What runs print, while they go on.
//!
//! Invariants: a transcript grows under its run's lease only; a piece that comes twice is kept once; it is bounded, and what did not fit is
//! counted, so that nobody takes the beginning for the whole. (A piece that was being written while the lease went stays: it can only
//! add to the run that it came from.)

mod read;

use damascus_core::{Named as _, Refusal, RunId, WorkPhase, WorkerId};
use serde::Serialize;

use crate::decode::RowRef;
use crate::{Lease, Store, StoreError, input};

/// How much of a run's transcript is kept, in bytes of UTF-8.
pub const RUN_TRANSCRIPT_MAX_BYTES: usize = 4 << 20;
/// How many pieces of it are kept: three a second for six hours.
pub const RUN_TRANSCRIPT_MAX_CHUNKS: usize = 65_536;
/// How long one piece may be, in bytes of UTF-8.
pub const CHUNK_MAX_BYTES: usize = 256 << 10;
/// The most pieces that one call appends or gives.
pub const MAX_CHUNKS: usize = 1_000;

/// A piece of what a run printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Chunk {
    /// Its place; rises within the run, with or without gaps.
    pub ordinal: u32,
    /// The text, without NUL; whoever appends it has made it safe to show.
    pub text: String,
}

/// How much of a run's transcript there is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TranscriptHead {
    /// The run.
    pub run: RunId,
    /// The phase that it runs.
    pub phase: WorkPhase,
    /// The worker that runs it.
    pub worker: WorkerId,
    /// How much is kept, in bytes of UTF-8.
    pub kept_bytes: u64,
    /// How much came after it was full, in bytes of UTF-8.
    pub left_out_bytes: u64,
    /// The last piece that came, kept or not; nothing before the first.
    pub last_ordinal: Option<u32>,
    /// Whether the run goes on, so that more may come.
    pub under_way: bool,
}

/// The numbers of a transcript, and what becomes of them when pieces come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tally {
    chunks: i32,
    kept_bytes: i32,
    left_out_bytes: i64,
    last_ordinal: i64,
}

impl Tally {
    /// Enters pieces; gives those that are to be kept.
    fn enter<'a>(&mut self, chunks: &'a [Chunk]) -> Vec<&'a Chunk> {
        let mut kept = Vec::with_capacity(chunks.len());
        for chunk in chunks {
            if i64::from(chunk.ordinal) <= self.last_ordinal {
                continue;
            }
            self.last_ordinal = i64::from(chunk.ordinal);
            let bytes = chunk.text.len();
            let kept_bytes = usize::try_from(self.kept_bytes).unwrap_or(usize::MAX).saturating_add(bytes);
            let full = usize::try_from(self.chunks).unwrap_or(usize::MAX) >= RUN_TRANSCRIPT_MAX_CHUNKS;
            if bytes == 0 {
                continue;
            }
            // Once something was left out, all that follows is: a hole in the middle would mislead.
            if self.left_out_bytes > 0 || full || kept_bytes > RUN_TRANSCRIPT_MAX_BYTES {
                self.left_out_bytes = self.left_out_bytes.saturating_add(i64::try_from(bytes).unwrap_or(i64::MAX));
            } else {
                self.kept_bytes = i32::try_from(kept_bytes).unwrap_or(i32::MAX);
                self.chunks = self.chunks.saturating_add(1);
                kept.push(chunk);
            }
        }
        kept
    }
}

impl Store {
    /// Appends pieces, in the order of their ordinals, to the transcript of the run that the lease is for. A piece that is not behind the last
    /// one that came is taken for a repetition and passed over. Those who listen on [`crate::Channel::Transcripts`] hear of it.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when the lease is gone; [`StoreError::Invalid`] for more than [`MAX_CHUNKS`], pieces out of order, or one that
    /// is longer than [`CHUNK_MAX_BYTES`] or holds a NUL; [`StoreError::Database`].
    pub async fn append_transcript(&self, lease: &Lease, chunks: &[Chunk]) -> Result<(), StoreError> {
        check(chunks)?;
        let mut tx = self.pool.begin().await?;
        // The row's lock lets one append at a time; the update changes nothing.
        let tally = sqlx::query_as!(
            Tally,
            r#"
            INSERT INTO run_transcripts AS t (run_id, worker_id, item_id, phase)
            SELECT $1, w.lease_owner, w.id, $5::text::phase FROM work_items w
            WHERE w.id = $2 AND w.lease_epoch = $3 AND w.lease_owner = $4
            ON CONFLICT (run_id, worker_id) DO UPDATE SET chunks = t.chunks
            RETURNING chunks, kept_bytes, left_out_bytes, last_ordinal
            "#,
            lease.run.0,
            lease.item.0,
            lease.epoch.0,
            lease.worker.0,
            lease.phase.name(),
        )
        .fetch_optional(&mut *tx)
        .await?;
        let mut tally = tally.ok_or(StoreError::Refused(Refusal::Stale))?;
        let kept = tally.enter(chunks);
        let (ordinals, texts): (Vec<i64>, Vec<&str>) =
            kept.iter().map(|chunk| (i64::from(chunk.ordinal), chunk.text.as_str())).unzip();
        sqlx::query!(
            r#"
            WITH added AS (
                INSERT INTO run_transcript_chunks (run_id, worker_id, ordinal, body)
                SELECT $1, $2, c.ordinal, c.body FROM unnest($3::bigint[], $4::text[]) AS c(ordinal, body)
            ), counted AS (
                UPDATE run_transcripts SET chunks = $5, kept_bytes = $6, left_out_bytes = $7, last_ordinal = $8
                WHERE run_id = $1 AND worker_id = $2
            )
            SELECT pg_notify('damascus_transcripts', $1::text) AS "notified: ()"
            "#,
            lease.run.0,
            lease.worker.0,
            &ordinals,
            &texts as _,
            tally.chunks,
            tally.kept_bytes,
            tally.left_out_bytes,
            tally.last_ordinal,
        )
        .fetch_one(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }
}

fn check(chunks: &[Chunk]) -> Result<(), StoreError> {
    if chunks.len() > MAX_CHUNKS {
        let given = chunks.len();
        return Err(input::wrong("transcript", format_args!("{given} pieces at once; at most {MAX_CHUNKS}")));
    }
    if !chunks.is_sorted_by(|one, next| one.ordinal < next.ordinal) {
        return Err(input::wrong("transcript", "the pieces are not in the order of their ordinals"));
    }
    chunks.iter().try_for_each(|chunk| input::body("transcript", &chunk.text, CHUNK_MAX_BYTES).map(|_| ()))
}

/// What stands in the place of what was not kept.
fn left_out(bytes: u64) -> String {
    format!("\n[{bytes} more bytes were printed; a transcript keeps the first {RUN_TRANSCRIPT_MAX_BYTES}]\n")
}

/// The ordinal of a row, as it is known outside.
fn ordinal(run: RunId, ordinal: i64) -> Result<u32, StoreError> {
    u32::try_from(ordinal).map_err(|error| RowRef { table: "run_transcript_chunks", id: run.0 }.wrong(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: Tally = Tally { chunks: 0, kept_bytes: 0, left_out_bytes: 0, last_ordinal: -1 };

    fn chunk(ordinal: u32, bytes: usize) -> Chunk {
        Chunk { ordinal, text: "x".repeat(bytes) }
    }

    #[test]
    fn a_repetition_is_passed_over() {
        let mut tally = EMPTY;
        let pieces = [chunk(0, 3), chunk(2, 4), chunk(3, 0)];
        assert_eq!(tally.enter(&pieces).len(), 2, "an empty piece is not kept");
        let once = tally;
        assert_eq!(once, Tally { chunks: 2, kept_bytes: 7, left_out_bytes: 0, last_ordinal: 3 });
        assert!(tally.enter(&pieces).is_empty());
        assert_eq!(tally, once);
    }

    #[test]
    fn what_does_not_fit_is_counted_and_so_is_all_that_follows() {
        let mut tally = EMPTY;
        let most = CHUNK_MAX_BYTES;
        let pieces: Vec<Chunk> = (0..).map(|n| chunk(n, most)).take(RUN_TRANSCRIPT_MAX_BYTES / most).collect();
        assert_eq!(tally.enter(&pieces).len(), pieces.len());
        assert_eq!(tally.kept_bytes, 4 << 20);
        assert!(tally.enter(&[chunk(90, 5), chunk(91, 1)]).is_empty());
        assert_eq!((tally.left_out_bytes, tally.last_ordinal), (6, 91));

        let mut many = Tally { chunks: 65_535, ..EMPTY };
        assert_eq!(many.enter(&[chunk(1, 1), chunk(2, 1)]).len(), 1);
        assert_eq!(many.left_out_bytes, 1);
    }

    #[test]
    fn what_is_too_much_or_out_of_order_is_refused() {
        assert!(check(&[chunk(1, 1), chunk(1, 1)]).unwrap_err().to_string().contains("order"));
        assert!(check(&[chunk(1, CHUNK_MAX_BYTES + 1)]).unwrap_err().to_string().contains("at most 262144"));
        let many: Vec<Chunk> = (0..1_001).map(|n| chunk(n, 1)).collect();
        assert!(check(&many).unwrap_err().to_string().contains("1001 pieces"));
        check(&many[..1_000]).unwrap();
    }
}
