//! The merge phase: what was tested is what lands.
//!
//! Invariants: a candidate lands only with a proof about its own tree; the base branch is moved from where it was seen to exactly that commit,
//! without force; what landed is read back from the forge and compared, commit and tree. A landing that already happened is found by its
//! trailer and recorded, never made again.

use std::sync::Arc;

use async_trait::async_trait;
use damascus_core::{CommitId, Failure, LandingProof, Outcome, Proof, ReviewProof, RunReport, Spec, TestEvidence};
use damascus_git::{Commit, Expect, Merged, Mirror, Pushed};
use damascus_store::work::{BuildRecord, ReviewRecord};

use super::Trouble;
use super::base::Base;
use super::branch::{kept_candidate, names_item};
use super::judge::{judge, listed};
use super::log::Recorder;
use super::review::{conflict, lost_tests, prove};
use super::scene::Scene;
use super::testing::{Subject, read_tests, recipe, remembered};
use super::workshop::Workshop;
use crate::ports::forge::{MergeRequest, PullState};
use crate::{PhaseHandler, RunContext};

/// How often a candidate is built anew in one run when the base moves; then the item goes back to review.
const REBUILDS_MAX: usize = 3;
/// How far back on the base branch a landing is looked for, in commits.
const LOOK_BACK: usize = 5_000;

/// Runs the merge phase.
#[derive(Debug)]
pub struct Merge(Arc<Workshop>);

impl Merge {
    /// A handler with these tools.
    #[must_use]
    pub fn new(workshop: Arc<Workshop>) -> Self {
        Self(workshop)
    }
}

#[async_trait]
impl PhaseHandler for Merge {
    async fn run(&self, context: RunContext) -> RunReport {
        let lease = context.lease.clone();
        let recorder = Recorder::start(self.0.parts.store.clone(), lease.clone());
        let outcome = Box::pin(merge(&self.0, context, &recorder)).await;
        recorder.finish(lease.run).await;
        match outcome {
            Ok(proof) => RunReport::free(Outcome::Pass(Proof::Merge(proof))),
            Err(trouble) => trouble.without_asking().report(Vec::new()),
        }
    }
}

async fn merge(workshop: &Arc<Workshop>, run: RunContext, recorder: &Recorder) -> Result<LandingProof, Trouble> {
    let scene = Scene::read(workshop, run).await?;
    let spec = scene.spec()?;
    let (build, review) = scene.records()?;
    for _ in 0..REBUILDS_MAX {
        let mirror = scene.mirror().await?;
        let tip = scene.base_tip(&mirror).await?;
        if let Some(landed) = scene.landed_before(&mirror, &review, &tip).await? {
            recorder.say(&format!("{} is on {} already", landed.id, scene.project.base_branch));
            let proof = scene.proof_of_landed(&mirror, &spec, &landed, recorder).await?;
            return scene.conclude(&mirror, &build, &review, proof, recorder).await;
        }
        scene.head_unmoved(&build, &review).await?;
        let candidate = scene.candidate(&mirror, &review, &tip).await?;
        let proof = scene.tested_candidate(&mirror, &spec, &review, &candidate, &tip, recorder).await?;
        // Testing takes its time: a head that moved meanwhile is not landed over.
        scene.head_unmoved(&build, &review).await?;
        scene.still_ours()?;
        if scene.land(&mirror, &build, &review, &candidate, &tip, recorder).await? {
            return scene.conclude(&mirror, &build, &review, proof, recorder).await;
        }
        recorder.say("the base branch moved; building the candidate again");
    }
    Err(Trouble::Fail(
        Failure::BaseMoved,
        format!("{} moved {REBUILDS_MAX} times while the change was being landed.", scene.project.base_branch),
    ))
}

/// The merge phase knows neither suspicion nor policy: what is wrong with a change on the new base is for the next build.
fn for_the_next_build(trouble: Trouble) -> Trouble {
    match trouble {
        Trouble::Fail(Failure::TamperSuspected | Failure::PolicyViolation, why) => {
            Trouble::Fail(Failure::TestsFailed, why)
        }
        other => other,
    }
}

impl Scene {
    fn records(&self) -> Result<(BuildRecord, ReviewRecord), Trouble> {
        let missing = |what: &str| {
            Trouble::surroundings(format_args!("no {what} of the item has passed, although it is past it"))
        };
        let build = self.work.build.clone().ok_or_else(|| missing("build"))?;
        let review = self.work.review.clone().ok_or_else(|| missing("review"))?;
        Ok((build, review))
    }

    /// The commit of this item on the base branch, if it landed: by this run before a crash, or by one that lost its lease.
    async fn landed_before(
        &self,
        mirror: &Mirror,
        review: &ReviewRecord,
        tip: &CommitId,
    ) -> Result<Option<Commit>, Trouble> {
        let since = mirror.log(Some(&review.evidence.base), tip, LOOK_BACK).await?;
        Ok(since
            .into_iter()
            .find(|commit| commit.id == review.evidence.head || names_item(&commit.message, self.work.item)))
    }

