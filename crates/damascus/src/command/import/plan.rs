//! What an import is going to do: from the scan and from what the project has, to items, revisions and gates.
//!
//! Invariant: pure. A story upstream calls done makes no item; an item that something has happened to is left alone; no gate waits for
//! something that will never be an item, and none closes a circle: what is new gives way to what is there.

use std::collections::{BTreeMap, BTreeSet};

use damascus_bmad::{Dependency, HumanGate, Origin, Scan, Story, StoryStatus};
use damascus_core::{Digest, GateCondition, ItemId, Phase, WorkPhase, cycle};
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
    /// Upstream says that it is done, and there is no item.
    Done,
    /// Nothing is written.
    LeftAlone {
        /// Its item, if there is one.
        item: Option<ItemId>,
        /// Why.
        why: String,
    },
    /// It can't be stored.
    Refused {
        /// Its item, if there is one.
        item: Option<ItemId>,
        /// Why.
        why: String,
    },
}

/// One story and what becomes of it.
#[derive(Debug)]
pub(super) struct Planned<'a> {
    pub(super) story: &'a Story,
    pub(super) outcome: Outcome,
    /// How many gates it calls for.
    pub(super) gates: usize,
}

/// A dependency that makes no gate, although upstream does not say that it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LeftOut<'a> {
    pub(super) dependency: &'a Dependency,
    pub(super) why: &'static str,
}

/// What a project has already.
#[derive(Debug, Default)]
pub(super) struct Existing {
    /// Its items for the stories of the scan.
    pub(super) stories: Vec<ExistingStory>,
    /// Which item waits for which, by gates that are still closed.
    pub(super) waits: Vec<(ItemId, ItemId)>,
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
    /// Dependencies that could make no gate.
    pub(super) left_out: Vec<LeftOut<'a>>,
}

impl Plan<'_> {
    /// Whether a story can't be stored.
    pub(super) fn refuses(&self) -> bool {
        self.stories.iter().any(|planned| matches!(planned.outcome, Outcome::Refused { .. }))
    }
}

/// Plans an import. With `order`, the order of stories makes gates, not only what they say that they depend on.
pub(super) fn plan<'a>(scan: &'a Scan, existing: &Existing, order: bool) -> Plan<'a> {
    let known: BTreeMap<&str, &ExistingStory> = existing.stories.iter().map(|one| (one.key.as_str(), one)).collect();
    let by_key: BTreeMap<&str, &Story> = scan.stories.iter().map(|story| (story.key.as_str(), story)).collect();
    let stories: Vec<Planned<'_>> = scan
        .stories
        .iter()
        .map(|story| Planned { story, outcome: outcome(story, known.get(story.key.as_str()).copied()), gates: 0 })
        .collect();
    let refused: BTreeSet<&str> = stories
        .iter()
        .filter(|planned| matches!(planned.outcome, Outcome::Refused { item: None, .. }))
        .map(|planned| planned.story.key.as_str())
        .collect();
    let mut plan = Plan { stories, gates_of_existing: Vec::new(), met: 0, left_out: Vec::new() };
    let mut wanted = Vec::new();
    for dependency in scan.dependencies.iter().filter(|one| order || one.origin != Origin::Order) {
        let upstream = dependency.upstream.as_str();
        let done = by_key.get(upstream).is_some_and(|story| story.status == StoryStatus::Done);
        let item = known.get(upstream);
        if done && item.is_none_or(|item| item.phase.is_end()) {
            plan.met += 1;
        } else if refused.contains(upstream) {
            plan.left_out.push(LeftOut { dependency, why: "that story is not taken; mend it and import again" });
        } else {
            wanted.push(dependency);
        }
    }
    let mut waits: BTreeMap<&str, Vec<NewGate>> = BTreeMap::new();
    for dependency in without_circles(wanted, existing, &mut plan.left_out) {
        waits.entry(&dependency.downstream).or_default().push(gate_for(dependency));
    }
    for planned in &mut plan.stories {
        let mut gates = waits.remove(planned.story.key.as_str()).unwrap_or_default();
        gates.extend(checkpoints(planned.story));
        match &mut planned.outcome {
            Outcome::Create(item) => {
                planned.gates = gates.len();
                item.gates = gates;
            }
            Outcome::Revise(_) | Outcome::Unchanged(_) => {
                planned.gates = gates.len();
                if let Some(known) = known.get(planned.story.key.as_str()).filter(|known| is_open(known)) {
                    plan.gates_of_existing.extend(gates.into_iter().map(|gate| (known.item, gate)));
                }
            }
            Outcome::Done | Outcome::LeftAlone { .. } | Outcome::Refused { .. } => {}
        }
    }
    plan
}

