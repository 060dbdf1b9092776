//! Prompts: templates filled with what a run knows.
//!
//! Invariants: an unknown variable is an error, never an empty text; whatever a template leaves out, the file scope, the budget and the
//! feedback of earlier runs are always in the prompt; text from stories and repositories stands in marked blocks, as data.

use damascus_core::{CommitId, Spec, display};
use damascus_git::Mirror;
use minijinja::{Environment, UndefinedBehavior, context};
use serde::Serialize;

use super::Trouble;
use super::scene::Scene;

/// Where a project keeps templates of its own, on its base branch.
const PROMPT_DIR: &str = ".damascus/prompts";
/// How large a template may be, in bytes.
const TEMPLATE_MAX_BYTES: u64 = 64 << 10;
/// How large a prompt may be, in bytes.
const PROMPT_MAX_BYTES: usize = 1 << 20;
/// How much of each text from outside goes in, in characters.
const STORY_MAX_CHARS: usize = 40_000;
const FEEDBACK_MAX_CHARS: usize = 6_000;

const SYSTEM: &str = include_str!("templates/spec_system.md");
const SPEC: &str = include_str!("templates/spec.md");
const BUILD: &str = include_str!("templates/build.md");
/// What no template may leave out.
const ALWAYS: &str = include_str!("templates/always.md");

/// Which prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Spec,
    Build,
}

impl Kind {
    const fn file(self) -> &'static str {
        match self {
            Self::Spec => "spec.md",
            Self::Build => "build.md",
        }
    }

    const fn default_template(self) -> &'static str {
        match self {
            Self::Spec => SPEC,
            Self::Build => BUILD,
        }
    }
}

/// What is said to every model that writes specs; the same each time, so that providers can cache it.
pub(crate) fn system() -> String {
    SYSTEM.to_owned()
}

#[derive(Debug, Serialize)]
pub(crate) struct FileShown {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// What a template can say. Every field is a variable of that name.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Facts {
    pub(crate) key: String,
    pub(crate) title: String,
    pub(crate) story: String,
    pub(crate) acceptance: Vec<String>,
    pub(crate) scope: Vec<String>,
    pub(crate) forbidden: Vec<String>,
    pub(crate) budget: String,
    pub(crate) feedback: Vec<String>,
    pub(crate) answers: Vec<String>,
    pub(crate) map: Vec<String>,
    pub(crate) files: Vec<FileShown>,
    pub(crate) spec: String,
    pub(crate) goal: String,
    pub(crate) test_command: String,
    pub(crate) new_tests: Vec<String>,
    pub(crate) must_fail_on_base: bool,
    pub(crate) starts_from: String,
    pub(crate) out: String,
}

impl Scene {
    /// What every prompt says of the item.
    pub(crate) fn facts(&self) -> Facts {
        let budget = &self.run.lease.budget;
        let used = budget.attempts_used;
        let granted = budget.attempts_granted;
        Facts {
            key: display::one_line(&self.work.key, 200),
            title: display::one_line(&self.work.title, 500),
            story: display::many_lines(&self.work.body, STORY_MAX_CHARS),
            acceptance: self.work.acceptance.iter().map(|one| display::many_lines(one, 4_000)).collect(),
            budget: format!("attempt {} of {granted}", used.saturating_add(1)),
            feedback: self
                .work
                .feedback
                .iter()
                .map(|one| {
                    let detail = display::many_lines(&one.detail, FEEDBACK_MAX_CHARS);
                    format!("Attempt {}, {}: {}\n{detail}", one.attempt, one.phase, one.verdict)
                })
                .collect(),
            answers: self
                .work
                .answers
                .iter()
                .map(|one| {
                    format!(
                        "Question: {}\nAnswer: {}",
                        display::many_lines(&one.question, 4_000),
                        display::many_lines(&one.answer, 4_000)
                    )
                })
                .collect(),
            out: "/out".to_owned(),
            ..Facts::default()
        }
    }

