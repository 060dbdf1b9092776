//! The program's JSON lines: what is kept of them.
//!
//! Invariant: a line counts for what its type says only when it has the form of that type; every other one is shown, and means nothing.
//! Lines are the program's word: whatever runs beside it in its sandbox could write them as well, so none of them proves success.

use std::collections::BTreeMap;

use damascus_core::{CostEntry, MicroUsd};
use damascus_engine::ports::agent::Transcript;
use damascus_sandbox::Stream;
use serde::Deserialize;
use serde_json::Value;

use super::super::lines::{Tail, TakesLines};
use super::{NAME, render};
use crate::gateway::{Prices, Scrub, dollars};

/// Answers whose usage is remembered until the program sums them up itself.
const ANSWERS_MAX: usize = 10_000;
/// Models of one run that get an entry of their own.
const MODELS_MAX: usize = 16;
/// The last words are cut here, in characters.
const SUMMARY_MAX_CHARS: usize = 2000;
/// A model's name is cut here, in characters.
const MODEL_MAX_CHARS: usize = 120;
/// What the program writes in the place of a model when it made an answer up itself.
const SYNTHETIC: &str = "<synthetic>";

/// The line that ends a run.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct EndLine {
    pub(super) subtype: String,
    pub(super) is_error: bool,
    pub(super) api_error_status: Option<u16>,
    pub(super) api_error_type: Option<String>,
    /// Such as `connection_failed`.
    pub(super) api_error: Option<String>,
    /// Such as `api_error`.
    pub(super) terminal_reason: Option<String>,
    pub(super) result: Option<String>,
    #[serde(default)]
    pub(super) errors: Vec<String>,
    pub(super) total_cost_usd: Option<f64>,
    usage: Option<Usage>,
    #[serde(default, rename = "modelUsage")]
    model_usage: BTreeMap<String, ModelUsage>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct Usage {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ModelUsage {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    #[serde(rename = "costUSD")]
    cost_usd: Option<f64>,
}

/// All that a run said that matters to its end.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// A model answered: work had begun.
    pub(super) worked: bool,
    pub(super) end: Option<EndLine>,
    /// When a limit reopens, in seconds since 1970.
    pub(super) reopens_at: Option<i64>,
    /// The program's clock at its last line that has one, likewise.
    pub(super) now: Option<i64>,
    /// Usage by answer, since each line of one answer repeats it.
    answers: BTreeMap<String, (String, Usage)>,
    last_words: String,
    errors: Tail,
}

/// Reads the lines, and writes the transcript from them.
pub(super) struct Follow<'a> {
    transcript: &'a mut dyn Transcript,
    scrub: &'a Scrub,
    heard: Heard,
}

impl<'a> Follow<'a> {
    pub(super) fn new(transcript: &'a mut dyn Transcript, scrub: &'a Scrub) -> Self {
        Self { transcript, scrub, heard: Heard::default() }
    }

    pub(super) fn heard(self) -> Heard {
        self.heard
    }
}

impl TakesLines for Follow<'_> {
    fn line(&mut self, stream: Stream, line: &str) {
        let value = match stream {
            Stream::Out => serde_json::from_str::<Value>(line).ok().filter(Value::is_object),
            Stream::Err => None,
        };
        let Some(value) = value else {
            let shown = self.scrub.one_line(line.trim_end(), render::LINE_MAX_CHARS);
            if !shown.is_empty() {
                self.transcript.write(&shown);
                self.heard.errors.push(&shown);
            }
            return;
        };
        for shown in render::lines(&value, self.scrub) {
            self.transcript.write(&shown);
        }
        self.heard.take(value);
    }
}

impl Heard {
    fn take(&mut self, value: Value) {
        let timestamp = value["timestamp"].as_str().and_then(|text| chrono::DateTime::parse_from_rfc3339(text).ok());
        self.now = timestamp.map(|time| time.timestamp()).or(self.now);
        match value["type"].as_str() {
            Some("assistant") => self.answer(&value["message"]),
            Some("rate_limit_event") => {
                let info = &value["rate_limit_info"];
                if info["status"] == "rejected" {
                    self.reopens_at = info["resetsAt"].as_i64().or(self.reopens_at);
                }
            }
            // Several turns of one run end with a line each; the last one counts for the run.
            Some("result") => self.end = serde_json::from_value(value).ok(),
            _ => {}
        }
    }

