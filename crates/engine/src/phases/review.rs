//! The review phase: the exact head is tested again in a clean checkout, and the evidence decides.
//!
//! Invariants: nothing that the agent's run left is used, neither files nor processes nor words; a head that is not the one that was built is
//! judged like any other; a pass is made of a [`ReviewProof`], which refuses what proves too little.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use damascus_checks::diff::is_test_file;
use damascus_checks::report::{Format, TestOutcome, Tests};
use damascus_core::{CommitId, Failure, Outcome, Proof, ReviewProof, RunReport, Spec, TestReport, display};
use damascus_git::{ChangeKind, Merged, Mirror};

use super::Trouble;
use super::base::Base;
use super::branch::{item_trailer, names_only_item};
use super::evidence_text::{Line, comment, lines};
use super::judge::{judge, listed};
use super::log::Recorder;
use super::scene::Scene;
use super::testing::{Subject, Tested, Verdict, recipe, remembered};
use super::workshop::Workshop;
use crate::ports::forge::{CommitStatus, PullRequest, PullState, StatusState};
use crate::{PhaseHandler, RunContext};

/// By which the one comment of ours is found again.
const MARKER: &str = "damascus-evidence";
/// How many names are told of.
const NAMES_MAX: usize = 10;

/// Runs the review phase.
#[derive(Debug)]
pub struct Review(Arc<Workshop>);

impl Review {
    /// A handler with these tools.
    #[must_use]
    pub fn new(workshop: Arc<Workshop>) -> Self {
        Self(workshop)
    }
}

#[async_trait]
impl PhaseHandler for Review {
    async fn run(&self, context: RunContext) -> RunReport {
        let lease = context.lease.clone();
        let recorder = Recorder::start(self.0.parts.store.clone(), lease.clone());
        let outcome = Box::pin(review(&self.0, context, &recorder)).await;
        recorder.finish(lease.run).await;
        match outcome {
            Ok(proof) => RunReport::free(Outcome::Pass(Proof::Review(proof))),
            Err(trouble) => trouble.without_asking().report(Vec::new()),
        }
    }
}

/// What a review has found so far, for the pull request.
struct Findings {
    lines: Vec<Line>,
    report: Option<TestReport>,
}

impl Findings {
    fn add(&mut self, name: &str, passed: bool, told: impl Into<String>) {
        self.lines.push(Line { name: name.to_owned(), passed, told: told.into() });
    }
}

async fn review(workshop: &Arc<Workshop>, run: RunContext, recorder: &Recorder) -> Result<ReviewProof, Trouble> {
    let scene = Scene::read(workshop, run).await?;
    let spec = scene.spec()?;
    let mirror = scene.mirror().await?;
    let (pull, head) = scene.open_pull().await?;
    let base_commit = scene.base_of(&mirror, &head).await?;
    scene.is_of_this_item(&mirror, &base_commit, &head).await?;
    scene.merges(&mirror, &head).await?;
    let base = scene.base(&mirror, &base_commit, Some(&recorder.live())).await?;
    recorder.say(&format!("reviewing {head} of pull request {}", pull.number));

    let mut findings = Findings { lines: Vec::new(), report: None };
    let judged = Box::pin(examine(&scene, &mirror, &spec, &base, &head, recorder, &mut findings)).await;
    let verdict = match &judged {
        Ok(_) => "Review passed".to_owned(),
        Err(Trouble::Fail(failure, _)) => format!("Review: {failure}"),
        Err(_) => "Review could not be finished".to_owned(),
    };
    let text = comment(&head, &base.commit, &findings.lines, findings.report, &verdict);
    scene.keep_text("checks", &text, false).await;
    if !matches!(judged, Err(Trouble::Fail(Failure::InfraError, _))) {
        scene.post(&pull, &head, &findings, judged.is_ok(), &text).await?;
    }
    judged
}

