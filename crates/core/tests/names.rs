//! Names and shapes that the database, JSON and the command line share: each value has one name, the same everywhere, and what is
//! unknown is refused with an error that is safe to show.

use std::collections::BTreeSet;
use std::fmt::{Debug, Display};
use std::str::FromStr;

use damascus_core::{
    Announcement, BlockReason, Charge, Failure, GateCondition, GateKind, GateState, IssueKind, Named, Phase,
    UnknownName, Verdict, WorkPhase, display,
};
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

/// More than any error needs: the kind, sixty characters of what was found, the names there are.
const ERROR_MAX_CHARS: usize = 400;

trait Everywhere: Named + Display + Debug + FromStr<Err = UnknownName> + Serialize + DeserializeOwned {}
impl<T: Named + Display + Debug + FromStr<Err = UnknownName> + Serialize + DeserializeOwned> Everywhere for T {}

fn check_names<T: Everywhere>(expected: &[&str]) {
    let names: Vec<&str> = T::ALL.iter().map(|value| value.name()).collect();
    assert_eq!(names, expected, "the names of a {} are kept in databases and scripts", T::WHAT);
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "two values of {} share a name", T::WHAT);
    for &value in T::ALL {
        let name = value.name();
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_' || c == '.'), "{name}");
        assert_eq!(T::parse(name).ok(), Some(value));
        assert_eq!(name.parse::<T>().ok(), Some(value));
        assert_eq!(value.to_string(), name);
        assert_eq!(format!("{value:>30}|"), format!("{name:>30}|"), "a table can't align it");
        assert_eq!(serde_json::to_value(value).ok(), Some(json!(name)));
        assert_eq!(serde_json::from_value::<T>(json!(name)).ok(), Some(value));
        for near in [name.to_uppercase(), format!(" {name}"), format!("{name}\n"), format!("{name}s")] {
            check_unknown::<T>(&near);
        }
    }
    for not_text in [json!(0), json!(null), json!([]), json!({ "name": names[0] })] {
        assert!(serde_json::from_value::<T>(not_text).is_err());
    }
}

fn check_unknown<T: Everywhere>(text: &str) {
    let parsed = T::parse(text).map_err(|error| error.to_string());
    let read = serde_json::from_value::<T>(json!(text)).map_err(|error| error.to_string());
    for said in [parsed, read] {
        let said = said.err().unwrap_or_default();
        assert!(said.starts_with(&format!("unknown {} \"", T::WHAT)), "{said:?}");
        assert!(T::ALL.iter().all(|value| said.contains(value.name())), "{said:?}");
        assert!(said.chars().count() <= ERROR_MAX_CHARS, "{} characters", said.chars().count());
        assert!(!said.chars().any(display::is_unsafe), "{said:?}");
    }
}

#[test]
fn phases_and_verdicts() {
    check_names::<WorkPhase>(&["spec", "build", "review", "merge"]);
    check_names::<Phase>(&["spec", "build", "review", "merge", "awaiting_human", "blocked", "merged", "cancelled"]);
    check_names::<Verdict>(&[
        "pass",
        "spec_invalid",
        "spec_ambiguous",
        "no_change",
        "build_failed",
        "policy_violation",
        "spec_wrong",
        "contract_changed",
        "tests_failed",
        "review_rejected",
        "rebase_conflict",
        "tamper_suspected",
        "head_moved",
        "base_moved",
        "infra_error",
        "timeout",
        "rate_limited",
    ]);
    check_names::<Failure>(&[
        "spec_invalid",
        "no_change",
        "build_failed",
        "policy_violation",
        "spec_wrong",
        "contract_changed",
        "tests_failed",
        "review_rejected",
        "rebase_conflict",
        "tamper_suspected",
        "head_moved",
        "base_moved",
        "infra_error",
        "timeout",
    ]);
}

#[test]
fn what_surrounds_a_transition() {
    check_names::<BlockReason>(&["attempts_spent", "infra_failures", "moves", "tampering", "money_spent"]);
    check_names::<Charge>(&["free", "attempt", "infra_failure", "move"]);
    check_names::<Announcement>(&[
        "work.advanced",
        "work.retrying",
        "work.awaiting_human",
        "work.blocked",
        "work.resumed",
        "work.merged",
        "work.cancelled",
    ]);
    check_names::<IssueKind>(&["question", "blocked", "gate"]);
    check_names::<GateKind>(&["item_merged", "contract_published", "pr_merged", "ref_contains", "timer", "human"]);
    check_names::<GateState>(&["open", "satisfied", "waived", "expired"]);
}

