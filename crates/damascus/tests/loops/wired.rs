//! The whole loop by the program with a real configuration: a gateway over HTTP, an agent that is a program, a repository of one's own.

use damascus_testkit::scripted_model::{Chat, Reply, ScriptedModel};
use damascus_testkit::{TestDb, loop_scene};
use serde_json::{Value, json};

use super::{damascus, open_folder, output};

const KEY: &str = "sk-not-to-be-shown";

/// A call that must end with 0 and print JSON.
fn json_of(command: &mut assert_cmd::Command) -> Value {
    let (code, told, errors) = output(command);
    assert_eq!(code, 0, "{told}\n{errors}");
    serde_json::from_str(&told).expect("JSON")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_story_lands_by_a_gateway_and_a_program_as_configured() {
    let db = TestDb::new().await;
    let gateway = ScriptedModel::start(KEY).await;
    let spec = loop_scene::spec(&["two.txt"], "tests/two.sh");
    gateway.answer(Reply::from(Chat::says(&spec.to_string()).costing("0.0125")));
    let folder = open_folder();
    let repository = folder.path().join("repository.git");
    let source = folder.path().join("source");
    for (path, text) in [
        (".damascus.toml", loop_scene::RULES),
        ("run-tests.sh", loop_scene::RUNNER),
        ("tests/base.sh", "true\n"),
        (
            "story.md",
            "# Two\n\nThere are two.\n\n## Acceptance Criteria\n\n1. Given one, when two is added, then there are two.\n",
        ),
    ] {
        let file = source.join(path);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        std::fs::write(file, text).expect("a file");
    }
    let git = damascus_git::Git::find().await.expect("git is installed");
    loop_scene::commit_all(&git, &source, &repository).await;
    let url = gateway.url();
    let call = |arguments: &[&str]| {
        let mut command = damascus(folder.path(), arguments);
        command.env("DATABASE_URL", db.url()).env("DAMASCUS_GATEWAY_URL", &url).env("DAMASCUS_GATEWAY_KEY", KEY);
        command.env("DAMASCUS_GATEWAY_MODEL", "writer").env("DAMASCUS_AGENT", "command");
        command.env(
            "DAMASCUS_AGENT_COMMAND",
            "sh -c 'cat {prompt_file} | head -1; echo two > two.txt; echo test -e two.txt > tests/two.sh'",
        );
        command
    };
    let blocking = tokio::task::block_in_place(|| {
        let repository = repository.to_str().expect("a path in text").to_owned();
        let story = source.join("story.md").to_str().expect("a path in text").to_owned();
        json_of(&mut call(&["project", "add", "shop", "--repo", &repository, "--json"]));
        let proven = json_of(&mut call(&["project", "prove", "shop", "--json"]));
        assert_eq!(proven["proven"], true, "{proven}");
        json_of(&mut call(&["item", "create", "--project", "shop", &story, "--json"]));
        let (code, told, errors) = output(&mut call(&["cycle", "--until-idle"]));
        assert_eq!(code, 0, "{told}\n{errors}");
        let item = json_of(&mut call(&["item", "show", "1", "--json"]));
        assert_eq!(item["phase"], "merged", "{item:#}");
        assert_eq!(item["cost"]["spent_microusd"], 12_500, "{}", item["cost"]);
        let cost = json_of(&mut call(&["cost", "--by", "model", "--json"]));
        assert_eq!(cost["total"]["spent_microusd"], 12_500, "{cost}");
        let (code, audit, _) = output(&mut call(&["verify", "--retest"]));
        assert!(code == 0 && audit.contains("1 landing, 1 as proven") && audit.contains("1 tested again"), "{audit}");
        let (_, log, _) = output(&mut call(&["item", "log", "1"]));
        assert!(log.contains("the base branch was read back"), "{log}");
        let doctor = output(&mut call(&["doctor", "--json"])).1;
        assert!(doctor.contains("\"sandbox\"") && doctor.contains("command: "), "{doctor}");
        [item.to_string(), cost.to_string(), log, doctor, errors, told].concat()
    });
    assert!(!blocking.contains(KEY), "the key was shown");
    assert_eq!(gateway.problems(), Vec::<String>::new());
    let asked = gateway.asked();
    let prompt = asked.iter().map(|one| json!(one.body).to_string()).collect::<String>();
    assert!(prompt.contains("given one, when two is added") || prompt.contains("when two is added"), "{prompt}");
}
