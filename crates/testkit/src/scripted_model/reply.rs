//! The answers that a script is made of, and the bytes that they become.

use serde_json::{Value, json};

/// An answer.
#[derive(Debug, Clone)]
pub enum Reply {
    /// A completion in OpenAI's form.
    Chat(Chat),
    /// A message in Anthropic's form.
    Message(Message),
    /// Exactly this.
    Raw {
        /// The status.
        status: u16,
        /// Besides length and connection, which are added.
        headers: Vec<(String, String)>,
        /// The body.
        body: Vec<u8>,
    },
    /// Status 200, then the connection closes before the promised length is reached.
    CutOff {
        /// Besides length and connection.
        headers: Vec<(String, String)>,
        /// What is sent.
        body: Vec<u8>,
        /// What was promised, in bytes.
        promised: usize,
    },
    /// Status 200, and so many spaces.
    Flood {
        /// Besides the connection; no length is named.
        headers: Vec<(String, String)>,
        /// How many bytes.
        bytes: usize,
    },
    /// The request is read, and never answered.
    Hang,
}

/// A completion in OpenAI's form.
#[derive(Debug, Clone)]
pub struct Chat {
    /// The text; none for `null`.
    pub content: Option<String>,
    /// Why it ended; none for `null`.
    pub finish_reason: Option<String>,
    /// What the model says when it refuses.
    pub refusal: Option<String>,
    /// Tokens read, of them from the cache, and written; none leaves the usage out.
    pub usage: Option<(u64, u64, u64)>,
    /// More headers.
    pub headers: Vec<(String, String)>,
}

impl Chat {
    /// A whole answer with this text: 100 tokens read, 40 of them from the cache, and 20 written.
    #[must_use]
    pub fn says(content: &str) -> Self {
        Self {
            content: Some(content.to_owned()),
            finish_reason: Some("stop".to_owned()),
            refusal: None,
            usage: Some((100, 40, 20)),
            headers: Vec::new(),
        }
    }

    /// With the price that LiteLLM reports.
    #[must_use]
    pub fn costing(mut self, dollars: &str) -> Self {
        self.headers.push(("x-litellm-response-cost".to_owned(), dollars.to_owned()));
        self
    }

    /// Ended for this reason.
    #[must_use]
    pub fn ending(mut self, finish_reason: &str) -> Self {
        self.finish_reason = Some(finish_reason.to_owned());
        self
    }
}

impl From<Chat> for Reply {
    fn from(chat: Chat) -> Self {
        Self::Chat(chat)
    }
}

/// A piece of a message.
#[derive(Debug, Clone)]
pub enum Block {
    /// Words.
    Text(String),
    /// A tool is to be used.
    Tool {
        /// Its name, such as `Write`.
        name: String,
        /// What it gets.
        input: Value,
    },
}

/// A message in Anthropic's form: 100 tokens read besides 50 from the cache and 25 into it, and 20 written.
#[derive(Debug, Clone)]
pub struct Message(pub Vec<Block>);

impl Message {
    /// The last one of a conversation.
    #[must_use]
    pub fn says(text: &str) -> Self {
        Self(vec![Block::Text(text.to_owned())])
    }

    /// One that uses a tool.
    #[must_use]
    pub fn uses(tool: &str, input: Value) -> Self {
        Self(vec![Block::Tool { name: tool.to_owned(), input }])
    }
}

impl From<Message> for Reply {
    fn from(message: Message) -> Self {
        Self::Message(message)
    }
}

impl Reply {
    /// An error that both forms understand.
    #[must_use]
    pub fn error(status: u16, kind: &str, message: &str) -> Self {
        Self::error_with(status, &[], kind, message)
    }

