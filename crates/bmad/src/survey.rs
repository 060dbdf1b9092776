//! One scan under way: the root, the bounds, and what has been said and read so far.
//!
//! Invariant: every refusal becomes a finding, exactly once; text handed out is UTF-8, clean and bounded; findings and
//! files come out sorted, so that a scan does not depend on the order in which a file system lists things.

use std::collections::BTreeSet;

use crate::finding::{Code, Finding, SourceRef};
use crate::limits::Limits;
use crate::model::{FileRole, TakenFile};
use crate::root::{Kind, Refused, Root};
use crate::text;
use crate::yaml::{self, Node, YamlError};

/// Folders that hold no stories and may hold a great many files.
const PASSED_OVER: [&str; 3] = ["node_modules", "target", "vendor"];

/// A scan under way.
#[derive(Debug)]
pub(crate) struct Survey<'a> {
    pub(crate) root: Root,
    pub(crate) limits: &'a Limits,
    findings: BTreeSet<(SourceRef, Code, String)>,
    findings_dropped: usize,
    files: BTreeSet<TakenFile>,
    entries_seen: usize,
    bytes_read: u64,
    text_exhausted: bool,
}

/// How a YAML file was read.
#[derive(Debug)]
pub(crate) enum ReadYaml {
    /// As YAML; `None` if it says nothing.
    Tree(Option<Node>),
    /// It does not parse: the text, for reading line by line, and what was wrong.
    Broken { text: String, line: u32, message: String },
}

impl<'a> Survey<'a> {
    pub(crate) fn new(root: Root, limits: &'a Limits) -> Self {
        Self {
            root,
            limits,
            findings: BTreeSet::new(),
            findings_dropped: 0,
            files: BTreeSet::new(),
            entries_seen: 0,
            bytes_read: 0,
            text_exhausted: false,
        }
    }

    /// Adds a finding; what is foreign in `message` has been quoted by the caller.
    pub(crate) fn find(&mut self, code: Code, source: SourceRef, message: impl Into<String>) {
        if self.findings.len() < self.limits.max_findings {
            self.findings.insert((source, code, message.into()));
        } else {
            self.findings_dropped += 1;
        }
    }

    /// Ends the scan: sorted findings and files.
    pub(crate) fn finish(self) -> (Vec<Finding>, Vec<TakenFile>) {
        let mut findings: Vec<_> =
            self.findings.into_iter().map(|(source, code, message)| Finding::new(code, source, message)).collect();
        if self.findings_dropped > 0 {
            let message = format!("{} more findings are not shown", self.findings_dropped);
            findings.push(Finding::new(Code::TooManyFindings, SourceRef::file("."), message));
        }
        (findings, self.files.into_iter().collect())
    }

    /// Whether a file was read for its content already.
    pub(crate) fn is_taken(&self, path: &str) -> bool {
        let first = TakenFile { path: path.to_owned(), role: FileRole::Config };
        self.files.range(first..).next().is_some_and(|file| file.path == path)
    }

    /// Whether there is a file or folder; refusals other than its absence are reported.
    pub(crate) fn kind(&mut self, path: &str) -> Option<Kind> {
        match self.root.kind(path) {
            Ok(kind) => Some(kind),
            Err(refused) => {
                self.refuse(path, &refused, 0);
                None
            }
        }
    }

    /// Whether there is a folder.
    pub(crate) fn is_folder(&mut self, path: &str) -> bool {
        self.kind(path) == Some(Kind::Folder)
    }

    /// Whether there is something that is meant to be a file. A device or FIFO counts: reading it reports why it is
    /// refused.
    pub(crate) fn is_file(&mut self, path: &str) -> bool {
        matches!(self.kind(path), Some(Kind::File | Kind::Other))
    }

    /// Reads a text: UTF-8 without byte-order mark, `\n` line ends, no control characters.
    pub(crate) fn text(&mut self, path: &str, role: FileRole, max_bytes: u64) -> Option<String> {
        let bytes = match self.root.read(path, max_bytes) {
            Ok(bytes) => bytes,
            Err(refused) => {
                self.refuse(path, &refused, max_bytes);
                return None;
            }
        };
        self.bytes_read = self.bytes_read.saturating_add(bytes.len() as u64);
        if self.bytes_read > self.limits.max_total_bytes {
            if !std::mem::replace(&mut self.text_exhausted, true) {
                let message = format!("more than {} bytes of text in one scan", self.limits.max_total_bytes);
                self.find(Code::TooMuchText, SourceRef::file(path), message);
            }
            return None;
        }
        let raw = match std::str::from_utf8(&bytes) {
            Ok(raw) => raw.strip_prefix('\u{feff}').unwrap_or(raw),
            Err(error) => {
                self.find_not_utf8(path, &bytes, error.valid_up_to());
                return None;
            }
        };
        let cleaned = text::clean_body(raw);
        if let Some(line) = cleaned.first_removed {
            let message = "control characters, terminal escapes or invisible characters were removed";
            self.find(Code::ControlCharacters, SourceRef::line(path, line), message);
        }
        self.take(path, role);
        Some(cleaned.text)
    }

    /// Records that a file belongs to the result.
    pub(crate) fn take(&mut self, path: &str, role: FileRole) {
        self.files.insert(TakenFile { path: text::clean_line(path).0, role });
    }

