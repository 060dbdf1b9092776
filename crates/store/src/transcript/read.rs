//! Reading a transcript, all of it or on from where a reader stood.
//!
//! Invariant: while the run goes on, what was left out is only counted; once it has ended, a last piece says how much that was, in the place
//! of the last one that came. So a reader who goes on behind the last ordinal sees that piece once.

use damascus_core::{RunId, WorkerId};

use super::{Chunk, MAX_CHUNKS, TranscriptHead, left_out, ordinal};
use crate::decode::RowRef;
use crate::{Store, StoreError};

impl Store {
    /// How much of a run's transcript there is; nothing when it printed nothing, or it was trimmed.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Inconsistent`].
    pub async fn transcript_head(&self, run: RunId) -> Result<Option<TranscriptHead>, StoreError> {
        let row = sqlx::query!(
            r#"
            SELECT t.worker_id, t.phase::text AS "phase!", t.kept_bytes, t.left_out_bytes, t.last_ordinal,
                   (w.run_id IS NOT DISTINCT FROM t.run_id AND w.lease_owner IS NOT DISTINCT FROM t.worker_id) AS "under_way!"
            FROM run_transcripts t
            JOIN work_items w ON w.id = t.item_id
            LEFT JOIN runs r ON r.id = t.run_id AND r.worker_id = t.worker_id
            WHERE t.run_id = $1
            -- A run's id may have been given out twice; the one that ended or goes on under it is meant, else the later one.
            ORDER BY (r.id IS NOT NULL) DESC, (w.run_id IS NOT DISTINCT FROM t.run_id AND w.lease_owner IS NOT DISTINCT FROM t.worker_id) DESC,
                     t.begun_at DESC
            LIMIT 1
            "#,
            run.0,
        )
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let at = RowRef { table: "run_transcripts", id: run.0 };
        Ok(Some(TranscriptHead {
            run,
            phase: at.work_phase(&row.phase)?,
            worker: WorkerId(row.worker_id),
            kept_bytes: u64::try_from(row.kept_bytes).map_err(|error| at.wrong(error))?,
            left_out_bytes: u64::try_from(row.left_out_bytes).map_err(|error| at.wrong(error))?,
            last_ordinal: (row.last_ordinal >= 0).then(|| ordinal(run, row.last_ordinal)).transpose()?,
            under_way: row.under_way,
        }))
    }

    /// The pieces of a run's transcript behind `after_ordinal`, in order; at most `limit` and [`MAX_CHUNKS`].
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Inconsistent`].
    pub async fn transcript(
        &self,
        run: RunId,
        after_ordinal: Option<u32>,
        limit: usize,
    ) -> Result<Vec<Chunk>, StoreError> {
        let limit = limit.min(MAX_CHUNKS);
        // Read first: what is appended after this look is found by the next one.
        let Some(head) = self.transcript_head(run).await? else { return Ok(Vec::new()) };
        let rows = sqlx::query!(
            r#"
            SELECT ordinal, body FROM run_transcript_chunks
            WHERE run_id = $1 AND worker_id = $2 AND ordinal > $3 ORDER BY ordinal LIMIT $4
            "#,
            run.0,
            head.worker.0,
            after_ordinal.map_or(-1, i64::from),
            i64::try_from(limit).unwrap_or(i64::MAX),
        )
        .fetch_all(&self.pool)
        .await?;
        let mut chunks: Vec<Chunk> = rows
            .into_iter()
            .map(|row| Ok(Chunk { ordinal: ordinal(run, row.ordinal)?, text: row.body }))
            .collect::<Result<_, StoreError>>()?;
        let last = head.last_ordinal.filter(|_| head.left_out_bytes > 0 && !head.under_way && chunks.len() < limit);
        if let Some(last) = last.filter(|&last| after_ordinal.is_none_or(|after| after < last)) {
            chunks.push(Chunk { ordinal: last, text: left_out(head.left_out_bytes) });
        }
        Ok(chunks)
    }
}
