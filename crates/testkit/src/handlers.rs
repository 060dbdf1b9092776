//! Phase handlers that do no work: following a script, or random from a seed.
//!
//! Invariant: a random verdict depends on the seed, the item and the run's attempt alone, so that a seed reproduces a failure.

use std::sync::Arc;

use async_trait::async_trait;
use damascus_core::{Failure, Outcome, Proof, Question, RunReport, WorkPhase};
use damascus_engine::{NoOp, PhaseHandler, RunContext};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::sync::{mpsc, oneshot};

/// A proof that fits the phase, about commits that no repository has.
#[must_use]
pub fn proof(phase: WorkPhase) -> Proof {
    NoOp::new().expect("the proofs of a run that does nothing are valid").proof(phase)
}

/// Reports what a function says.
pub struct Scripted<F>(pub F);

#[async_trait]
impl<F: Fn(&RunContext) -> RunReport + Send + Sync> PhaseHandler for Scripted<F> {
    async fn run(&self, context: RunContext) -> RunReport {
        (self.0)(&context)
    }
}

struct Puppet(mpsc::UnboundedSender<Puppeted>);

/// A run in the hands of a test. Letting it drop is a failure of the surroundings.
pub struct Puppeted {
    /// What the handler was given.
    pub context: RunContext,
    /// What it is to report.
    pub report: oneshot::Sender<RunReport>,
}

/// A handler that hands every run to the test, which says what it reports; and the runs that it is given.
#[must_use]
pub fn puppet() -> (Arc<dyn PhaseHandler>, mpsc::UnboundedReceiver<Puppeted>) {
    let (given, runs) = mpsc::unbounded_channel();
    (Arc::new(Puppet(given)), runs)
}

#[async_trait]
impl PhaseHandler for Puppet {
    async fn run(&self, context: RunContext) -> RunReport {
        let (report, said) = oneshot::channel();
        // A test that is over has nothing to say.
        drop(self.0.send(Puppeted { context, report }));
        said.await.unwrap_or_else(|_| RunReport::failed(Failure::InfraError, "the test let go of the run"))
    }
}

/// Reports random outcomes that are legal in the phase; `pass_percent` of them pass.
#[derive(Debug, Clone, Copy)]
pub struct Random {
    /// What the verdicts are drawn from.
    pub seed: u64,
    /// How many of a hundred pass.
    pub pass_percent: u32,
}

#[async_trait]
impl PhaseHandler for Random {
    async fn run(&self, context: RunContext) -> RunReport {
        let lease = &context.lease;
        let mut rng = SmallRng::seed_from_u64(
            self.seed ^ lease.item.0.cast_unsigned().rotate_left(32) ^ lease.epoch.0.cast_unsigned(),
        );
        let report = RunReport::free(outcome(lease.phase, self.pass_percent, &mut rng));
        // Some runs take long enough to be caught in the middle.
        if rng.random_ratio(1, 50) {
            tokio::time::sleep(std::time::Duration::from_millis(rng.random_range(1..40))).await;
        }
        report
    }
}

fn outcome(phase: WorkPhase, pass_percent: u32, rng: &mut SmallRng) -> Outcome {
    if rng.random_ratio(pass_percent, 100) {
        return Outcome::Pass(proof(phase));
    }
    use Failure as F;
    let failures: &[Failure] = match phase {
        WorkPhase::Spec => &[F::SpecInvalid, F::InfraError, F::Timeout],
        WorkPhase::Build => {
            &[F::NoChange, F::BuildFailed, F::PolicyViolation, F::SpecWrong, F::ContractChanged, F::InfraError]
        }
        WorkPhase::Review => {
            &[F::TestsFailed, F::ReviewRejected, F::RebaseConflict, F::TamperSuspected, F::SpecWrong, F::Timeout]
        }
        WorkPhase::Merge => &[F::HeadMoved, F::BaseMoved, F::RebaseConflict, F::TestsFailed, F::InfraError],
    };
    if phase == WorkPhase::Spec && rng.random_ratio(1, 8) {
        let first = Question {
            text: "Which of the two?".to_owned(),
            options: vec!["a".to_owned(), "b".to_owned()],
            default: Some("a".to_owned()),
        };
        return Outcome::Ask { first, more: Vec::new() };
    }
    let failure = failures[rng.random_range(0..failures.len())];
    Outcome::Fail { failure, detail: format!("drawn: {failure}") }
}