/// All that is looked at, in order of cost.
async fn examine(
    scene: &Scene,
    mirror: &Mirror,
    spec: &Spec,
    base: &Base,
    head: &CommitId,
    recorder: &Recorder,
    findings: &mut Findings,
) -> Result<ReviewProof, Trouble> {
    let violations = judge(mirror, &base.commit, head, &base.rules, spec).await.map_err(|trouble| match trouble {
        Trouble::Fail(Failure::PolicyViolation, why) => Trouble::Fail(Failure::ReviewRejected, why),
        other => other,
    })?;
    findings.add("policy", violations.is_empty(), format!("{} violations", violations.len()));
    if !violations.is_empty() {
        let tampering = violations.iter().any(|one| one.rule.is_tampering());
        let failure = if tampering { Failure::TamperSuspected } else { Failure::ReviewRejected };
        return Err(Trouble::Fail(failure, format!("The change does what it must not:\n{}", listed(&violations))));
    }
    let workshop = &scene.workshop;
    let folder = workshop.folder()?;
    let dir = folder.sub("head")?;
    mirror.checkout(head, &dir).await?;
    let tree = mirror.tree_of(head).await?;
    let subject =
        Subject { dir: &dir, commit: head, tree: &tree, base: &base.commit, rules: &base.rules, spec: Some(spec) };
    let live = recorder.live();
    let tested = workshop.test(&subject, Some(&live), &scene.run.cancelled).await?;
    findings.lines.extend(lines(&tested));
    findings.report = tested.evidence.as_ref().map(|evidence| evidence.report);
    scene.blame_set_up(mirror, base, &tested).await?;
    let proof = prove(&tested, base)?;
    let alone = scene.left_alone(mirror, spec, base, head, &dir, recorder).await;
    alone.inspect_err(|_| findings.add("files left alone", false, "the checks altered them"))?;
    lost_tests(base, &tested.tests).inspect_err(|_| findings.add("tests of the base", false, "some are gone"))?;
    // The project may have changed its mind about waivers since the spec was accepted.
    if spec.tests.must_fail_on_base || !base.rules.waive_fail_on_base.contains(&spec.kind) {
        recorder.say("checking that the new tests fail without the change");
        let told = scene.new_tests_fail_on_base(mirror, spec, base, head, &tested.tests, recorder).await;
        findings.add(
            "new tests fail on the base",
            told.is_ok(),
            told.as_ref().map_or_else(|_| "they do not".to_owned(), Clone::clone),
        );
        told?;
    } else {
        findings.add("new tests fail on the base", true, format!("waived by the project for {}", spec.kind));
    }
    let remembered = remembered(proof.evidence().clone(), &tested.tests);
    let store = &workshop.parts.store;
    let recipe = recipe(&base.rules, Some(spec));
    workshop.effect("evidence", store.remember_tested(scene.project.id, &recipe, &remembered)).await?;
    Ok(proof)
}

/// A proof of what was tested, or why there is none.
pub(crate) fn prove(tested: &Tested, base: &Base) -> Result<ReviewProof, Trouble> {
    match &tested.verdict {
        Verdict::Green => {}
        Verdict::Red(why) => return Err(Trouble::Fail(Failure::TestsFailed, why.clone())),
        Verdict::Suspicious(why) => return Err(Trouble::Fail(Failure::TamperSuspected, why.clone())),
    }
    let Some(evidence) = tested.evidence.clone() else {
        return Err(Trouble::Fail(Failure::TestsFailed, "The test command was not reached.".to_owned()));
    };
    if evidence.base != base.commit {
        return Err(Trouble::surroundings(format_args!(
            "{} was tested against {}, not {}",
            evidence.head, evidence.base, base.commit
        )));
    }
    ReviewProof::new(evidence, base.report)
        .map_err(|unproven| Trouble::Fail(Failure::TestsFailed, format!("The evidence proves too little: {unproven}.")))
}

/// Tests that passed on the base must pass on the head: gone or skipped ones are no progress.
pub(crate) fn lost_tests(base: &Base, head: &Tests) -> Result<(), Trouble> {
    if base.tests.named.is_empty() || head.named.is_empty() {
        return Ok(());
    }
    let passed = |tests: &Tests, name: &String| tests.named.get(name) == Some(&TestOutcome::Passed);
    let lost: Vec<String> = base
        .tests
        .named
        .keys()
        .filter(|name| passed(&base.tests, name) && !passed(head, name))
        .map(|name| display::one_line(name, 200))
        .collect();
    if lost.is_empty() {
        return Ok(());
    }
    let shown = lost.iter().take(NAMES_MAX).cloned().collect::<Vec<_>>().join("\n- ");
    Err(Trouble::Fail(
        Failure::TamperSuspected,
        format!("{} tests that pass on the base do not run on the head, or are skipped there:\n- {shown}", lost.len()),
    ))
}

