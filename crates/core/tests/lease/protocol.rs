//! The model: a world of one item, its lease, and what a late worker believes; and all that can happen in it.

use std::hash::{Hash, Hasher};
use std::num::NonZeroU16;

use damascus_core::{Budget, Charge, Event, ItemState, Named, Policy, Stage, Transition, Verdict, WorkPhase, step};
use stateright::{Model, Property};

use crate::properties;

/// The item's epoch in every state of the model. Only whether an epoch is the item's own counts, never how high it is, so epochs are
/// shifted to keep the item's here, and every older one is zero: that leaves finitely many states.
pub(crate) const EPOCH: u8 = 1;

/// A claim, as the worker remembers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Lease {
    pub(crate) epoch: u8,
    pub(crate) phase: WorkPhase,
    pub(crate) worker: u8,
}

/// Two workers are all that it takes. They are alike, so the one that is late is always this one.
const LATE_WORKER: u8 = 0;
const OTHER_WORKER: u8 = 1;

/// All that is true at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct World {
    pub(crate) item: ItemState,
    /// The lease in the item's row.
    pub(crate) holder: Option<Lease>,
    /// What a worker that is no longer the holder still believes: it crashed, slept, handed back, or reports a second time.
    pub(crate) late: Option<Lease>,
    /// Decisions that a person may still take.
    pub(crate) decisions: u8,
    /// Whether the review has passed since the last build.
    pub(crate) reviewed: bool,
    /// What went wrong on the way here.
    pub(crate) fault: Option<Fault>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Fault {
    LateReportCounted,
    EndLeft,
    ChargeUsedNothing,
    MergedWithoutMergePass,
}

impl Hash for World {
    /// In two words: hashing field by field would take a good part of the model checker's time.
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let Budget { attempts_granted, attempts_used, infra_failures, moves, tampers } = self.item.budget;
        let used = [attempts_used, infra_failures, moves, tampers];
        let lease = |lease: Option<Lease>| {
            lease.map_or(0, |lease| {
                1 | u64::from(lease.epoch) << 1 | u64::from(lease.worker) << 3 | (lease.phase as u64) << 4
            })
        };
        let parts = [
            (self.item.phase() as u64, 3),
            (self.item.stage.resume().map_or(0, |phase| phase as u64), 2),
            (self.item.stage.block_reason().map_or(0, |reason| reason as u64), 3),
            (lease(self.holder), 6),
            (lease(self.late), 6),
            (u64::from(self.decisions), 8),
            (u64::from(self.reviewed), 1),
            (self.fault.map_or(0, |fault| 1 + fault as u64), 3),
            (u64::from(attempts_granted.get()), 16),
        ];
        hasher.write_u64(used.iter().fold(0, |word, part| word << 16 | u64::from(*part)));
        hasher.write_u64(parts.iter().fold(0, |word, (part, bits)| word << bits | part));
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    Claim(u8),
    /// The server crashes before the claim, which it committed asynchronously, is on disk; its worker does not know.
    ForgetClaim,
    /// The holder's run ends.
    Report(Verdict),
    /// The sweep reports a lease that ran out; the worker may be dead or only slow.
    LoseLease,
    /// The worker drains and gives the lease back.
    HandBack,
    /// A worker reports under a lease that it no longer holds, whatever verdict it takes to be counted.
    LateReport,
    /// The budget check before a run.
    MoneySpent,
    Decide(Event),
}

/// The protocol. What is true in [`Protocol::new`] can be broken.
#[derive(Debug, Clone)]
pub(crate) struct Protocol {
    pub(crate) policy: Policy,
    pub(crate) attempts: NonZeroU16,
    pub(crate) decisions: u8,
    pub(crate) guards_epoch: bool,
    pub(crate) guards_owner: bool,
    pub(crate) counts_infra: bool,
}

impl Protocol {
    pub(crate) const fn new(policy: Policy, attempts: NonZeroU16, decisions: u8) -> Self {
        Self { policy, attempts, decisions, guards_epoch: true, guards_owner: true, counts_infra: true }
    }

    fn step(&self, state: &ItemState, event: &Event) -> Option<Transition> {
        let mut done = step(state, event, &self.policy).ok()?;
        if !self.counts_infra {
            done.to.budget.infra_failures = state.budget.infra_failures;
        }
        Some(done)
    }

    /// What the database compares before it lets a report count: `WHERE lease_epoch = $epoch AND phase = $phase AND lease_owner = $worker`.
    fn guards(&self, world: &World, lease: Lease) -> bool {
        let owner = world.holder.map(|holder| holder.worker) == Some(lease.worker);
        (lease.epoch == EPOCH || !self.guards_epoch)
            && world.item.phase() == lease.phase.into()
            && (owner || !self.guards_owner)
    }

