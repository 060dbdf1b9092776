//! The build phase: an agent changes the code, Damascus commits it, judges the difference, pushes it and opens a pull request.
//!
//! Invariants: the agent gets files and no repository; what it made is kept before anything is done with it, so that a run made again after a
//! crash does not pay for it twice; a branch is only ever moved from where it was seen; somebody else's commits are kept.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use damascus_checks::diff::Rule;
use damascus_core::{CommitId, CostEntry, Digest, Failure, Outcome, Proof, RunReport, Spec, Verdict, display};
use damascus_git::{Expect, GitError, Merged, Mirror, Pushed, Snapshot, SnapshotLimits};
use damascus_store::item::Standing;

use super::Trouble;
use super::base::Base;
use super::branch::{item_trailer, kept_build, kept_foreign};
use super::evidence_text::{commit_message, pull_text};
use super::judge::{judge, listed};
use super::log::Recorder;
use super::prompt::{Kind, spec_text};
use super::record::ARTIFACT_MAX_BYTES;
use super::scene::Scene;
use super::workshop::Workshop;
use crate::ports::agent::{AgentEnd, AgentLimits, AgentTask};
use crate::{PhaseHandler, RunContext};

/// How long an agent may take when the project says nothing, and how long it may be silent.
const AGENT_WALL: Duration = Duration::from_secs(30 * 60);
const AGENT_SILENCE: Duration = Duration::from_secs(5 * 60);
/// How many turns it may take when the project says nothing.
const AGENT_TURNS: u32 = 100;

/// Runs the build phase.
#[derive(Debug)]
pub struct Build(Arc<Workshop>);

impl Build {
    /// A handler with these tools.
    #[must_use]
    pub fn new(workshop: Arc<Workshop>) -> Self {
        Self(workshop)
    }
}

#[async_trait]
impl PhaseHandler for Build {
    async fn run(&self, context: RunContext) -> RunReport {
        let lease = context.lease.clone();
        let recorder = Recorder::start(self.0.parts.store.clone(), lease.clone());
        let mut costs = Vec::new();
        let outcome = Box::pin(build(&self.0, context, &recorder, &mut costs)).await;
        recorder.finish(lease.run).await;
        match outcome {
            Ok(proof) => RunReport { outcome: Outcome::Pass(proof), costs },
            Err(trouble) => trouble.without_asking().report(costs),
        }
    }
}

async fn build(
    workshop: &Arc<Workshop>,
    run: RunContext,
    recorder: &Recorder,
    costs: &mut Vec<CostEntry>,
) -> Result<Proof, Trouble> {
    let scene = Scene::read(workshop, run).await?;
    let spec = scene.spec()?;
    let mirror = scene.mirror().await?;
    let tip = scene.base_tip(&mirror).await?;
    let base = scene.base(&mirror, &tip, Some(&recorder.live())).await?;
    let start = scene.start(&mirror, &tip).await?;
    let prompt = scene.build_prompt(&mirror, &base, &spec, &start).await?;
    scene.keep_text("prompt", &prompt, false).await;

    // The tip is part of the name: what was made on another one stays kept under its own.
    // How many attempts a person has granted meanwhile changes nothing about what was made.
    let asked = prompt.replace(&scene.facts().budget, "");
    let digest = Digest::of(format!("{tip}\n{asked}").as_bytes());
    let inputs = format!("{}-{}", scene.work.builds_reported, &digest.as_str()[..16]);
    let kept = kept_build(scene.work.item, &inputs);
    let head = match mirror.kept(&kept).await? {
        Some(head) if mirror.parents_of(&head).await? == [tip.clone()] => {
            recorder.say("taking up what an earlier run of this attempt had made");
            head
        }
        _ => {
            let tree = scene.let_agent_work(&mirror, &base, &start, prompt, recorder, costs).await?;
            if tree == base.tree {
                return Err(Trouble::Fail(Failure::NoChange, "The agent changed nothing.".to_owned()));
            }
            let version = scene.work.spec.as_ref().map_or(0, |spec| spec.version);
            let message = commit_message(&scene.work.title, &spec, version, &item_trailer(scene.work.item));
            let head =
                mirror.commit(&tree, std::slice::from_ref(&tip), &message, workshop.parts.clock.unix_seconds()).await?;
            workshop.effect("keep", mirror.keep(&kept, &head)).await?;
            head
        }
    };
    let violations = judge(&mirror, &tip, &head, &base.rules, &spec).await?;
    // A secret that an agent found is not spread any further.
    if !violations.iter().any(|one| one.rule == Rule::Secret) {
        scene.keep_diff(&mirror, &tip, &head).await?;
    }
    if !violations.is_empty() {
        recorder.say("the change breaks the diff policy");
        return Err(Trouble::Fail(
            Failure::PolicyViolation,
            format!("The change does what it must not:\n{}", listed(&violations)),
        ));
    }
    scene.publish(&mirror, &spec, &tip, head, recorder).await
}

