//! JUnit XML in a file, as pytest, nextest, surefire, vitest, jest-junit, node and others write it.
//!
//! Invariant: what is counted are the cases; every total that a suite claims must agree with them. No document type, no entities but the
//! five of XML, no second root.

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};

use super::tally::Tally;
use super::text::{contradiction, count, decode, malformed, quote};
use super::{Output, TestOutcome, Tests, Unreadable};

const MISSING: Unreadable = Unreadable::Missing {
    expected: "a JUnit XML file",
    advice: "let the test command write one (pytest --junitxml=…, nextest's junit.path, …) and name its path in the project's rules",
};

/// The deepest nesting of elements.
const MAX_DEPTH: usize = 64;

/// The most text of a failure that is kept, in bytes. More is read and left out.
const MAX_TEXT_BYTES: usize = 64 * 1024;

/// The elements that make a case fail, and those that tell of an earlier attempt alone.
const FAILURES: [&str; 2] = ["failure", "error"];

/// The comments with which node's reporter ends its file. A test with subtests is an element testsuite there, and counted as a test.
const SAID: [&str; 5] = ["tests", "suites", "pass", "skipped", "todo"];

/// A test case.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) outcome: TestOutcome,
    error: bool,
    /// What its failure says.
    pub(super) text: String,
}

/// A suite, or the root around suites, with what it claims and what it has.
#[derive(Default)]
struct Suite {
    name: String,
    file: String,
    claims: Claims,
    has: Counts,
    /// Its own children alone: one runner counts these.
    children: Counts,
}

