//! What an import is going to do: from the scan and from what the project has, to items, revisions and gates.
//!
//! Invariant: pure. A story upstream calls done makes no item; an item that something has happened to is left alone; no gate waits for
//! something that will never be an item.

use std::collections::BTreeMap;

use damascus_bmad::{Dependency, HumanGate, Origin, Scan, Story, StoryStatus};
use damascus_core::{Digest, GateCondition, ItemId, Phase, WorkPhase};
use damascus_store::gate::{GateTarget, NewGate};
use damascus_store::item::{ExistingStory, NewItem, RevisedStory, StorySource};

/// What becomes of one story.
#[derive(Debug)]
pub(super) enum Outcome {
    /// A new item.
    Create(Box<NewItem>),
    /// Its item has not started, and the story has changed.
    Revise(Box<RevisedStory>),
    /// Its item is there, with the same story.
    Unchanged(ItemId),
    /// Nothing is written.
    LeftAlone {
        /// Why.
        why: String,
    },
}

/// One story and what becomes of it.
#[derive(Debug)]
pub(super) struct Planned<'a> {
    pub(super) story: &'a Story,
    pub(super) outcome: Outcome,
}

/// The whole import.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    /// In execution order.
    pub(super) stories: Vec<Planned<'a>>,
    /// Gates of items that are there already.
    pub(super) gates_of_existing: Vec<(ItemId, NewGate)>,
    /// Dependencies that need no gate, since upstream says that they are done.
    pub(super) met: usize,
}

/// Plans an import. With `order`, the order of stories makes gates, not only what they say that they depend on.
pub(super) fn plan<'a>(scan: &'a Scan, existing: &[ExistingStory], order: bool) -> Plan<'a> {
    let known: BTreeMap<&str, &ExistingStory> = existing.iter().map(|one| (one.key.as_str(), one)).collect();
    let by_key: BTreeMap<&str, &Story> = scan.stories.iter().map(|story| (story.key.as_str(), story)).collect();
    // An item exists, or will: something can wait for it.
    let is_item =
        |key: &str| known.contains_key(key) || by_key.get(key).is_some_and(|story| story.status != StoryStatus::Done);
    let mut waits: BTreeMap<&str, Vec<NewGate>> = BTreeMap::new();
    let mut met = 0;
    for dependency in scan.dependencies.iter().filter(|one| order || one.origin != Origin::Order) {
        if is_item(&dependency.upstream) {
            waits.entry(&dependency.downstream).or_default().push(gate_for(dependency));
        } else {
            met += 1;
        }
    }
    let mut plan = Plan { stories: Vec::new(), gates_of_existing: Vec::new(), met };
    for story in &scan.stories {
        let mut gates = waits.remove(story.key.as_str()).unwrap_or_default();
        gates.extend(checkpoints(story));
        let outcome = match known.get(story.key.as_str()) {
            None => outcome_of_new(story, gates),
            Some(known) => {
                if is_open(known) && known.source == StorySource::Bmad {
                    plan.gates_of_existing.extend(gates.into_iter().map(|gate| (known.item, gate)));
                }
                outcome_of_known(story, known)
            }
        };
        plan.stories.push(Planned { story, outcome });
    }
    plan
}

/// Whether a gate can still matter to it: it has not started, or is somewhere on its way.
fn is_open(known: &ExistingStory) -> bool {
    !known.started && !known.phase.is_end()
}

fn outcome_of_new(story: &Story, gates: Vec<NewGate>) -> Outcome {
    if story.status == StoryStatus::Done {
        return Outcome::LeftAlone { why: "done upstream".to_owned() };
    }
    match digest(story) {
        Err(why) => Outcome::LeftAlone { why },
        Ok(content_sha256) => Outcome::Create(Box::new(NewItem {
            key: story.key.clone(),
            title: story.title.clone(),
            body: body(story),
            acceptance: story.acceptance.clone(),
            source: StorySource::Bmad,
            source_path: Some(story.story_file.clone().unwrap_or_else(|| story.source.path.clone())),
            content_sha256,
            priority: None,
            rank: i64::from(story.order),
            max_attempts: None,
            gates,
        })),
    }
}

fn outcome_of_known(story: &Story, known: &ExistingStory) -> Outcome {
    let left_alone = |why: String| Outcome::LeftAlone { why };
    if known.source != StorySource::Bmad {
        return left_alone(format!(
            "the key belongs to item #{}, which was not imported; rename one of them",
            known.item
        ));
    }
    let sha256 = match digest(story) {
        Ok(sha256) => sha256,
        Err(why) => return left_alone(why),
    };
    match (sha256 == known.content_sha256, known.phase) {
        (_, Phase::Cancelled) => left_alone(format!("item #{} was cancelled here", known.item)),
        (true, _) => Outcome::Unchanged(known.item),
        (false, Phase::Merged) => {
            left_alone(format!("changed upstream, but item #{} has merged; write a new story", known.item))
        }
        (false, phase) if known.started => left_alone(format!(
            "changed upstream, but item #{} is under way ({phase}); cancel it and give the story a new key to begin again",
            known.item
        )),
        (false, _) => Outcome::Revise(Box::new(RevisedStory {
            item: known.item,
            title: story.title.clone(),
            body: body(story),
            acceptance: story.acceptance.clone(),
            source_path: Some(story.story_file.clone().unwrap_or_else(|| story.source.path.clone())),
            content_sha256: sha256,
        })),
    }
}

fn digest(story: &Story) -> Result<Digest, String> {
    story.content_sha256.parse().map_err(|error| format!("its content hash can't be read: {error}"))
}

/// The story's text, with what upstream wants the builder to be told.
fn body(story: &Story) -> String {
    match &story.instructions {
        Some(instructions) => format!("{}\n\n## Instructions\n\n{instructions}\n", story.body.trim_end()),
        None => story.body.clone(),
    }
}

fn gate_for(dependency: &Dependency) -> NewGate {
    let why = match &dependency.origin {
        Origin::Explicit { .. } => "says so",
        Origin::CrossDependency { .. } => "cross_dependencies",
        Origin::Order => "order",
    };
    NewGate {
        phase: WorkPhase::Spec,
        waits_for: GateTarget::ItemKey(dependency.upstream.clone()),
        deadline: None,
        origin: format!("import: {} ({why})", dependency.source),
    }
}

/// Where a person wants to look: after the spec, before the landing, or before anything at all when upstream parked the story.
fn checkpoints(story: &Story) -> Vec<NewGate> {
    let gate = |phase, question: &str| NewGate {
        phase,
        waits_for: GateTarget::Condition(GateCondition::Human { question: question.to_owned() }),
        deadline: None,
        origin: format!("import: {}", story.source),
    };
    let mut gates: Vec<NewGate> = story
        .human_gates
        .iter()
        .map(|checkpoint| match checkpoint {
            HumanGate::SpecCheckpoint => gate(WorkPhase::Build, "spec_checkpoint: is the spec what you want?"),
            HumanGate::DoneCheckpoint => gate(WorkPhase::Merge, "done_checkpoint: may it land?"),
        })
        .collect();
    if story.status == StoryStatus::Blocked {
        gates.push(gate(WorkPhase::Spec, "upstream says that it is blocked: may it start?"));
    }
    gates
}
