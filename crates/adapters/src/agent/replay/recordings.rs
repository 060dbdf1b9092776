//! What was recorded, by story and round.
//!
//! Invariant: every path was checked when it was loaded, so what is here can be played.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use damascus_core::display::one_line;

/// Files of all recordings together.
const FILES_MAX: usize = 20_000;
/// Bytes of all recordings together.
const BYTES_MAX: usize = 256 * 1024 * 1024;
/// A path in a message is cut here, in characters.
const SHOWN_MAX_CHARS: usize = 120;
/// Stories that a message names.
const NAMED_MAX: usize = 12;

/// Recorded answers, of agents and of models.
#[derive(Debug, Clone, Default)]
pub struct Recordings {
    stories: BTreeMap<String, Story>,
}

#[derive(Debug, Clone, Default)]
struct Story {
    builds: BTreeMap<u32, Build>,
    specs: BTreeMap<u32, Spec>,
}

/// One recorded run of an agent.
#[derive(Debug, Clone, Default)]
pub(super) struct Build {
    /// By path in the tree.
    pub(super) files: BTreeMap<PathBuf, Vec<u8>>,
    /// Paths in the tree.
    pub(super) delete: Vec<PathBuf>,
    pub(super) transcript: String,
    /// The TOML of its outcome, as it is.
    pub(super) outcome: String,
}

/// One recorded answer of a model.
#[derive(Debug, Clone, Default)]
pub(super) struct Spec {
    pub(super) answer: Option<String>,
    /// The TOML of its cost, as it is.
    pub(super) cost: String,
}

/// Why recordings can't be loaded.
#[derive(Debug, thiserror::Error)]
pub enum RecordingsError {
    /// A file or folder can't be read.
    #[error("can't read the recordings at {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file has a place or a content that a recording has not.
    #[error("the recording {path} {problem}; the format is described in the module `agent::replay`")]
    Format {
        /// Which, safe to show.
        path: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl Recordings {
    /// Loads a folder.
    ///
    /// # Errors
    /// A file that can't be read, has no place in the format, is a link, or is too much.
    pub fn from_folder(folder: &Path) -> Result<Self, RecordingsError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            |source| RecordingsError::Read { path, source }
        };
        let mut files = Vec::new();
        let mut folders = vec![folder.to_owned()];
        let mut bytes = 0;
        while let Some(next) = folders.pop() {
            for entry in std::fs::read_dir(&next).map_err(failed(&next))? {
                let path = entry.map_err(failed(&next))?.path();
                let metadata = std::fs::symlink_metadata(&path).map_err(failed(&path))?;
                let inside = path.strip_prefix(folder).unwrap_or(&path).to_owned();
                if metadata.is_dir() {
                    folders.push(path);
                    continue;
                }
                if !metadata.is_file() {
                    return Err(wrong(&inside, "is neither a file nor a folder"));
                }
                bytes += usize::try_from(metadata.len()).unwrap_or(usize::MAX);
                if bytes > BYTES_MAX || files.len() >= FILES_MAX {
                    return Err(wrong(&inside, "makes the recordings too large"));
                }
                files.push((inside, std::fs::read(&path).map_err(failed(&path))?));
            }
        }
        Self::from_files(files)
    }

    /// Takes files that are in memory, by their paths within the folder.
    ///
    /// # Errors
    /// A path that has no place in the format, or too much.
    pub fn from_files(
        files: impl IntoIterator<Item = (impl Into<PathBuf>, impl Into<Vec<u8>>)>,
    ) -> Result<Self, RecordingsError> {
        let mut recordings = Self::default();
        let (mut count, mut bytes) = (0, 0);
        for (path, content) in files {
            let (path, content) = (path.into(), content.into());
            count += 1;
            bytes += content.len();
            if count > FILES_MAX || bytes > BYTES_MAX {
                return Err(wrong(&path, "makes the recordings too large"));
            }
            recordings.put(&path, content)?;
        }
        Ok(recordings)
    }

