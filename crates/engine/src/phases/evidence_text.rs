//! What a pull request and its comment say: what was asked, done and checked.
//!
//! Invariant: a text says only what the evidence says; text from outside is made safe and can't end its block.

use damascus_core::{CommitId, Spec, TestReport, display};

use super::testing::Tested;
use crate::ports::forge::PullText;

/// How long a line from outside may be, in characters.
const LINE_MAX_CHARS: usize = 400;

fn safe(text: &str) -> String {
    // A mention or a reference in a story must not call people or close issues on the forge.
    display::one_line(text, LINE_MAX_CHARS).replace('@', "@\u{200b}").replace('#', "#\u{200b}").replace('<', "&lt;")
}

/// A pull request for a spec.
pub(crate) fn pull_text(title: &str, key: &str, spec: &Spec, spec_version: u32, attempt: u16) -> PullText {
    let mut body = format!("## Asked\n\n{}\n\n", safe(&spec.goal));
    for one in &spec.acceptance {
        body.push_str(&format!(
            "- **{}** given {}, when {}, then {}\n",
            safe(&one.id),
            safe(&one.given),
            safe(&one.when),
            safe(&one.then)
        ));
    }
    body.push_str("\n## Done\n\n");
    for task in &spec.tasks {
        body.push_str(&format!("- `{}`: {}\n", safe(&task.path).replace('`', "'"), safe(&task.action)));
    }
    body.push_str(&format!(
        "\n## Checked\n\nThe review's evidence is in the comment below, once there is one.\n\nStory {}, spec version {spec_version}, \
         attempt {attempt}. Written by Damascus.\n",
        safe(key)
    ));
    PullText { title: display::one_line(title, 200), body }
}

/// The message of an item's commit. The last paragraph is Damascus' own.
pub(crate) fn commit_message(title: &str, spec: &Spec, spec_version: u32, trailer: &str) -> String {
    let title = display::one_line(title, 100);
    let title = if title.trim().is_empty() { "Change" } else { title.trim() };
    let goal = display::one_line(&spec.goal, 2_000);
    format!("{title}\n\n{goal}\n\nDamascus-Spec: {spec_version}\n{trailer}\n")
}

/// One check of a review, for the comment.
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) passed: bool,
    pub(crate) told: String,
}

/// The checks that were run on a tree.
pub(crate) fn lines(tested: &Tested) -> Vec<Line> {
    tested
        .checks
        .iter()
        .map(|check| Line {
            name: check.name.to_owned(),
            passed: check.passed(),
            told: format!(
                "`{}` ended with {} in {:.1} s, log sha256 {}",
                display::one_line(&check.command.join(" "), 120).replace('`', "'"),
                check.exit_code,
                check.wall.as_secs_f64(),
                check.log_sha256.as_str().get(..12).unwrap_or_default()
            ),
        })
        .collect()
}

/// The evidence comment.
pub(crate) fn comment(
    head: &CommitId,
    base: &CommitId,
    lines: &[Line],
    report: Option<TestReport>,
    verdict: &str,
) -> String {
    let mut text = format!("**{verdict}**\n\nCommit {head}, on base {base}.\n\n| check | | |\n|---|---|---|\n");
    for line in lines {
        let mark = if line.passed { "passed" } else { "failed" };
        text.push_str(&format!("| {} | {mark} | {} |\n", safe(&line.name), line.told.replace('|', "\\|")));
    }
    text.push_str(&match report {
        Some(TestReport::Counted(counts)) => {
            format!("\n{} tests passed, {} failed, {} were skipped.\n", counts.passed, counts.failed, counts.skipped)
        }
        Some(TestReport::ExitCodeOnly) => {
            "\nThe project declares that its runner gives nothing but an exit code: this rests on less.\n".to_owned()
        }
        Some(TestReport::Unreadable) | None => "\nNo test report could be read.\n".to_owned(),
    });
    text
}
