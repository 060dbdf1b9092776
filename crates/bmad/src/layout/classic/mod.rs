//! Version 6: epics, `sprint-status.yaml` and story files; released, and as it was before the release.
//!
//! Invariant: what upstream's own `sprint_plan.py` makes of epics, tracking and files, this makes of them too (keys,
//! order, statuses), but for the differences that the crate's documentation lists.

mod epics;
mod files;
mod join;
mod tracking;

use std::collections::BTreeSet;

use crate::config::{self, Locations};
use crate::draft::Drafts;
use crate::finding::{Code, SourceRef};
use crate::survey::{Survey, join as join_path};
use crate::text;

/// The name of the tracking file.
const TRACKING: &str = "sprint-status.yaml";

/// Folders to look in, best first.
#[derive(Debug)]
pub(crate) struct Places {
    /// For epics: the first that has any.
    epics: Vec<String>,
    /// For the tracking file: the first that has it.
    tracking: Vec<String>,
    /// For story files: all.
    stories: Vec<String>,
    /// Whether epics alone show the layout.
    epics_suffice: bool,
}

impl Places {
    /// Where the released version keeps things.
    pub(crate) fn released(locations: &Locations) -> Self {
        Self {
            epics: vec![locations.planning.clone()],
            tracking: vec![locations.implementation.clone(), locations.planning.clone()],
            stories: vec![locations.implementation.clone()],
            epics_suffice: true,
        }
    }

    /// Where versions before the release kept them.
    pub(crate) fn alpha(locations: &Locations) -> Self {
        let with = |first: &[String], defaults: &[&str]| {
            let all = first.iter().cloned().chain(defaults.iter().map(|&folder| folder.to_owned()));
            let mut seen = BTreeSet::new();
            all.filter(|folder| seen.insert(folder.clone())).collect::<Vec<_>>()
        };
        Self {
            // Then the folder of all output held the epics themselves.
            epics: with(std::slice::from_ref(&locations.output), &["docs", "docs/planning-artifacts"]),
            tracking: with(&locations.alpha, &["docs/sprint-artifacts", "docs"]),
            stories: with(&locations.alpha, &["docs/sprint-artifacts", "docs/stories"]),
            // `docs/epics.md` is what many people call a file of theirs; a `_bmad` folder tells that it is BMAD's.
            epics_suffice: false,
        }
    }
}

/// The path that shows the layout: the tracking file, epics, or a story file.
pub(crate) fn evidence(survey: &mut Survey<'_>, places: &Places) -> Option<String> {
    let tracking = places.tracking.iter().map(|folder| join_path(folder, TRACKING)).find(|path| survey.is_file(path));
    if tracking.is_some() {
        return tracking;
    }
    let suffice = places.epics_suffice || ["_bmad", "bmad", ".bmad"].iter().any(|folder| survey.is_folder(folder));
    if suffice
        && let Some(path) = places.epics.iter().find_map(|folder| epics::sources(survey, folder).into_iter().next())
    {
        return Some(path);
    }
    // `docs/stories` is version 4's folder as well, and shows nothing by itself.
    let folders = places.stories.iter().filter(|folder| *folder != "docs/stories");
    folders.clone().find_map(|folder| {
        let names = survey.names(folder);
        names.into_iter().find(|name| files::is_story_name(name)).map(|name| join_path(folder, &name))
    })
}

/// Reads epics, tracking and files, and joins them.
pub(crate) fn read(survey: &mut Survey<'_>, places: &Places) -> Drafts {
    let plan = epics::read(survey, &places.epics);
    let tracked_in = places.tracking.iter().map(|folder| join_path(folder, TRACKING)).find(|path| survey.is_file(path));
    let tracking = tracked_in.map(|path| tracking::read(survey, &path)).unwrap_or_default();
    let mut folders = places.stories.clone();
    if let Some((location, line)) = &tracking.story_location {
        match config::relative(survey.root.path(), location, None) {
            Ok(folder) if folder != "." => folders.push(folder),
            Ok(_) => {}
            Err(why) => {
                let message = format!("story_location is {}, which {why}; it was passed over", text::quote(location));
                survey.find(Code::UnexpectedValue, SourceRef::line(&tracking.path, *line), message);
            }
        }
    }
    let files = files::read(survey, &folders, &join::known_keys(&plan, &tracking));
    join::join(survey, plan, tracking, files)
}
