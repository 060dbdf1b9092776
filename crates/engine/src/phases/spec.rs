//! The spec phase: a model refines the story into a spec.
//!
//! Invariants: nothing is asked of a model before the repository, its rules and its base branch are known to be fit; an answer is a spec only
//! if it fits the schema and has no fault; what the story leaves open is asked of a person, and every answer is in the next prompt.

use std::sync::Arc;

use async_trait::async_trait;
use damascus_checks::project::{FILE, ProjectRules};
use damascus_core::spec::{Source, SpecFault, answer_schema};
use damascus_core::{CommitId, CostEntry, Digest, Failure, Outcome, Proof, Question, RunReport, Spec, display};
use damascus_git::{Entry, Mirror};
use globset::{GlobBuilder, GlobSetBuilder};

use super::Trouble;
use super::base::Base;
use super::log::Recorder;
use super::prompt::{self, Facts, FileShown, Kind};
use super::scene::Scene;
use super::workshop::Workshop;
use crate::ports::model::{ModelError, ModelRequest};
use crate::{PhaseHandler, RunContext};

/// How many paths of the repository are shown, and how many files with their text.
const MAP_MAX: usize = 1_500;
const FILES_MAX: usize = 12;
/// How large a file that is shown may be, in bytes.
const FILE_MAX_BYTES: u64 = 24 << 10;
/// How the question about missing criteria is known again.
const NO_CRITERIA: &str = "has no acceptance criteria";
/// The most tokens of an answer.
const ANSWER_MAX_TOKENS: u32 = 16_000;

/// Runs the spec phase.
#[derive(Debug)]
pub struct SpecPhase(Arc<Workshop>);

impl SpecPhase {
    /// A handler with these tools.
    #[must_use]
    pub fn new(workshop: Arc<Workshop>) -> Self {
        Self(workshop)
    }
}

#[async_trait]
impl PhaseHandler for SpecPhase {
    async fn run(&self, context: RunContext) -> RunReport {
        let lease = context.lease.clone();
        let recorder = Recorder::start(self.0.parts.store.clone(), lease.clone());
        let mut costs = Vec::new();
        let outcome = Box::pin(refine(&self.0, context, &recorder, &mut costs)).await;
        recorder.finish(lease.run).await;
        match outcome {
            Ok(proof) => RunReport { outcome: Outcome::Pass(proof), costs },
            Err(trouble) => trouble.report(costs),
        }
    }
}

async fn refine(
    workshop: &Arc<Workshop>,
    run: RunContext,
    recorder: &Recorder,
    costs: &mut Vec<CostEntry>,
) -> Result<Proof, Trouble> {
    let scene = Scene::read(workshop, run).await?;
    let mirror = scene.reach().await?;
    let tip = scene.base_tip(&mirror).await?;
    scene.has_criteria()?;
    recorder.say("checking that the base branch is green");
    let base = scene.base(&mirror, &tip, Some(&recorder.live())).await?;

    let entries = mirror.list(&tip).await?;
    let (facts, sources) = scene.spec_facts(&mirror, &base, &entries).await?;
    let user = scene.prompt(Kind::Spec, &mirror, &tip, &facts).await?;
    scene.keep_text("prompt", &user, false).await;
    recorder.say(&format!("asking {} for a spec", workshop.parts.model.describe()));
    let request = ModelRequest {
        model: base.rules.spec_model.clone(),
        system: prompt::system(),
        user,
        schema_name: "spec",
        schema: answer_schema(),
        max_tokens: ANSWER_MAX_TOKENS,
        tag: (scene.work.key.clone(), scene.work.specs_asked),
    };
    let asked = tokio::select! {
        asked = workshop.effect("model", workshop.parts.model.ask(&request)) => asked,
        () = scene.run.cancelled.cancelled() => return Err(Trouble::surroundings("the run was told to stop")),
    };
    let answer = asked.map_err(|error| refused(error, costs))?;
    costs.push(answer.cost);
    scene.keep_text("answer", &answer.text, false).await;
    let mut spec = read_answer(&answer.text, &base)?;
    let questions = spec.blocking_questions();
    if !questions.is_empty() {
        return Err(Trouble::Ask(questions));
    }
    spec.sources = sources;
    scene.still_ours()?;
    let stored = workshop.effect("spec", workshop.parts.store.add_spec(&scene.run.lease, &spec)).await?;
    recorder.say(&format!("spec version {} accepted: {}", stored.version, display::one_line(&spec.goal, 300)));
    Ok(Proof::Spec { version: stored.version, sha256: stored.sha256 })
}

