//! Which layout is read, what is said of the others, and whole results of the fixtures.

use damascus_bmad::{Code, Layout, ScanError, ScanOptions, Severity, scan};

use crate::project::{Project, STORIES, TWO, fixture, message, places, scan_fixture};

#[test]
fn whole_results() {
    for name in ["specs", "classic", "alpha", "v4", "odd"] {
        let scan = scan_fixture(name);
        insta::with_settings!({prepend_module_to_snapshot => false, snapshot_path => "../snapshots"}, {
            insta::assert_json_snapshot!(name, scan);
        });
    }
}

#[test]
fn each_fixture_shows_its_layout() {
    let expected = [
        ("specs", Layout::V6Specs),
        ("classic", Layout::V6Classic),
        ("alpha", Layout::V6Alpha),
        ("v4", Layout::V4),
        ("odd", Layout::V6Classic),
    ];
    for (name, layout) in expected {
        let scan = scan_fixture(name);
        assert_eq!((scan.layout, scan.other_layouts), (layout, vec![]), "{name}");
        assert!(!scan.stories.is_empty(), "{name}");
    }
}

#[test]
fn every_markdown_file_is_taken_or_reported() {
    for name in ["specs", "classic", "alpha", "v4", "odd"] {
        let scan = scan_fixture(name);
        let root = fixture(name);
        let mut open = vec![root.clone()];
        while let Some(folder) = open.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path);
                    continue;
                }
                let relative = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                let taken = scan.files.iter().any(|file| file.path == relative);
                let reported = scan.findings.iter().any(|finding| finding.source.path == relative);
                let related = scan.stories.iter().flat_map(|story| &story.related).any(|file| file.path == relative);
                assert!(taken || reported || related, "{name}: nothing is said of {relative}");
            }
        }
    }
}

#[test]
fn severities_and_hints_follow_from_codes() {
    for name in ["specs", "classic", "alpha", "v4", "odd"] {
        for finding in scan_fixture(name).findings {
            assert!(!finding.hint.is_empty() && !finding.message.is_empty());
            if finding.code == Code::UnknownStatus {
                assert_eq!(finding.severity, Severity::Skipped);
            }
        }
    }
    let mut names: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
    for (code, name) in Code::ALL.iter().zip(&names) {
        assert_eq!(serde_json::to_value(code).unwrap(), *name);
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'), "{name}");
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Code::ALL.len(), "two codes share a name");
}

#[test]
fn several_layouts_one_is_read_and_the_others_are_named() {
    let project = Project::copy_of("v4");
    for name in ["alpha", "classic", "specs"] {
        project.add_fixture(name);
    }
    let scan = project.scan();
    assert_eq!(scan.layout, Layout::V6Specs);
    assert_eq!(scan.other_layouts, [Layout::V6Classic, Layout::V6Alpha, Layout::V4]);
    assert_eq!(
        places(&scan, Code::LayoutNotUsed),
        [
            ".bmad-core/core-config.yaml",
            "_bmad-output/implementation-artifacts/sprint-status.yaml",
            "docs/sprint-artifacts/sprint-status.yaml"
        ]
    );
    let forced = project.scan_as(Layout::V4).unwrap();
    assert_eq!(forced.layout, Layout::V4);
    assert_eq!(forced.stories, scan_fixture("v4").stories);
}

#[test]
fn a_layout_that_is_not_there_cannot_be_forced() {
    let error = Project::copy_of("v4").scan_as(Layout::V6Classic).unwrap_err();
    assert!(matches!(error, ScanError::LayoutMissing { .. }));
    assert!(error.to_string().contains("there: v4"), "{error}");
}

