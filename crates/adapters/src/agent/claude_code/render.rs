//! A JSON line as a reader of the transcript wants it.
//!
//! Invariant: one line of JSON becomes a bounded number of bounded lines, without the key.

use serde_json::Value;

use crate::gateway::Scrub;

/// A line of the transcript is cut here, in characters.
pub(super) const LINE_MAX_CHARS: usize = 2000;
/// What a tool gets, and what it answers, is cut here, in characters.
const TOOL_MAX_CHARS: usize = 300;
/// Lines of one JSON line.
const LINES_MAX: usize = 200;

/// The lines that stand for one JSON line; none for those that say nothing to a reader.
pub(super) fn lines(value: &Value, scrub: &Scrub) -> Vec<String> {
    let mut lines = match value["type"].as_str() {
        Some("system") => system(value),
        Some("assistant") => blocks(value, assistant),
        Some("user") => blocks(value, tool_result),
        Some("result") => result(value),
        _ => Vec::new(),
    };
    if lines.len() > LINES_MAX {
        let left_out = lines.len() - LINES_MAX;
        lines.truncate(LINES_MAX);
        lines.push(format!("[{left_out} lines left out]"));
    }
    lines.iter().map(|line| scrub.one_line(line, LINE_MAX_CHARS)).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn system(value: &Value) -> Vec<String> {
    match text(&value["subtype"]) {
        "init" => vec![format!("Claude Code {}, model {}", text(&value["claude_code_version"]), text(&value["model"]))],
        "api_retry" => {
            let status = value["error_status"]
                .as_u64()
                .map_or_else(|| text(&value["error"]).to_owned(), |status| status.to_string());
            vec![format!("the model does not answer ({status}); try {} of {}", value["attempt"], value["max_retries"])]
        }
        "permission_denied" => vec![format!("not permitted: {}", text(&value["message"]))],
        _ => Vec::new(),
    }
}

fn blocks(value: &Value, line: fn(&Value) -> Vec<String>) -> Vec<String> {
    value["message"]["content"].as_array().into_iter().flatten().flat_map(line).collect()
}

fn assistant(block: &Value) -> Vec<String> {
    match text(&block["type"]) {
        "text" => text(&block["text"]).lines().map(str::to_owned).collect(),
        "tool_use" => vec![format!("> {} {}", text(&block["name"]), cut(&input(&block["input"])))],
        _ => Vec::new(),
    }
}

/// What a tool gets: the one field that tells, where there is one.
fn input(input: &Value) -> String {
    let telling = ["command", "file_path", "path", "pattern", "description", "prompt"];
    let found = telling.iter().find_map(|name| input[name].as_str());
    found.map_or_else(|| input.to_string(), str::to_owned)
}

fn tool_result(block: &Value) -> Vec<String> {
    if block["type"] != "tool_result" {
        return Vec::new();
    }
    let content = &block["content"];
    let parts: Vec<&str> = match content {
        Value::String(content) => vec![content],
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        _ => Vec::new(),
    };
    let mark = if block["is_error"] == Value::Bool(true) { "< error:" } else { "<" };
    vec![format!("{mark} {}", cut(&parts.join(" ")))]
}

fn result(value: &Value) -> Vec<String> {
    let cost = value["total_cost_usd"].as_f64().unwrap_or_default();
    let failed = if value["is_error"] == Value::Bool(true) { " with an error" } else { "" };
    vec![format!("ended{failed}: {}, {} turns, about ${cost:.4}", text(&value["subtype"]), value["num_turns"])]
}

fn cut(text: &str) -> String {
    damascus_core::display::one_line(text, TOOL_MAX_CHARS)
}