/// Leaves out dependencies that would close a circle with gates that are there, such as those of an order that has changed since: order
/// gives way first, and what is there stays. Each round leaves out at least one, so that this ends.
fn without_circles<'a>(
    mut wanted: Vec<&'a Dependency>,
    existing: &Existing,
    left_out: &mut Vec<LeftOut<'a>>,
) -> Vec<&'a Dependency> {
    let keys: BTreeMap<ItemId, &str> = existing.stories.iter().map(|one| (one.item, one.key.as_str())).collect();
    // An item that is not of this scan has its number for a name: no key begins with `#`.
    let name = |item: &ItemId| keys.get(item).map_or_else(|| format!("#{item}"), |key| (*key).to_owned());
    let there: BTreeSet<(String, String)> = existing.waits.iter().map(|(item, up)| (name(item), name(up))).collect();
    let edge = |one: &Dependency| (one.downstream.clone(), one.upstream.clone());
    loop {
        let edges: Vec<(String, String)> = there.iter().cloned().chain(wanted.iter().map(|one| edge(one))).collect();
        let Some(members) = cycle::find(&edges) else { return wanted };
        let next = members.iter().skip(1).chain(members.first());
        let circle: BTreeSet<(String, String)> = members.iter().cloned().zip(next.cloned()).collect();
        let closes = |one: &Dependency| circle.contains(&edge(one)) && !there.contains(&edge(one));
        let order_closes = wanted.iter().any(|one| one.origin == Origin::Order && closes(one));
        let (out, kept): (Vec<_>, Vec<_>) =
            wanted.into_iter().partition(|one| closes(one) && (!order_closes || one.origin == Origin::Order));
        wanted = kept;
        if out.is_empty() {
            // The circle is among gates that are there, which the database refuses; nothing here could open it.
            return wanted;
        }
        let why = "it waits for this one by an earlier gate; waive that gate and import again";
        left_out.extend(out.into_iter().map(|dependency| LeftOut { dependency, why }));
    }
}

/// Whether a gate can still matter to it: it has not started, or is somewhere on its way.
fn is_open(known: &ExistingStory) -> bool {
    !known.started && !known.phase.is_end()
}

fn outcome(story: &Story, known: Option<&ExistingStory>) -> Outcome {
    match known {
        None if story.status == StoryStatus::Done => Outcome::Done,
        None => match new_item(story) {
            Ok(item) => Outcome::Create(Box::new(item)),
            Err(why) => Outcome::Refused { item: None, why },
        },
        Some(known) => outcome_of_known(story, known),
    }
}

fn outcome_of_known(story: &Story, known: &ExistingStory) -> Outcome {
    let item = known.item;
    let left_alone = |why: String| Outcome::LeftAlone { item: Some(item), why };
    if known.source != StorySource::Bmad {
        return left_alone(format!("the key belongs to item #{item}, which was not imported; rename one of them"));
    }
    let done = story.status == StoryStatus::Done;
    match known.phase {
        Phase::Cancelled => return left_alone(format!("item #{item} was cancelled here")),
        Phase::Merged if done => return Outcome::Unchanged(item),
        phase if done => {
            return left_alone(format!(
                "done upstream, but item #{item} is in {phase} here; cancel it if nothing is left to do"
            ));
        }
        _ => {}
    }
    let new = match new_item(story) {
        Ok(new) => new,
        Err(why) => return Outcome::Refused { item: Some(item), why },
    };
    match known.phase {
        _ if new.content_sha256 == known.content_sha256 => Outcome::Unchanged(item),
        Phase::Merged => left_alone(format!("changed upstream, but item #{item} has merged; write a new story")),
        phase if known.started => left_alone(format!(
            "changed upstream, but item #{item} is under way ({phase}); cancel it and give the story a new key to begin again"
        )),
        _ => Outcome::Revise(Box::new(RevisedStory {
            item,
            title: new.title,
            body: new.body,
            acceptance: new.acceptance,
            source_path: new.source_path,
            content_sha256: new.content_sha256,
        })),
    }
}

