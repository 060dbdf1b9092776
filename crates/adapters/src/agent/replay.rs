//! Recorded answers, played as if an agent and a model were at work: for demos and tests, where there is neither a key nor a bill.
//!
//! A recording is a folder, or the same files in memory. For a story with key `K`, and rounds that count from 0:
//!
//! | path | what it is |
//! |---|---|
//! | `K/build-N/files/PATH` | written to `PATH` in the tree, with its content; an existing file keeps its mode |
//! | `K/build-N/delete` | one path a line, removed from the tree; files only |
//! | `K/build-N/transcript.txt` | its lines are the transcript |
//! | `K/build-N/outcome.toml` | `end = "done"`, `"spec_wrong"` or `"failed"` (`"done"` without it), `text = "…"` for the latter two, and what it is said to have cost: `tokens_in`, `tokens_out`, `cost_microusd` |
//! | `K/spec-N.json` | what the model answers, as it is |
//! | `K/spec-N.toml` | what that is said to have cost: `tokens_in`, `tokens_out`, `cost_microusd` |
//!
//! A round that was not recorded plays the last one before it, so that one recording answers every round. `build-N` needs at least one file.
//!
//! Invariants: a path of a recording stays inside the tree and never leads through a link; a story without a recording fails and says so;
//! the first line of a transcript says that it is a recording.

mod agent;
mod model;
mod recordings;
mod tree;

pub use agent::ReplayAgent;
pub use model::ReplayModel;
pub use recordings::{Recordings, RecordingsError};

use damascus_core::{CostEntry, MicroUsd};

/// The provider's name in the ledger.
const PROVIDER: &str = "replay";
/// The model's name in the ledger.
const MODEL: &str = "recording";

/// What a recording says that it cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Cost {
    tokens_in: u64,
    tokens_out: u64,
    microusd: u64,
}

impl Cost {
    fn entry(self) -> CostEntry {
        CostEntry {
            provider: PROVIDER.to_owned(),
            model: MODEL.to_owned(),
            tokens_in: self.tokens_in,
            tokens_out: self.tokens_out,
            tokens_cached: 0,
            amount: MicroUsd(i64::try_from(self.microusd).unwrap_or(i64::MAX)),
            estimated: false,
        }
    }
}
