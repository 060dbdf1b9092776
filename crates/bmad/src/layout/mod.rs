//! The layouts: which are there, and how each is read.
//!
//! Invariant: one layout is read; the others that are there are named, never mixed in.

pub(crate) mod classic;
pub(crate) mod specs;
pub(crate) mod v4;

use crate::config::{self, Locations};
use crate::draft::Drafts;
use crate::finding::{Code, SourceRef};
use crate::model::Layout;
use crate::survey::Survey;

/// A layout that was found, and the path that shows it.
pub(crate) type Found = (Layout, String);

/// Finds the layouts, in the order of preference.
pub(crate) fn detect(survey: &mut Survey<'_>, locations: &Locations) -> Vec<Found> {
    let mut found = Vec::new();
    if let Some(path) = specs::evidence(survey, locations) {
        found.push((Layout::V6Specs, path));
    }
    let classic = classic::evidence(survey, &classic::Places::released(locations));
    let alpha = classic::evidence(survey, &classic::Places::alpha(locations));
    // A released project may be configured to the folders of old: that is one layout, not two.
    let alpha = alpha.filter(|path| classic.as_ref() != Some(path));
    found.extend(classic.map(|path| (Layout::V6Classic, path)));
    found.extend(alpha.map(|path| (Layout::V6Alpha, path)));
    if survey.is_file(config::V4_CONFIG) {
        found.push((Layout::V4, config::V4_CONFIG.to_owned()));
    }
    found
}

/// What [`detect`] looks for, for the message that nothing was found.
pub(crate) fn looked_for(locations: &Locations) -> Vec<String> {
    vec![
        format!("{}/specs/*/stories.yaml", locations.output),
        format!("{}/epics.md", locations.planning),
        format!("{}/sprint-status.yaml", locations.implementation),
        "docs/sprint-artifacts/".to_owned(),
        "docs/epics.md".to_owned(),
        config::V4_CONFIG.to_owned(),
    ]
}

/// Reads one layout.
pub(crate) fn read(survey: &mut Survey<'_>, layout: Layout, locations: &Locations) -> Drafts {
    match layout {
        Layout::V6Specs => specs::read(survey, locations),
        Layout::V6Classic => classic::read(survey, &classic::Places::released(locations)),
        Layout::V6Alpha => classic::read(survey, &classic::Places::alpha(locations)),
        Layout::V4 => v4::read(survey),
    }
}

/// Reports the layouts that were not read.
pub(crate) fn report_others(survey: &mut Survey<'_>, used: Layout, others: &[&Found]) {
    for (layout, path) in others {
        let message = format!("the layout {} is there too; {} was read", layout.as_str(), used.as_str());
        survey.find(Code::LayoutNotUsed, SourceRef::file(path), message);
    }
}