#[test]
fn nothing_found_says_what_was_looked_for() {
    let error = Project::new().file("README.md", "# x").try_scan(&ScanOptions::default()).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, ScanError::NoLayout { .. }));
    for part in ["_bmad-output/specs/*/stories.yaml", "epics.md", "sprint-status.yaml", ".bmad-core/core-config.yaml"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn nothing_found_says_what_was_refused() {
    let project = Project::new().file("_bmad/config.toml", "[core]\noutput_folder = \"/elsewhere\"\n");
    let text = project.try_scan(&ScanOptions::default()).unwrap_err().to_string();
    assert!(text.contains("_bmad/config.toml") && text.contains("leaves the repository"), "{text}");
}

#[test]
fn roots_that_are_none() {
    let project = Project::new().file("a.md", "x");
    let missing = scan(&project.path().join("no"), &ScanOptions::default()).unwrap_err();
    assert!(matches!(missing, ScanError::RootMissing(_)) && missing.to_string().contains("does not exist"));
    let file = scan(&project.path().join("a.md"), &ScanOptions::default()).unwrap_err();
    assert!(matches!(file, ScanError::NotADirectory(_)) && file.to_string().contains("not a folder"));
}

#[test]
fn configured_folders_are_followed_and_layers_outrank() {
    let project = Project::new()
        .file(
            "_bmad/config.toml",
            "[core]\noutput_folder = \"out\"\n[modules.bmm]\nplanning_artifacts = \"{project-root}/wrong\"\n",
        )
        .file("_bmad/custom/config.toml", "[modules.bmm]\nplanning_artifacts = \"{project-root}/plan\"\n")
        .file("plan/epics.md", TWO)
        .file("out/implementation-artifacts/1-2-second.md", "# Story 1.2: Second\n\nStatus: review\n");
    let scan = project.scan();
    assert_eq!(scan.layout, Layout::V6Classic);
    assert_eq!(scan.stories[1].story_file.as_deref(), Some("out/implementation-artifacts/1-2-second.md"));
}

#[test]
fn a_broken_toml_gives_way_to_the_yaml_and_says_where() {
    let project = Project::new()
        .file("_bmad/config.toml", "[core]\nproject_name = \"x\noutput_folder = 1\n")
        .file("_bmad/bmm/config.yaml", "planning_artifacts: \"{project-root}/plan\"\n")
        .file("plan/epics.md", TWO);
    let scan = project.scan();
    assert_eq!(scan.stories.len(), 2);
    assert_eq!(places(&scan, Code::TomlUnparseable), ["_bmad/config.toml:2"]);
}

#[test]
fn a_path_out_of_the_repository_is_refused_for_the_default() {
    let project = Project::with_epics(TWO).file(
        "_bmad/bmm/config.yaml",
        "planning_artifacts: ../elsewhere\nimplementation_artifacts: \"{project-root}/x\"\n",
    );
    let scan = project.scan();
    assert_eq!(scan.stories.len(), 2);
    assert_eq!(places(&scan, Code::ConfigPathRefused), ["_bmad/bmm/config.yaml:1"]);
    assert!(message(&scan, Code::ConfigPathRefused).contains("`../elsewhere`"));
}

#[test]
fn a_config_with_unquoted_braces_is_read_line_by_line() {
    let scan = scan_fixture("odd");
    assert!(
        places(&scan, Code::YamlReadByLine).contains(&"_bmad/bmm/config.yaml:1".to_owned()),
        "{:#?}",
        scan.findings
    );
    assert!(scan.stories.iter().any(|story| story.key == "orch-1-1-x"));
}

#[test]
fn epics_in_a_folder_and_in_several_files() {
    let planning = "_bmad-output/planning-artifacts";
    let project = Project::new()
        .file(&format!("{planning}/epics/index.md"), "# Epics\n\n- [one](epic-1.md)\n")
        .file(&format!("{planning}/epics/epic-1.md"), TWO)
        .file(&format!("{planning}/epics/notes.md"), "# Notes\n");
    let scan = project.scan();
    assert_eq!(scan.stories.len(), 2);
    assert_eq!(places(&scan, Code::NotAStory), [format!("{planning}/epics/notes.md")]);
    project.write(&format!("{planning}/epics.md"), "## Epic 1: One\n### Story 1.1: Only\n");
    project.write(&format!("{planning}/epics-phase-2.md"), "## Epic 2: Two\n### Story 2.1: Later\n");
    let scan = project.scan();
    assert_eq!(crate::project::keys(&scan), ["1-1-only", "2-1-later"]);
    assert_eq!(places(&scan, Code::SecondEpicSource), [format!("{planning}/epics")]);
}

#[test]
fn a_released_project_in_the_folders_of_old_is_one_layout() {
    let project = Project::new()
        .file("_bmad/bmm/config.yaml", "planning_artifacts: docs\nimplementation_artifacts: docs/sprint-artifacts\n")
        .file("docs/epics.md", TWO)
        .file("docs/sprint-artifacts/sprint-status.yaml", "development_status:\n  1-1-first: done\n");
    let scan = project.scan();
    assert_eq!((scan.layout, scan.other_layouts), (Layout::V6Classic, vec![]));
}

#[test]
fn a_folder_of_stories_alone_is_enough() {
    let project = Project::new().file(&format!("{STORIES}/1-1-alone.md"), "# Story 1.1: Alone\n");
    assert_eq!(project.scan().layout, Layout::V6Classic);
}