impl Scene {
    /// The open pull request and the head that the forge has for it now.
    async fn open_pull(&self) -> Result<(PullRequest, CommitId), Trouble> {
        let build = self.work.build.as_ref().ok_or_else(|| {
            Trouble::surroundings("no build of the item has passed, although it is past its build phase")
        })?;
        let pull = self.forge()?.pull_request(&self.repository, build.pull_request).await?;
        match (pull.state, pull.head.clone()) {
            (PullState::Open, Some(head)) => Ok((pull, head)),
            // After a crash between landing and its record: the merge phase finds what landed.
            (PullState::Merged, _) => Ok((pull, build.head.clone())),
            (PullState::Open, None) => Err(Trouble::Fail(
                Failure::ReviewRejected,
                format!("The branch {} is gone from the forge.", self.branch),
            )),
            (PullState::Closed, _) => Err(Trouble::Fail(
                Failure::ReviewRejected,
                format!("Pull request {} was closed without merging it.", pull.number),
            )),
        }
    }

    /// The commit on the base branch that a head begins at. A head with other commits in between can't be landed as it is.
    async fn base_of(&self, mirror: &Mirror, head: &CommitId) -> Result<CommitId, Trouble> {
        let tip = self.base_tip(mirror).await?;
        let begins = mirror.merge_base(&tip, head).await?;
        let parents = mirror.parents_of(head).await?;
        match (begins, parents.as_slice()) {
            (Some(begins), [parent]) if *parent == begins => Ok(begins),
            // It landed already; its own parent is what it was built on.
            (Some(begins), [parent]) if begins == *head => Ok(parent.clone()),
            (Some(_), _) => Err(Trouble::Fail(
                Failure::ReviewRejected,
                format!(
                    "The head {head} is not one commit on top of {}: somebody pushed to the branch.",
                    self.project.base_branch
                ),
            )),
            (None, _) => Err(Trouble::Fail(
                Failure::RebaseConflict,
                format!(
                    "The head {head} shares no history with {}: the base branch was rewritten.",
                    self.project.base_branch
                ),
            )),
        }
    }

    /// Whether the head says whose it is, as every commit of Damascus does: by that a landing is found again after a crash.
    async fn is_of_this_item(&self, mirror: &Mirror, base: &CommitId, head: &CommitId) -> Result<(), Trouble> {
        let own = mirror.log(Some(base), head, 1).await?;
        if own.first().is_some_and(|commit| names_only_item(&commit.message, self.work.item)) {
            return Ok(());
        }
        Err(Trouble::Fail(
            Failure::ReviewRejected,
            format!(
                "The head {head} is not Damascus' own commit: somebody pushed one whose message does not end with \"{}\" alone.",
                item_trailer(self.work.item)
            ),
        ))
    }

    /// Whether the head still merges into the base branch as it is now.
    async fn merges(&self, mirror: &Mirror, head: &CommitId) -> Result<(), Trouble> {
        let tip = self.base_tip(mirror).await?;
        match mirror.merge(&tip, head).await? {
            Merged::Tree(_) => Ok(()),
            Merged::Conflict(paths) => Err(conflict(&paths)),
        }
    }

