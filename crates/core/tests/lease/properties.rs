//! What must hold in every world that can be reached.

use damascus_core::{BlockReason, Budget, Policy, Stage, WorkPhase};
use stateright::Property;

use crate::protocol::{EPOCH, Fault, Protocol, World, place};

/// The name of the property that says that no rule is broken.
pub(crate) const RULES: &str = "rules";

/// One property for all rules: the model checker looks each property's name up in every world, which takes longer than the rules do.
pub(crate) fn all() -> Vec<Property<Protocol>> {
    vec![
        Property::always(RULES, |protocol, world| broken_rule(protocol, world).is_none()),
        Property::sometimes("merges", |_, world: &World| world.item.stage == Stage::Merged),
        Property::eventually("rests", |_, world: &World| world.rests()),
    ]
}

/// The first rule that a world breaks.
pub(crate) fn broken_rule(protocol: &Protocol, world: &World) -> Option<&'static str> {
    let stage = world.item.stage;
    let will_merge = stage == Stage::Merged || place(stage) == Some(WorkPhase::Merge);
    let rules = [
        (world.fault != Some(Fault::LateReportCounted), "a late report changes nothing"),
        (world.fault != Some(Fault::EndLeft), "an end is never left"),
        (world.fault != Some(Fault::ChargeUsedNothing), "a charge uses what it says"),
        (world.fault != Some(Fault::MergedWithoutMergePass), "only a merge that passed merges"),
        (world.reviewed || !will_merge, "what merged or will be merged is reviewed"),
        (within_limits(protocol, world), "no counter passes its limit"),
        (blocked_iff_spent(protocol, world), "blocked exactly when a budget is spent"),
        (world.item.phase().is_parked() == stage.resume().is_some(), "a parked item knows where it resumes"),
        (lease_fits(world), "a lease is for the phase that the item is in"),
    ];
    rules.into_iter().find_map(|(holds, rule)| (!holds).then_some(rule))
}

/// Which budgets are spent.
fn spent(budget: Budget, policy: &Policy) -> Vec<BlockReason> {
    [
        (budget.attempts_used >= budget.attempts_granted.get(), BlockReason::AttemptsSpent),
        (budget.infra_failures >= policy.max_infra_failures.get(), BlockReason::InfraFailures),
        (budget.moves >= policy.max_moves.get(), BlockReason::Moves),
        (budget.tampers >= policy.max_tampers.get(), BlockReason::Tampering),
    ]
    .into_iter()
    .filter_map(|(is_spent, reason)| is_spent.then_some(reason))
    .collect()
}

fn within_limits(model: &Protocol, world: &World) -> bool {
    let budget = world.item.budget;
    budget.attempts_used <= budget.attempts_granted.get()
        && budget.infra_failures <= model.policy.max_infra_failures.get()
        && budget.moves <= model.policy.max_moves.get()
        && budget.tampers <= model.policy.max_tampers.get()
}

fn blocked_iff_spent(model: &Protocol, world: &World) -> bool {
    let spent = spent(world.item.budget, &model.policy);
    match world.item.stage {
        Stage::Working(_) | Stage::AwaitingHuman { .. } | Stage::Merged => spent.is_empty(),
        // Money is not counted here; it may be spent with or without another budget.
        Stage::Blocked { reason: BlockReason::MoneySpent, .. } => spent.is_empty(),
        Stage::Blocked { reason, .. } => spent.contains(&reason),
        // A person may give up an item in any state.
        Stage::Cancelled => true,
    }
}

fn lease_fits(world: &World) -> bool {
    world.holder.is_none_or(|lease| lease.epoch == EPOCH && world.item.stage == Stage::Working(lease.phase))
}
