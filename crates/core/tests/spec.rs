//! Specs: the schema, what is checked beyond it, the hash.
#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking, also in what its tests share")]

use damascus_core::Spec;
use damascus_core::spec::{ChangeKind, answer_schema};
use serde_json::{Value, json};

fn answer() -> Value {
    json!({
        "goal": "Readers find books by a part of the author's name.", "kind": "feature", "non_goals": ["Ranking"],
        "acceptance": [{ "id": "AC1", "given": "books", "when": "a part is searched", "then": "they are found", "tests": ["finds"] }],
        "files": { "allow": ["src/search.js"], "create": ["test/search.test.js"], "forbid": [] },
        "tests": { "command": [], "cwd": "", "timeout_s": 0, "new_files": ["test/search.test.js"], "must_fail_on_base": true },
        "tasks": [{ "id": "T1", "path": "src/search.js", "action": "Search", "acceptance": ["AC1"] }],
        "contracts": { "consumes": [], "publishes": [] },
        "ambiguities": [{ "question": "Titles as well?", "options": ["yes", "no"], "blocking": false, "default": "no" }],
        "risk": "Case."
    })
}

fn read(answer: &Value) -> Spec {
    serde_json::from_value(answer.clone()).expect("it fits the schema")
}

/// The answer with one value replaced, by its JSON pointer.
fn with(pointer: &str, value: Value) -> Value {
    let mut answer = answer();
    *answer.pointer_mut(pointer).expect("the place is there") = value;
    answer
}

fn faults(answer: &Value) -> Vec<String> {
    read(answer).faults(&[ChangeKind::Docs]).iter().map(ToString::to_string).collect()
}

#[test]
fn a_whole_answer_has_no_fault() {
    assert_eq!(faults(&answer()), Vec::<String>::new());
}

#[test]
fn each_fault_names_its_place() {
    let long = "x".repeat(9_000);
    for (pointer, value, place) in [
        ("/goal", json!("  "), "goal"),
        ("/goal", json!(long), "goal"),
        ("/non_goals", json!([]), "non_goals"),
        ("/acceptance", json!([]), "acceptance"),
        ("/acceptance/0/then", json!(""), "acceptance[0].then"),
        ("/acceptance/0/tests", json!([]), "acceptance[0].tests"),
        ("/files", json!({ "allow": [], "create": [], "forbid": [] }), "files"),
        ("/files/allow/0", json!("**"), "files.allow[0]"),
        ("/files/allow/0", json!("/etc/passwd"), "files.allow[0]"),
        ("/files/allow/0", json!("../other/**"), "files.allow[0]"),
        ("/files/allow/0", json!("a/.GIT/hooks/*"), "files.allow[0]"),
        ("/files/create/0", json!("test/*.js"), "files.create[0]"),
        ("/tests/new_files", json!([]), "tests.new_files"),
        ("/tests/must_fail_on_base", json!(false), "tests.must_fail_on_base"),
        ("/tests/timeout_s", json!(100_000), "tests.timeout_s"),
        ("/tests/cwd", json!("../.."), "tests.cwd"),
        ("/tasks", json!([]), "tasks"),
        ("/tasks/0/acceptance/0", json!("AC9"), "tasks[0].acceptance"),
        ("/ambiguities/0/question", json!(""), "ambiguities[0].question"),
    ] {
        let found = faults(&with(pointer, value.clone()));
        assert!(found.iter().any(|fault| fault.starts_with(&format!("{place}: "))), "{pointer} = {value}: {found:?}");
    }
    let twice = with("/acceptance", json!([answer()["acceptance"][0], answer()["acceptance"][0]]));
    assert!(faults(&twice).iter().any(|fault| fault.starts_with("acceptance[1].id: ")));
}

#[test]
fn only_the_kinds_that_the_project_lists_need_no_failing_test() {
    let mut docs = with("/tests/must_fail_on_base", json!(false));
    docs["kind"] = json!("docs");
    docs["tests"]["new_files"] = json!([]);
    assert_eq!(faults(&docs), Vec::<String>::new());
    assert_eq!(read(&docs).faults(&[]).len(), 2);
}