    /// An error with more headers.
    #[must_use]
    pub fn error_with(status: u16, headers: &[(&str, &str)], kind: &str, message: &str) -> Self {
        let error = json!({ "message": message, "type": kind, "param": null, "code": kind });
        let body = json!({ "type": "error", "error": error }).to_string().into_bytes();
        let mut all = vec![("content-type".to_owned(), "application/json".to_owned())];
        all.extend(headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        Self::Raw { status, headers: all, body }
    }

    pub(super) fn sent(self, streamed: bool, model: &str) -> Sent {
        match self {
            Self::Chat(chat) => chat_body(chat, streamed, model),
            Self::Message(message) => message_body(&message, streamed, model),
            Self::Raw { status, headers, body } => Sent::Whole { status, headers, body },
            Self::CutOff { headers, body, promised } => Sent::CutOff { headers, body, promised },
            Self::Flood { headers, bytes } => Sent::Flood { headers, bytes },
            Self::Hang => Sent::Nothing,
        }
    }
}

/// What goes over the wire.
pub(super) enum Sent {
    Nothing,
    Whole { status: u16, headers: Vec<(String, String)>, body: Vec<u8> },
    CutOff { headers: Vec<(String, String)>, body: Vec<u8>, promised: usize },
    Flood { headers: Vec<(String, String)>, bytes: usize },
}

fn answer(streamed: bool, mut headers: Vec<(String, String)>, body: String) -> Sent {
    let kind = if streamed { "text/event-stream" } else { "application/json" };
    headers.push(("content-type".to_owned(), kind.to_owned()));
    Sent::Whole { status: 200, headers, body: body.into_bytes() }
}

fn chat_body(chat: Chat, streamed: bool, model: &str) -> Sent {
    let Chat { content, finish_reason, refusal, usage, mut headers } = chat;
    let usage = usage.map(|(read, cached, written)| {
        json!({
            "prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written,
            "prompt_tokens_details": { "cached_tokens": cached },
        })
    });
    if !streamed {
        let message = json!({ "role": "assistant", "content": content, "refusal": refusal });
        let choice = json!({ "index": 0, "finish_reason": finish_reason, "message": message });
        let mut body = json!({ "id": "chatcmpl-1", "object": "chat.completion", "model": model, "choices": [choice] });
        if let Some(usage) = usage {
            body["usage"] = usage;
        }
        return answer(false, headers, body.to_string());
    }
    // A streamed answer has no price in its headers.
    headers.retain(|(name, _)| name != "x-litellm-response-cost");
    let chunk = |delta: Value, end: Value| {
        let choice = json!({ "index": 0, "delta": delta, "finish_reason": end });
        json!({ "id": "chatcmpl-1", "object": "chat.completion.chunk", "model": model, "choices": [choice] })
    };
    let mut last = chunk(json!({}), json!(finish_reason));
    if let Some(usage) = usage {
        last["usage"] = usage;
    }
    let chunks = [chunk(json!({ "role": "assistant", "content": content, "refusal": refusal }), Value::Null), last];
    let events: String = chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect();
    answer(true, headers, events + "data: [DONE]\n\n")
}

fn message_body(message: &Message, streamed: bool, model: &str) -> Sent {
    let uses_tool = message.0.iter().any(|block| matches!(block, Block::Tool { .. }));
    let stop = if uses_tool { "tool_use" } else { "end_turn" };
    let usage = |written: u64| {
        json!({
            "input_tokens": 100, "cache_read_input_tokens": 50, "cache_creation_input_tokens": 25, "output_tokens": written,
        })
    };
    let id = format!("msg_{:016x}", rand::random::<u64>());
    let whole = |content: Value, stop: Value, usage: Value| {
        json!({
            "id": id, "type": "message", "role": "assistant", "model": model, "content": content,
            "stop_reason": stop, "stop_sequence": null, "usage": usage,
        })
    };
    if !streamed {
        let content: Vec<Value> = message.0.iter().map(|block| block_of(block, true)).collect();
        return answer(false, Vec::new(), whole(json!(content), json!(stop), usage(20)).to_string());
    }
    let mut events = vec![json!({ "type": "message_start", "message": whole(json!([]), Value::Null, usage(1)) })];
    for (index, block) in message.0.iter().enumerate() {
        let delta = match block {
            Block::Text(text) => json!({ "type": "text_delta", "text": text }),
            Block::Tool { input, .. } => json!({ "type": "input_json_delta", "partial_json": input.to_string() }),
        };
        events.push(json!({ "type": "content_block_start", "index": index, "content_block": block_of(block, false) }));
        events.push(json!({ "type": "content_block_delta", "index": index, "delta": delta }));
        events.push(json!({ "type": "content_block_stop", "index": index }));
    }
    let delta = json!({ "stop_reason": stop, "stop_sequence": null });
    events.push(json!({ "type": "message_delta", "delta": delta, "usage": { "output_tokens": 20 } }));
    events.push(json!({ "type": "message_stop" }));
    let line = |event: &Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or_default());
    answer(true, Vec::new(), events.iter().map(line).collect())
}

/// A block with all that it holds, or as it begins in a stream.
fn block_of(block: &Block, filled: bool) -> Value {
    match block {
        Block::Text(text) => json!({ "type": "text", "text": if filled { text } else { "" } }),
        Block::Tool { name, input } => {
            let id = format!("toolu_{:016x}", rand::random::<u64>());
            json!({ "type": "tool_use", "id": id, "name": name, "input": if filled { input.clone() } else { json!({}) } })
        }
    }
}
