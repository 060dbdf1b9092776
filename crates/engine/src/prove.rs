//! A trial of a project without spending anything: what a run would do, up to the model.
//!
//! Invariants: nothing is asked of a model; what is pushed is a scratch branch, removed again; the first thing that fails is told with a fix,
//! and what depends on it is not tried.

use std::sync::Arc;

use damascus_checks::project::ProjectRules;
use damascus_core::{TestReport, display, named_enum};
use damascus_git::{Expect, Mirror, Pushed};
use damascus_store::project::Project;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::phases::{Trouble, Workshop, fit};

/// How something came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// As it should be.
    Ok,
    /// It works, but a person should know.
    Warn,
    /// A run could not work.
    Fail,
}

named_enum!(Outcome, "outcome", { Ok => "ok", Warn => "warn", Fail => "fail" });

/// One thing that was tried.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// What.
    pub name: &'static str,
    /// How it came out.
    pub outcome: Outcome,
    /// What was found, safe to show.
    pub found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

/// What a trial found.
#[derive(Debug, Default)]
pub struct Proven {
    /// What was tried, in order.
    pub lines: Vec<Line>,
    /// The rules that hold.
    pub rules: Option<ProjectRules>,
}

impl Proven {
    /// Whether a run could work.
    #[must_use]
    pub fn holds(&self) -> bool {
        !self.lines.is_empty() && self.lines.iter().all(|line| line.outcome != Outcome::Fail)
    }
}

struct Trial<F> {
    proven: Proven,
    told: F,
}

impl<F: FnMut(&Line)> Trial<F> {
    fn tell(&mut self, name: &'static str, outcome: Outcome, found: impl Into<String>, fix: Option<&str>) {
        let line =
            Line { name, outcome, found: display::many_lines(&found.into(), 8_000), fix: fix.map(str::to_owned) };
        (self.told)(&line);
        self.proven.lines.push(line);
    }

    fn fail(&mut self, name: &'static str, found: impl Into<String>, fix: &str) {
        self.tell(name, Outcome::Fail, found, Some(fix));
    }
}

/// Tries a project; `told` hears each line as it comes.
pub async fn prove(
    workshop: &Arc<Workshop>,
    project: &Project,
    cancelled: &CancellationToken,
    told: impl FnMut(&Line),
) -> Proven {
    let mut trial = Trial { proven: Proven::default(), told };
    if let Err(trouble) = Box::pin(attempt(workshop, project, cancelled, &mut trial)).await {
        trial.fail("trial", trouble.text(), "`damascus doctor` looks at this machine");
    }
    trial.proven
}

async fn attempt<F: FnMut(&Line)>(
    workshop: &Arc<Workshop>,
    project: &Project,
    cancelled: &CancellationToken,
    trial: &mut Trial<F>,
) -> Result<(), Trouble> {
    let mirror = match workshop.mirror_of(project).await {
        Ok(mirror) => mirror,
        Err(trouble) => {
            trial.fail(
                "repository",
                trouble.text(),
                "put the repository right, or add the project again with another --repo",
            );
            return Ok(());
        }
    };
    let Some(tip) = mirror.tip(&project.base_branch).await? else {
        let branches = mirror.remote_branches().await?;
        let there =
            if branches.is_empty() { "it is empty".to_owned() } else { format!("it has {}", branches.join(", ")) };
        let found = format!("{} has no branch {}; {there}", project.repo, project.base_branch);
        trial.fail("repository", found, "push that branch, or add the project again with another --base");
        return Ok(());
    };
    trial.tell("repository", Outcome::Ok, format!("{}, {} at {tip}", project.repo, project.base_branch), None);
    if std::path::Path::new(&project.repo).join(".git").exists() {
        let found =
            "it has a work tree: git refuses a push to the branch that is checked out in it, so nothing could land";
        let fix = "name a bare repository (`git clone --bare`), or set receive.denyCurrentBranch to updateInstead in this one";
        trial.tell("repository", Outcome::Warn, found, Some(fix));
    }
    let rules = match workshop.rules_at(&mirror, &tip).await? {
        Ok(rules) => rules,
        Err(problem) => {
            trial.fail("rules", problem, "write a .damascus.toml and push it to the base branch: docs/projects.md");
            return Ok(());
        }
    };
    trial.tell("rules", Outcome::Ok, rules.source.to_string(), None);
    trial.proven.rules = Some(rules.clone());
    run_checks(workshop, &mirror, &tip, &rules, cancelled, trial).await?;
    if trial.proven.holds() {
        push(&mirror, &tip, trial).await?;
    }
    Ok(())
}

