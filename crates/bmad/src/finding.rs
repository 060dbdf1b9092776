//! What a scan has to say about what it saw.
//!
//! Invariant: whatever was looked at and not taken has a finding; a finding's code decides its severity and its hint,
//! so that the same thing always reads the same. Codes are stable: they appear in reports that programs read.

use serde::Serialize;

use crate::text;

/// A place in the repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct SourceRef {
    /// Path relative to the root of the scan, with `/`, control characters removed.
    pub path: String,
    /// 1-based line; `None` speaks of the file or folder as a whole.
    pub line: Option<u32>,
}

impl SourceRef {
    /// A file or folder as a whole.
    pub fn file(path: &str) -> Self {
        Self { path: text::clean_line(path).0, line: None }
    }

    /// A line of a file.
    pub fn line(path: &str, line: u32) -> Self {
        Self { line: Some(line), ..Self::file(path) }
    }
}

impl std::fmt::Display for SourceRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}", self.path),
            None => f.write_str(&self.path),
        }
    }
}

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Worth knowing; nothing is missing.
    Note,
    /// Taken, but read in a way that a person should confirm.
    Warning,
    /// Left out on purpose.
    Skipped,
    /// Left out because it is broken or refused; somebody has to mend it.
    Error,
}

/// One thing a scan has to say. Serialised as `{severity, code, message, source: {path, line}, hint}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// What kind of thing it is.
    pub code: Code,
    /// What was seen, in words.
    pub message: String,
    /// Where.
    pub source: SourceRef,
    /// What to do about it.
    pub hint: &'static str,
}

impl Finding {
    /// A finding whose severity and hint follow from its code.
    pub(crate) fn new(code: Code, source: SourceRef, message: impl Into<String>) -> Self {
        let (severity, hint) = code.meaning();
        Self { severity, code, message: message.into(), source, hint }
    }
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal, $severity:ident, $hint:literal;)+) => {
        /// What kind of thing a finding tells; stable, kebab-case in reports.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        pub enum Code {
            $($(#[doc = $doc])+ #[serde(rename = $text)] $name,)+
        }

        impl Code {
            /// Every code there is.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The stable name, as reports show it.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            fn meaning(self) -> (Severity, &'static str) {
                match self { $(Self::$name => (Severity::$severity, $hint),)+ }
            }
        }
    };
}