    /// Reads a YAML file. What is too complex is reported here; what does not parse is left to the caller to report,
    /// once it knows whether it can do without.
    pub(crate) fn yaml(&mut self, path: &str, role: FileRole) -> Option<ReadYaml> {
        let text = self.text(path, role, self.limits.max_yaml_bytes)?;
        match yaml::parse(&text, self.limits) {
            Ok(node) => Some(ReadYaml::Tree(node)),
            Err(YamlError::Syntax { line, message }) => Some(ReadYaml::Broken { text, line, message }),
            Err(YamlError::TooComplex { line, message }) => {
                self.find(Code::YamlTooComplex, SourceRef::line(path, line), message);
                None
            }
        }
    }

    /// A one-line text from outside, cleaned and cut to the bound of titles, with findings.
    pub(crate) fn title(&mut self, raw: &str, source: &SourceRef) -> String {
        let (mut title, removed) = text::clean_line(raw);
        if removed {
            let message = format!("control characters were removed from the title {}", text::quote(raw));
            self.find(Code::ControlCharacters, source.clone(), message);
        }
        if text::truncate_chars(&mut title, self.limits.max_title_chars) {
            let message =
                format!("the title {} has more than {} characters", text::quote(raw), self.limits.max_title_chars);
            self.find(Code::TitleTruncated, source.clone(), message);
        }
        title
    }

    /// The names in a folder, sorted. Names that cannot be shown are reported and left out.
    pub(crate) fn names(&mut self, folder: &str) -> Vec<String> {
        self.list(folder).map(|(names, _)| names).unwrap_or_default()
    }

    fn list(&mut self, folder: &str) -> Option<(Vec<String>, crate::root::FolderId)> {
        let left = self.limits.max_files.saturating_sub(self.entries_seen);
        let (entries, id) = match self.root.list(folder, left) {
            Ok(listed) => listed,
            Err(refused) => {
                self.refuse(folder, &refused, 0);
                return None;
            }
        };
        self.entries_seen += entries.len();
        let mut names = Vec::with_capacity(entries.len());
        for entry in entries {
            match entry.name {
                Some(name) if !name.chars().any(text::is_unsafe) => names.push(name),
                Some(name) => {
                    let message = format!("the name {} holds control or invisible characters", text::quote(&name));
                    self.find(Code::UnsafeName, SourceRef::file(&join(folder, &name)), message);
                }
                None => self.find(Code::UnsafeName, SourceRef::file(folder), "a name in this folder is not UTF-8"),
            }
        }
        Some((names, id))
    }

    /// All files below a folder, nearest first, then by path. Hidden folders and folders of dependencies are passed
    /// over.
    pub(crate) fn walk(&mut self, folder: &str) -> Vec<String> {
        let mut files = Vec::new();
        let mut seen = BTreeSet::new();
        let mut level = vec![folder.to_owned()];
        for depth in 0..=self.limits.max_depth {
            let mut next = Vec::new();
            for folder in &level {
                let Some((names, id)) = self.list(folder) else { continue };
                if !seen.insert(id) {
                    continue;
                }
                for name in names {
                    self.sort_entry(folder, &name, &mut files, &mut next);
                }
            }
            if next.is_empty() {
                return files;
            }
            if depth == self.limits.max_depth {
                let message = format!("more than {} folders deep", self.limits.max_depth);
                self.find(Code::TooDeep, SourceRef::file(&next.swap_remove(0)), message);
            }
            level = next;
        }
        files
    }

    fn sort_entry(&mut self, folder: &str, name: &str, files: &mut Vec<String>, folders: &mut Vec<String>) {
        let path = join(folder, name);
        match self.root.kind(&path) {
            Ok(Kind::Folder) if name.starts_with('.') || PASSED_OVER.contains(&name) => {}
            Ok(Kind::Folder) => folders.push(path),
            Ok(Kind::File | Kind::Other) => files.push(path),
            Err(Refused::Missing) => self.find(Code::Unreadable, SourceRef::file(&path), "a link that leads nowhere"),
            Err(refused) => self.refuse(&path, &refused, 0),
        }
    }

    fn refuse(&mut self, path: &str, refused: &Refused, max_bytes: u64) {
        let (code, message) = match refused {
            Refused::Missing | Refused::NotDirectory => return,
            Refused::Leaves => (Code::LeavesRepository, "leads out of the repository; not read".to_owned()),
            Refused::Loop => (Code::SymlinkLoop, "links that go in a circle".to_owned()),
            Refused::NotRegular => (Code::NotRegular, "not a regular file; not read".to_owned()),
            Refused::TooLarge { size } => {
                (Code::TooLarge, format!("{size} bytes, more than the {max_bytes} allowed; not read"))
            }
            Refused::TooMany => (
                Code::TooManyFiles,
                format!("more than {} entries in one scan; this folder was not read", self.limits.max_files),
            ),
            Refused::Io(error) => (Code::Unreadable, format!("cannot be read: {error}")),
        };
        self.find(code, SourceRef::file(path), message);
    }

    fn find_not_utf8(&mut self, path: &str, bytes: &[u8], valid_up_to: usize) {
        let before = bytes.get(..valid_up_to).unwrap_or_default();
        let lines = before.iter().filter(|byte| **byte == b'\n').count();
        let line = u32::try_from(lines).unwrap_or(u32::MAX).saturating_add(1);
        let message = if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
            "UTF-16, not UTF-8; not read"
        } else {
            "a byte that is not UTF-8; the file was not read"
        };
        self.find(Code::NotUtf8, SourceRef::line(path, line), message);
    }
}

/// Joins two relative paths.
pub(crate) fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() || folder == "." { name.to_owned() } else { format!("{folder}/{name}") }
}

/// The last name of a path.
pub(crate) fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
