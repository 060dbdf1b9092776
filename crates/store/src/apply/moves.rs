//! A move: one decided transition with all that is written beside it.
//!
//! Invariant: a move is made by calling `step` on the very state under whose epoch it is guarded, so nothing can be written that was not
//! decided.

use std::time::Duration;

use damascus_core::{
    Backoff, CostEntry, Effect, Epoch, Event, IssueKind, ItemId, ItemState, Named, Outcome, Policy, Proof, Question,
    Refusal, RunId, RunReport, Transition, Verdict, WorkPhase, WorkerId, display, step,
};

use crate::Lease;

use super::{DEFAULT_LANE_CLOSURE_MS, MAX_LANE_CLOSURE_MS};

/// How much of a reason a row keeps, in characters.
const DETAIL_MAX_CHARS: usize = 16_000;
/// How much of a question a row keeps, in characters.
const QUESTION_MAX_CHARS: usize = 8_000;
/// How many questions one run may ask.
const MAX_QUESTIONS: usize = 20;
/// How many options one question may have, and how long one may be, in characters.
const MAX_OPTIONS: usize = 20;
const OPTION_MAX_CHARS: usize = 500;

/// How a run ended, as the runs table says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunEnd {
    /// It reported.
    Reported,
    /// Its lease ran out.
    Lost,
    /// A person's decision overtook it.
    Superseded,
}

impl RunEnd {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Reported => "reported",
            Self::Lost => "lost",
            Self::Superseded => "superseded",
        }
    }
}

/// The run that reports.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReportingRun {
    pub(super) id: RunId,
    pub(super) worker: WorkerId,
    pub(super) phase: WorkPhase,
}

/// One decided transition, to be written by [`super::apply`].
#[derive(Debug, Clone)]
pub struct Move {
    /// The item.
    pub item: ItemId,
    /// The lease epoch under which it was decided.
    pub epoch: Epoch,
    pub(super) from: ItemState,
    pub(super) event: Event,
    pub(super) transition: Transition,
    pub(super) end: RunEnd,
    /// The verdict of the run that ends, if it has one.
    pub(super) verdict: Option<Verdict>,
    pub(super) detail: Option<String>,
    pub(super) proof: Option<Proof>,
    pub(super) questions: Vec<(IssueKind, Question)>,
    pub(super) wake_ms: Option<i64>,
    pub(super) costs: Vec<CostEntry>,
    pub(super) run: Option<ReportingRun>,
    reopen_after_ms: Option<u64>,
}

impl Move {
    /// What a run's report does to its item. `jitter` is a fraction in `0.0..=1.0`.
    ///
    /// # Errors
    /// [`Refusal::Illegal`] for a verdict that has no place in the phase: a defect of the phase's handler.
    pub fn from_report(lease: &Lease, report: RunReport, jitter: f64) -> Result<Self, Refusal> {
        let phase = lease.phase;
        let verdict = report.outcome.verdict(phase);
        let mut one =
            Self::decide(lease.item, lease.epoch, lease.state(), Event::Verdict(verdict), &lease.policy, jitter)?;
        one.verdict = Some(verdict);
        one.costs = report.costs;
        one.run = Some(ReportingRun { id: lease.run, worker: lease.worker, phase });
        match report.outcome {
            Outcome::Pass(proof) if proof.phase() == phase => one.proof = Some(proof),
            Outcome::Pass(proof) => {
                one.detail = Some(format!("the handler of {phase} returned a proof of {}", proof.phase()));
            }
            Outcome::Ask { first, more } => {
                let asked = std::iter::once(first).chain(more).take(MAX_QUESTIONS);
                one.questions = asked.map(|question| (IssueKind::Question, safe_question(question))).collect();
            }
            Outcome::RateLimited { reopen_after_ms, detail } => {
                one.reopen_after_ms = reopen_after_ms;
                one.detail = Some(display::many_lines(&detail, DETAIL_MAX_CHARS));
            }
            Outcome::Fail { detail, .. } => one.detail = Some(display::many_lines(&detail, DETAIL_MAX_CHARS)),
        }
        one.ask_about_block();
        Ok(one)
    }

    /// What becomes of an item whose run's lease ran out: an infrastructure failure, reported on behalf of the run.
    ///
    /// # Errors
    /// [`Refusal::Illegal`]; a leased item is in a working phase, so this does not happen with a consistent row.
    pub fn from_lost_lease(lease: &Lease, jitter: f64) -> Result<Self, Refusal> {
        let event = Event::Verdict(Verdict::InfraError);
        let mut one = Self::decide(lease.item, lease.epoch, lease.state(), event, &lease.policy, jitter)?;
        one.end = RunEnd::Lost;
        one.verdict = Some(Verdict::InfraError);
        one.detail = Some("the worker stopped renewing its lease".to_owned());
        one.ask_about_block();
        Ok(one)
    }