    fn answer(&mut self, message: &Value) {
        for text in message["content"].as_array().into_iter().flatten().filter_map(|block| block["text"].as_str()) {
            text.clone_into(&mut self.last_words);
        }
        let (Some(id), Some(model)) = (message["id"].as_str(), message["model"].as_str()) else { return };
        if model == SYNTHETIC {
            return;
        }
        self.worked = true;
        let usage = Usage::deserialize(&message["usage"]).unwrap_or_default();
        if self.answers.len() < ANSWERS_MAX || self.answers.contains_key(id) {
            self.answers.insert(id.to_owned(), (model.to_owned(), usage));
        }
    }

    /// Its last words: what it says at its end, else what it said last, else what it wrote to standard error.
    pub(super) fn summary(&self, scrub: &Scrub) -> String {
        let result = self.end.as_ref().and_then(|end| end.result.clone());
        let text = [result, Some(self.last_words.clone()), Some(self.errors.text())];
        let text = text.into_iter().flatten().find(|text| !text.trim().is_empty()).unwrap_or_default();
        scrub.many_lines(text.trim(), SUMMARY_MAX_CHARS)
    }

    /// What it wrote besides JSON, most of it to standard error.
    pub(super) fn errors(&self) -> String {
        self.errors.text()
    }

    /// What the run cost, by model: as the program sums it up by its own price table, else from the answers that were seen.
    pub(super) fn costs(&self, model: &str, prices: &Prices) -> Vec<CostEntry> {
        let Some(end) = &self.end else { return self.seen_costs(prices) };
        let mut entries: Vec<CostEntry> = end.model_usage.iter().map(|(model, usage)| usage.entry(model)).collect();
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.amount));
        entries.truncate(MODELS_MAX);
        let total = end.total_cost_usd.and_then(dollars).unwrap_or_default();
        let known: MicroUsd = entries.iter().map(|entry| entry.amount).sum();
        match entries.first_mut() {
            // What the entries leave out of the total is not lost.
            Some(first) => first.amount = first.amount + MicroUsd((total.0 - known.0).max(0)),
            None => {
                let entry = end.usage.unwrap_or_default().entry(model, total);
                entries.extend((entry.tokens_in > 0 || entry.tokens_out > 0 || total.0 > 0).then_some(entry));
            }
        }
        entries
    }

    /// For a run that was ended before it summed up: what its answers read and wrote. The last words of an answer may be missing.
    fn seen_costs(&self, prices: &Prices) -> Vec<CostEntry> {
        let mut by_model: BTreeMap<&str, CostEntry> = BTreeMap::new();
        for (model, usage) in self.answers.values() {
            let seen = usage.entry(model, MicroUsd::default());
            if by_model.len() >= MODELS_MAX && !by_model.contains_key(model.as_str()) {
                continue;
            }
            let sum = by_model.entry(model).or_insert_with(|| Usage::default().entry(model, MicroUsd::default()));
            sum.tokens_in = sum.tokens_in.saturating_add(seen.tokens_in);
            sum.tokens_out = sum.tokens_out.saturating_add(seen.tokens_out);
            sum.tokens_cached = sum.tokens_cached.saturating_add(seen.tokens_cached);
        }
        let priced = |(model, entry): (&str, CostEntry)| {
            let amount = prices.estimate(model, entry.tokens_in, entry.tokens_out).unwrap_or_default();
            CostEntry { amount, ..entry }
        };
        by_model.into_iter().map(priced).collect()
    }
}

impl Usage {
    fn entry(self, model: &str, amount: MicroUsd) -> CostEntry {
        let cached = self.cache_read_input_tokens.unwrap_or_default();
        let read = [self.input_tokens, self.cache_read_input_tokens, self.cache_creation_input_tokens];
        CostEntry {
            provider: NAME.to_owned(),
            model: damascus_core::display::one_line(model, MODEL_MAX_CHARS),
            tokens_in: read.into_iter().flatten().fold(0, u64::saturating_add),
            tokens_out: self.output_tokens.unwrap_or_default(),
            tokens_cached: cached,
            amount,
            // By the program's own price table at best, which knows nothing of the gateway's.
            estimated: true,
        }
    }
}

impl ModelUsage {
    fn entry(&self, model: &str) -> CostEntry {
        let usage = Usage {
            input_tokens: self.input_tokens,
            output_tokens: self.output_tokens,
            cache_read_input_tokens: self.cache_read_input_tokens,
            cache_creation_input_tokens: self.cache_creation_input_tokens,
        };
        usage.entry(model, self.cost_usd.and_then(dollars).unwrap_or_default())
    }
}
