//! The local forge passes what every forge must, on real repositories and a real database.
#![expect(clippy::unwrap_used, reason = "what goes wrong in a test fails it")]

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use damascus_adapters::forge::LocalForge;
use damascus_core::{CommitId, ProjectId};
use damascus_engine::ports::forge::{Forge as _, ForgeError, MergeRequest, Merged, PullState, PullText, Repository};
use damascus_git::Git;
use damascus_store::project::{ForgeKind, NewProject};
use damascus_testkit::TestDb;
use damascus_testkit::forge_conformance::{BASE, ForgeFixture, run_all};

struct Fixture {
    db: TestDb,
    folder: tempfile::TempDir,
    count: AtomicU32,
}

impl Fixture {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { db: TestDb::new().await, folder, count: AtomicU32::new(0) }
    }

    async fn forge(&self) -> LocalForge {
        LocalForge::new(self.db.store().clone(), Git::find().await.unwrap(), self.folder.path().join("mirrors"))
    }

    /// A number that nothing else got.
    fn next(&self) -> u32 {
        self.count.fetch_add(1, Ordering::Relaxed)
    }
}

/// Runs git in a bare repository; gives what it says.
fn git(repository: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .arg("--git-dir")
        .arg(repository)
        .args(["-c", "user.name=Somebody", "-c", "user.email=somebody@localhost"])
        .args(arguments)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

fn commit(repository: &Path, parent: Option<&CommitId>, message: &str) -> CommitId {
    let tree = git(repository, &["hash-object", "-t", "tree", "-w", "/dev/null"]).unwrap();
    let parent = parent.map_or_else(Vec::new, |parent| vec!["-p", parent.as_str()]);
    let arguments = [vec!["commit-tree", &tree, "-m", message], parent].concat();
    git(repository, &arguments).unwrap().parse().unwrap()
}

fn update(repository: &Path, branch: &str, to: &CommitId) {
    git(repository, &["update-ref", &format!("refs/heads/{branch}"), to.as_str()]).unwrap();
}

#[async_trait]
impl ForgeFixture for Fixture {
    async fn repository(&self) -> Repository {
        let name = format!("p{}", self.next());
        let path = self.folder.path().join(format!("{name}.git"));
        git(&path, &["init", "--quiet", "--bare", "--initial-branch", BASE]).unwrap();
        let first = commit(&path, None, "the first");
        update(&path, BASE, &first);
        let path = path.to_str().unwrap().to_owned();
        let project = self.db.store().add_project(&NewProject::new(&name, ForgeKind::Local, &path)).await.unwrap();
        Repository { project, path, forge_id: None }
    }

    async fn unknown_repository(&self) -> Repository {
        let path = self.folder.path().join("nowhere.git").to_str().unwrap().to_owned();
        Repository { project: ProjectId(999_999), path, forge_id: None }
    }

    async fn push(&self, repository: &Repository, branch: &str, parent: &CommitId) -> CommitId {
        let path = Path::new(&repository.path);
        let made = commit(path, Some(parent), &format!("commit {}", self.next()));
        update(path, branch, &made);
        made
    }

    async fn tip(&self, repository: &Repository, branch: &str) -> Option<CommitId> {
        let name = format!("refs/heads/{branch}");
        git(Path::new(&repository.path), &["rev-parse", "--verify", "--quiet", &name]).map(|id| id.parse().unwrap())
    }

    async fn delete_branch(&self, repository: &Repository, branch: &str) {
        git(Path::new(&repository.path), &["update-ref", "-d", &format!("refs/heads/{branch}")]).unwrap();
    }

    async fn remove(&self, repository: &Repository) {
        std::fs::remove_dir_all(&repository.path).unwrap();
    }

    async fn comments(&self, repository: &Repository, number: u64) -> Vec<String> {
        let number = u32::try_from(number).unwrap();
        let comments = self.db.store().pull_comments(repository.project, number).await.unwrap();
        comments.into_iter().map(|comment| comment.body).collect()
    }
}

fn text() -> PullText {
    PullText { title: "A story".to_owned(), body: String::new() }
}

#[tokio::test]
async fn it_does_what_every_forge_must() {
    let fixture = Fixture::new().await;
    run_all(&fixture.forge().await, &fixture).await;
}

#[tokio::test]
async fn a_project_without_its_repository_is_named_by_its_path() {
    let fixture = Fixture::new().await;
    let forge = fixture.forge().await;
    let path = fixture.folder.path().join("gone.git").to_str().unwrap().to_owned();
    let new = NewProject::new("gone", ForgeKind::Local, &path);
    let project = fixture.db.store().add_project(&new).await.unwrap();
    let repository = Repository { project, path: path.clone(), forge_id: None };
    let opened = forge.find_or_open(&repository, "a", BASE, &text()).await;
    assert!(matches!(&opened, Err(ForgeError::NoRepository(said)) if said.contains(&path)), "{opened:?}");
    // The repository is there, the project is not.
    let repository = Repository { project: ProjectId(999), ..fixture.repository().await };
    let base = fixture.tip(&repository, BASE).await.unwrap();
    fixture.push(&repository, "a", &base).await;
    let opened = forge.find_or_open(&repository, "a", BASE, &text()).await;
    assert!(matches!(&opened, Err(ForgeError::NoRepository(said)) if said.contains("#999")), "{opened:?}");
}

#[tokio::test]
async fn a_hook_that_refuses_the_landing_is_told_and_changes_nothing() {
    let fixture = Fixture::new().await;
    let (forge, repository) = (fixture.forge().await, fixture.repository().await);
    let base = fixture.tip(&repository, BASE).await.unwrap();
    let head = fixture.push(&repository, "a", &base).await;
    let number = forge.find_or_open(&repository, "a", BASE, &text()).await.unwrap().number;
    let hooks = Path::new(&repository.path).join("hooks");
    std::fs::create_dir_all(&hooks).unwrap();
    std::fs::write(hooks.join("pre-receive"), "#!/bin/sh\necho 'the branch is frozen' >&2\nexit 1\n").unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(hooks.join("pre-receive"), executable).unwrap();
    let request =
        MergeRequest { number, expected_head: head.clone(), base_branch: BASE.to_owned(), expected_base: base.clone() };
    let merged = forge.merge(&repository, &request).await.unwrap();
    assert!(matches!(&merged, Merged::Refused(said) if said.contains("the branch is frozen")), "{merged:?}");
    assert_eq!(fixture.tip(&repository, BASE).await, Some(base));
    assert_eq!(forge.pull_request(&repository, number).await.unwrap().state, PullState::Open);
    std::fs::remove_file(hooks.join("pre-receive")).unwrap();
    assert_eq!(forge.merge(&repository, &request).await.unwrap(), Merged::Done);
    assert_eq!(fixture.tip(&repository, BASE).await, Some(head));
}

#[tokio::test]
async fn of_landings_at_once_one_lands_and_the_others_see_that_the_base_moved() {
    let fixture = Fixture::new().await;
    let (forge, repository) = (fixture.forge().await, fixture.repository().await);
    let base = fixture.tip(&repository, BASE).await.unwrap();
    let mut requests = Vec::new();
    for branch in ["a", "b", "c", "d"] {
        let expected_head = fixture.push(&repository, branch, &base).await;
        let number = forge.find_or_open(&repository, branch, BASE, &text()).await.unwrap().number;
        let (base_branch, expected_base) = (BASE.to_owned(), base.clone());
        requests.push(MergeRequest { number, expected_head, base_branch, expected_base });
    }
    let land = |n: usize| forge.merge(&repository, &requests[n]);
    let (a, b, c, d) = tokio::join!(land(0), land(1), land(2), land(3));
    let landed: Vec<usize> = [a, b, c, d]
        .into_iter()
        .enumerate()
        .filter_map(|(n, merged)| match merged {
            Ok(Merged::Done) => Some(n),
            Ok(Merged::BaseMoved) => None,
            // Two pushes at the very same moment: one may be told to try again.
            Err(error) if error.retryable() => None,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(landed.len(), 1);
    let landed = &requests[landed[0]];
    assert_eq!(fixture.tip(&repository, BASE).await.as_ref(), Some(&landed.expected_head));
    assert_eq!(forge.pull_request(&repository, landed.number).await.unwrap().state, PullState::Merged);
}
