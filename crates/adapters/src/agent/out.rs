//! The out folder: the prompt goes in, what the agent says of the spec comes out.
//!
//! Invariant: nothing in it is followed: a link, a pipe or a device that an agent leaves there is no answer.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;

use damascus_core::display::many_lines;
use damascus_engine::ports::agent::{AgentTask, PROMPT_FILE, SPEC_WRONG_FILE};
use rustix::fs::{FileType, Mode, OFlags, fstat, open, openat};

/// How much of the reason is read, in bytes.
const REASON_MAX_BYTES: u64 = 64 * 1024;
/// How much of it is kept, in characters.
const REASON_MAX_CHARS: usize = 4000;

/// Puts the prompt into the folder.
pub(crate) fn write_prompt(out: &Path, prompt: &str) -> std::io::Result<()> {
    let folder = open(out, OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(&folder, PROMPT_FILE, flags, Mode::from_raw_mode(0o644))?;
    File::from(file).write_all(prompt.as_bytes())
}

/// Why the agent says that the spec is wrong; none when it does not say so, or says nothing by it.
pub(crate) fn spec_wrong(out: &Path) -> Option<String> {
    let folder = open(out, OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()).ok()?;
    // A pipe that nobody writes to must not hold us up.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = openat(&folder, SPEC_WRONG_FILE, flags, Mode::empty()).ok()?;
    if FileType::from_raw_mode(fstat(&file).ok()?.st_mode) != FileType::RegularFile {
        return None;
    }
    let mut bytes = Vec::new();
    File::from(file).take(REASON_MAX_BYTES).read_to_end(&mut bytes).ok()?;
    let reason = many_lines(String::from_utf8_lossy(&bytes).trim(), REASON_MAX_CHARS);
    (!reason.trim().is_empty()).then_some(reason)
}

/// [`spec_wrong`] of a task, off the threads that must not wait for a disk.
pub(crate) async fn read_spec_wrong(task: &AgentTask) -> Option<String> {
    let out = task.out.clone();
    tokio::task::spawn_blocking(move || spec_wrong(&out)).await.ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_file_with_a_text_says_that_the_spec_is_wrong() {
        let out = tempfile::tempdir().expect("a folder");
        let file = out.path().join(SPEC_WRONG_FILE);
        assert_eq!(spec_wrong(out.path()), None);
        std::fs::write(&file, " \n\u{1b}").expect("our folder");
        assert_eq!(spec_wrong(out.path()), None);
        std::fs::write(&file, "Two rules \u{1b}[31mcontradict.\n").expect("our folder");
        assert_eq!(spec_wrong(out.path()).as_deref(), Some("Two rules [31mcontradict."));
        std::fs::write(&file, "x".repeat(1_000_000)).expect("our folder");
        assert_eq!(spec_wrong(out.path()).map(|reason| reason.chars().count()), Some(REASON_MAX_CHARS));
    }

    #[test]
    fn links_pipes_and_folders_are_no_answer() {
        let out = tempfile::tempdir().expect("a folder");
        let file = out.path().join(SPEC_WRONG_FILE);
        std::os::unix::fs::symlink("/etc/passwd", &file).expect("our folder");
        assert_eq!(spec_wrong(out.path()), None);
        std::fs::remove_file(&file).expect("our folder");
        rustix::fs::mkfifoat(rustix::fs::CWD, &file, Mode::from_raw_mode(0o600)).expect("our folder");
        assert_eq!(spec_wrong(out.path()), None);
        std::fs::remove_file(&file).expect("our folder");
        std::fs::create_dir(&file).expect("our folder");
        assert_eq!(spec_wrong(out.path()), None);
    }

    #[test]
    fn the_prompt_is_not_written_through_a_link() {
        let out = tempfile::tempdir().expect("a folder");
        write_prompt(out.path(), "first").expect("our folder");
        write_prompt(out.path(), "do").expect("our folder");
        assert_eq!(std::fs::read_to_string(out.path().join(PROMPT_FILE)).expect("a file"), "do");
        std::fs::remove_file(out.path().join(PROMPT_FILE)).expect("our folder");
        std::os::unix::fs::symlink(out.path().join("elsewhere"), out.path().join(PROMPT_FILE)).expect("our folder");
        assert!(write_prompt(out.path(), "do").is_err());
    }
}