    fn put(&mut self, path: &Path, content: Vec<u8>) -> Result<(), RecordingsError> {
        let parts = parts(path).ok_or_else(|| wrong(path, "leaves its folder, or has a name that is no text"))?;
        let text = |content: Vec<u8>| String::from_utf8(content).map_err(|_| wrong(path, "is no UTF-8 text"));
        // Beside the stories there is room for a README.
        let [story, rest @ ..] = &parts[..] else { return Ok(()) };
        if rest.is_empty() {
            return Ok(());
        }
        let story = self.stories.entry((*story).to_owned()).or_default();
        let place = || wrong(path, "has no place in the format");
        if let [file] = rest {
            let (name, kind) = file.rsplit_once('.').ok_or_else(place)?;
            let spec = story.specs.entry(round(name, "spec-").ok_or_else(place)?).or_default();
            match kind {
                "json" => spec.answer = Some(text(content)?),
                "toml" => spec.cost = text(content)?,
                _ => return Err(place()),
            }
            return Ok(());
        }
        let build = story.builds.entry(round(rest[0], "build-").ok_or_else(place)?).or_default();
        match &rest[1..] {
            ["files", inside @ ..] if !inside.is_empty() => {
                build.files.insert(inside.iter().collect(), content);
            }
            ["delete"] => build.delete = deletions(path, &text(content)?)?,
            ["transcript.txt"] => build.transcript = text(content)?,
            ["outcome.toml"] => build.outcome = text(content)?,
            _ => return Err(place()),
        }
        Ok(())
    }

    /// How many stories are recorded.
    #[must_use]
    pub fn len(&self) -> usize {
        self.stories.len()
    }

    /// Whether nothing is recorded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.stories.is_empty()
    }

    /// The recording of a build for this round, and the round that it was recorded for.
    pub(super) fn build(&self, story: &str, round: u32) -> Option<(u32, &Build)> {
        let (recorded, build) = self.stories.get(story)?.builds.range(..=round).next_back()?;
        Some((*recorded, build))
    }

    /// The recorded answer of a model for this round.
    pub(super) fn spec(&self, story: &str, round: u32) -> Option<&Spec> {
        let answered = self.stories.get(story)?.specs.range(..=round).rev();
        answered.map(|(_, spec)| spec).find(|spec| spec.answer.is_some())
    }

    /// Says that something was not recorded, and what was.
    pub(super) fn nothing(&self, what: &str, story: &str) -> String {
        let mut known: Vec<String> =
            self.stories.keys().take(NAMED_MAX).map(|key| one_line(key, SHOWN_MAX_CHARS)).collect();
        if self.stories.len() > NAMED_MAX {
            known.push("…".to_owned());
        }
        let known =
            if known.is_empty() { "nothing is recorded".to_owned() } else { format!("recorded: {}", known.join(", ")) };
        format!("there is no recording of {what} for the story {}; {known}", one_line(story, SHOWN_MAX_CHARS))
    }
}

fn wrong(path: &Path, problem: &'static str) -> RecordingsError {
    RecordingsError::Format { path: one_line(&path.to_string_lossy(), SHOWN_MAX_CHARS), problem }
}

/// The names of a path that stays where it is; none for one that does not.
fn parts(path: &Path) -> Option<Vec<&str>> {
    path.components()
        .map(|part| match part {
            Component::Normal(name) => name.to_str(),
            _ => None,
        })
        .collect()
}

fn round(name: &str, prefix: &str) -> Option<u32> {
    let digits = name.strip_prefix(prefix)?;
    // One way to write each number.
    digits.parse().ok().filter(|round: &u32| round.to_string() == digits)
}

fn deletions(path: &Path, text: &str) -> Result<Vec<PathBuf>, RecordingsError> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines
        .map(|line| match parts(Path::new(line)) {
            Some(names) if !names.is_empty() => Ok(names.iter().collect()),
            _ => Err(wrong(path, "names a path outside the tree")),
        })
        .collect()
}
