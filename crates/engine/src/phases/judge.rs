//! The diff policy on a change of a mirror.
//!
//! Invariant: what is judged are the commits themselves, never a folder.

use damascus_checks::diff::{self, ChangedFile, Content, PolicyInput, Violation};
use damascus_checks::project::ProjectRules;
use damascus_core::{CommitId, Failure, Spec};
use damascus_git::{Change, ChangeKind, GitError, Mirror};

use super::Trouble;

/// How large a file may be to be looked into, in bytes.
const CONTENT_MAX_BYTES: u64 = 2 << 20;
/// How long judging a change may take.
const JUDGE_WAIT: std::time::Duration = std::time::Duration::from_secs(120);
/// How many violations are told of.
const TOLD_MAX: usize = 25;

/// What a change does that it must not.
pub(crate) async fn judge(
    mirror: &Mirror,
    base: &CommitId,
    head: &CommitId,
    rules: &ProjectRules,
    spec: &Spec,
) -> Result<Vec<Violation>, Trouble> {
    let too_large = |error| match error {
        GitError::TooMuch { .. } => Trouble::Fail(
            Failure::PolicyViolation,
            "The change is too large to be judged: change fewer and smaller files.".to_owned(),
        ),
        other => other.into(),
    };
    let changes = mirror.changes(base, head).await.map_err(too_large)?;
    let files = contents(mirror, changes).await.map_err(too_large)?;
    let base_paths = mirror.list(base).await?.into_iter().map(|entry| entry.path).collect();
    let (rules, spec) = (rules.clone(), spec.clone());
    // Sources can be written so that reading them takes long: that is no reason to stand still, nor to pass them.
    let judging = tokio::task::spawn_blocking(move || {
        diff::judge(&PolicyInput { rules: &rules, spec: &spec, base_paths: &base_paths, changes: &files })
    });
    match tokio::time::timeout(JUDGE_WAIT, judging).await {
        Ok(Ok(violations)) => Ok(violations),
        Ok(Err(_)) => Err(Trouble::surroundings("the diff policy broke off")),
        Err(_) => Err(Trouble::Fail(
            Failure::PolicyViolation,
            format!(
                "The change could not be judged within {} s: make its files smaller or plainer.",
                JUDGE_WAIT.as_secs()
            ),
        )),
    }
}

async fn contents(mirror: &Mirror, changes: Vec<Change>) -> Result<Vec<ChangedFile>, GitError> {
    let is_file = |mode: u32| mode & 0o170_000 != 0o160_000;
    let mut ids = Vec::new();
    for change in &changes {
        ids.extend(change.old_blob.clone().filter(|_| is_file(change.old_mode)));
        ids.extend(change.new_blob.clone().filter(|_| is_file(change.new_mode)));
    }
    let mut blobs = mirror.blobs(&ids, CONTENT_MAX_BYTES).await?.into_iter();
    let mut next = |there: bool| {
        there.then(|| blobs.next().flatten().map_or(Content::TooLarge(CONTENT_MAX_BYTES), Content::Bytes))
    };
    Ok(changes
        .into_iter()
        .map(|change| ChangedFile {
            old: next(change.old_blob.is_some() && is_file(change.old_mode)),
            new: next(change.new_blob.is_some() && is_file(change.new_mode)),
            path: change.path,
            kind: match change.kind {
                ChangeKind::Added => diff::Kind::Added,
                ChangeKind::Modified => diff::Kind::Modified,
                ChangeKind::Deleted => diff::Kind::Deleted,
                ChangeKind::TypeChanged => diff::Kind::TypeChanged,
            },
            old_mode: change.old_mode,
            new_mode: change.new_mode,
        })
        .collect())
}

/// Violations as a list for an agent.
pub(crate) fn listed(violations: &[Violation]) -> String {
    let mut text = String::new();
    for violation in violations.iter().take(TOLD_MAX) {
        text.push_str(&format!("- {violation}\n"));
    }
    if violations.len() > TOLD_MAX {
        text.push_str(&format!("- and {} more\n", violations.len() - TOLD_MAX));
    }
    text
}