    /// The world after an event was applied: the lease is over, its epoch with it.
    fn applied(&self, world: &World, event: &Event) -> Option<World> {
        let done = self.step(&world.item, event)?;
        let mut next = World { item: done.to, ..world.clone() };
        next.end_lease(true);
        let pass = *event == Event::Verdict(Verdict::Pass);
        next.reviewed = match place(done.to.stage) {
            Some(WorkPhase::Merge) => world.reviewed || (pass && world.item.stage == Stage::Working(WorkPhase::Review)),
            Some(WorkPhase::Spec | WorkPhase::Build | WorkPhase::Review) => false,
            None => world.reviewed,
        };
        let fault = if world.item.phase().is_end() {
            Some(Fault::EndLeft)
        } else if !uses_what_it_charges(world.item.budget, &done) {
            Some(Fault::ChargeUsedNothing)
        } else if done.to.stage == Stage::Merged && !(pass && world.item.stage == Stage::Working(WorkPhase::Merge)) {
            Some(Fault::MergedWithoutMergePass)
        } else {
            None
        };
        next.fault = world.fault.or(fault);
        Some(next)
    }

    /// A report counts when the guard lets it through; an illegal one is refused.
    fn reported(&self, world: &World, lease: Lease, verdict: Verdict) -> Option<World> {
        if self.guards(world, lease) { self.applied(world, &Event::Verdict(verdict)) } else { None }
    }
}

impl World {
    /// The holder, if there is one, is now late, and what it believes is old if the epoch rises.
    fn end_lease(&mut self, raises_epoch: bool) {
        self.late = self.holder.take().map(|lease| Lease { worker: LATE_WORKER, ..lease }).or(self.late);
        if raises_epoch {
            self.raise_epoch();
        }
    }

    fn raise_epoch(&mut self) {
        if let Some(late) = &mut self.late {
            late.epoch = late.epoch.saturating_sub(1);
        }
    }

    /// Whether nothing more happens without a person.
    pub(crate) fn rests(&self) -> bool {
        self.item.phase().is_parked() || self.item.phase().is_end()
    }
}

/// The phase that an item is in, or resumes in.
pub(crate) const fn place(stage: Stage) -> Option<WorkPhase> {
    match stage {
        Stage::Working(phase) => Some(phase),
        Stage::AwaitingHuman { resume } | Stage::Blocked { resume, .. } => Some(resume),
        Stage::Merged | Stage::Cancelled => None,
    }
}

fn uses_what_it_charges(before: Budget, done: &Transition) -> bool {
    let after = done.to.budget;
    let attempt = after.attempts_used.checked_sub(before.attempts_used);
    let infra = after.infra_failures.checked_sub(before.infra_failures);
    let moves = after.moves.checked_sub(before.moves);
    match done.charge {
        // A person's grant starts the other counters again; nothing is used up.
        Charge::Free => {
            attempt == Some(0) && after.infra_failures <= before.infra_failures && after.moves <= before.moves
        }
        Charge::Attempt => (attempt, infra, moves) == (Some(1), Some(0), Some(0)),
        Charge::InfraFailure => (attempt, infra, moves) == (Some(0), Some(1), Some(0)),
        Charge::Move => (attempt, infra, moves) == (Some(0), Some(0), Some(1)),
    }
}

impl Model for Protocol {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World {
            item: ItemState::new(self.attempts),
            holder: None,
            late: None,
            decisions: self.decisions,
            reviewed: false,
            fault: None,
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        if world.late.is_some() {
            actions.push(Action::LateReport);
        }
        if world.holder.is_some() {
            actions.extend([Action::LoseLease, Action::HandBack, Action::ForgetClaim]);
            actions.extend(Verdict::ALL.iter().copied().map(Action::Report));
        } else if !world.rests() {
            actions.push(Action::Claim(OTHER_WORKER));
            // A worker does not take up what it believes to hold: a lease that is ahead of the item's epoch, since its claim was forgotten.
            if world.late.is_some_and(|late| late.epoch <= EPOCH) {
                actions.push(Action::Claim(LATE_WORKER));
            }
        }
        actions.push(Action::MoneySpent);
        // Without decisions left there is no person at all, so that a path without one can be followed to its end.
        if world.decisions > 0 {
            let retries =
                [1, 2].map(|attempts| Event::Retried { attempts: NonZeroU16::MIN.saturating_add(attempts - 1) });
            actions.extend([Event::Answered, Event::Cancelled].into_iter().chain(retries).map(Action::Decide));
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        match action {
            Action::Claim(worker) => {
                let phase = world.item.phase().working()?;
                let mut next = world.clone();
                next.raise_epoch();
                next.holder = Some(Lease { epoch: EPOCH, phase, worker });
                Some(next)
            }
            Action::Report(verdict) => self.reported(world, world.holder?, verdict),
            Action::LoseLease => self.reported(world, world.holder?, Verdict::InfraError),
            Action::HandBack => {
                let mut next = world.clone();
                next.end_lease(true);
                Some(next)
            }
            Action::ForgetClaim => {
                let mut next = world.clone();
                next.end_lease(false);
                // The item's epoch is the one before the claim again.
                next.late.iter_mut().for_each(|late| late.epoch += 1);
                Some(next)
            }
            Action::LateReport => {
                let lease = world.late.filter(|&lease| self.guards(world, lease))?;
                let mut next = Verdict::ALL.iter().find_map(|&verdict| self.reported(world, lease, verdict))?;
                next.fault = next.fault.or(Some(Fault::LateReportCounted));
                Some(next)
            }
            Action::MoneySpent => self.applied(world, &Event::MoneySpent),
            Action::Decide(event) => {
                let mut next = self.applied(world, &event)?;
                next.decisions = world.decisions - 1;
                Some(next)
            }
        }
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}
