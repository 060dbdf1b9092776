//! The base branch: its rules, and whether it is green before anybody works on it.
//!
//! Invariants: rules are read from the base branch and nowhere else, so that a change can't change what it is judged by; a base that is red is
//! told to a person and never blamed on an agent; the same tree is not tested twice with the same rules.

use std::collections::BTreeSet;

use damascus_checks::project::{self, ProjectRules};
use damascus_checks::report::Tests;
use damascus_core::{CommitId, Spec, TestCounts, TestReport, display};
use damascus_git::Mirror;
use damascus_store::project::Project;
use tokio_util::sync::CancellationToken;

use super::Trouble;
use super::log::Live;
use super::scene::Scene;
use super::testing::{Subject, Tested, Verdict, read_tests, recipe, remembered};
use super::workshop::{ProjectRef, Workshop};

/// How large `.damascus.toml` and what detection reads may be, in bytes.
const RULES_MAX_BYTES: u64 = 256 << 10;
/// How often a set-up that uses the network is tried before a person is asked.
const SET_UP_TRIES: u16 = 3;
/// The files that detection looks into.
const MANIFESTS: &[&str] = &[
    "Cargo.toml",
    "package.json",
    "pyproject.toml",
    "setup.cfg",
    "setup.py",
    "tox.ini",
    "pytest.ini",
    "requirements.txt",
    "requirements-dev.txt",
    "go.mod",
    "pom.xml",
    "build.gradle",
    "build.gradle.kts",
    "Makefile",
    "GNUmakefile",
    "makefile",
];

/// A base commit that is fit to work on.
#[derive(Debug, Clone)]
pub struct Base {
    /// The commit.
    pub commit: CommitId,
    /// Its tree.
    pub tree: CommitId,
    /// The project's rules there.
    pub rules: ProjectRules,
    /// What its tests report.
    pub report: TestReport,
    /// Test by test, where the report names them.
    pub tests: Tests,
}

/// The rules of a project at a commit, or what is wrong with them.
async fn rules_at(mirror: &Mirror, commit: &CommitId) -> Result<Result<ProjectRules, String>, Trouble> {
    if let Some(bytes) = mirror.read(commit, project::FILE, RULES_MAX_BYTES).await? {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        return Ok(project::parse(&text).map_err(|error| error.to_string()));
    }
    let paths: BTreeSet<String> = mirror.list(commit).await?.into_iter().map(|entry| entry.path).collect();
    let mut texts = std::collections::BTreeMap::new();
    for &name in MANIFESTS.iter().filter(|name| paths.contains(**name)) {
        if let Some(bytes) = mirror.read(commit, name, RULES_MAX_BYTES).await? {
            texts.insert(name, String::from_utf8_lossy(&bytes).into_owned());
        }
    }
    let detected = project::detect(&paths, &|path| texts.get(path).cloned());
    Ok(detected.map_err(|error| error.to_string()))
}

impl Scene {
    /// The rules at a commit; what is wrong with them is for a person.
    pub(crate) async fn rules(&self, mirror: &Mirror, commit: &CommitId) -> Result<ProjectRules, Trouble> {
        rules_at(mirror, commit).await?.map_err(|text| {
            Trouble::person(format_args!(
                "The project's rules on {} can't be used: {text}\nCorrect them on that branch, then answer; `damascus project prove {}` \
                 shows what Damascus would run.",
                self.project.base_branch, self.work.project_name
            ))
        })
    }

    /// The base with its own test results: remembered ones, or those of a run now.
    pub(crate) async fn base(&self, mirror: &Mirror, commit: &CommitId, live: Option<&Live>) -> Result<Base, Trouble> {
        let rules = self.rules(mirror, commit).await?;
        let tree = mirror.tree_of(commit).await?;
        let store = &self.workshop.parts.store;
        let recipe = recipe(&rules, None);
        if let Some(known) = store.tested(self.project.id, &tree, &recipe).await? {
            let tests = read_tests(known.tests)?;
            return Ok(Base { commit: commit.clone(), tree, rules, report: known.evidence.report, tests });
        }
        let folder = self.workshop.folder()?;
        let dir = folder.sub("base")?;
        mirror.checkout(commit, &dir).await?;
        let subject = Subject { dir: &dir, commit, tree: &tree, base: commit, rules: &rules, spec: None };
        let tested = self.workshop.test(&subject, live, &self.run.cancelled).await?;
        // What the network keeps from being set up is tried again before a person is asked.
        if let Some(check) = tested.failed_check().filter(|check| check.name == "setup")
            && rules.steps.setup.as_ref().is_some_and(|step| step.network)
            && self.run.lease.budget.infra_failures < SET_UP_TRIES
        {
            return Err(Trouble::surroundings(format_args!("the set-up of the base branch failed:\n{}", check.tail)));
        }
        let report = fit(&tested).map_err(|why| self.red_base(commit, &why))?;
        if let Some(evidence) = &tested.evidence {
            let remembered = remembered(evidence.clone(), &tested.tests);
            store.remember_tested(self.project.id, &recipe, &remembered).await?;
        }
        Ok(Base { commit: commit.clone(), tree, rules, report, tests: tested.tests })
    }