    /// Whether the pull request is open and its head is the one that was reviewed.
    async fn head_unmoved(&self, build: &BuildRecord, review: &ReviewRecord) -> Result<(), Trouble> {
        let pull = self.forge()?.pull_request(&self.repository, build.pull_request).await?;
        let moved = |why: String| Trouble::Fail(Failure::HeadMoved, why);
        match (pull.state, pull.head) {
            (PullState::Open, Some(head)) if head == review.evidence.head => Ok(()),
            (PullState::Open, Some(head)) => {
                Err(moved(format!("The branch is at {head}; {} was reviewed.", review.evidence.head)))
            }
            (PullState::Open, None) => Err(moved(format!("The branch {} is gone.", self.branch))),
            (PullState::Closed | PullState::Merged, _) => Err(moved(format!(
                "Pull request {} is {}, but its commit is not on {}.",
                pull.number, pull.state, self.project.base_branch
            ))),
        }
    }

    /// The commit that is to land: the reviewed one where the base did not move, else one of the same change on the base as it is now. The
    /// same base and change give the same commit.
    async fn candidate(&self, mirror: &Mirror, review: &ReviewRecord, tip: &CommitId) -> Result<Commit, Trouble> {
        let head = &review.evidence.head;
        let parents = mirror.parents_of(head).await?;
        let own = mirror.log(parents.first(), head, 1).await?.into_iter().next();
        let own = own.ok_or_else(|| Trouble::surroundings(format_args!("the reviewed commit {head} can't be read")))?;
        if parents == [tip.clone()] {
            return Ok(own);
        }
        let tree = match mirror.merge(tip, head).await? {
            Merged::Tree(tree) => tree,
            Merged::Conflict(paths) => return Err(conflict(&paths)),
        };
        let at = mirror.time_of(head).await?;
        let id = mirror.commit(&tree, std::slice::from_ref(tip), &own.message, at).await?;
        self.workshop.effect("candidate", mirror.keep(&kept_candidate(self.work.item, id.as_str()), &id)).await?;
        Ok(Commit { id, tree, parents: vec![tip.clone()], message: own.message })
    }

    /// A proof about the candidate: the review's where it is the reviewed commit, that of its tree where that was tested, else of a test now.
    async fn tested_candidate(
        &self,
        mirror: &Mirror,
        spec: &Spec,
        review: &ReviewRecord,
        candidate: &Commit,
        tip: &CommitId,
        recorder: &Recorder,
    ) -> Result<ReviewProof, Trouble> {
        let base = self.base(mirror, tip, Some(&recorder.live())).await?;
        if candidate.id == review.evidence.head {
            return ReviewProof::new(review.evidence.clone(), base.report).map_err(Trouble::surroundings);
        }
        if candidate.tree == base.tree {
            return Err(Trouble::Fail(
                Failure::RebaseConflict,
                format!("{} has all of the change already; nothing would land.", self.project.base_branch),
            ));
        }
        // The rules may have changed with the base, and a merge may have moved what the change touches.
        let violations = judge(mirror, tip, &candidate.id, &base.rules, spec).await.map_err(for_the_next_build)?;
        if !violations.is_empty() {
            return Err(Trouble::Fail(
                Failure::TestsFailed,
                format!(
                    "On {} as it is now the change does what it must not:\n{}",
                    self.project.base_branch,
                    listed(&violations)
                ),
            ));
        }
        self.test_candidate(mirror, spec, &base, candidate, recorder).await
    }

    async fn test_candidate(
        &self,
        mirror: &Mirror,
        spec: &Spec,
        base: &Base,
        candidate: &Commit,
        recorder: &Recorder,
    ) -> Result<ReviewProof, Trouble> {
        let store = &self.workshop.parts.store;
        let (own, recipe) = (recipe(&base.rules, None), recipe(&base.rules, Some(spec)));
        if let Some(known) = store.tested(self.project.id, &candidate.tree, &recipe).await? {
            lost_tests(base, &read_tests(known.tests)?).map_err(for_the_next_build)?;
            let evidence = TestEvidence { head: candidate.id.clone(), base: base.commit.clone(), ..known.evidence };
            return ReviewProof::new(evidence, base.report).map_err(Trouble::surroundings);
        }
        recorder.say(&format!("testing {} on the base as it is now", candidate.id));
        let folder = self.workshop.folder()?;
        let dir = folder.sub("candidate")?;
        mirror.checkout(&candidate.id, &dir).await?;
        let subject = Subject {
            dir: &dir,
            commit: &candidate.id,
            tree: &candidate.tree,
            base: &base.commit,
            rules: &base.rules,
            spec: Some(spec),
        };
        let tested = self.workshop.test(&subject, Some(&recorder.live()), &self.run.cancelled).await?;
        self.blame_set_up(mirror, base, &tested).await?;
        let proof = prove(&tested, base).map_err(for_the_next_build)?;
        self.left_alone(mirror, spec, base, &candidate.id, &dir, recorder).await.map_err(for_the_next_build)?;
        lost_tests(base, &tested.tests).map_err(for_the_next_build)?;
        let remembered = remembered(proof.evidence().clone(), &tested.tests);
        self.workshop.effect("evidence", store.remember_tested(self.project.id, &recipe, &remembered)).await?;
        // It is the base of the next change: what is known of it by the project's own checks is known then, too.
        store.remember_tested(self.project.id, &own, &remembered).await?;
        Ok(proof)
    }