    /// What an event that no run reports (a person's decision, a spent budget) does to an item; a run under way is overtaken.
    ///
    /// # Errors
    /// [`Refusal::Illegal`] when it has no place in the item's phase.
    pub fn from_event(
        item: ItemId,
        epoch: Epoch,
        state: ItemState,
        event: Event,
        policy: &Policy,
    ) -> Result<Self, Refusal> {
        let mut one = Self::decide(item, epoch, state, event, policy, 1.0)?;
        one.end = RunEnd::Superseded;
        one.ask_about_block();
        Ok(one)
    }

    fn decide(
        item: ItemId,
        epoch: Epoch,
        from: ItemState,
        event: Event,
        policy: &Policy,
        jitter: f64,
    ) -> Result<Self, Refusal> {
        let transition = step(&from, &event, policy)?;
        let wake_ms = back_off_ms(&transition.effects, policy.backoff, jitter);
        Ok(Self {
            item,
            epoch,
            from,
            event,
            transition,
            end: RunEnd::Reported,
            verdict: None,
            detail: None,
            proof: None,
            questions: Vec::new(),
            wake_ms,
            costs: Vec::new(),
            run: None,
            reopen_after_ms: None,
        })
    }

    /// A blocked item gets an issue that says what happened and what can be done.
    fn ask_about_block(&mut self) {
        let Some(reason) = self.transition.to.stage.block_reason() else { return };
        if self.from.stage.block_reason().is_some() {
            return;
        }
        let budget = self.transition.to.budget;
        let why = match reason {
            damascus_core::BlockReason::AttemptsSpent => format!("all {} attempts failed", budget.attempts_granted),
            damascus_core::BlockReason::InfraFailures => {
                format!("the surroundings failed {} times", budget.infra_failures)
            }
            damascus_core::BlockReason::Moves => format!("the base or the head moved {} times", budget.moves),
            damascus_core::BlockReason::Tampering => "tampering with the tests is suspected again".to_owned(),
            damascus_core::BlockReason::MoneySpent => "the money for it is spent".to_owned(),
        };
        let last = self.detail.as_deref().map_or(String::new(), |detail| format!("\n\nThe last run: {detail}"));
        let text = format!("Blocked in {}: {why} (last: {}).{last}", self.from.phase(), self.event.kind().name());
        self.questions.push((
            IssueKind::Blocked,
            Question {
                text: display::many_lines(&text, QUESTION_MAX_CHARS),
                options: vec!["retry".to_owned(), "cancel".to_owned()],
                default: None,
            },
        ));
    }

    /// Whether the item is then ended or parked.
    #[must_use]
    pub fn comes_to_a_stop(&self) -> bool {
        self.transition.to.phase().working().is_none()
    }

    /// How long until something that this move put off comes due: a backoff, or a lane that opens again.
    #[must_use]
    pub fn comes_due_after(&self) -> Option<Duration> {
        let backoff = self.wake_ms.and_then(|ms| u64::try_from(ms).ok());
        [backoff, self.lane_closure()].into_iter().flatten().min().map(Duration::from_millis)
    }

    /// How long the lanes of the run are to be closed, if they are, in milliseconds.
    pub(super) fn lane_closure(&self) -> Option<u64> {
        self.transition
            .effects
            .contains(&Effect::CloseLane)
            .then(|| self.reopen_after_ms.unwrap_or(DEFAULT_LANE_CLOSURE_MS).min(MAX_LANE_CLOSURE_MS))
    }

    /// What the outbox announces it as.
    pub(super) fn announcement(&self) -> &'static str {
        let announced = self.transition.effects.iter().find_map(|effect| match effect {
            Effect::Announce(announcement) => Some(announcement.name()),
            Effect::OpenIssue(_) | Effect::CloseIssues | Effect::BackOff { .. } | Effect::CloseLane => None,
        });
        announced.unwrap_or("work.changed")
    }
}

fn back_off_ms(effects: &[Effect], backoff: Backoff, jitter: f64) -> Option<i64> {
    effects.iter().find_map(|effect| match effect {
        Effect::BackOff { failures } => i64::try_from(backoff.delay(*failures, jitter).as_millis()).ok(),
        Effect::Announce(_) | Effect::OpenIssue(_) | Effect::CloseIssues | Effect::CloseLane => None,
    })
}

/// A question from outside, bounded and without control characters; an empty one still asks something.
fn safe_question(question: Question) -> Question {
    let text = display::many_lines(question.text.trim(), QUESTION_MAX_CHARS);
    Question {
        text: if text.is_empty() { "(the question is empty)".to_owned() } else { text },
        options: question
            .options
            .iter()
            .map(|option| display::one_line(option.trim(), OPTION_MAX_CHARS))
            .filter(|option| !option.is_empty())
            .take(MAX_OPTIONS)
            .collect(),
        default: question.default.map(|text| display::one_line(text.trim(), OPTION_MAX_CHARS)),
    }
}
