//! Dependencies: what is declared, what follows from order, and what cannot be.

use damascus_bmad::{Code, Limits, Origin};

use crate::project::{EPICS, Project, TRACKING, edges, message, places, scan_fixture};

/// Epic 1 with three stories; `lines[n]` is the text of story 1.(n + 1).
fn three(lines: [&str; 3]) -> Project {
    let mut epics = "## Epic 1: One\n".to_owned();
    for (number, line) in (1..).zip(lines) {
        epics.push_str(&format!("### Story 1.{number}: S{number}\n{line}\n"));
    }
    Project::with_epics(&epics)
}

#[test]
fn declared_ordered_and_crossing() {
    let scan = scan_fixture("classic");
    let expected = [
        "1-2-sign-in <- 1-1-sign-up explicit",
        "1-2a-sign-in-with-größe-co <- 1-2-sign-in order",
        "2-1-add-to-basket <- 1-1-sign-up explicit",
        "2-1-add-to-basket <- 1-2-sign-in explicit",
        "2-2-購入する <- 1-1-sign-up cross",
        "2-2-購入する <- 2-1-add-to-basket order",
    ];
    assert_eq!(edges(&scan), expected);
    let explicit = &scan.dependencies[0];
    assert_eq!(explicit.source.to_string(), format!("{EPICS}:42"));
    assert_eq!(explicit.origin, Origin::Explicit { text: "Story 1.1".to_owned() });
    assert_eq!(scan.dependencies[4].origin, Origin::CrossDependency { note: Some("needs an account".to_owned()) });
    assert_eq!(scan.dependencies[4].source.to_string(), format!("{TRACKING}:20"));
}

#[test]
fn forms_of_the_label() {
    for line in [
        "**Dependencies:** Story 1.1",
        "**Dependencies**: Story 1.1",
        "**Prerequisites:** Story 1.1.",
        "- **Depends on:** Story 1.1",
        "> **Depends on:** STORY-1.1",
        "Prerequisites: 1.1",
        "**Dependencies:**\n\n- Story 1.1 (the base)\n- None",
        "#### Dependencies\n\n- Story 1.1\n- React 18.2",
        "**Blocked by:** `1-1-s1`",
    ] {
        let scan = three(["", "", line]).scan();
        assert_eq!(edges(&scan)[1], "1-3-s3 <- 1-1-s1 explicit", "{line}");
    }
}

#[test]
fn a_whole_epic_and_a_range() {
    let project = Project::with_epics(
        "## Epic 1: One\n### Story 1.1: A\n### Story 1.2: B\n### Story 1.3: C\n## Epic 2: Two\n### Story 2.1: D\n**Dependencies:** Epic 1\n### Story 2.2: E\n**Dependencies:** Stories 1.2-1.3\n",
    );
    let explicit: Vec<_> = edges(&project.scan()).into_iter().filter(|edge| edge.ends_with("explicit")).collect();
    let expected = [
        "2-1-d <- 1-1-a explicit",
        "2-1-d <- 1-2-b explicit",
        "2-1-d <- 1-3-c explicit",
        "2-2-e <- 1-2-b explicit",
        "2-2-e <- 1-3-c explicit",
    ];
    assert_eq!(explicit, expected);
}

#[test]
fn prose_is_reported_and_none_is_silent() {
    let scan =
        three(["**Dependencies:** None", "**Dependencies:** the payment provider's sandbox", "**Prerequisites:** N/A"])
            .scan();
    assert_eq!(edges(&scan).len(), 2, "order only");
    assert_eq!(places(&scan, Code::DependencyText), [format!("{EPICS}:5")]);
    assert!(message(&scan, Code::DependencyText).contains("payment provider"));
}

#[test]
fn unknown_and_left_out_stories() {
    let project =
        three(["", "**Dependencies:** Story 9.9", "**Dependencies:** Story 1.1"]).tracked("  1-1-s1: deferred\n");
    let scan = project.scan();
    assert_eq!(edges(&scan), ["1-3-s3 <- 1-2-s2 order"]);
    assert_eq!(places(&scan, Code::UnknownDependency), [format!("{EPICS}:5"), format!("{EPICS}:7")]);
    let messages: Vec<_> =
        scan.findings.iter().filter(|f| f.code == Code::UnknownDependency).map(|f| &f.message).collect();
    assert!(messages[0].contains("which is not there") && messages[1].contains("which was left out"), "{messages:?}");
}

#[test]
fn a_story_that_waits_for_itself() {
    let scan = three(["**Dependencies:** Story 1.1", "", ""]).scan();
    assert_eq!(places(&scan, Code::SelfDependency), [format!("{EPICS}:3")]);
    assert_eq!(edges(&scan).len(), 2);
}

