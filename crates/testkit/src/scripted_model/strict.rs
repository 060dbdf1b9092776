//! What the originals refuse: addresses, keys, and bodies that do not have their form.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Asked;

/// A request that is not accepted.
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) message: String,
}

fn refuse<T>(status: u16, message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { status, message: message.into() })
}

fn must(holds: bool, message: &str) -> Result<(), Refusal> {
    if holds { Ok(()) } else { refuse(400, message) }
}

pub(super) fn check(asked: &Asked, key: &str) -> Result<(), Refusal> {
    let path = asked.path.split('?').next().unwrap_or_default();
    if asked.method != "POST" || !matches!(path, "/v1/chat/completions" | "/v1/messages") {
        return refuse(404, format!("there is no {} {}", asked.method, asked.path));
    }
    let header = |name: &str| asked.headers.get(name).map_or("", String::as_str);
    if header("authorization") != format!("Bearer {key}") && header("x-api-key") != key {
        return refuse(401, "Incorrect API key provided");
    }
    must(header("content-type").starts_with("application/json"), "the content type is not JSON")?;
    let body = &asked.body;
    must(body["model"].as_str().is_some_and(|model| !model.is_empty()), "'model' is missing")?;
    let messages = body["messages"].as_array().map_or(&[][..], Vec::as_slice);
    must(!messages.is_empty(), "'messages' is missing or empty")?;
    if path == "/v1/messages" { anthropic(body, messages, header("anthropic-version")) } else { openai(body, messages) }
}

fn openai(body: &Value, messages: &[Value]) -> Result<(), Refusal> {
    const KNOWN: [&str; 8] = [
        "model",
        "messages",
        "max_tokens",
        "max_completion_tokens",
        "response_format",
        "stream",
        "stream_options",
        "temperature",
    ];
    for name in body.as_object().map(|fields| fields.keys()).into_iter().flatten() {
        must(KNOWN.contains(&name.as_str()), &format!("Unrecognized request argument supplied: {name}"))?;
    }
    for message in messages {
        let role = message["role"].as_str().unwrap_or_default();
        must(["system", "user", "assistant"].contains(&role), "a message's role is unknown")?;
        must(message["content"].is_string(), "a message's content is no text")?;
    }
    for name in ["max_tokens", "max_completion_tokens"] {
        let limit = &body[name];
        must(
            limit.is_null() || limit.as_u64().is_some_and(|limit| limit > 0),
            "the limit of tokens is no positive number",
        )?;
    }
    let format = &body["response_format"];
    match format["type"].as_str() {
        None if format.is_null() => Ok(()),
        Some("text") => Ok(()),
        Some("json_object") => {
            let mentioned = messages.iter().any(|m| m["content"].as_str().is_some_and(|text| text.contains("JSON")));
            must(mentioned, "'messages' must contain the word 'json' to use 'response_format' of type 'json_object'")
        }
        Some("json_schema") => {
            let schema = &format["json_schema"];
            let name = schema["name"].as_str().unwrap_or_default();
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            must(!name.is_empty() && name.len() <= 64 && name.chars().all(plain), "'json_schema.name' is no name")?;
            must(schema["strict"] == Value::Bool(true), "'json_schema.strict' is not true")?;
            closed(&schema["schema"])
        }
        _ => refuse(400, "'response_format.type' is unknown"),
    }
}

/// Strict output wants every object to list all of its fields as required, and to admit no others.
fn closed(schema: &Value) -> Result<(), Refusal> {
    must(schema.is_object(), "Invalid schema for response_format: not an object")?;
    if schema["type"] == "object" {
        must(schema["additionalProperties"] == Value::Bool(false), "'additionalProperties' is required to be false")?;
        let names: BTreeSet<&str> =
            schema["properties"].as_object().into_iter().flat_map(|fields| fields.keys()).map(String::as_str).collect();
        let required: BTreeSet<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        must(names == required, "'required' is required to name every property")?;
        for field in schema["properties"].as_object().into_iter().flat_map(|fields| fields.values()) {
            closed(field)?;
        }
    }
    if schema["items"].is_null() { Ok(()) } else { closed(&schema["items"]) }
}

fn anthropic(body: &Value, messages: &[Value], version: &str) -> Result<(), Refusal> {
    must(!version.is_empty(), "anthropic-version: header is required")?;
    must(body["max_tokens"].as_u64().is_some_and(|limit| limit > 0), "max_tokens: Field required")?;
    must(messages[0]["role"] == "user", "messages: first message must use the \"user\" role")?;
    let mut open: BTreeSet<&str> = BTreeSet::new();
    for message in messages {
        let blocks = message["content"].as_array().map_or(&[][..], Vec::as_slice);
        must(!blocks.is_empty() || message["content"].is_string(), "messages: content is missing")?;
        let named = |kind: &str, field: &str| -> BTreeSet<&str> {
            blocks.iter().filter(|block| block["type"] == kind).filter_map(|block| block[field].as_str()).collect()
        };
        if message["role"] == "user" {
            let answered = named("tool_result", "tool_use_id");
            must(
                answered == open,
                "messages: every tool_use needs its tool_result in the next message, and only those",
            )?;
            open.clear();
        } else if message["role"] == "assistant" {
            open = named("tool_use", "id");
        }
    }
    Ok(())
}