    /// A prompt from the project's template on its base branch, or from the built-in one.
    pub(crate) async fn prompt(
        &self,
        kind: Kind,
        mirror: &Mirror,
        base: &CommitId,
        facts: &Facts,
    ) -> Result<String, Trouble> {
        let path = format!("{PROMPT_DIR}/{}", kind.file());
        let own = mirror.read(base, &path, TEMPLATE_MAX_BYTES).await?;
        let own = own.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        render(kind, own.as_deref(), facts).map_err(|problem| {
            Trouble::person(format_args!(
                "The prompt template {path} on {} can't be used: {problem}",
                self.project.base_branch
            ))
        })
    }
}

/// Fills a template. What it leaves out of scope, budget and feedback is added at its end.
fn render(kind: Kind, own: Option<&str>, facts: &Facts) -> Result<String, String> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_keep_trailing_newline(true);
    let template = own.unwrap_or(kind.default_template());
    let said = |name: &str| own.is_some_and(|own| mentions(own, name));
    let told = context! { scope => said("scope"), budget => said("budget"), feedback => said("feedback"), answers => said("answers") };
    let mut text = fill(&environment, kind.file(), template, minijinja::Value::from_serialize(facts))?;
    text.push_str(&fill(
        &environment,
        "always.md",
        ALWAYS,
        context! { told => told, ..minijinja::Value::from_serialize(facts) },
    )?);
    if text.len() > PROMPT_MAX_BYTES {
        return Err(format!("the prompt has {} bytes; at most {PROMPT_MAX_BYTES}", text.len()));
    }
    Ok(text)
}

fn mentions(template: &str, name: &str) -> bool {
    let environment = Environment::new();
    environment.template_from_str(template).is_ok_and(|parsed| parsed.undeclared_variables(false).contains(name))
}

fn fill(environment: &Environment<'_>, name: &str, template: &str, with: minijinja::Value) -> Result<String, String> {
    environment.render_named_str(name, template, with).map_err(|error| {
        let place = error.line().map(|line| format!(", line {line}")).unwrap_or_default();
        display::one_line(&format!("{name}{place}: {error}"), 500)
    })
}

/// The spec for an agent to read.
pub(crate) fn spec_text(spec: &Spec) -> Result<String, Trouble> {
    serde_json::to_string_pretty(spec).map_err(Trouble::surroundings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts {
            title: "Add a shelf".to_owned(),
            budget: "attempt 2 of 3".to_owned(),
            scope: vec!["src/shelf.js".to_owned()],
            feedback: vec!["the test of empty shelves failed".to_owned()],
            ..Facts::default()
        }
    }

    #[test]
    fn both_templates_say_scope_budget_and_feedback() {
        for kind in [Kind::Spec, Kind::Build] {
            let text = render(kind, None, &facts()).unwrap();
            for wanted in ["Add a shelf", "attempt 2 of 3", "src/shelf.js", "the test of empty shelves failed"] {
                assert_eq!(text.matches(wanted).count(), 1, "{wanted} in {kind:?}:\n{text}");
            }
        }
    }

    #[test]
    fn what_a_template_of_the_project_leaves_out_is_added() {
        let text = render(Kind::Build, Some("Do {{ title }} within {{ budget }}."), &facts()).unwrap();
        assert!(text.starts_with("Do Add a shelf within attempt 2 of 3."));
        assert_eq!(text.matches("attempt 2 of 3").count(), 1);
        assert!(text.contains("src/shelf.js") && text.contains("the test of empty shelves failed"), "{text}");
    }

    #[test]
    fn an_unknown_variable_is_an_error_with_its_place() {
        let problem = render(Kind::Spec, Some("one\n{{ titel }}"), &facts()).unwrap_err();
        assert!(problem.contains("spec.md, line 2"), "{problem}");
        assert!(render(Kind::Spec, Some("{% if %}"), &facts()).is_err());
    }
}
