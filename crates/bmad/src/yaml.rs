//! YAML into a small tree with lines.
//!
//! Invariant: the number of nodes and bytes (those that aliases stand for included) and the nesting are bounded before
//! anything is built, so that a document of a kilobyte cannot become one of gigabytes; every node knows its line.

use std::collections::BTreeMap;

use granit_parser::{Event, Parser, ScalarStyle};

use crate::limits::Limits;

/// How many times the bytes of a file its text may amount to, once aliases are expanded.
const MAX_EXPANSION: u64 = 2;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    /// 1-based line, as counted from the first line given to [`parse`].
    pub(crate) line: u32,
    /// What it is.
    pub(crate) value: Value,
}

/// A YAML value. Scalars stay text: what they mean is the reader's business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// Text, and whether it was written without quotes.
    Scalar { text: String, plain: bool },
    /// A sequence.
    List(Vec<Node>),
    /// A mapping in the order of the file; keys may repeat.
    Map(Vec<(Node, Node)>),
}

/// Why a document was not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum YamlError {
    /// It does not parse.
    Syntax { line: u32, message: String },
    /// It is larger or deeper than it may be.
    TooComplex { line: u32, message: String },
}

impl Node {
    /// The first value of a key of a mapping.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|(name, _)| name.as_str() == Some(key)).map(|(_, value)| value)
    }

    /// The entries of a mapping; empty for anything else.
    pub(crate) fn entries(&self) -> &[(Self, Self)] {
        match &self.value {
            Value::Map(entries) => entries,
            Value::Scalar { .. } | Value::List(_) => &[],
        }
    }

    /// The items of a sequence; empty for anything else.
    pub(crate) fn items(&self) -> &[Self] {
        match &self.value {
            Value::List(items) => items,
            Value::Scalar { .. } | Value::Map(_) => &[],
        }
    }

    /// The text of a scalar.
    pub(crate) fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } => Some(text),
            Value::List(_) | Value::Map(_) => None,
        }
    }

    /// Whether it is written without quotes.
    pub(crate) fn is_plain(&self) -> bool {
        matches!(self.value, Value::Scalar { plain: true, .. })
    }

    /// Whether it says nothing: `~`, `null`, or nothing at all.
    pub(crate) fn is_null(&self) -> bool {
        self.is_plain() && matches!(self.as_str(), Some("" | "~" | "null" | "Null" | "NULL"))
    }
}

/// Reads the first document of a text. `Ok(None)` is an empty one.
pub(crate) fn parse(text: &str, limits: &Limits) -> Result<Option<Node>, YamlError> {
    let options = granit_parser::options! {
        emit_comments: false,
        flow_nesting_limit: limits.max_yaml_depth,
        block_nesting_limit: limits.max_yaml_depth,
    };
    let mut builder = Builder::new(limits);
    for next in Parser::new_from_str_with_options(text, options) {
        let (event, span) = next.map_err(|error| YamlError::Syntax {
            line: line_number(error.marker().line()),
            message: format!("{} (column {})", error.info(), error.marker().col() + 1),
        })?;
        if builder.take(event, line_number(span.start.line()))? {
            break;
        }
    }
    Ok(builder.root)
}

fn line_number(line: usize) -> u32 {
    u32::try_from(line).unwrap_or(u32::MAX).max(1)
}

/// What a node amounts to, with everything below it.
#[derive(Debug, Clone, Copy, Default)]
struct Weight {
    nodes: usize,
    bytes: usize,
}

/// A collection under construction.
struct Frame {
    line: u32,
    anchor: usize,
    /// What was counted before it, to know its own weight when it ends.
    before: Weight,
    items: Vec<Node>,
    is_map: bool,
}

struct Builder<'a> {
    limits: &'a Limits,
    stack: Vec<Frame>,
    root: Option<Node>,
    total: Weight,
    /// Finished anchored nodes and their weight.
    anchors: BTreeMap<usize, (Node, Weight)>,
}

impl<'a> Builder<'a> {
    fn new(limits: &'a Limits) -> Self {
        Self { limits, stack: Vec::new(), root: None, total: Weight::default(), anchors: BTreeMap::new() }
    }