async fn run_checks<F: FnMut(&Line)>(
    workshop: &Arc<Workshop>,
    mirror: &Mirror,
    tip: &damascus_core::CommitId,
    rules: &ProjectRules,
    cancelled: &CancellationToken,
    trial: &mut Trial<F>,
) -> Result<(), Trouble> {
    let tested = workshop.test_commit(mirror, tip, tip, rules, None, cancelled).await?;
    for check in &tested.checks {
        let ended =
            format!("{} ended with {} in {:.1} s", check.command.join(" "), check.exit_code, check.wall.as_secs_f64());
        if check.passed() {
            trial.tell(check.name, Outcome::Ok, ended, None);
        } else {
            let why = check.stopped.clone().unwrap_or_default();
            let fix = check.hint.unwrap_or("make it pass on the base branch, or correct the command in .damascus.toml");
            trial.tell(check.name, Outcome::Warn, format!("{ended} {why}\n{}", check.tail), Some(fix));
        }
    }
    match fit(&tested) {
        Ok(TestReport::Counted(counts)) if counts.passed == 0 => {
            trial.tell("report", Outcome::Warn, "no test ran: every story will have to bring the first ones", None);
        }
        Ok(TestReport::Counted(counts)) => {
            let found = format!("{} passed, {} skipped", counts.passed, counts.skipped);
            trial.tell("report", Outcome::Ok, found, None);
        }
        Ok(TestReport::ExitCodeOnly | TestReport::Unreadable) => trial.tell(
            "report",
            Outcome::Warn,
            "an exit code alone, as the rules declare: every proof will rest on less",
            Some("name a report in [test], if the runner can write one"),
        ),
        Err(why) => trial.fail(
            "base",
            format!("the base branch is not green: {why}"),
            "make it green before any story is worked on",
        ),
    }
    Ok(())
}

/// Pushes a scratch branch and removes it.
async fn push<F: FnMut(&Line)>(
    mirror: &Mirror,
    tip: &damascus_core::CommitId,
    trial: &mut Trial<F>,
) -> Result<(), Trouble> {
    const BRANCH: &str = "damascus/prove";
    let expect = match mirror.remote_tip(BRANCH).await? {
        Some(left) => Expect::At(left),
        None => Expect::Absent,
    };
    let fix = "let this user push to the repository";
    match mirror.push(tip, BRANCH, expect).await? {
        Pushed::Done => {}
        Pushed::Moved { .. } => {
            trial.fail("push", format!("{BRANCH} moved meanwhile"), "try again");
            return Ok(());
        }
        Pushed::Rejected(why) => {
            trial.fail("push", why, fix);
            return Ok(());
        }
    }
    match mirror.delete_branch(BRANCH, tip).await? {
        Pushed::Done => trial.tell("push", Outcome::Ok, format!("{BRANCH} was pushed and removed again"), None),
        Pushed::Moved { .. } => {
            trial.tell("push", Outcome::Warn, format!("{BRANCH} moved before it could be removed"), None)
        }
        Pushed::Rejected(why) => {
            trial.tell("push", Outcome::Warn, format!("{BRANCH} was pushed, but can't be removed: {why}"), Some(fix));
        }
    }
    Ok(())
}