/// Where an agent starts from.
struct Start {
    /// The commit whose files it gets.
    commit: CommitId,
    /// What the prompt says of it.
    told: String,
}

impl Scene {
    /// The base, with what an earlier attempt made on top where that is worth going on with.
    async fn start(&self, mirror: &Mirror, tip: &CommitId) -> Result<Start, Trouble> {
        let fresh = |told: &str| Start { commit: tip.clone(), told: told.to_owned() };
        let Some(earlier) = &self.work.build else { return Ok(fresh("You start from the base branch.")) };
        // Whatever was said since of what it made, or of the spec it was made for.
        let set_aside =
            |verdict| matches!(verdict, Verdict::TamperSuspected | Verdict::SpecWrong | Verdict::ContractChanged);
        let since = || self.work.feedback.iter().filter(|one| one.run > earlier.run);
        let respecified = self.work.spec.as_ref().is_some_and(|spec| spec.run > earlier.run);
        if respecified || since().count() == 0 || since().any(|one| set_aside(one.verdict)) {
            return Ok(fresh("You start from the base branch; what an earlier attempt made was set aside."));
        }
        // It may be in another machine's mirror only.
        let merged = match mirror.merge(tip, &earlier.head).await {
            Err(GitError::NoObject { .. }) => {
                return Ok(fresh(
                    "You start from the base branch: what an earlier attempt made is not to be had any more.",
                ));
            }
            other => other?,
        };
        Ok(match merged {
            Merged::Tree(tree) => {
                let at = mirror.time_of(tip).await?;
                let commit =
                    mirror.commit(&tree, std::slice::from_ref(tip), "What an earlier attempt made", at).await?;
                Start { commit, told: "You start from what the earlier attempt made; go on from there.".to_owned() }
            }
            Merged::Conflict(paths) => {
                let shown: Vec<String> = paths.iter().take(10).map(|path| display::one_line(path, 200)).collect();
                fresh(&format!(
                    "You start from the base branch: what an earlier attempt made conflicts with it in {}.",
                    shown.join(", ")
                ))
            }
        })
    }

    async fn build_prompt(&self, mirror: &Mirror, base: &Base, spec: &Spec, start: &Start) -> Result<String, Trouble> {
        let mut scope = spec.files.allow.clone();
        scope.extend(spec.files.create.iter().chain(&spec.tests.new_files).cloned());
        scope.sort();
        scope.dedup();
        let facts = super::prompt::Facts {
            scope,
            forbidden: spec.files.forbid.clone(),
            spec: spec_text(spec)?,
            goal: display::one_line(&spec.goal, 2_000),
            test_command: base.rules.test.step.command.join(" "),
            new_tests: spec.tests.new_files.clone(),
            must_fail_on_base: spec.tests.must_fail_on_base,
            starts_from: start.told.clone(),
            ..self.facts()
        };
        self.prompt(Kind::Build, mirror, &base.commit, &facts).await
    }