/// What a failed call means for the item; what it cost is noted.
fn refused(error: ModelError, costs: &mut Vec<CostEntry>) -> Trouble {
    match error {
        ModelError::RateLimited { reopen_after_ms, detail } => Trouble::RateLimited { reopen_after_ms, detail },
        ModelError::Unusable { problem, cost } => {
            costs.push(*cost);
            Trouble::Fail(Failure::SpecInvalid, format!("The model's answer can't be used: {problem}"))
        }
        other @ (ModelError::Refused(_) | ModelError::NotConfigured) => Trouble::person(format_args!(
            "{other}\nPut it right (`damascus doctor` looks at the gateway) and start Damascus again, then answer."
        )),
        other @ ModelError::Unavailable(_) => Trouble::surroundings(other),
    }
}

/// Reads and checks an answer.
fn read_answer(text: &str, base: &Base) -> Result<Spec, Trouble> {
    let invalid =
        |problem: String| Trouble::Fail(Failure::SpecInvalid, format!("The answer is no acceptable spec:\n{problem}"));
    // Some models wrap their JSON in a fence although they were asked not to.
    let bare = text.trim();
    let bare = bare.strip_prefix("```json").or_else(|| bare.strip_prefix("```")).unwrap_or(bare);
    let bare = bare.strip_suffix("```").unwrap_or(bare);
    let mut spec: Spec = serde_json::from_str(bare).map_err(|error| {
        invalid(format!("it does not fit the schema: {}", display::one_line(&error.to_string(), 300)))
    })?;
    spec.sources.clear();
    let mut faults = spec.faults(&base.rules.waive_fail_on_base);
    faults.extend(outside_scope(&spec, &base.rules).map_err(invalid)?);
    let blocking = spec.ambiguities.iter().any(|one| one.blocking);
    // A spec with a blocking question is not whole yet; its questions come first.
    if faults.is_empty() || blocking {
        return Ok(spec);
    }
    let listed: Vec<String> = faults.iter().take(20).map(|fault| format!("- {fault}")).collect();
    Err(invalid(listed.join("\n")))
}

/// Files that the project lets no story change: a spec that needs them could never be built.
fn outside_scope(spec: &Spec, rules: &ProjectRules) -> Result<Vec<SpecFault>, String> {
    let mut globs = GlobSetBuilder::new();
    for glob in &rules.scope {
        globs.add(GlobBuilder::new(glob).literal_separator(true).build().map_err(|error| error.to_string())?);
    }
    let scope = globs.build().map_err(|error| error.to_string())?;
    let own = |path: &str| path == FILE || path.starts_with(".damascus/");
    let named = [
        ("files.create", &spec.files.create),
        ("tests.new_files", &spec.tests.new_files),
        ("files.allow", &spec.files.allow),
    ];
    let mut faults = Vec::new();
    for (place, paths) in named {
        for (index, path) in paths.iter().enumerate() {
            let literal = !path.contains(['*', '?', '[', '{']);
            if own(path) || (literal && !rules.scope.is_empty() && !scope.is_match(path)) {
                let shown = display::one_line(path, 100);
                let problem = if own(path) {
                    format!("\"{shown}\" is one of the project's own rules, which no story may change")
                } else {
                    let allowed = rules.scope.join(", ");
                    format!("\"{shown}\" lies outside of what stories of this project may change: {allowed}")
                };
                faults.push(SpecFault { place: format!("{place}[{index}]"), problem });
            }
        }
    }
    Ok(faults)
}

impl Scene {
    /// The mirror; a repository that is not there is for a person.
    async fn reach(&self) -> Result<Mirror, Trouble> {
        match self.workshop.mirror_unfetched(&self.project).await {
            Ok(mirror) => match mirror.fetch().await {
                Ok(()) => Ok(mirror),
                Err(error) if error.retryable() => Err(error.into()),
                Err(error) => Err(self.unreachable(&super::trouble::chain(&error))),
            },
            Err(other) => Err(other),
        }
    }