    /// A set-up that fails on the base as well is not the change's fault: a registry is down, or the machine is not as it was.
    pub(crate) async fn blame_set_up(&self, mirror: &Mirror, base: &Base, tested: &Tested) -> Result<(), Trouble> {
        let Some(failed) = tested.failed_check().filter(|check| check.name == "setup") else { return Ok(()) };
        let folder = self.workshop.folder()?;
        let dir = folder.sub("base")?;
        mirror.checkout(&base.commit, &dir).await?;
        let subject = Subject {
            dir: &dir,
            commit: &base.commit,
            tree: &base.tree,
            base: &base.commit,
            rules: &base.rules,
            spec: None,
        };
        if self.workshop.set_up(&subject, &self.run.cancelled).await? {
            return Ok(());
        }
        Err(Trouble::surroundings(format_args!("the set-up fails on the base branch as well:\n{}", failed.tail)))
    }

    fn red_base(&self, commit: &CommitId, why: &str) -> Trouble {
        Trouble::person(format_args!(
            "The base branch {} is not green by itself, without the work on this story, so nothing can be judged on it (commit {}).\n{}\n\
             Mend the branch or the rules in .damascus.toml, then answer.",
            self.project.base_branch,
            commit.as_str().get(..12).unwrap_or_default(),
            display::many_lines(why, 4_000),
        ))
    }
}

/// Whether a base can be worked on, and what its tests report. A project without any test yet can: its report says so.
///
/// # Errors
/// Why it can't.
pub fn fit(tested: &Tested) -> Result<TestReport, String> {
    let report = tested.evidence.as_ref().map(|evidence| evidence.report);
    match (&tested.verdict, report) {
        (Verdict::Green, Some(report @ (TestReport::Counted(_) | TestReport::ExitCodeOnly))) => Ok(report),
        (Verdict::Red(_), Some(report @ TestReport::Counted(TestCounts { passed: 0, failed: 0, .. })))
            if tested.failed_check().is_some_and(|check| check.name == "test" && check.stopped.is_none()) =>
        {
            Ok(report)
        }
        (Verdict::Red(why) | Verdict::Suspicious(why), _) => Err(why.clone()),
        (Verdict::Green, _) => Err("its tests left no report that could be read".to_owned()),
    }
}

impl Workshop {
    /// The mirror of a project, brought up to date, outside any item.
    ///
    /// # Errors
    /// [`Trouble`] when the repository can't be reached.
    pub async fn mirror_of(&self, project: &Project) -> Result<Mirror, Trouble> {
        let project = ProjectRef {
            id: project.id,
            forge: project.forge,
            repo: project.repo.clone(),
            forge_repo_id: None,
            base_branch: project.base_branch.clone(),
        };
        self.mirror(&project).await
    }

    /// The rules of a project at a commit, or what is wrong with them.
    ///
    /// # Errors
    /// [`Trouble`] when the repository can't be read.
    pub async fn rules_at(&self, mirror: &Mirror, commit: &CommitId) -> Result<Result<ProjectRules, String>, Trouble> {
        rules_at(mirror, commit).await
    }

    /// Runs all checks on a commit, outside any item.
    ///
    /// # Errors
    /// [`Trouble`] when it can't be checked out or the sandbox fails.
    pub async fn test_commit(
        &self,
        mirror: &Mirror,
        commit: &CommitId,
        base: &CommitId,
        rules: &ProjectRules,
        spec: Option<&Spec>,
        cancelled: &CancellationToken,
    ) -> Result<Tested, Trouble> {
        let tree = mirror.tree_of(commit).await?;
        let folder = self.folder()?;
        let dir = folder.sub("tree")?;
        mirror.checkout(commit, &dir).await?;
        let subject = Subject { dir: &dir, commit, tree: &tree, base, rules, spec };
        self.test(&subject, None, cancelled).await
    }
}