    /// Lets the agent change the files, and makes a tree of what it left.
    async fn let_agent_work(
        &self,
        mirror: &Mirror,
        base: &Base,
        start: &Start,
        prompt: String,
        recorder: &Recorder,
        costs: &mut Vec<CostEntry>,
    ) -> Result<CommitId, Trouble> {
        let agent = self.workshop.agent(base.rules.agent.as_deref())?;
        let folder = self.workshop.folder()?;
        let (tree, out) = (folder.sub("tree")?, folder.sub("out")?);
        mirror.checkout(&start.commit, &tree).await?;
        let limits = &base.rules.limits;
        let task = AgentTask {
            run: self.run.lease.run,
            story_key: self.work.key.clone(),
            round: self.work.builds_reported,
            tree: tree.clone(),
            out,
            prompt,
            model: base.rules.agent_model.clone(),
            network: false,
            limits: AgentLimits {
                wall: base
                    .rules
                    .agent_minutes
                    .map_or(AGENT_WALL, |minutes| Duration::from_secs(u64::from(minutes) * 60)),
                silence: AGENT_SILENCE,
                turns: base.rules.agent_turns.unwrap_or(AGENT_TURNS),
                money: None,
                memory_bytes: u64::from(limits.memory_mib) << 20,
                processes: limits.processes,
                tree_bytes: u64::from(limits.tree_mib) << 20,
            },
        };
        recorder.say(&format!("{} begins", agent.name()));
        let mut live = recorder.live();
        let ran = self.workshop.effect("agent", agent.run(&task, &mut live, &self.run.cancelled)).await;
        drop(live);
        costs.extend(ran.costs);
        match ran.end {
            AgentEnd::Done => {}
            AgentEnd::SpecWrong(reason) => return Err(Trouble::Fail(Failure::SpecWrong, reason)),
            AgentEnd::Failed(why) => {
                return Err(Trouble::Fail(Failure::BuildFailed, format!("The agent did not finish: {why}")));
            }
            AgentEnd::OverLimit(which) => {
                return Err(Trouble::Fail(Failure::BuildFailed, format!("The agent went over a limit: {which}")));
            }
            AgentEnd::RateLimited { reopen_after_ms, detail } => {
                return Err(Trouble::RateLimited { reopen_after_ms, detail });
            }
            AgentEnd::Infrastructure(why) => return Err(Trouble::surroundings(why)),
            AgentEnd::Cancelled => return Err(Trouble::surroundings("the run was told to stop")),
        }
        match mirror.snapshot(&tree, &base.commit, SnapshotLimits::default()).await? {
            Snapshot::Tree(tree) => Ok(tree),
            Snapshot::Refused(refusals) => {
                let told: Vec<String> =
                    refusals.iter().take(25).map(|one| format!("- {}: {}", one.path, one.reason)).collect();
                Err(Trouble::Fail(
                    Failure::PolicyViolation,
                    format!("The agent left what can't be taken into a commit:\n{}", told.join("\n")),
                ))
            }
        }
    }

    async fn keep_diff(&self, mirror: &Mirror, base: &CommitId, head: &CommitId) -> Result<(), Trouble> {
        let (text, cut) = mirror.diff(base, head, ARTIFACT_MAX_BYTES).await?;
        self.keep_text("diff", &text, cut).await;
        Ok(())
    }

    /// Pushes the branch and sees to its pull request.
    async fn publish(
        &self,
        mirror: &Mirror,
        spec: &Spec,
        tip: &CommitId,
        head: CommitId,
        recorder: &Recorder,
    ) -> Result<Proof, Trouble> {
        let there = mirror.remote_tip(&self.branch).await?;
        if there.as_ref() != Some(&head) {
            let expect = match &there {
                None => Expect::Absent,
                Some(found) => {
                    if mirror.tip(&self.branch).await?.as_ref() != Some(found) {
                        return Err(Trouble::surroundings(format_args!(
                            "{} moved while the agent worked",
                            self.branch
                        )));
                    }
                    // It may be somebody else's: nothing is lost, whoever pushed it.
                    mirror.keep(&kept_foreign(self.work.item, found.as_str()), found).await?;
                    Expect::At(found.clone())
                }
            };
            self.still_ours()?;
            let pushing = self.workshop.effect("push", mirror.push(&head, &self.branch, expect));
            match self.while_ours(pushing).await?? {
                Pushed::Done => recorder.say(&format!("pushed {}", self.branch)),
                Pushed::Moved { .. } => {
                    return Err(Trouble::surroundings(format_args!(
                        "somebody pushed to {} at the same time; the branch is Damascus' own",
                        self.branch
                    )));
                }
                Pushed::Rejected(why) => {
                    return Err(Trouble::surroundings(format_args!(
                        "the forge rejects a push to {}: {why}",
                        self.branch
                    )));
                }
            }
        }
        if let Err(lost) = self.still_ours() {
            self.take_back(mirror, &head).await;
            return Err(lost);
        }
        let version = self.work.spec.as_ref().map_or(0, |spec| spec.version);
        let attempt = self.run.lease.budget.attempts_used.saturating_add(1);
        let text = pull_text(&self.work.title, &self.work.key, spec, version, attempt);
        let opening = self.forge()?.find_or_open(&self.repository, &self.branch, &self.project.base_branch, &text);
        let pull = self.workshop.effect("pull-request", opening).await?;
        recorder.say(&format!("pull request {} is open", pull.number));
        Ok(Proof::Build { head, base: tip.clone(), pull_request: pull.number })
    }

    /// A push that was held up past its lease may bring back the branch of an item that has ended meanwhile: it is removed again. One of an
    /// item that goes on is left to whoever works on it now.
    async fn take_back(&self, mirror: &Mirror, head: &CommitId) {
        let standing = self.workshop.parts.store.standing(self.work.item).await;
        if !matches!(standing, Ok(Standing::Merged { .. } | Standing::Cancelled { .. })) {
            return;
        }
        if let Err(error) = mirror.delete_branch(&self.branch, head).await {
            self.note("a branch that was pushed too late could not be removed", &error);
        }
    }
}