/// The item for a story, without gates; or why it can't be stored.
fn new_item(story: &Story) -> Result<NewItem, String> {
    let item = NewItem {
        key: story.key.clone(),
        title: story.title.clone(),
        body: body(story),
        acceptance: story.acceptance.clone(),
        source: StorySource::Bmad,
        source_path: Some(story.story_file.clone().unwrap_or_else(|| story.source.path.clone())),
        content_sha256: digest(story)?,
        priority: None,
        rank: i64::from(story.order),
        max_attempts: None,
        gates: Vec::new(),
    };
    item.check().map_err(|error| error.to_string())?;
    Ok(item)
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

#[cfg(test)]
mod tests {
    use damascus_bmad::{Layout, SourceRef};

    use super::*;

    fn scan(statuses: &[StoryStatus], dependencies: &[(usize, usize, Origin)]) -> Scan {
        let source = SourceRef::line("epics.md", 1);
        let key = |at: usize| format!("1-{at}-x");
        let story = |(at, status): (usize, &StoryStatus)| Story {
            key: key(at),
            number: None,
            epic: None,
            epic_title: None,
            title: "Title".to_owned(),
            body: "Text".to_owned(),
            status: *status,
            source: source.clone(),
            story_file: None,
            content_sha256: "a".repeat(64),
            order: u32::try_from(at).unwrap(),
            acceptance: Vec::new(),
            tasks: Vec::new(),
            human_gates: Vec::new(),
            instructions: Some("Be brief.".to_owned()),
            related: Vec::new(),
        };
        let dependency = |(up, down, origin): &(usize, usize, Origin)| Dependency {
            upstream: key(*up),
            downstream: key(*down),
            origin: origin.clone(),
            source: source.clone(),
        };
        Scan {
            layout: Layout::V6Classic,
            other_layouts: Vec::new(),
            stories: statuses.iter().enumerate().map(story).collect(),
            dependencies: dependencies.iter().map(dependency).collect(),
            findings: Vec::new(),
            files: Vec::new(),
        }
    }

    fn item(at: usize, phase: Phase, started: bool) -> ExistingStory {
        let item = ItemId(i64::try_from(at).unwrap());
        let content_sha256 = Digest::filled(b'a');
        ExistingStory { item, key: format!("1-{at}-x"), source: StorySource::Bmad, content_sha256, phase, started }
    }

    #[test]
    fn what_the_builder_is_told_follows_the_text() {
        let scan = scan(&[StoryStatus::Backlog], &[]);
        assert_eq!(new_item(&scan.stories[0]).unwrap().body, "Text\n\n## Instructions\n\nBe brief.\n");
    }

    #[test]
    fn an_item_that_upstream_calls_done_is_waited_for_until_it_ends_here() {
        let scan = scan(&[StoryStatus::Done, StoryStatus::Backlog], &[(0, 1, Origin::Order)]);
        for (phase, met) in [(Phase::Spec, 0), (Phase::Build, 0), (Phase::Merged, 1), (Phase::Cancelled, 1)] {
            let existing = Existing { stories: vec![item(0, phase, true)], waits: Vec::new() };
            let plan = plan(&scan, &existing, true);
            assert_eq!((plan.met, plan.stories[1].gates), (met, 1 - met), "{phase}");
        }
    }

    #[test]
    fn order_gives_way_before_what_is_declared() {
        let declared = Origin::CrossDependency { note: None };
        let all = [StoryStatus::Backlog; 3];
        // There: 0 waits for 1. Wanted: 1 waits for 2 because of the order, 2 for 0 since it says so.
        let scan = scan(&all, &[(2, 1, Origin::Order), (0, 2, declared)]);
        let stories = (0..3).map(|at| item(at, Phase::Spec, false)).collect();
        let existing = Existing { stories, waits: vec![(ItemId(0), ItemId(1))] };
        let plan = plan(&scan, &existing, true);
        assert_eq!(plan.left_out.iter().map(|one| &one.dependency.origin).collect::<Vec<_>>(), [&Origin::Order]);
        assert_eq!(plan.gates_of_existing.iter().map(|(item, _)| item.0).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn an_item_under_way_gets_no_gates() {
        let scan = scan(&[StoryStatus::Backlog; 2], &[(0, 1, Origin::Order)]);
        let stories = vec![item(0, Phase::Spec, false), item(1, Phase::Build, true)];
        assert!(plan(&scan, &Existing { stories, waits: Vec::new() }, true).gates_of_existing.is_empty());
    }
}
