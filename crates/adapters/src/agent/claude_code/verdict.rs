//! How a run ended, from its exit code and its result line.
//!
//! Invariant: an end that costs the story no attempt is for what the program says of its provider, or for a run in which no model ever
//! answered; an agent that kills its own program in the middle of its work has failed, whatever it wrote to the program's output before.

use damascus_engine::ports::agent::AgentEnd;
use damascus_sandbox::Exit;

use super::stream::{EndLine, Heard};
use crate::gateway::{Scrub, said_wait};

/// What the program says is cut here, in characters.
const SAID_MAX_CHARS: usize = 500;
/// The longest wait that is believed, in seconds.
const WAIT_MAX_S: i64 = 7 * 24 * 3600;

pub(super) fn judge(exit: Exit, heard: &Heard, scrub: &Scrub) -> AgentEnd {
    // The program ends with 0 or 1 when it ended by itself. A result line before another end may be anybody's.
    let Some(end) = heard.end.as_ref().filter(|_| matches!(exit, Exit::Code(0 | 1))) else {
        return vanished(exit, heard, scrub);
    };
    if exit == Exit::Code(0) && !end.is_error && end.subtype == "success" {
        return AgentEnd::Done;
    }
    let said = said(end, scrub);
    match end.subtype.as_str() {
        "error_max_turns" => return AgentEnd::OverLimit(format!("turns: {said}")),
        "error_max_budget_usd" => return AgentEnd::OverLimit(format!("money: {said}")),
        _ => {}
    }
    let kind = end.api_error_type.as_deref().unwrap_or_default();
    if kind.contains("budget_exceeded") || said.contains("budget_exceeded") || said.contains("Budget has been exceeded")
    {
        return infrastructure(
            "the budget of the gateway's key is used up; raise it, or set another DAMASCUS_GATEWAY_KEY",
            &said,
        );
    }
    match end.api_error_status {
        Some(429) => {
            AgentEnd::RateLimited { reopen_after_ms: reopen_after_ms(heard, end.result.as_deref()), detail: said }
        }
        Some(401 | 403) => infrastructure("the gateway does not accept the key; check DAMASCUS_GATEWAY_KEY", &said),
        Some(404) => infrastructure(
            "the gateway has no such model or address; check the agent's model and DAMASCUS_GATEWAY_URL",
            &said,
        ),
        Some(408 | 500..=599) => infrastructure("the gateway fails", &said),
        Some(_) if said.to_ascii_lowercase().contains("invalid model") => {
            infrastructure("the gateway has no such model; check the agent's model", &said)
        }
        Some(_) => AgentEnd::Failed(format!("the model's provider refuses what it was asked: {said}")),
        None if end.api_error.is_some() || end.terminal_reason.as_deref() == Some("api_error") => {
            infrastructure("the gateway can't be reached; does it run, and is DAMASCUS_GATEWAY_URL right?", &said)
        }
        None if end.is_error || end.subtype != "success" => AgentEnd::Failed(format!("it ended with an error: {said}")),
        None => {
            AgentEnd::Failed(format!("it ended with exit code {} after it had said that all was well", exit.code()))
        }
    }
}

/// A run without a result line that counts.
fn vanished(exit: Exit, heard: &Heard, scrub: &Scrub) -> AgentEnd {
    let how = match exit {
        Exit::Code(code) => format!("with exit code {code}"),
        Exit::Signal(signal) => format!("by signal {signal}"),
    };
    let errors = scrub.one_line(&heard.errors(), SAID_MAX_CHARS);
    let text = format!("Claude Code ended {how} without a result: {errors}");
    if heard.worked { AgentEnd::Failed(text) } else { AgentEnd::Infrastructure(text) }
}

fn infrastructure(what: &str, said: &str) -> AgentEnd {
    AgentEnd::Infrastructure(format!("{what} ({said})"))
}

fn said(end: &EndLine, scrub: &Scrub) -> String {
    let text = end.result.clone().filter(|text| !text.trim().is_empty()).unwrap_or_else(|| end.errors.join("; "));
    let said = scrub.one_line(text.trim(), SAID_MAX_CHARS);
    if said.is_empty() { scrub.one_line(&end.subtype, SAID_MAX_CHARS) } else { said }
}