codes! {
    /// Another layout is there too and was not read.
    LayoutNotUsed = "layout-not-used", Note, "Name the layout to read if this is the one that is in use.";
    /// A heading appears again.
    RepeatedHeading = "repeated-heading", Note, "Nothing to do; the fullest section was taken.";
    /// A heading mentions an epic or a story and follows no known form.
    UnparsedHeading = "unparsed-heading", Warning, "Write `## Epic N: Title` or `### Story N.M: Title` if it is meant to be one.";
    /// A heading was read although it departs from the form.
    NonstandardHeading = "nonstandard-heading", Warning, "Write `### Story N.M: Title`, so that upstream's tools read it too.";
    /// A struck-out or deleted epic or story.
    Withdrawn = "withdrawn", Skipped, "Remove the strike-through or the marker if it is to be built.";
    /// A story marked as a candidate.
    Candidate = "candidate", Skipped, "Remove the marker from the heading when it is decided.";
    /// Two stories carry one number.
    DuplicateNumber = "duplicate-number", Warning, "Give each story its own number; dependencies cannot name these.";
    /// A title changed after its key was tracked.
    RenamedStory = "renamed-story", Warning, "Run sprint planning again, or check that both are the same story.";
    /// A status outside the vocabulary.
    UnknownStatus = "unknown-status", Skipped, "Use backlog, ready-for-dev, in-progress, review or done; then import again.";
    /// A status in a story file that could not be read, where another place gives one.
    UnreadStatus = "unread-status", Warning, "Correct the status in the file; the tracked one was taken.";
    /// A story file without a status, where one is due.
    MissingStatus = "missing-status", Warning, "Add a status; until then it counts as not started.";
    /// Two places give different statuses.
    StatusConflict = "status-conflict", Warning, "The further one was taken; correct the other.";
    /// A status word of an earlier version.
    LegacyStatus = "legacy-status", Note, "Nothing to do; it was read by its present meaning.";
    /// A key outside the grammar.
    UnrecognizedKey = "unrecognized-key", Skipped, "Use `N-M-slug`, or put a story file of that very name beside the others.";
    /// A key outside the grammar, taken because a story file carries its name.
    OddKey = "odd-key", Warning, "Use `N-M-slug`, so that the story's number and order are known.";
    /// A key that could be a path or holds control characters.
    UnsafeKey = "unsafe-key", Skipped, "Keys hold letters, digits, `-`, `_` and `.` only.";
    /// Two keys are the same, or differ only in case.
    KeyCollision = "key-collision", Error, "Rename one of them.";
    /// A YAML mapping names a key twice.
    DuplicateKey = "duplicate-key", Warning, "Keep one; the furthest status was taken.";
    /// A tracking file without the map of statuses.
    NoStatuses = "no-statuses", Error, "Run sprint planning, which writes `development_status`; until then all stories count as not started.";
    /// A status without a story: no heading, no file.
    StatusWithoutStory = "status-without-story", Skipped, "Restore its heading or its file, or remove the entry.";
    /// A story file that nothing tracks.
    UntrackedStoryFile = "untracked-story-file", Note, "Run sprint planning, so that its status is tracked.";
    /// A second file for one story.
    DuplicateStoryFile = "duplicate-story-file", Skipped, "Keep one file for each story.";
    /// Several files where upstream allows one.
    AmbiguousStoryFile = "ambiguous-story-file", Error, "Keep one `<id>-*.md` for each story.";
    /// A story file whose entry is gone.
    OrphanStoryFile = "orphan-story-file", Skipped, "Remove it, or restore its entry in stories.yaml.";
    /// A file marked as superseded.
    SupersededFile = "superseded-file", Skipped, "Nothing to do.";
    /// A file among the stories that is none.
    NotAStory = "not-a-story", Skipped, "Nothing to do, unless it is meant to be a story: then name it `N-M-slug.md`.";
    /// A second set of epics that was not read.
    SecondEpicSource = "second-epic-source", Skipped, "Keep `epics.md` or the folder `epics/`, not both.";
    /// An entry of stories.yaml that lacks what it must have.
    InvalidEntry = "invalid-entry", Error, "Give each entry a quoted id of letters, digits and dashes, a title and a description.";
    /// An id that YAML reads as a number.
    UnquotedId = "unquoted-id", Warning, "Quote it: `id: \"1\"`.";
    /// One id begins with another and a dash.
    IdNotPrefixFree = "id-not-prefix-free", Error, "Choose ids of which none is another one plus `-…`.";
    /// A status in stories.yaml, which has none.
    StatusFieldIgnored = "status-field-ignored", Warning, "Remove it; the status lives in the story's own file.";
    /// A field that nothing reads.
    UnknownField = "unknown-field", Note, "Nothing to do, unless it is misspelt.";
    /// A stories.yaml without its SPEC.md.
    StoriesWithoutSpec = "stories-without-spec", Error, "Put the SPEC.md back beside it.";
    /// A specification without stories.
    SpecWithoutStories = "spec-without-stories", Note, "Break the specification into stories when it is ready.";
    /// YAML that does not parse, read line by line.
    YamlReadByLine = "yaml-read-by-line", Warning, "Mend the YAML; values that hold `{…}` need quotes.";
    /// YAML that does not parse.
    YamlUnparseable = "yaml-unparseable", Error, "Mend the YAML at that line; values that hold `{…}` need quotes.";
    /// YAML too large once expanded, or too deep.
    YamlTooComplex = "yaml-too-complex", Error, "Write it without aliases and deep nesting.";
    /// TOML that does not parse.
    TomlUnparseable = "toml-unparseable", Error, "Mend the TOML at that line; until then the next configuration or the defaults are used.";
    /// A configured path that cannot be used.
    ConfigPathRefused = "config-path-refused", Error, "Configure a folder inside the repository.";
    /// A value of another kind than expected.
    UnexpectedValue = "unexpected-value", Warning, "Mend the value; it was passed over.";
    /// A file that is not UTF-8.
    NotUtf8 = "not-utf8", Error, "Save it as UTF-8.";
    /// A file above its bound.
    TooLarge = "too-large", Error, "Split the file, or take what does not belong there out of it.";
    /// The scan read as much text as it may.
    TooMuchText = "too-much-text", Error, "Scan a smaller folder; what comes after this file was not read.";
    /// A link out of the repository.
    LeavesRepository = "leaves-repository", Error, "Put the file itself inside the repository.";
    /// Links that go in a circle.
    SymlinkLoop = "symlink-loop", Error, "Remove one of the links.";
    /// Neither a file nor a folder.
    NotRegular = "not-regular", Error, "Remove it; only regular files are read.";
    /// The system refused.
    Unreadable = "unreadable", Error, "Check its permissions.";
    /// A name that cannot be shown.
    UnsafeName = "unsafe-name", Skipped, "Rename it with letters, digits, `-`, `_` and `.`.";
    /// Folders nested too deeply.
    TooDeep = "too-deep", Error, "Move the stories up; deeper folders were not read.";
    /// More files than a scan looks at.
    TooManyFiles = "too-many-files", Error, "Point the configuration at the folder of stories alone.";
    /// More stories than a scan returns.
    TooManyStories = "too-many-stories", Error, "Import in parts; the rest were left out.";
    /// More dependencies than a scan returns.
    TooManyDependencies = "too-many-dependencies", Error, "Name fewer; the rest were left out.";
    /// More findings than are kept.
    TooManyFindings = "too-many-findings", Error, "Mend what is listed and scan again.";
    /// Control characters or escapes were removed.
    ControlCharacters = "control-characters", Warning, "Look at the file with `cat -v`; hidden text may be meant to deceive.";
    /// A title was cut.
    TitleTruncated = "title-truncated", Warning, "Shorten the title.";
    /// A list was cut.
    ListTruncated = "list-truncated", Warning, "Split the story.";
    /// A code fence that never ends.
    UnclosedFence = "unclosed-fence", Warning, "Close the fence; everything after it counts as code.";
    /// A comment that never ends.
    UnclosedComment = "unclosed-comment", Warning, "Close the comment; everything after it counts as comment.";
    /// A dependency on a story that was not taken.
    UnknownDependency = "unknown-dependency", Warning, "Correct the reference, or import the story it names first.";
    /// A dependency that fits several stories.
    AmbiguousDependency = "ambiguous-dependency", Warning, "Name the story by its key.";
    /// A story that depends on itself.
    SelfDependency = "self-dependency", Warning, "Remove it.";
    /// Stories that wait for each other.
    DependencyCycle = "dependency-cycle", Error, "Remove one of these dependencies; none of them was taken.";
    /// A line about dependencies that names no story.
    DependencyText = "dependency-text", Note, "Name stories as `Story N.M` if they are to be waited for.";
    /// The order of the list and a declared dependency disagree.
    OrderContradicted = "order-contradicted", Note, "Put the stories in the order in which they can be built.";
}