#[derive(Debug, Default, Clone, Copy)]
struct Claims {
    tests: Option<u32>,
    failures: Option<u32>,
    errors: Option<u32>,
    skipped: Option<u32>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Counts {
    tests: u32,
    failures: u32,
    errors: u32,
    skipped: u32,
}

enum Open {
    Suite(Suite),
    Case(Case),
    /// Inside a case's failure, whose text is kept.
    Failure,
    Other,
}

#[derive(Default)]
struct Document {
    open: Vec<Open>,
    cases: Vec<Case>,
    roots: u32,
    /// How many elements testsuite there are.
    suites: u32,
    /// What node's reporter says in comments at its end, see [`SAID`].
    said: [Option<u32>; SAID.len()],
}

pub(super) fn read(output: &Output<'_>) -> Result<Tests, Unreadable> {
    let mut document = Document::default();
    parse(output, &mut document)?;
    let mut tally = Tally::of_free_names();
    for case in &document.cases {
        match (tally.outcome(&case.name), case.outcome) {
            // A test that fails and then fails to clean up has two cases with some runners; it counts as one that failed.
            (Some(_), TestOutcome::Failed) | (Some(TestOutcome::Failed), _) => tally.fail(&case.name)?,
            // node does not name files, and says how many passed.
            (_, outcome) if document.said.iter().all(Option::is_some) => tally.add_numbered(&case.name, outcome)?,
            (_, outcome) => tally.add(&case.name, outcome)?,
        }
    }
    if tally.is_empty() {
        return Err(Unreadable::NoTests { what: "a JUnit file without cases".to_owned() });
    }
    if let [Some(tests), Some(suites), Some(pass), Some(skipped), Some(todo)] = document.said
        && (tally.of(TestOutcome::Passed) > pass
            || tally.of(TestOutcome::Skipped) != skipped + todo
            || document.suites as usize + tally.len() != (tests + suites) as usize)
    {
        let what = format!("{} cases passed, its own end says {pass}", tally.of(TestOutcome::Passed));
        return Err(contradiction(true, what));
    }
    Ok(tally.tests())
}

/// The cases that can be read, for feedback.
pub(super) fn cases(output: &Output<'_>) -> Vec<Case> {
    let mut document = Document::default();
    let _told_by_read = parse(output, &mut document);
    document.cases
}

fn parse(output: &Output<'_>, document: &mut Document) -> Result<(), Unreadable> {
    let text = decode(output.file.filter(|file| !file.is_empty()).ok_or(MISSING)?, "the JUnit file")?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_comments = true;
    loop {
        let event = reader
            .read_event()
            .map_err(|fault| malformed(format!("its XML at byte {}: {fault}", reader.error_position())))?;
        match event {
            Event::Start(element) => document.start(&element)?,
            Event::Empty(element) => {
                document.start(&element)?;
                document.end()?;
            }
            Event::End(_) => document.end()?,
            Event::Text(text) => document.text(&text.decode().map_err(|fault| malformed(fault.to_string()))?)?,
            Event::CData(text) => document.text(&text.decode().map_err(|fault| malformed(fault.to_string()))?)?,
            Event::GeneralRef(entity) => document.text(&resolved(&entity)?)?,
            Event::Comment(comment) => document.comment(&comment.decode().unwrap_or_default()),
            Event::DocType(_) => return Err(malformed("a document type, which no runner writes")),
            Event::Decl(_) | Event::PI(_) => {}
            Event::Eof => break,
        }
    }
    match (document.open.is_empty(), document.roots) {
        (true, 1) => Ok(()),
        (false, _) => Err(malformed("its XML ends too early: the file was cut off")),
        (true, _) => Err(malformed("no element testsuites or testsuite")),
    }
}

fn resolved(entity: &BytesRef<'_>) -> Result<String, Unreadable> {
    let fault = || malformed("an entity that is not one of XML's own");
    if let Some(c) = entity.resolve_char_ref().map_err(|_| fault())? {
        return Ok(c.to_string());
    }
    let name = entity.decode().map_err(|_| fault())?;
    resolve_predefined_entity(&name).map(str::to_owned).ok_or_else(fault)
}

impl Document {
    fn start(&mut self, element: &BytesStart<'_>) -> Result<(), Unreadable> {
        if self.open.len() >= MAX_DEPTH {
            return Err(Unreadable::TooLarge { what: "elements of XML within each other", bound: MAX_DEPTH });
        }
        let name = String::from_utf8_lossy(element.local_name().as_ref()).into_owned();
        let attributes = attributes(element)?;
        let get = |key: &str| attributes.iter().find(|(k, _)| k == key).map_or("", |(_, value)| value);
        if self.open.is_empty() {
            self.roots += 1;
            if self.roots > 1 || !matches!(name.as_str(), "testsuites" | "testsuite") {
                return Err(malformed(format!("the root element {}", quote(&name))));
            }
        }
        let is_in_suite = matches!(self.open.last(), None | Some(Open::Suite(_)));
        let opened = match name.as_str() {
            "testsuites" | "testsuite" if is_in_suite => {
                self.suites += u32::from(name == "testsuite");
                Open::Suite(Suite {
                    // The root's name is the runner's.
                    name: if name == "testsuite" { get("name").to_owned() } else { String::new() },
                    file: get("file").to_owned(),
                    claims: claims(&attributes)?,
                    ..Suite::default()
                })
            }
            "testcase" if is_in_suite => {
                let not_run = matches!(get("status"), "notrun" | "skipped" | "disabled");
                let outcome = if not_run { TestOutcome::Skipped } else { TestOutcome::Passed };
                let name = self.full_name(get("file"), get("classname"), get("name"));
                Open::Case(Case { name, outcome, error: false, text: String::new() })
            }
            "testsuites" | "testsuite" | "testcase" => {
                return Err(malformed(format!("{} in an odd place", quote(&name))));
            }
            // A failure beside the cases: the suite itself could not run.
            kind if FAILURES.contains(&kind) && matches!(self.open.last(), Some(Open::Suite(_))) => {
                let name = self.full_name("", "", "(suite)");
                let text = get("message").to_owned();
                self.cases.push(Case { name, outcome: TestOutcome::Failed, error: kind == "error", text });
                Open::Other
            }
            kind => match self.open.last_mut() {
                Some(Open::Case(case)) if FAILURES.contains(&kind) => {
                    case.outcome = TestOutcome::Failed;
                    case.error |= kind == "error";
                    keep(&mut case.text, get("message"));
                    keep(&mut case.text, "\n");
                    Open::Failure
                }
                Some(Open::Case(case)) if kind == "skipped" => {
                    if case.outcome == TestOutcome::Passed {
                        case.outcome = TestOutcome::Skipped;
                    }
                    Open::Other
                }
                _ => Open::Other,
            },
        };
        self.open.push(opened);
        Ok(())
    }

    /// The file, the suites around it, the class and the name, each only where it adds something.
    fn full_name(&self, file: &str, class: &str, name: &str) -> String {
        let suites = self.open.iter().filter_map(|open| if let Open::Suite(suite) = open { Some(suite) } else { None });
        let file = if file.is_empty() {
            suites.clone().map(|suite| suite.file.as_str()).rfind(|file| !file.is_empty()).unwrap_or_default()
        } else {
            file
        };
        let mut parts: Vec<&str> = vec![file];
        parts.extend(suites.map(|suite| suite.name.as_str()));
        parts.push(class);
        parts.retain(|part| !part.trim().is_empty());
        parts.push(name);
        parts.dedup_by(|a, b| a.trim() == b.trim());
        parts.iter().map(|part| part.trim()).collect::<Vec<_>>().join(" > ")
    }