/// When the provider opens again, against the program's own clock.
fn reopen_after_ms(heard: &Heard, result: Option<&str>) -> Option<u64> {
    let at = heard.reopens_at.or_else(|| epoch_after_bar(result?));
    let seconds = at.zip(heard.now).map(|(at, now)| at.saturating_sub(now).clamp(0, WAIT_MAX_S));
    let named = seconds.and_then(|seconds| u64::try_from(seconds).ok()).map(|seconds| seconds * 1000);
    named.or_else(|| u64::try_from(said_wait(result?)?.as_millis()).ok())
}

/// The end of "… usage limit reached|1716238800".
fn epoch_after_bar(text: &str) -> Option<i64> {
    text.rsplit_once('|')?.1.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use damascus_engine::ports::agent::Transcript;
    use damascus_sandbox::{Sink as _, Stream};

    use super::super::super::lines::Lines;
    use super::super::stream::Follow;
    use super::*;

    struct Nowhere;

    impl Transcript for Nowhere {
        fn write(&mut self, _text: &str) {}
    }

    const ANSWER: &str =
        r#"{"type":"assistant","message":{"id":"m","model":"small"},"timestamp":"2026-01-01T00:00:10Z"}"#;
    const GOOD: &str = r#"{"type":"result","subtype":"success","is_error":false,"result":"Done."}"#;
    const LIMIT: &str = r#"{"type":"result","subtype":"success","is_error":true,"api_error_status":429,"result":"limit reached|1767225670"}"#;

    fn judged(exit: Exit, lines: &[&str]) -> AgentEnd {
        let scrub = Scrub::default();
        let mut transcript = Nowhere;
        let mut reader = Lines::whole(Follow::new(&mut transcript, &scrub), 10_000, 100);
        for line in lines {
            reader.write(Stream::Out, format!("{line}\n").as_bytes());
        }
        judge(exit, &reader.finish().heard(), &scrub)
    }

    #[test]
    fn only_the_program_s_own_good_end_is_done() {
        assert_eq!(judged(Exit::Code(0), &[ANSWER, GOOD]), AgentEnd::Done);
        for (exit, lines) in [
            (Exit::Code(0), vec![ANSWER]),
            (Exit::Code(1), vec![ANSWER, GOOD]),
            (Exit::Signal(15), vec![ANSWER, GOOD]),
            (Exit::Code(0), vec![ANSWER, r#"{"type":"result","subtype":"success"}"#]),
            (Exit::Code(0), vec![ANSWER, r#"{"type":"result","subtype":"error_during_execution","is_error":false}"#]),
            (Exit::Code(0), vec![ANSWER, GOOD, r#"{"type":"result"}"#]),
        ] {
            assert!(matches!(judged(exit, &lines), AgentEnd::Failed(_)), "{exit:?} {lines:?}");
        }
    }

    #[test]
    fn a_limit_names_its_end_against_the_program_s_clock() {
        let AgentEnd::RateLimited { reopen_after_ms, .. } = judged(Exit::Code(1), &[ANSWER, LIMIT]) else { panic!() };
        assert_eq!(reopen_after_ms, Some(60_000));
        let event = r#"{"type":"rate_limit_event","rate_limit_info":{"status":"rejected","resetsAt":1767225730}}"#;
        let AgentEnd::RateLimited { reopen_after_ms, .. } = judged(Exit::Code(1), &[ANSWER, event, LIMIT]) else {
            panic!()
        };
        assert_eq!(reopen_after_ms, Some(120_000));
        let AgentEnd::RateLimited { reopen_after_ms, .. } = judged(Exit::Code(1), &[LIMIT]) else { panic!() };
        assert_eq!(reopen_after_ms, None);
    }

    #[test]
    fn a_program_that_vanishes_in_its_work_has_failed_whatever_was_written_before() {
        for exit in [Exit::Signal(9), Exit::Code(137), Exit::Signal(15)] {
            assert!(matches!(judged(exit, &[ANSWER, LIMIT]), AgentEnd::Failed(_)), "{exit:?}");
        }
        assert!(matches!(judged(Exit::Code(1), &["not JSON", "[1]"]), AgentEnd::Infrastructure(_)));
    }
}