#[test]
fn what_the_schema_does_not_have_is_refused() {
    for (pointer, key) in [("", "extra"), ("/acceptance/0", "note"), ("/tests", "skip")] {
        let mut answer = answer();
        answer.pointer_mut(pointer).expect("the place is there")[key] = json!("x");
        assert!(serde_json::from_value::<Spec>(answer).is_err(), "{pointer}/{key}");
    }
    let mut short = answer();
    short.as_object_mut().expect("an object").remove("non_goals");
    assert!(serde_json::from_value::<Spec>(short).is_err(), "a list that is missing is not an empty one");
    assert!(serde_json::from_value::<Spec>(with("/kind", json!("magic"))).is_err());
}

/// Walks the schema beside an answer: every field of either is in the other, and every object is closed.
fn agree(schema: &Value, answer: &Value, place: &str) {
    match schema["type"].as_str() {
        Some("object") => {
            let fields = answer.as_object().unwrap_or_else(|| panic!("{place} is no object"));
            let mut known: Vec<&String> = schema["properties"].as_object().expect("properties").keys().collect();
            known.sort();
            assert_eq!(known, fields.keys().collect::<Vec<_>>(), "{place}");
            let mut required: Vec<&str> =
                schema["required"].as_array().expect("required").iter().filter_map(Value::as_str).collect();
            required.sort_unstable();
            assert_eq!(required, known, "{place}: strict output wants all fields");
            assert_eq!(schema["additionalProperties"], json!(false), "{place}");
            for (name, value) in fields {
                agree(&schema["properties"][name], value, &format!("{place}/{name}"));
            }
        }
        Some("array") => {
            for value in answer.as_array().unwrap_or_else(|| panic!("{place} is no list")) {
                agree(&schema["items"], value, place);
            }
        }
        Some("string") => assert!(answer.is_string(), "{place}"),
        Some("integer") => assert!(answer.is_u64(), "{place}"),
        Some("boolean") => assert!(answer.is_boolean(), "{place}"),
        other => panic!("{place}: {other:?}"),
    }
}

#[test]
fn the_schema_and_the_type_say_the_same() {
    let spec = read(&answer());
    let mut written = serde_json::to_value(&spec).expect("JSON");
    // Filled by Damascus, never by a model.
    written.as_object_mut().expect("an object").remove("sources");
    assert_eq!(written, answer());
    agree(&answer_schema(), &written, "");
}

#[test]
fn the_hash_depends_on_what_is_said_and_not_on_the_order_of_keys() {
    let spec = read(&answer());
    let reordered: Spec = serde_json::from_str(&spec.canonical_json()).expect("JSON");
    assert_eq!(spec.sha256(), reordered.sha256());
    assert_ne!(spec.sha256(), read(&with("/risk", json!("Other."))).sha256());
    assert_eq!(
        damascus_core::Digest::of(b"").as_str(),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
}

#[test]
fn a_question_without_a_sensible_default_proposes_nothing() {
    let mut open = answer();
    open["ambiguities"][0]["blocking"] = json!(true);
    open["ambiguities"][0]["default"] = json!(" ");
    let questions = read(&open).blocking_questions();
    assert_eq!(questions.len(), 1);
    assert_eq!((questions[0].options.len(), questions[0].default.clone()), (2, None));
    assert!(read(&answer()).blocking_questions().is_empty(), "what does not block is not asked");
}

#[test]
fn the_recorded_specs_of_the_example_are_whole() {
    let recorded = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/bookshelf/recorded");
    let mut seen = 0;
    for story in std::fs::read_dir(recorded).expect("the example") {
        for file in std::fs::read_dir(story.expect("a story").path()).expect("its recordings") {
            let path = file.expect("a file").path();
            if path.extension().is_some_and(|extension| extension == "json") {
                let text = std::fs::read_to_string(&path).expect("a spec");
                let spec: Spec = serde_json::from_str(&text).expect("it fits the schema");
                assert_eq!(spec.faults(&[]), [], "{}", path.display());
                seen += 1;
            }
        }
    }
    assert!(seen >= 6, "{seen}");
}
