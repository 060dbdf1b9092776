//! Dependencies: references resolved, cycles taken out, order added.
//!
//! Invariant: what is returned has no cycle and no edge to a story that was not taken. What a person declared outranks
//! the order of a list; declared dependencies that form a cycle are all left out and reported, for nothing here can
//! tell which one is wrong.

use std::collections::{BTreeMap, BTreeSet};

use crate::draft::{Cross, Draft, Drafts};
use crate::finding::{Code, SourceRef};
use crate::key::{self, StoryNumber};
use crate::model::{Dependency, Origin, Story};
use crate::references::Reference;
use crate::strong;
use crate::survey::Survey;
use crate::text;

/// Dependencies of a cycle that its finding names.
const MAX_SHOWN: usize = 10;

/// Downstream and upstream, as places in the list of stories.
type Edge = (usize, usize);
type Edges = BTreeMap<Edge, (Origin, SourceRef)>;

/// Settles the order and the dependencies of what a layout yields.
pub(crate) fn resolve(survey: &mut Survey<'_>, drafts: Drafts) -> (Vec<Story>, Vec<Dependency>) {
    let mut resolver = Resolver { survey, index: Index::new(&drafts), edges: Edges::new(), overflowed: false };
    for (downstream, draft) in drafts.stories.iter().enumerate() {
        for (found, path) in &draft.dependencies {
            let source = SourceRef::line(path, found.line);
            let upstream = resolver.reference(&draft.key, downstream, &found.reference, &source);
            for upstream in upstream {
                resolver.add(
                    (downstream, upstream),
                    Origin::Explicit { text: text::clean_line(&found.text).0 },
                    &source,
                );
            }
        }
    }
    for cross in &drafts.cross {
        resolver.cross(cross);
    }
    resolver.drop_cycles(&drafts.stories);
    resolver.add_order(&drafts.stories);
    let edges = resolver.edges;
    let keys: Vec<_> = drafts.stories.iter().map(|draft| draft.key.clone()).collect();
    let dependencies = edges.into_iter().filter_map(|((downstream, upstream), (origin, source))| {
        Some(Dependency {
            upstream: keys.get(upstream)?.clone(),
            downstream: keys.get(downstream)?.clone(),
            origin,
            source,
        })
    });
    let dependencies = dependencies.collect();
    let stories = (1..).zip(drafts.stories).map(|(order, draft)| draft.into_story(order)).collect();
    (stories, dependencies)
}

struct Index {
    keys: BTreeMap<String, usize>,
    numbers: BTreeMap<StoryNumber, Vec<usize>>,
    skipped_keys: BTreeSet<String>,
    skipped_numbers: BTreeSet<StoryNumber>,
}

/// What a name leads to.
enum Target {
    One(usize),
    Many(Vec<usize>),
    Ambiguous(usize),
    /// Was not taken.
    Skipped,
    Unknown,
}

impl Index {
    fn new(drafts: &Drafts) -> Self {
        let mut numbers: BTreeMap<StoryNumber, Vec<usize>> = BTreeMap::new();
        for (place, draft) in drafts.stories.iter().enumerate() {
            if let Some(number) = draft.number {
                numbers.entry(number).or_default().push(place);
            }
        }
        Self {
            keys: drafts.stories.iter().enumerate().map(|(place, draft)| (draft.key.clone(), place)).collect(),
            numbers,
            skipped_keys: drafts.skipped.iter().map(|(key, _)| key.clone()).collect(),
            skipped_numbers: drafts.skipped.iter().filter_map(|(_, number)| *number).collect(),
        }
    }

    fn number(&self, number: StoryNumber) -> Target {
        match self.numbers.get(&number).map(Vec::as_slice) {
            Some([only]) => Target::One(*only),
            Some(several @ [_, _, ..]) => Target::Ambiguous(several.len()),
            Some([]) | None if self.skipped_numbers.contains(&number) => Target::Skipped,
            Some([]) | None => Target::Unknown,
        }
    }

    fn range(&self, from: StoryNumber, to: StoryNumber) -> Target {
        let places: Vec<_> = self.numbers.range(from..=to).flat_map(|(_, places)| places.iter().copied()).collect();
        if places.is_empty() { Target::Unknown } else { Target::Many(places) }
    }

    fn epic(&self, epic: u32) -> Target {
        let from = StoryNumber { epic, story: 0, suffix: None };
        self.range(from, StoryNumber { epic, story: u32::MAX, suffix: Some(char::MAX) })
    }

    /// A key; its number serves if the title has changed since.
    fn key(&self, name: &str) -> Target {
        if let Some(place) = self.keys.get(name) {
            return Target::One(*place);
        }
        if self.skipped_keys.contains(name) {
            return Target::Skipped;
        }
        key::number_of_key(name).map_or(Target::Unknown, |number| self.number(number))
    }

    /// A name of `cross_dependencies`: a key, a number, an epic's key.
    fn name(&self, name: &str) -> Target {
        match self.key(name) {
            Target::Unknown => {}
            found => return found,
        }
        if let Some(number) = key::number_of_text(name) {
            return self.number(number);
        }
        let epic = name.strip_prefix("epic-").and_then(|rest| rest.parse().ok());
        epic.map_or(Target::Unknown, |epic| self.epic(epic))
    }
}

struct Resolver<'s, 'a> {
    survey: &'s mut Survey<'a>,
    index: Index,
    edges: Edges,
    overflowed: bool,
}

