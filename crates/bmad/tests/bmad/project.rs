//! Temporary projects, and short ways to ask what a scan said.
#![expect(clippy::panic, reason = "a failure here is a failed test")]

use std::path::{Path, PathBuf};

use damascus_bmad::{Code, Layout, Limits, Origin, Scan, ScanError, ScanOptions, Story, StoryStatus, scan};

/// A project in a temporary folder.
pub(crate) struct Project {
    folder: tempfile::TempDir,
}

impl Project {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// A version 6 project with these epics.
    pub(crate) fn with_epics(epics: &str) -> Self {
        Self::new().file(EPICS, epics)
    }

    /// A copy of a fixture, to be changed.
    pub(crate) fn copy_of(name: &str) -> Self {
        let project = Self::new();
        project.add_fixture(name);
        project
    }

    /// Puts a fixture on top of what is there.
    pub(crate) fn add_fixture(&self, name: &str) {
        copy(&fixture(name), self.path());
    }

    pub(crate) fn file(self, path: &str, text: impl AsRef<[u8]>) -> Self {
        self.write(path, text);
        self
    }

    pub(crate) fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn tracked(self, statuses: &str) -> Self {
        self.file(TRACKING, format!("project: x\ndevelopment_status:\n{statuses}"))
    }

    pub(crate) fn story_file(self, name: &str, text: &str) -> Self {
        self.file(&format!("{STORIES}/{name}"), text)
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn scan(&self) -> Scan {
        self.try_scan(&ScanOptions::default()).unwrap()
    }

    pub(crate) fn scan_within(&self, limits: Limits) -> Scan {
        self.try_scan(&ScanOptions { limits, layout: None }).unwrap()
    }

    pub(crate) fn scan_as(&self, layout: Layout) -> Result<Scan, ScanError> {
        self.try_scan(&ScanOptions { layout: Some(layout), ..ScanOptions::default() })
    }

    pub(crate) fn try_scan(&self, options: &ScanOptions) -> Result<Scan, ScanError> {
        scan(self.path(), options)
    }
}

pub(crate) const STORIES: &str = "_bmad-output/implementation-artifacts";
pub(crate) const TRACKING: &str = "_bmad-output/implementation-artifacts/sprint-status.yaml";
pub(crate) const EPICS: &str = "_bmad-output/planning-artifacts/epics.md";

/// Epic 1 with two stories.
pub(crate) const TWO: &str = "## Epic 1: One\n\n### Story 1.1: First\n\nText.\n\n### Story 1.2: Second\n\nText.\n";

pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

pub(crate) fn scan_fixture(name: &str) -> Scan {
    scan(&fixture(name), &ScanOptions::default()).unwrap()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The places of all findings of a kind, as `path:line`.
pub(crate) fn places(scan: &Scan, code: Code) -> Vec<String> {
    scan.findings.iter().filter(|finding| finding.code == code).map(|finding| finding.source.to_string()).collect()
}

/// The one message of a kind.
pub(crate) fn message(scan: &Scan, code: Code) -> &str {
    let mut found = scan.findings.iter().filter(|finding| finding.code == code);
    match (found.next(), found.next()) {
        (Some(finding), None) => &finding.message,
        _ => panic!("not exactly one {code:?} in {:#?}", scan.findings),
    }
}

pub(crate) fn story<'a>(scan: &'a Scan, key: &str) -> &'a Story {
    match scan.stories.iter().find(|story| story.key == key) {
        Some(story) => story,
        None => panic!("no story {key} among {:?}", keys(scan)),
    }
}

pub(crate) fn keys(scan: &Scan) -> Vec<&str> {
    scan.stories.iter().map(|story| story.key.as_str()).collect()
}

pub(crate) fn statuses(scan: &Scan) -> Vec<(&str, StoryStatus)> {
    scan.stories.iter().map(|story| (story.key.as_str(), story.status)).collect()
}

/// `downstream <- upstream kind`.
pub(crate) fn edges(scan: &Scan) -> Vec<String> {
    let kind = |origin: &Origin| match origin {
        Origin::Explicit { .. } => "explicit",
        Origin::CrossDependency { .. } => "cross",
        Origin::Order => "order",
    };
    scan.dependencies
        .iter()
        .map(|edge| format!("{} <- {} {}", edge.downstream, edge.upstream, kind(&edge.origin)))
        .collect()
}