    /// Runs the head's tests on the base's code: they must fail there.
    async fn new_tests_fail_on_base(
        &self,
        mirror: &Mirror,
        spec: &Spec,
        base: &Base,
        head: &CommitId,
        on_head: &Tests,
        recorder: &Recorder,
    ) -> Result<String, Trouble> {
        let files = test_files(mirror, spec, &base.commit, head).await?;
        let unproven = |why: String| Trouble::Fail(Failure::TestsFailed, why);
        if files.is_empty() {
            let wanted = spec.tests.new_files.join(", ");
            return Err(unproven(format!("The change adds no test. The spec asks for tests in: {wanted}")));
        }
        if base.rules.test.format != Format::ExitCode && !on_head.named.is_empty() {
            let new = on_head
                .named
                .iter()
                .filter(|(name, outcome)| **outcome == TestOutcome::Passed && !base.tests.named.contains_key(*name));
            if new.count() == 0 && !base.tests.named.is_empty() {
                return Err(unproven(format!(
                    "No test ran that the base does not have, although {} changed. Are the new tests found by the test command?",
                    files.join(", ")
                )));
            }
        }
        let folder = self.workshop.folder()?;
        let dir = folder.sub("base")?;
        mirror.checkout(&base.commit, &dir).await?;
        mirror.overlay(head, &files, &dir).await?;
        // Style says nothing about what the tests show.
        let mut rules = base.rules.clone();
        rules.steps.lint = None;
        let subject =
            Subject { dir: &dir, commit: head, tree: &base.tree, base: &base.commit, rules: &rules, spec: None };
        let tested = self.workshop.test(&subject, Some(&recorder.live()), &self.run.cancelled).await?;
        match tested.failed_check() {
            Some(check) if check.name == "setup" => {
                Err(Trouble::surroundings(format_args!("the set-up of the base failed:\n{}", check.tail)))
            }
            // A limit that stops them shows nothing: a busy machine must not prove a test.
            Some(check) if check.stopped.is_some() => Err(Trouble::surroundings(format_args!(
                "the new tests could not be run to their end on the base: {}",
                check.stopped.as_deref().unwrap_or_default()
            ))),
            Some(check) if check.name == "build" || !only_old_tests_fail(&tested.tests, on_head, &base.tests) => {
                Ok(format!("`{}` ends with {} there", check.name, check.exit_code))
            }
            Some(_) => Err(unproven(
                "Without the change the tests fail on the base, but every new one passes there: they prove nothing of the change."
                    .to_owned(),
            )),
            None if matches!(
                tested.evidence.as_ref().map(|evidence| evidence.report),
                Some(TestReport::Counted(counts)) if counts.failed > 0
            ) =>
            {
                Ok("the report counts failures there".to_owned())
            }
            // A run that ends well shows no failure, also where its report says nothing.
            None => Err(unproven(format!(
                "The new tests pass without the change, so they prove nothing of it ({}). They must fail on the base.",
                files.join(", ")
            ))),
        }
    }

    /// Tells the forge.
    async fn post(
        &self,
        pull: &PullRequest,
        head: &CommitId,
        findings: &Findings,
        passed: bool,
        text: &str,
    ) -> Result<(), Trouble> {
        self.still_ours()?;
        let forge = self.forge()?;
        for line in &findings.lines {
            let state = if line.passed { StatusState::Success } else { StatusState::Failure };
            let context = format!("damascus/{}", line.name.replace(' ', "-"));
            let description = display::one_line(&line.told, 140);
            forge.set_status(&self.repository, head, &CommitStatus { context, state, description }).await?;
        }
        let status = CommitStatus {
            context: "damascus/review".to_owned(),
            state: if passed { StatusState::Success } else { StatusState::Failure },
            description: if passed { "all checks passed" } else { "see the comment" }.to_owned(),
        };
        self.workshop.effect("status", forge.set_status(&self.repository, head, &status)).await?;
        self.workshop.effect("comment", forge.comment(&self.repository, pull.number, MARKER, text)).await?;
        Ok(())
    }
}

/// Whether every test that is new on the head passes on the base, as far as the report names them.
fn only_old_tests_fail(there: &Tests, on_head: &Tests, base: &Tests) -> bool {
    let new = || on_head.named.keys().filter(|name| !base.named.contains_key(*name));
    !there.named.is_empty()
        && new().count() > 0
        && new().all(|name| there.named.get(name) == Some(&TestOutcome::Passed))
}

/// What two lines of work disagree about.
pub(crate) fn conflict(paths: &[String]) -> Trouble {
    let shown: Vec<String> = paths.iter().take(NAMES_MAX).map(|path| display::one_line(path, 200)).collect();
    Trouble::Fail(
        Failure::RebaseConflict,
        format!("The base branch changed the same lines meanwhile: {}. Build on it as it is now.", shown.join(", ")),
    )
}

/// The test files that the change adds or changes.
async fn test_files(mirror: &Mirror, spec: &Spec, base: &CommitId, head: &CommitId) -> Result<Vec<String>, Trouble> {
    let named: BTreeSet<&str> = spec.tests.new_files.iter().map(String::as_str).collect();
    let changes = mirror.changes(base, head).await?;
    Ok(changes
        .into_iter()
        .filter(|change| change.kind != ChangeKind::Deleted)
        .map(|change| change.path)
        .filter(|path| named.contains(path.as_str()) || is_test_file(path))
        .collect())
}
