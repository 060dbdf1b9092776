//! Toolchains of the host work inside.

use std::{fs, os::unix::fs::PermissionsExt};

use damascus_sandbox::{Exit, Options, Sandbox};

use crate::scene::{folder, run, sandbox, script, script_in};

#[tokio::test(flavor = "multi_thread")]
async fn cargo_tests_a_crate_offline() {
    let work = folder();
    let text = "cargo init -q --lib --vcs none --name demo . && cargo test --offline 2>&1";
    let (ended, said) = run(&sandbox().await, &script_in(work.path(), text)).await;
    assert_eq!(ended.exit, Exit::Code(0), "{said}");
    assert!(said.contains("test result: ok. 1 passed"), "{said}");
    assert!(work.path().join("target/debug").is_dir());
}

#[tokio::test]
async fn interpreters_of_the_callers_path_work() {
    let text = "for tool in python3 node; do if command -v $tool >/dev/null; then $tool --version || echo broken; fi; done; git --version";
    let (ended, said) = run(&sandbox().await, &script(text)).await;
    assert!(ended.exit == Exit::Code(0) && !said.contains("broken"), "{said}");
}

#[tokio::test]
async fn a_directory_that_the_operator_names_is_visible_and_comes_first() {
    let tools = folder();
    let bin = tools.path().join("bin");
    fs::create_dir(&bin).unwrap();
    fs::write(bin.join("git"), "#!/bin/sh\necho the operators\n").unwrap();
    fs::set_permissions(bin.join("git"), fs::Permissions::from_mode(0o755)).unwrap();
    let options = Options { toolchains: vec![tools.path().to_owned()], ..Options::default() };
    let sandbox = Sandbox::detect(&options).await.unwrap();
    let (_, said) = run(&sandbox, &script(&format!("git; touch {}/x || echo read-only", tools.path().display()))).await;
    assert!(said.starts_with("the operators\n") && said.ends_with("read-only\n"), "{said}");
}
