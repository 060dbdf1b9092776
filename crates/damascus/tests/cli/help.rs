//! Help, completions, and the user guide against the program.

use crate::program::Program;

/// The commands that the overview lists.
fn commands(program: &Program) -> Vec<String> {
    let overview = program.run(&[]).ok();
    overview
        .lines()
        .filter_map(|line| line.strip_prefix("  "))
        .filter_map(|line| line.split_once("  "))
        .map(|(name, _)| name.trim().to_owned())
        .collect()
}

/// The subcommands that a command's help lists.
fn subcommands(help: &str) -> Vec<String> {
    let Some((_, list)) = help.split_once("Commands:\n") else { return Vec::new() };
    list.lines()
        .take_while(|line| line.starts_with("  "))
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_overview_lists_the_commands_by_what_they_are_for() {
    let program = Program::alone();
    let alone = program.run(&[]).ok();
    insta::assert_snapshot!("overview", alone);
    assert_eq!(program.run(&["--help"]).ok(), alone);
    assert_eq!(program.run(&["-h"]).ok(), alone);
}

#[test]
fn every_command_is_explained_with_an_example() {
    let program = Program::alone();
    let commands = commands(&program);
    assert!(commands.len() > 10, "{commands:?}");
    // What measures a machine says enough by its flags.
    for command in commands.into_iter().filter(|command| command != "bench") {
        let help = program.run(&[&command, "--help"]).ok();
        let has_example = |help: &str| help.contains("Examples:\n  damascus ");
        let below: Vec<String> =
            subcommands(&help).iter().map(|one| program.run(&[&command, one, "--help"]).ok()).collect();
        assert!(has_example(&help) || below.iter().any(|help| has_example(help)), "{command}: {help}");
    }
}

#[test]
fn the_user_guide_names_every_command_and_exit_code() {
    let program = Program::alone();
    let guide = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/cli.md")).unwrap();
    for command in commands(&program) {
        assert!(guide.contains(&format!("damascus {command}")), "docs/cli.md does not tell of `damascus {command}`");
        for subcommand in subcommands(&program.run(&[&command, "--help"]).ok()) {
            let both = format!("damascus {command} {subcommand}");
            assert!(guide.contains(&both), "docs/cli.md does not tell of `{both}`");
        }
    }
    for code in [0, 1, 2, 3, 4, 5, 8, 130] {
        assert!(guide.contains(&format!("\n| {code} | ")), "docs/cli.md does not tell of exit code {code}");
    }
}

#[test]
fn wrong_usage_ends_with_2_and_is_json_when_asked() {
    let program = Program::alone();
    let wrong = program.run(&["frobnicate"]);
    assert_eq!((wrong.code, wrong.stdout.as_str()), (2, ""));
    assert!(wrong.stderr.starts_with("error: unrecognized subcommand 'frobnicate'"), "{}", wrong.stderr);

    let wrong = program.run(&["cost", "--by", "colour", "--json"]);
    assert_eq!((wrong.code, wrong.stdout.as_str()), (2, ""));
    let error: serde_json::Value = serde_json::from_str(&wrong.stderr).unwrap();
    assert_eq!(error["error"]["code"], "usage");
    assert!(error["error"]["next"].as_str().unwrap().contains("--help"));
}

#[test]
fn completions_are_printed_for_every_shell() {
    let program = Program::alone();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = program.run(&["completions", shell]).ok();
        assert!(script.contains("damascus") && script.contains("doctor"), "{shell}");
    }
}