    /// Takes an event; true when the first document is complete.
    fn take(&mut self, event: Event<'_>, line: u32) -> Result<bool, YamlError> {
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let weight = Weight { nodes: 1, bytes: text.len() };
                self.count(weight, line)?;
                let value = Value::Scalar { text: text.into_owned(), plain: style == ScalarStyle::Plain };
                self.finish(Node { line, value }, anchor, weight, line)?;
            }
            Event::SequenceStart(_, anchor, _) => self.open(line, anchor, false)?,
            Event::MappingStart(_, anchor, _) => self.open(line, anchor, true)?,
            Event::SequenceEnd | Event::MappingEnd => self.close(line)?,
            Event::Alias(anchor) => {
                let node = self.expand(anchor, line)?;
                self.attach(node);
            }
            Event::UnresolvedAlias(name) => {
                return Err(YamlError::Syntax { line, message: format!("unknown anchor {name}") });
            }
            Event::DocumentEnd => return Ok(true),
            Event::StreamStart | Event::StreamEnd | Event::DocumentStart(..) | Event::Anchor(..) => {}
            // The enum may grow; what is not known here must not be passed over.
            _ => return Err(YamlError::Syntax { line, message: "a kind of node that is not read here".to_owned() }),
        }
        Ok(false)
    }

    /// Adds to what the document amounts to; called before anything of that weight is kept or copied.
    fn count(&mut self, weight: Weight, line: u32) -> Result<(), YamlError> {
        self.total.nodes = self.total.nodes.saturating_add(weight.nodes);
        self.total.bytes = self.total.bytes.saturating_add(weight.bytes);
        if self.total.nodes > self.limits.max_yaml_nodes {
            return Err(too_complex(
                line,
                &format!("more than {} values, aliases expanded", self.limits.max_yaml_nodes),
            ));
        }
        let max_bytes = self.limits.max_yaml_bytes.saturating_mul(MAX_EXPANSION);
        if self.total.bytes as u64 > max_bytes {
            return Err(too_complex(line, &format!("more than {max_bytes} bytes of text, aliases expanded")));
        }
        Ok(())
    }

    /// A copy of an anchored node.
    fn expand(&mut self, anchor: usize, line: u32) -> Result<Node, YamlError> {
        // An anchor is known once its node is complete: an alias inside its own collection finds none.
        let weight = self.anchors.get(&anchor).map(|(_, weight)| *weight);
        self.count(weight.unwrap_or_default(), line)?;
        let node = self.anchors.get(&anchor).map(|(node, _)| node.clone());
        node.ok_or_else(|| too_complex(line, "an alias inside the collection that it stands for"))
    }

    fn open(&mut self, line: u32, anchor: usize, is_map: bool) -> Result<(), YamlError> {
        let before = self.total;
        self.count(Weight { nodes: 1, bytes: 0 }, line)?;
        if self.stack.len() >= self.limits.max_yaml_depth {
            return Err(too_complex(line, &format!("more than {} levels", self.limits.max_yaml_depth)));
        }
        self.stack.push(Frame { line, anchor, before, items: Vec::new(), is_map });
        Ok(())
    }

    fn close(&mut self, line: u32) -> Result<(), YamlError> {
        let Some(frame) = self.stack.pop() else { return Ok(()) };
        let value = if frame.is_map { Value::Map(pairs(frame.items)) } else { Value::List(frame.items) };
        let weight =
            Weight { nodes: self.total.nodes - frame.before.nodes, bytes: self.total.bytes - frame.before.bytes };
        self.finish(Node { line: frame.line, value }, frame.anchor, weight, line)
    }

    fn finish(&mut self, node: Node, anchor: usize, weight: Weight, line: u32) -> Result<(), YamlError> {
        if anchor != 0 {
            // The copy kept for aliases counts as well: anchors without aliases must not double what is held unseen.
            self.count(weight, line)?;
            self.anchors.insert(anchor, (node.clone(), weight));
        }
        self.attach(node);
        Ok(())
    }

    fn attach(&mut self, node: Node) {
        match self.stack.last_mut() {
            Some(frame) => frame.items.push(node),
            None => self.root = Some(node),
        }
    }
}

fn pairs(items: Vec<Node>) -> Vec<(Node, Node)> {
    let mut entries = Vec::with_capacity(items.len() / 2);
    let mut items = items.into_iter();
    while let (Some(key), Some(value)) = (items.next(), items.next()) {
        entries.push((key, value));
    }
    entries
}

fn too_complex(line: u32, message: &str) -> YamlError {
    YamlError::TooComplex { line, message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<Node>, YamlError> {
        parse(text, &Limits::default())
    }

    #[test]
    fn lines_quotes_and_order() {
        let root = read("a: 1\nb:\n  - \"x\"\n  - y\nc: {d: e}\n").unwrap().unwrap();
        let names: Vec<_> = root.entries().iter().map(|(key, _)| (key.as_str().unwrap(), key.line)).collect();
        assert_eq!(names, [("a", 1), ("b", 2), ("c", 5)]);
        let items = root.get("b").unwrap().items();
        assert_eq!((items[0].is_plain(), items[1].is_plain(), items[1].line), (false, true, 4));
        assert_eq!(root.get("c").unwrap().get("d").unwrap().as_str(), Some("e"));
    }

    #[test]
    fn an_alias_is_expanded_within_the_bound() {
        let root = read("a: &x [1, 2]\nb: *x\n").unwrap().unwrap();
        assert_eq!(root.get("b").unwrap().items().len(), 2);
    }

    #[test]
    fn a_bomb_is_refused() {
        let mut bomb = String::from("a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n");
        for level in 1..12 {
            let alias = format!("*a{}", level - 1);
            bomb.push_str(&format!("a{level}: &a{level} [{}]\n", [alias.as_str(); 9].join(", ")));
        }
        assert!(matches!(read(&bomb), Err(YamlError::TooComplex { .. })), "{:?}", read(&bomb).err());
    }

    #[test]
    fn a_bomb_of_one_long_text_is_refused() {
        let bomb = format!("a: &a \"{}\"\nb: [{}]\n", "x".repeat(500_000), "*a,".repeat(50_000));
        assert!(matches!(read(&bomb), Err(YamlError::TooComplex { line: 2, .. })));
    }

    #[test]
    fn an_alias_to_its_own_collection_is_refused() {
        assert!(read("a: &x [*x]\n").is_err());
    }

    #[test]
    fn deep_nesting_is_refused() {
        assert!(read(&"[".repeat(100_000)).is_err());
        assert!(read(&(0..200).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect::<String>()).is_err());
    }

    #[test]
    fn an_error_names_its_line() {
        let error = read("a: b\nstory_location: {project-root}/docs\n").unwrap_err();
        assert!(matches!(error, YamlError::Syntax { line: 2, .. }), "{error:?}");
    }

    #[test]
    fn empty_is_none() {
        assert_eq!(read("").unwrap(), None);
        assert!(read("# only a comment\n").unwrap().is_none_or(|node| node.is_null()));
    }
}