    /// The proof of a commit that is on the base branch already.
    async fn proof_of_landed(
        &self,
        mirror: &Mirror,
        spec: &Spec,
        landed: &Commit,
        recorder: &Recorder,
    ) -> Result<ReviewProof, Trouble> {
        let parent = landed.parents.first().ok_or_else(|| {
            Trouble::surroundings(format_args!("{} names this item but is a first commit", landed.id))
        })?;
        let base = self.base(mirror, parent, Some(&recorder.live())).await?;
        self.test_candidate(mirror, spec, &base, landed, recorder).await.map_err(|trouble| match trouble {
            // What is on the base branch can't be built again: a person has to see why it is not green.
            Trouble::Fail(failure, why) if failure != Failure::InfraError => Trouble::surroundings(format_args!(
                "{} is on {} already, but can't be proven now ({failure}): {why}",
                landed.id, self.project.base_branch
            )),
            other => other,
        })
    }

    /// Moves the base branch to the candidate; says whether it did.
    async fn land(
        &self,
        mirror: &Mirror,
        build: &BuildRecord,
        review: &ReviewRecord,
        candidate: &Commit,
        tip: &CommitId,
        recorder: &Recorder,
    ) -> Result<bool, Trouble> {
        let forge = self.forge()?;
        let by_forge =
            candidate.id == review.evidence.head && forge.capabilities(&self.repository).await?.fast_forward_merge;
        let pushed = if by_forge {
            let request = MergeRequest {
                number: build.pull_request,
                expected_head: candidate.id.clone(),
                base_branch: self.project.base_branch.clone(),
                expected_base: tip.clone(),
            };
            match self.while_ours(self.workshop.effect("land", forge.merge(&self.repository, &request))).await?? {
                crate::ports::forge::Merged::Done => Pushed::Done,
                crate::ports::forge::Merged::BaseMoved => Pushed::Moved { found: None },
                crate::ports::forge::Merged::HeadMoved => {
                    return Err(Trouble::Fail(
                        Failure::HeadMoved,
                        "The branch moved while it was being landed.".to_owned(),
                    ));
                }
                crate::ports::forge::Merged::Refused(why) => Pushed::Rejected(why),
            }
        } else {
            let pushing = mirror.push(&candidate.id, &self.project.base_branch, Expect::FastForwardOf(tip.clone()));
            self.while_ours(self.workshop.effect("land", pushing)).await??
        };
        match pushed {
            Pushed::Done => {
                recorder.say(&format!("landed {} on {}", candidate.id, self.project.base_branch));
                Ok(true)
            }
            Pushed::Moved { .. } => Ok(false),
            Pushed::Rejected(why) => Err(Trouble::surroundings(format_args!(
                "the forge rejects the landing on {}: {why}",
                self.project.base_branch
            ))),
        }
    }

    /// Reads back what landed, compares it with what was tested, and tidies up.
    async fn conclude(
        &self,
        mirror: &Mirror,
        build: &BuildRecord,
        review: &ReviewRecord,
        proof: ReviewProof,
        recorder: &Recorder,
    ) -> Result<LandingProof, Trouble> {
        let branch = &self.project.base_branch;
        let tested = proof.evidence().head.clone();
        mirror.fetch().await?;
        let tip = self.base_tip(mirror).await?;
        if !mirror.contains(&tip, &tested).await? {
            return Err(Trouble::Fail(
                Failure::BaseMoved,
                format!("{tested} is not on {branch} any more: somebody moved the branch back (it is at {tip})."),
            ));
        }
        let tree = mirror.tree_of(&tested).await?;
        let landing = LandingProof::new(proof, branch.clone(), tested.clone(), &tree)
            .map_err(|unproven| Trouble::surroundings(format_args!("the landing can't be proven: {unproven}")))?;
        self.still_ours()?;
        let forge = self.forge()?;
        let marking = forge.mark_merged(&self.repository, build.pull_request, &tested);
        self.workshop.effect("mark-merged", marking).await?;
        // A branch that can't be removed holds up nothing.
        match mirror.remote_tip(&self.branch).await {
            Ok(Some(at)) if at != review.evidence.head => {
                self.note("somebody pushed to the branch; it stays", &at);
            }
            Ok(Some(at)) => {
                let removing = mirror.delete_branch(&self.branch, &at);
                if let Err(error) = self.workshop.effect("remove-branch", removing).await {
                    self.note("the branch could not be removed", &error);
                }
            }
            Ok(None) => {}
            Err(error) => self.note("the branch could not be looked for", &error),
        }
        recorder.say("the base branch was read back: it holds the tested commit and its tree");
        Ok(landing)
    }
}