    fn end(&mut self) -> Result<(), Unreadable> {
        match self.open.pop() {
            Some(Open::Case(case)) => {
                let one = Counts {
                    tests: 1,
                    failures: u32::from(case.outcome == TestOutcome::Failed && !case.error),
                    errors: u32::from(case.outcome == TestOutcome::Failed && case.error),
                    skipped: u32::from(case.outcome == TestOutcome::Skipped),
                };
                if let Some(Open::Suite(suite)) = self.open.last_mut() {
                    suite.has.add(one);
                    suite.children.add(one);
                }
                self.cases.push(case);
            }
            Some(Open::Suite(suite)) => {
                suite.agrees()?;
                if let Some(Open::Suite(outer)) = self.open.last_mut() {
                    outer.has.add(suite.has);
                    let failed = u32::from(suite.children.failures + suite.children.errors > 0);
                    outer.children.add(Counts { tests: 1, failures: failed, errors: 0, skipped: 0 });
                }
            }
            Some(Open::Failure | Open::Other) | None => {}
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), Unreadable> {
        if self.open.is_empty() && !text.trim().is_empty() {
            return Err(malformed("text outside of its root element"));
        }
        if let [.., Open::Case(case), Open::Failure] = &mut self.open[..] {
            keep(&mut case.text, text);
        }
        Ok(())
    }

    /// node's reporter ends its file with comments such as `<!-- pass 3 -->`.
    fn comment(&mut self, comment: &str) {
        if let ([Open::Suite(_)], Some((key, value))) = (&self.open[..], comment.trim().split_once(' '))
            && let Some(at) = SAID.iter().position(|known| *known == key)
        {
            self.said[at] = count(value);
        }
    }
}

fn keep(text: &mut String, more: &str) {
    if text.len() + more.len() <= MAX_TEXT_BYTES {
        text.push_str(more);
    }
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.tests += other.tests;
        self.failures += other.failures;
        self.errors += other.errors;
        self.skipped += other.skipped;
    }
}

impl Suite {
    /// Whether what the suite claims is what it has.
    fn agrees(&self) -> Result<(), Unreadable> {
        let fits = |what: &str, claimed: Option<u32>, has: u32, children: u32| match claimed {
            // More cases than were claimed is what jest-junit makes of a todo.
            Some(claimed) if claimed != has && claimed != children => Err(contradiction(
                what != "tests" || claimed > has,
                format!("suite {} claims {claimed} {what}, its cases make {has}", quote(&self.name)),
            )),
            _ => Ok(()),
        };
        let Claims { tests, failures, errors, skipped } = self.claims;
        // Some count a test that passes and then fails to clean up twice.
        let tests = tests.filter(|tests| !(self.has.tests..=self.has.tests + self.has.errors).contains(tests));
        fits("tests", tests, self.has.tests, self.children.tests)?;
        fits("skipped", skipped, self.has.skipped, self.children.skipped)?;
        // Some have one total for both.
        let both = failures.unwrap_or(0) + errors.unwrap_or(0);
        if failures.is_some() && both == self.has.failures + self.has.errors {
            return Ok(());
        }
        fits("failures", failures, self.has.failures, self.children.failures)?;
        fits("errors", errors, self.has.errors, self.children.errors)
    }
}

fn attributes(element: &BytesStart<'_>) -> Result<Vec<(String, String)>, Unreadable> {
    let mut found = Vec::new();
    for attribute in element.attributes() {
        let attribute = attribute.map_err(|fault| malformed(format!("its XML: {fault}")))?;
        let value = attribute.unescape_value().map_err(|fault| malformed(format!("its XML: {fault}")))?;
        found.push((String::from_utf8_lossy(attribute.key.local_name().as_ref()).into_owned(), value.into_owned()));
    }
    Ok(found)
}

fn claims(attributes: &[(String, String)]) -> Result<Claims, Unreadable> {
    let mut claims = Claims::default();
    for (key, value) in attributes {
        let field = match key.as_str() {
            "tests" => &mut claims.tests,
            "failures" => &mut claims.failures,
            "errors" => &mut claims.errors,
            "skipped" | "skip" | "skips" => &mut claims.skipped,
            _ => continue,
        };
        *field = Some(count(value.trim()).ok_or_else(|| malformed(format!("the count {key}={}", quote(value))))?);
    }
    Ok(claims)
}
