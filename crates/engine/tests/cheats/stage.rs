//! Many cheats on one project: each is a story of its own, for which the agent runs a script of its own.
//!
//! Invariant: a cheat is refused only if its verdict, its reason, its end in a person's hands and the untouched base branch all hold.

use std::fmt::Write as _;
use std::sync::Arc;

use damascus_adapters::agent::CommandAgent;
use damascus_core::{IssueKind, ItemId};
use damascus_engine::ports::agent::Agent;
use damascus_sandbox::Sandbox;
use damascus_testkit::LoopScene;
use damascus_testkit::loop_scene::Beginning;

/// An honest change with an honest test, for cheats that come on top of it.
pub(crate) const HONEST: &str = "echo two > two.txt; echo 'test -e two.txt' > tests/two.sh\n";
/// How many stories are worked on at once.
const AT_ONCE: usize = 2;

/// A story whose agent cheats.
pub(crate) struct Cheat {
    /// The story's key.
    pub(crate) key: &'static str,
    /// What the spec lets it change.
    pub(crate) allow: &'static [&'static str],
    /// The test that the spec asks for.
    pub(crate) test: &'static str,
    /// What the agent does, as a shell script in the tree.
    pub(crate) does: String,
    /// How its last run ends, as `phase:verdict`.
    pub(crate) ends: &'static str,
    /// What must be told of it, so that an agent can mend it.
    pub(crate) tells: &'static [&'static str],
}

/// An honest change with something on top, refused when it is built.
pub(crate) fn smuggles(key: &'static str, does: &str, tells: &'static [&'static str]) -> Cheat {
    Cheat {
        key,
        allow: &["two.txt"],
        test: "tests/two.sh",
        does: format!("{HONEST}{does}"),
        ends: "build:policy_violation",
        tells,
    }
}

impl Cheat {
    /// With other files that the spec lets it change.
    pub(crate) fn allowed(self, allow: &'static [&'static str]) -> Self {
        Self { allow, ..self }
    }
}

/// A beginning whose stories have one attempt each.
pub(crate) fn one_attempt() -> Beginning {
    let mut beginning = Beginning::default();
    beginning.project.max_attempts = 1;
    beginning
}

/// An agent that runs this script in the tree.
pub(crate) fn script(text: &str) -> impl FnOnce(&Sandbox) -> Arc<dyn Agent> + use<> {
    let argv = vec!["sh".to_owned(), "-c".to_owned(), text.to_owned()];
    move |sandbox| Arc::new(CommandAgent::new(sandbox.clone(), argv))
}

/// Lets each cheat do its worst, and sees that it is refused.
pub(crate) async fn all_refused(beginning: Beginning, cheats: &[Cheat]) -> LoopScene {
    let mut text = "case \"$DAMASCUS_STORY\" in\n".to_owned();
    for cheat in cheats {
        writeln!(text, "{})\n{}\n;;", cheat.key, cheat.does).expect("a string takes all");
    }
    text.push_str("*) exit 9 ;;\nesac\n");
    let scene = LoopScene::begin(beginning, script(&text)).await;
    let mut items = Vec::new();
    for cheat in cheats {
        items.push(scene.story(cheat.key, cheat.allow, cheat.test).await);
    }
    scene.run_until_idle(AT_ONCE).await;
    let mut wrong = Vec::new();
    for (cheat, item) in cheats.iter().zip(items) {
        if let Some(problem) = refused(&scene, cheat, item).await {
            wrong.push(format!("{}: {problem}", cheat.key));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    nothing_landed(&scene).await;
    scene
}

/// What is wrong with how a cheat came out, if anything.
async fn refused(scene: &LoopScene, cheat: &Cheat, item: ItemId) -> Option<String> {
    let verdicts = scene.verdicts(item).await;
    let (last, told) = verdicts.last().expect("a story that was worked on has runs");
    if last != cheat.ends {
        return Some(format!("expected {}: {verdicts:#?}", cheat.ends));
    }
    if let Some(missing) = cheat.tells.iter().find(|part| !told.contains(**part)) {
        return Some(format!("nothing of {missing:?} in: {told}"));
    }
    let problem = in_a_persons_hands(scene, item).await;
    problem.map(|problem| format!("{problem}: {verdicts:#?}"))
}

/// What is wrong with an item that should be blocked with a person's issue open.
pub(crate) async fn in_a_persons_hands(scene: &LoopScene, item: ItemId) -> Option<String> {
    let detail = scene.store().item(item).await.expect("the item is there");
    let phase = detail.item.phase.to_string();
    let kinds: Vec<IssueKind> = detail.open_issues.iter().map(|issue| issue.kind).collect();
    let right = phase == "blocked" && kinds == [IssueKind::Blocked] && detail.landing.is_none();
    (!right).then(|| format!("it is {phase} with the open issues {kinds:?}, landing {:?}", detail.landing))
}

/// The base branch is where it was.
pub(crate) async fn nothing_landed(scene: &LoopScene) {
    let tip = scene.look().await.tip("main").await.expect("the repository answers");
    assert_eq!(tip.as_ref(), Some(&scene.first), "something landed on the base branch");
}

/// The names of a scene's verdicts of an item, in order.
pub(crate) async fn names(scene: &LoopScene, item: ItemId) -> Vec<String> {
    scene.verdicts(item).await.into_iter().map(|(name, _)| name).collect()
}