#[test]
fn a_working_phase_is_the_phase_of_the_same_name() {
    for &phase in Phase::ALL {
        let same = WorkPhase::ALL.iter().copied().find(|working| working.name() == phase.name());
        assert_eq!(phase.working(), same);
        assert_eq!(same.map(Phase::from), same.map(|_| phase));
        let kinds = [phase.working().is_some(), phase.is_parked(), phase.is_end()];
        assert_eq!(
            kinds.iter().filter(|is_so| **is_so).count(),
            1,
            "{phase} is not exactly one of working, parked, ended"
        );
    }
    let bits = WorkPhase::ALL.iter().fold(0, |bits, phase| bits ^ phase.gate_bit());
    assert_eq!(bits, 0b1111);
    let ranks: BTreeSet<i16> = WorkPhase::ALL.iter().map(|phase| phase.claim_rank()).collect();
    assert_eq!(ranks.len(), WorkPhase::ALL.len());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn an_unknown_name_is_told_safely(text in "\\PC{0,8}|[\\x00-\\x20\u{202a}-\u{202e}a-z]{0,80}") {
        prop_assume!(Verdict::ALL.iter().all(|verdict| verdict.name() != text));
        check_unknown::<Verdict>(&text);
    }
}

#[test]
fn a_megabyte_as_a_name_is_told_in_a_line() {
    check_unknown::<Verdict>(&"\u{1b}]0;x\u{7}".repeat(150_000));
}

// --- gate conditions

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// One of each, as it is kept.
fn conditions() -> Vec<serde_json::Value> {
    vec![
        json!({ "kind": "item_merged", "item": 7 }),
        json!({ "kind": "contract_published", "name": "billing", "version": 3 }),
        json!({ "kind": "pr_merged", "repo": "acme/shop", "number": 12 }),
        json!({ "kind": "ref_contains", "repo": "acme/shop", "ref": "refs/heads/main", "commit": COMMIT }),
        json!({ "kind": "timer", "until": "2031-05-06T07:08:09Z" }),
        json!({ "kind": "human", "question": "Is the contract signed?" }),
    ]
}

#[test]
fn conditions_come_back_from_the_json_that_they_are_kept_as() {
    let mut kinds = Vec::new();
    for kept in conditions() {
        let read: GateCondition = serde_json::from_value(kept.clone()).expect("the kept shape is read");
        assert_eq!(json!(read), kept);
        assert_eq!(read.kind().name(), kept["kind"], "the tag is the kind's name");
        assert_eq!(read.upstream().map(|item| item.0), kept["item"].as_i64());
        kinds.push(read.kind());
    }
    assert_eq!(kinds, GateKind::ALL);
}

#[test]
fn conditions_with_a_field_too_many_too_few_or_of_another_type_are_refused() {
    let refused = |broken: &serde_json::Value| serde_json::from_value::<GateCondition>(broken.clone()).is_err();
    for kept in conditions() {
        let mut extra = kept.clone();
        extra["deadline"] = json!("tomorrow");
        assert!(refused(&extra), "{extra}");
        for field in kept.as_object().expect("an object").keys() {
            let mut missing = kept.clone();
            missing.as_object_mut().expect("an object").remove(field);
            assert!(refused(&missing), "{missing}");
            for wrong in [json!(null), json!(true), json!({}), json!(-0.5)] {
                let mut other = kept.clone();
                other[field] = wrong;
                assert!(refused(&other), "{other}");
            }
        }
    }
    for broken in [
        json!({ "kind": "moon_phase" }),
        json!({ "kind": "contract_published", "name": "billing", "version": -1 }),
        json!({ "kind": "ref_contains", "repo": "a/b", "ref": "main", "commit": "HEAD" }),
        json!({ "kind": "timer", "until": "soon" }),
        json!({}),
        json!("human"),
    ] {
        assert!(refused(&broken), "{broken}");
    }
}

#[test]
fn only_what_was_satisfied_or_waived_lets_an_item_through() {
    let open: Vec<GateState> = GateState::ALL.iter().copied().filter(|state| !state.is_closed()).collect();
    assert_eq!(open, [GateState::Satisfied, GateState::Waived]);
}
