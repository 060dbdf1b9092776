//! Whether the checks left the files alone by which they judge.
//!
//! Invariant: a pass rests on the files of the commit as they were committed; a test that replaces another test, or the code, while the checks
//! run, proves nothing. What the base's own checks alter too is the project's way.

use std::path::Path;

use damascus_checks::diff::{Protection, is_lock_file, is_test_file};
use damascus_core::{CommitId, Failure, Spec};
use damascus_git::Mirror;

use super::Trouble;
use super::base::Base;
use super::log::Recorder;
use super::scene::Scene;
use super::testing::Subject;

/// How many paths are told of.
const PATHS_MAX: usize = 10;

impl Scene {
    /// Refuses a run of the checks on `head` in `dir` that altered files of the commit.
    pub(crate) async fn left_alone(
        &self,
        mirror: &Mirror,
        spec: &Spec,
        base: &Base,
        head: &CommitId,
        dir: &Path,
        recorder: &Recorder,
    ) -> Result<(), Trouble> {
        let altered = altered(mirror, head, dir).await?;
        if altered.is_empty() {
            return Ok(());
        }
        recorder.say("the checks altered files of the project; looking whether those of the base do so too");
        let folder = self.workshop.folder()?;
        let usual_dir = folder.sub("usual")?;
        mirror.checkout(&base.commit, &usual_dir).await?;
        let subject = Subject {
            dir: &usual_dir,
            commit: &base.commit,
            tree: &base.tree,
            base: &base.commit,
            rules: &base.rules,
            spec: None,
        };
        self.workshop.test(&subject, Some(&recorder.live()), &self.run.cancelled).await?;
        let usual = self::altered(mirror, &base.commit, &usual_dir).await?;
        let own: Vec<String> = altered.into_iter().filter(|path| !usual.contains(path)).collect();
        if own.is_empty() {
            return Ok(());
        }
        let protection = Protection::new(&base.rules, spec);
        let tampering = own.iter().any(|path| is_test_file(path) || protection.covers(path));
        let failure = if tampering { Failure::TamperSuspected } else { Failure::TestsFailed };
        let more = own.len().saturating_sub(PATHS_MAX);
        let more = if more > 0 { format!("\n- and {more} more") } else { String::new() };
        let shown = own.into_iter().take(PATHS_MAX).collect::<Vec<_>>().join("\n- ");
        Err(Trouble::Fail(
            failure,
            format!(
                "The checks altered files of the change while they ran, which those of the base do not, so their result proves nothing:\n\
                 - {shown}{more}\nA test must leave the project's files as they are; let it write into a temporary folder."
            ),
        ))
    }
}

/// The altered files; lock files are brought up to date by the tools themselves.
async fn altered(mirror: &Mirror, commit: &CommitId, dir: &Path) -> Result<Vec<String>, Trouble> {
    let mut altered = mirror.altered(commit, dir).await?;
    altered.retain(|path| !is_lock_file(path));
    Ok(altered)
}
