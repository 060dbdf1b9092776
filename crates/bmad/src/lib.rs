//! BMAD stories on disk → stories and dependencies.
//!
//! Invariant: pure over a directory. No database, no clock, no process; nothing is written; nothing outside the
//! directory is opened; the same files give the same [`Scan`]. Every file that is looked at is either taken or has a
//! [`Finding`] that says why not.
//!
//! [`scan`] finds the layout, reads it, and returns stories in execution order with their dependencies.
//! [`parse_story_markdown`] reads one story from a text.
//!
//! # Rules
//!
//! - One layout is read: the first that is there of `stories.yaml`, version 6, version 6 before its release, version 4;
//!   or the one that [`ScanOptions::layout`] names. Others are reported.
//! - An unknown status is never given a meaning: its story is left out with a finding. Where several places give a
//!   status, the furthest counts; a status is never lowered.
//! - A key lasts: the tracked key outranks the story file's name, which outranks the key made from a heading, because a
//!   changed title changes only the last. [`Story::number`] outlives them all.
//! - Dependencies have no cycle. Declared ones that form a cycle are all left out, with an error; order gives way to
//!   what is declared. Stories left out are also left out of the order: the next one follows the one before.
//!
//! # Serialised form
//!
//! All public types serialise with the names of their fields, enums in kebab-case. These names are stable: `{layout,
//! other_layouts, stories: [{key, number, epic, epic_title, title, body, status, source: {path, line}, story_file,
//! content_sha256, order, acceptance, tasks: [{text, done, depth, acceptance}], human_gates, instructions, related:
//! [{path, role}]}], dependencies: [{upstream, downstream, origin: {kind, …}, source}], findings: [{severity, code,
//! message, source, hint}], files: [{path, role}]}`.
//!
//! # Where this departs from upstream's `sprint_plan.py`
//!
//! Keys, order and statuses are the same (a test compares them), but for these:
//!
//! - Statuses are compared without regard to case and separators (`Ready for Dev`); upstream calls these illegal and
//!   resets them.
//! - An illegal status leaves the story out; upstream replaces it with `backlog` or `ready-for-dev`.
//! - A story whose title changed is found again by its number, if that is unambiguous, and keeps its tracked key and
//!   status; upstream starts a new entry and reports the old one as an orphan.
//! - A `Status:` line in the story's file, or in its `spec-N-M-….md`, counts as well; upstream looks only at whether
//!   the file exists.
//! - Story files are found in subfolders and by number, not only as `{key}.md` in the folder itself.
//! - `### Story 10-1:` and headings one level off are read, with a warning; upstream passes over them.
//! - Stories that are struck out, marked as deleted or as candidates, or whose epic is, are left out; upstream takes
//!   them if their headings parse.
//! - Headings in comments are none. Code fences end by CommonMark's rules; upstream toggles at each fence mark.
//! - Stories that are tracked or filed without a heading are kept if there is a file, in their place in the epic;
//!   upstream drops them.
//! - Control characters, escapes and invisible characters are removed first; digits are ASCII digits.
//! - A YAML file that does not parse is read line by line for what is needed; upstream stops. A key that appears twice
//!   keeps the further status; upstream stops.
//! - Epics and retrospectives have statuses upstream; here they have none.

mod config;
mod criteria;
mod draft;
mod error;
mod finding;
mod graph;
mod headings;
mod key;
mod layout;
mod limits;
mod markdown;
mod model;
mod references;
mod root;
mod status;
mod story_text;
mod strong;
mod survey;
mod text;
mod yaml;
mod yaml_lines;

use std::path::Path;

pub use error::{ScanError, StoryTextError};
pub use finding::{Code, Finding, Severity, SourceRef};
pub use key::StoryNumber;
pub use limits::*;
pub use model::{Dependency, FileRole, HumanGate, Layout, Origin, Scan, Story, TakenFile, Task};
pub use references::Reference;
pub use status::StoryStatus;
pub use story_text::{DependencyText, ParsedStory, parse_story_markdown};

/// Reads the BMAD stories of a repository.
///
/// # Errors
/// If the root is missing, no folder or unreadable, or holds no layout that is known (or not the one that was asked
/// for). Anything that concerns only a part is a finding.
pub fn scan(root: &Path, options: &ScanOptions) -> Result<Scan, ScanError> {
    let mut survey = survey::Survey::new(root::Root::open(root)?, &options.limits);
    let locations = config::read(&mut survey);
    let found = layout::detect(&mut survey, &locations);
    let present: Vec<_> = found.iter().map(|(layout, _)| *layout).collect();
    let used = match (options.layout, present.first()) {
        (Some(wanted), _) if present.contains(&wanted) => wanted,
        (Some(wanted), Some(_)) => return Err(ScanError::LayoutMissing { path: root.to_owned(), wanted, present }),
        (None, Some(first)) => *first,
        (_, None) => return Err(no_layout(root, survey, &locations)),
    };
    let others: Vec<_> = found.iter().filter(|(layout, _)| *layout != used).collect();
    layout::report_others(&mut survey, used, &others);
    let drafts = layout::read(&mut survey, used, &locations);
    let (stories, dependencies) = graph::resolve(&mut survey, drafts);
    let (findings, files) = survey.finish();
    let other_layouts = others.iter().map(|(layout, _)| *layout).collect();
    Ok(Scan { layout: used, other_layouts, stories, dependencies, findings, files })
}

fn no_layout(root: &Path, survey: survey::Survey<'_>, locations: &config::Locations) -> ScanError {
    let looked_for = layout::looked_for(locations);
    // A link or a configuration that was refused may be why nothing was found.
    let (findings, _) = survey.finish();
    ScanError::NoLayout { path: root.to_owned(), looked_for, findings }
}
