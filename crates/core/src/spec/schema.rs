//! The JSON schema that a model is asked to answer with.
//!
//! Invariant: what the schema admits can be read as a [`super::Spec`]; whether it makes sense is checked afterwards. Every object lists all of
//! its fields as required and admits no others, as strict structured output asks for.

use serde_json::{Map, Value, json};

fn text() -> Value {
    json!({ "type": "string" })
}

fn list(of: Value) -> Value {
    json!({ "type": "array", "items": of })
}

fn object(fields: &[(&str, Value)]) -> Value {
    let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
    let properties: Map<String, Value> =
        fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    json!({ "type": "object", "properties": properties, "required": names, "additionalProperties": false })
}

/// The schema of a model's answer: a spec without `sources`, which Damascus fills in.
#[must_use]
pub fn answer_schema() -> Value {
    let kinds: Vec<&str> =
        <super::ChangeKind as crate::Named>::ALL.iter().map(|&kind| crate::Named::name(kind)).collect();
    object(&[
        ("goal", text()),
        ("kind", json!({ "type": "string", "enum": kinds })),
        ("non_goals", list(text())),
        (
            "acceptance",
            list(object(&[
                ("id", text()),
                ("given", text()),
                ("when", text()),
                ("then", text()),
                ("tests", list(text())),
            ])),
        ),
        ("files", object(&[("allow", list(text())), ("create", list(text())), ("forbid", list(text()))])),
        (
            "tests",
            object(&[
                ("command", list(text())),
                ("cwd", text()),
                ("timeout_s", json!({ "type": "integer" })),
                ("new_files", list(text())),
                ("must_fail_on_base", json!({ "type": "boolean" })),
            ]),
        ),
        ("tasks", list(object(&[("id", text()), ("path", text()), ("action", text()), ("acceptance", list(text()))]))),
        ("contracts", object(&[("consumes", list(text())), ("publishes", list(text()))])),
        (
            "ambiguities",
            list(object(&[
                ("question", text()),
                ("options", list(text())),
                ("blocking", json!({ "type": "boolean" })),
                ("default", text()),
            ])),
        ),
        ("risk", text()),
    ])
}