    fn unreachable(&self, text: &str) -> Trouble {
        Trouble::person(format_args!(
            "The repository {} of project {} can't be used: {text}\nPut it right, then answer.",
            self.project.repo, self.work.project_name
        ))
    }

    /// A story without criteria can't be judged; a person says what they are.
    fn has_criteria(&self) -> Result<(), Trouble> {
        // An answer to another question, such as where the repository is, says nothing of them.
        let answered = self.work.answers.iter().any(|one| one.question.contains(NO_CRITERIA));
        if !self.work.acceptance.is_empty() || answered {
            return Ok(());
        }
        let title = display::one_line(&self.work.title, 200);
        Err(Trouble::Ask(vec![Question {
            text: format!(
                "The story \"{title}\" {NO_CRITERIA}, so nobody could tell when it is done. Answer with them, one a line."
            ),
            options: Vec::new(),
            default: None,
        }]))
    }

    async fn spec_facts(
        &self,
        mirror: &Mirror,
        base: &Base,
        entries: &[Entry],
    ) -> Result<(Facts, Vec<Source>), Trouble> {
        let mut map: Vec<String> =
            entries.iter().take(MAP_MAX).map(|entry| display::one_line(&entry.path, 300)).collect();
        if entries.len() > MAP_MAX {
            map.push(format!("… and {} more", entries.len() - MAP_MAX));
        }
        let mut files = Vec::new();
        let mut sources = Vec::new();
        let chosen = self.files_that_matter(entries);
        let ids: Vec<CommitId> = chosen.iter().map(|entry| entry.blob.clone()).collect();
        for (entry, bytes) in chosen.iter().zip(mirror.blobs(&ids, FILE_MAX_BYTES).await?) {
            let Some(text) = bytes.and_then(|bytes| String::from_utf8(bytes).ok()) else { continue };
            sources.push(Source { path: entry.path.clone(), sha256: Digest::of(text.as_bytes()) });
            files.push(FileShown { path: entry.path.clone(), text: display::many_lines(&text, 24 << 10) });
        }
        let facts = Facts {
            map,
            files,
            scope: base.rules.scope.clone(),
            forbidden: base.rules.protected.clone(),
            test_command: base.rules.test.step.command.join(" "),
            ..self.facts()
        };
        Ok((facts, sources))
    }

    /// What the story names, then what describes the project, then the sources themselves, small ones first.
    fn files_that_matter<'a>(&self, entries: &'a [Entry]) -> Vec<&'a Entry> {
        let story = format!("{}\n{}\n{}", self.work.title, self.work.body, self.work.acceptance.join("\n"));
        let name = |entry: &Entry| entry.path.rsplit('/').next().unwrap_or_default().to_owned();
        let weight = |entry: &Entry| {
            let name = name(entry);
            let stem = name.split('.').next().unwrap_or_default().to_owned();
            match () {
                () if story.contains(&entry.path) => 0,
                () if name.contains('.') && story.contains(&name) => 1,
                () if matches!(
                    name.as_str(),
                    "README.md" | "package.json" | "Cargo.toml" | "pyproject.toml" | "go.mod"
                ) =>
                {
                    2
                }
                () if stem.len() > 3 && story.to_lowercase().contains(&stem.to_lowercase()) => 3,
                () if entry.path.starts_with("src/")
                    || entry.path.starts_with("test")
                    || entry.path.starts_with("lib/") =>
                {
                    4
                }
                () => 9,
            }
        };
        let mut ranked: Vec<(u8, u64, &Entry)> = entries
            .iter()
            .filter(|entry| entry.mode & 0o170_000 == 0o100_000 && entry.size <= FILE_MAX_BYTES)
            .map(|entry| (weight(entry), entry.size, entry))
            .filter(|(weight, ..)| *weight < 9)
            .collect();
        ranked.sort_by(|a, b| (a.0, a.1, &a.2.path).cmp(&(b.0, b.1, &b.2.path)));
        ranked.into_iter().take(FILES_MAX).map(|(.., entry)| entry).collect()
    }
}
