//! What the tests here share: an agent by a script, what was seen of an item, and what happens at an effect.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use damascus_adapters::agent::CommandAgent;
use damascus_core::{ItemId, MicroUsd};
use damascus_engine::ports::Effects;
use damascus_engine::ports::agent::Agent;
use damascus_sandbox::Sandbox;
use damascus_store::decision::Answer;
use damascus_store::item::{ItemDetail, Standing};
use damascus_testkit::LoopScene;
use damascus_testkit::loop_scene::Beginning;

/// How often a worker is let loose until an item comes to rest.
const ROUNDS: usize = 40;

/// An agent that makes what `story` asks for.
pub(crate) const DOES_IT: &str =
    "echo made > $DAMASCUS_STORY.txt; echo \"test -e $DAMASCUS_STORY.txt\" > tests/$DAMASCUS_STORY.sh";

/// An agent that runs a shell script in the tree.
pub(crate) fn script(text: &str) -> impl FnOnce(&Sandbox) -> Arc<dyn Agent> {
    let argv = vec!["sh".to_owned(), "-c".to_owned(), text.to_owned()];
    move |sandbox| Arc::new(CommandAgent::new(sandbox.clone(), argv))
}

/// The same, where the test listens to effects.
pub(crate) async fn heard(hooks: &Arc<Hooks>, agent: &str) -> LoopScene {
    scene(Beginning { effects: Arc::clone(hooks) as _, ..Beginning::default() }, agent).await
}

/// A scene whose agent makes what `story` asks for, and whose surroundings may fail three times.
pub(crate) async fn scene(beginning: Beginning, agent: &str) -> LoopScene {
    LoopScene::begin(few_failures(beginning), script(agent)).await
}

/// Parks an item at the third failure of the surroundings.
pub(crate) fn few_failures(mut beginning: Beginning) -> Beginning {
    beginning.project.max_infra_failures = 3;
    beginning
}

/// A story that asks for `<key>.txt` and a test of it.
pub(crate) async fn story(scene: &LoopScene, key: &str) -> ItemId {
    scene.story(key, &[&format!("{key}.txt")], &format!("tests/{key}.sh")).await
}

/// What is seen of an item at rest.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) phase: String,
    pub(crate) explained: String,
    /// `phase:verdict`, oldest first.
    pub(crate) verdicts: Vec<String>,
    /// What was told of each.
    pub(crate) told: Vec<String>,
    pub(crate) attempts: u16,
    pub(crate) infra_failures: u16,
    pub(crate) spent: MicroUsd,
    /// The open issues, oldest first.
    pub(crate) asked: Vec<String>,
}

impl Seen {
    /// All that is said of the item, for a message.
    #[track_caller]
    pub(crate) fn stands(&self, phase: &str, attempts: u16) {
        assert_eq!((self.phase.as_str(), self.attempts), (phase, attempts), "{self:#?}");
        if phase == "blocked" || phase == "awaiting_human" {
            assert_eq!(self.asked.len(), 1, "one issue: {self:#?}");
            assert!(self.explained.contains("issue"), "{}", self.explained);
        } else {
            assert_eq!(self.asked, [""; 0], "{self:#?}");
        }
    }

    #[track_caller]
    pub(crate) fn verdicts_are(&self, expected: &[&str]) {
        assert_eq!(self.verdicts, expected, "{self:#?}");
    }

    /// What a person is asked holds all of these.
    #[track_caller]
    pub(crate) fn asks(&self, parts: &[&str]) {
        holds_all(&self.asked.join("\n"), parts);
    }

    /// What the first run of this verdict told holds all of these.
    #[track_caller]
    pub(crate) fn tells(&self, verdict: &str, parts: &[&str]) {
        let at = self.verdicts.iter().position(|one| one == verdict);
        let at = at.unwrap_or_else(|| panic!("no {verdict}: {self:#?}"));
        holds_all(&self.told[at], parts);
    }
}

#[track_caller]
pub(crate) fn holds_all(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "\"{part}\" is not in:\n{text}");
    }
}

pub(crate) async fn seen(scene: &LoopScene, item: ItemId) -> Seen {
    let ItemDetail { item, open_issues, runs, cost, .. } = scene.store().item(item).await.expect("the item is there");
    let name = |run: &damascus_store::item::RunView| {
        let verdict = run.verdict.map_or_else(|| run.ended.clone(), |verdict| verdict.to_string());
        format!("{}:{verdict}", run.phase)
    };
    Seen {
        phase: item.phase.to_string(),
        explained: item.standing.explain(),
        verdicts: runs.iter().rev().map(name).collect(),
        told: runs.iter().rev().map(|run| run.detail.clone().unwrap_or_default()).collect(),
        attempts: item.attempts_used,
        infra_failures: item.infra_failures,
        spent: cost.spent_microusd,
        asked: open_issues.into_iter().map(|issue| issue.question).collect(),
    }
}

/// Works until the item has ended or needs a person, backoffs included, and says what is seen of it.
pub(crate) async fn settle(scene: &LoopScene, item: ItemId) -> Seen {
    for _ in 0..ROUNDS {
        scene.run_until_idle(2).await;
        let standing = scene.store().standing(item).await.expect("the item is there");
        if standing.is_end() || standing.needs_a_person() || matches!(standing, Standing::LaneClosed { .. }) {
            return seen(scene, item).await;
        }
    }
    panic!("it comes to no rest: {:#?}", seen(scene, item).await);
}

/// Answers the one open issue of an item.
pub(crate) async fn answer(scene: &LoopScene, item: ItemId, text: &str) {
    let detail = scene.store().item(item).await.expect("the item is there");
    let [issue] = detail.open_issues.as_slice() else { panic!("one issue: {:?}", detail.open_issues) };
    scene.store().answer(issue.id, &Answer::new(text, "a person")).await.expect("the answer is taken");
}

/// What the project's base branch holds: its tip, and how many commits back to the first.
pub(crate) async fn commits_on_main(scene: &LoopScene) -> usize {
    let mirror = scene.look().await;
    let tip = mirror.tip("main").await.expect("a look").expect("main is there");
    mirror.log(None, &tip, 100).await.expect("a history").len()
}

type Act = Box<dyn FnOnce() + Send>;

/// Does something when an effect comes by, such as `before land`; each once, in the order in which they were set. Counts effects besides.
#[derive(Default)]
pub(crate) struct Hooks {
    acts: Mutex<Vec<(String, Act)>>,
    came_by: Mutex<HashMap<String, usize>>,
}

impl Hooks {
    pub(crate) fn on(&self, at: &str, act: impl FnOnce() + Send + 'static) {
        self.acts.lock().expect("no panic").push((at.to_owned(), Box::new(act)));
    }

    /// How often it came by.
    pub(crate) fn count(&self, at: &str) -> usize {
        self.came_by.lock().expect("no panic").get(at).copied().unwrap_or_default()
    }

    fn fire(&self, at: &str) {
        *self.came_by.lock().expect("no panic").entry(at.to_owned()).or_default() += 1;
        let mut acts = self.acts.lock().expect("no panic");
        let next = acts.iter().position(|(name, _)| name == at).map(|n| acts.remove(n));
        drop(acts);
        if let Some((_, act)) = next {
            act();
        }
    }
}

impl Effects for Hooks {
    fn before(&self, name: &'static str) {
        self.fire(&format!("before {name}"));
    }

    fn after(&self, name: &'static str) {
        self.fire(&format!("after {name}"));
    }
}