impl Resolver<'_, '_> {
    /// The stories that a reference of one story names, without the story itself.
    fn reference(&mut self, key: &str, own: usize, reference: &Reference, source: &SourceRef) -> Vec<usize> {
        let target = match reference {
            Reference::Story(number) => self.index.number(*number),
            Reference::Range(from, to) => self.index.range(*from, *to),
            Reference::Epic(epic) => self.index.epic(*epic),
            Reference::Key(name) => self.index.key(name),
        };
        let named = reference.to_string();
        let mut places = self.places(target, &format!("story {key}"), &named, source);
        let ranged = matches!(reference, Reference::Range(..));
        if places.contains(&own) {
            if !ranged {
                self.find(
                    Code::SelfDependency,
                    source,
                    format!("story {key} depends on itself, through {}", text::quote(&named)),
                );
                return Vec::new();
            }
            places.retain(|place| *place != own);
        }
        places
    }

    fn cross(&mut self, cross: &Cross) {
        let whose = "an entry of cross_dependencies";
        let target = self.index.name(&cross.blocker);
        let upstream = self.places(target, whose, &cross.blocker, &cross.source);
        let target = self.index.name(&cross.blocked);
        let downstream = self.places(target, whose, &cross.blocked, &cross.source);
        for down in &downstream {
            for up in &upstream {
                if up == down {
                    self.find(
                        Code::SelfDependency,
                        &cross.source,
                        format!("{} blocks itself", text::quote(&cross.blocker)),
                    );
                } else {
                    self.add((*down, *up), Origin::CrossDependency { note: cross.note.clone() }, &cross.source);
                }
            }
        }
    }

    fn places(&mut self, target: Target, whose: &str, named: &str, source: &SourceRef) -> Vec<usize> {
        let named = text::quote(named);
        let (code, message) = match target {
            Target::One(place) => return vec![place],
            Target::Many(places) => return places,
            Target::Ambiguous(count) => {
                (Code::AmbiguousDependency, format!("{whose} names {named}, which {count} stories are"))
            }
            Target::Skipped => (Code::UnknownDependency, format!("{whose} names {named}, which was left out")),
            Target::Unknown => (Code::UnknownDependency, format!("{whose} names {named}, which is not there")),
        };
        self.find(code, source, message);
        Vec::new()
    }

    fn find(&mut self, code: Code, source: &SourceRef, message: String) {
        self.survey.find(code, source.clone(), message);
    }

    fn add(&mut self, edge: Edge, origin: Origin, source: &SourceRef) {
        if self.edges.len() < self.survey.limits.max_dependencies {
            self.edges.entry(edge).or_insert_with(|| (origin, source.clone()));
        } else if !std::mem::replace(&mut self.overflowed, true) {
            let message = format!(
                "more than {} dependencies; this one and those after it were left out",
                self.survey.limits.max_dependencies
            );
            self.find(Code::TooManyDependencies, source, message);
        }
    }

    /// Takes every declared dependency out that is part of a cycle, with one finding for each knot.
    fn drop_cycles(&mut self, stories: &[Draft]) {
        let knots = strong::components(stories.len(), &successors(stories.len(), &self.edges));
        let mut inside: BTreeMap<usize, Vec<Edge>> = BTreeMap::new();
        for edge @ (downstream, upstream) in self.edges.keys() {
            let knot = knots.get(*downstream);
            if knot == knots.get(*upstream) {
                inside.entry(knot.copied().unwrap_or_default()).or_default().push(*edge);
            }
        }
        for edges in inside.into_values() {
            let mut parts = Vec::new();
            let mut place = None;
            for edge in &edges {
                let Some((_, source)) = self.edges.remove(edge) else { continue };
                if parts.len() < MAX_SHOWN {
                    let name = |place: usize| stories.get(place).map_or("", |draft| draft.key.as_str());
                    parts.push(format!("{} waits for {} ({source})", name(edge.0), name(edge.1)));
                }
                place.get_or_insert(source);
            }
            if edges.len() > MAX_SHOWN {
                parts.push(format!("and {} more", edges.len() - MAX_SHOWN));
            }
            if let Some(source) = place {
                self.find(Code::DependencyCycle, &source, parts.join("; "));
            }
        }
    }

    /// Each story follows the one before it in its epic or list, unless that contradicts what is declared.
    fn add_order(&mut self, stories: &[Draft]) {
        let mut last: BTreeMap<&str, usize> = BTreeMap::new();
        // Order and most declarations point forwards; without one that points backwards there can be no contradiction.
        let backwards = self.edges.keys().any(|(downstream, upstream)| upstream > downstream);
        let mut successors = successors(stories.len(), &self.edges);
        for (place, draft) in stories.iter().enumerate() {
            let Some(epic) = draft.epic.as_deref() else { continue };
            let Some(before) = last.insert(epic, place) else { continue };
            if backwards && reaches(&successors, place, before) {
                let first = stories.get(before).map_or("", |draft| draft.key.as_str());
                let message =
                    format!("{} comes after {first}, which waits for it; order was not taken here", draft.key);
                self.find(Code::OrderContradicted, &draft.source, message);
                continue;
            }
            if let Some(list) = successors.get_mut(before) {
                list.push(place);
            }
            self.add((place, before), Origin::Order, &draft.source);
        }
    }
}

/// For each story those that wait for it.
fn successors(count: usize, edges: &Edges) -> Vec<Vec<usize>> {
    let mut successors = vec![Vec::new(); count];
    for (downstream, upstream) in edges.keys() {
        if let Some(list) = successors.get_mut(*upstream) {
            list.push(*downstream);
        }
    }
    successors
}

fn reaches(successors: &[Vec<usize>], from: usize, to: usize) -> bool {
    let mut seen = BTreeSet::from([from]);
    let mut open = vec![from];
    while let Some(place) = open.pop() {
        if place == to {
            return true;
        }
        open.extend(successors.get(place).into_iter().flatten().copied().filter(|next| seen.insert(*next)));
    }
    false
}