#[test]
fn an_ambiguous_number_is_no_dependency() {
    let scan = Project::with_epics(
        "## Epic 1: One\n### Story 1.1: A\n### Story 1.1: B\n### Story 1.2: C\n**Dependencies:** Story 1.1\n",
    )
    .scan();
    assert_eq!(places(&scan, Code::AmbiguousDependency), [format!("{EPICS}:5")]);
}

#[test]
fn a_cycle_names_its_members_and_places_and_binds_nobody() {
    let scan =
        three(["**Dependencies:** Story 1.3", "**Dependencies:** Story 1.1", "**Dependencies:** Story 1.2"]).scan();
    let text = message(&scan, Code::DependencyCycle);
    for part in [
        "1-1-s1 waits for 1-3-s3",
        "1-2-s2 waits for 1-1-s1",
        "1-3-s3 waits for 1-2-s2",
        "epics.md:3",
        "epics.md:5",
        "epics.md:7",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert_eq!(edges(&scan), ["1-2-s2 <- 1-1-s1 order", "1-3-s3 <- 1-2-s2 order"]);
}

#[test]
fn two_cycles_are_two_findings() {
    let epics = "## Epic 1: One\n### Story 1.1: A\n**Dependencies:** Story 1.2\n### Story 1.2: B\n**Dependencies:** Story 1.1\n### Story 1.3: C\n**Dependencies:** Story 1.4, Story 1.1\n### Story 1.4: D\n**Dependencies:** Story 1.3\n";
    let scan = Project::with_epics(epics).scan();
    assert_eq!(places(&scan, Code::DependencyCycle), [format!("{EPICS}:3"), format!("{EPICS}:7")]);
    assert!(edges(&scan).contains(&"1-3-c <- 1-1-a explicit".to_owned()), "what leads from one to the other stays");
}

#[test]
fn what_is_declared_outranks_order() {
    let scan = three(["", "**Dependencies:** Story 1.3", ""]).scan();
    assert_eq!(edges(&scan), ["1-2-s2 <- 1-1-s1 order", "1-2-s2 <- 1-3-s3 explicit"]);
    assert_eq!(places(&scan, Code::OrderContradicted), [format!("{EPICS}:6")]);
}

#[test]
fn order_gives_way_to_a_longer_path_as_well() {
    let epics = "## Epic 1: One\n### Story 1.1: A\n**Dependencies:** Story 2.2\n### Story 1.2: B\n## Epic 2: Two\n### Story 2.1: C\n**Dependencies:** Story 1.2\n### Story 2.2: D\n";
    let scan = Project::with_epics(epics).scan();
    // 1.1 waits for 2.2, 2.1 for 1.2, and in order 1.2 for 1.1: then 2.2 may not wait for 2.1.
    assert_eq!(edges(&scan), ["1-1-a <- 2-2-d explicit", "1-2-b <- 1-1-a order", "2-1-c <- 1-2-b explicit"]);
    assert_eq!(places(&scan, Code::OrderContradicted).len(), 1);
}

#[test]
fn cross_dependencies_in_every_form() {
    let epics = "## Epic 1: One\n### Story 1.1: A\n### Story 1.2: B\n## Epic 2: Two\n### Story 2.1: C\n";
    let tracking = "development_status:\n  1-1-a: backlog\ncross_dependencies:\n  - blocker: \"1.2\"\n    blocked: [2-1]\n  - {blocker: epic-1, blocked: 2-1-c}\n  - blocker: 2-1-c\n    blocked: nobody\n  - note: nothing\n  - {blocker: 1-1-a, blocked: 1-1-a}\n";
    let scan = Project::with_epics(epics).file(TRACKING, tracking).scan();
    assert_eq!(edges(&scan), ["1-2-b <- 1-1-a order", "2-1-c <- 1-1-a cross", "2-1-c <- 1-2-b cross"]);
    assert_eq!(places(&scan, Code::UnknownDependency), [format!("{TRACKING}:7")]);
    assert_eq!(places(&scan, Code::UnexpectedValue), [format!("{TRACKING}:9")]);
    assert_eq!(places(&scan, Code::SelfDependency), [format!("{TRACKING}:10")]);
}

#[test]
fn dependencies_of_the_epics_and_of_the_file_are_both_taken() {
    let project = three(["", "", "**Prerequisites:** Story 1.1"])
        .story_file("1-3-s3.md", "# Story 1.3: S3\n\nStatus: ready-for-dev\n\n**Dependencies:** Story 1.2\n");
    let scan = project.scan();
    assert_eq!(edges(&scan)[1..], ["1-3-s3 <- 1-1-s1 explicit", "1-3-s3 <- 1-2-s2 explicit"]);
}

#[test]
fn more_dependencies_than_allowed() {
    let limits = Limits { max_dependencies: 1, ..Limits::default() };
    let scan = three(["", "", "**Dependencies:** Story 1.1, Story 1.2"]).scan_within(limits);
    assert_eq!(scan.dependencies.len(), 1);
    assert_eq!(places(&scan, Code::TooManyDependencies).len(), 1);
}
