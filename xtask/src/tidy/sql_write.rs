//! Finds SQL that writes `work_items.phase`, whatever its layout: UPDATE, INSERT, upsert, MERGE, COPY.
//!
//! Reads tokens, not grammar. Where a statement on the table is put together from pieces, so that its columns cannot
//! be seen, that counts as a finding too: what cannot be checked must not be written.

const TABLE: &str = "work_items";
const COLUMN: &str = "phase";

/// An alias (`AS w`) is at most this many tokens, so `SET` comes within them.
const ALIAS_TOKENS: usize = 3;

/// Text of a function body may hold statements in a string (`EXECUTE '…'`), which may hold one in turn; then it ends.
const MAX_NESTED_STRINGS: usize = 3;

/// What is wrong with a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PhaseWrite {
    /// It names the column as a target.
    Named,
    /// It writes the table without showing its columns.
    Unseen,
}

/// Writes found in `sql`, each with its line counted from 0.
pub(crate) fn phase_writes(sql: &str) -> Vec<(usize, PhaseWrite)> {
    let mut found = Vec::new();
    search(sql, 0, MAX_NESTED_STRINGS, &mut found);
    found
}

fn search(sql: &str, first_line: usize, nesting: usize, found: &mut Vec<(usize, PhaseWrite)>) {
    let tokens = tokens(sql, first_line);
    let mut inserting = false;
    for at in 0..tokens.len() {
        let rest = &tokens[at + 1..];
        let write = match &tokens[at].kind {
            Kind::Text(text) if nesting > 0 => {
                search(text, tokens[at].line, nesting - 1, found);
                None
            }
            Kind::Mark(';') => {
                inserting = false;
                None
            }
            Kind::Word(word) => match word.as_str() {
                "update" if at > 0 && tokens[at - 1].is("do") => inserting
                    .then(|| rest.first().filter(|t| t.is("set")).and_then(|_| set_clause(&rest[1..])))
                    .flatten(),
                "update" => update(rest),
                "insert" => {
                    inserting = insert_target(rest).is_some();
                    insert_target(rest).and_then(insert)
                }
                "merge" => merge(rest),
                "copy" => copy(rest),
                _ => None,
            },
            Kind::Text(_) | Kind::Mark(_) => None,
        };
        found.extend(write.map(|w| (tokens[at].line, w)));
    }
}

/// `UPDATE [ONLY] [schema.]work_items [AS w] SET …`, the tokens after UPDATE. `FOR UPDATE OF work_items` and
/// `BEFORE UPDATE OF phase ON work_items` have another word there and fall through.
fn update(rest: &[Token]) -> Option<PhaseWrite> {
    let (table, after) = table(rest)?;
    let set = after.iter().take(ALIAS_TOKENS).position(|t| t.is("set"));
    match (table, set) {
        (Table::WorkItems, Some(set)) => set_clause(&after[set + 1..]),
        (Table::WorkItems, None) => after.is_empty().then_some(PhaseWrite::Unseen),
        // The table is a placeholder: only a named column tells.
        (Table::Placeholder, Some(set)) => set_clause(&after[set + 1..]).filter(|w| *w == PhaseWrite::Named),
        (Table::Placeholder, None) => None,
    }
}

fn insert_target(rest: &[Token]) -> Option<&[Token]> {
    let (table, after) = table(rest.strip_prefix_word("into")?)?;
    (table == Table::WorkItems).then_some(after)
}

/// `[AS w] (columns) …`, the tokens after `INSERT INTO work_items`.
fn insert(after: &[Token]) -> Option<PhaseWrite> {
    let after = match after {
        [first, _alias, rest @ ..] if first.is("as") => rest,
        all => all,
    };
    match after.first() {
        Some(open) if open.is_mark('(') => columns(&after[1..]),
        Some(word) if word.is("default") => None,
        _ => Some(PhaseWrite::Unseen),
    }
}

fn merge(rest: &[Token]) -> Option<PhaseWrite> {
    let (table, _) = table(rest.strip_prefix_word("into")?)?;
    (table == Table::WorkItems).then_some(PhaseWrite::Unseen)
}

fn copy(rest: &[Token]) -> Option<PhaseWrite> {
    let (table, after) = table(rest)?;
    if table != Table::WorkItems {
        return None;
    }
    match after.first() {
        Some(open) if open.is_mark('(') => {
            let closed = after.iter().position(|t| t.is_mark(')'))?;
            after.get(closed + 1).filter(|t| t.is("from")).and_then(|_| columns(&after[1..]))
        }
        Some(word) if word.is("from") => Some(PhaseWrite::Unseen),
        _ => None,
    }
}

#[derive(PartialEq, Eq)]
enum Table {
    WorkItems,
    /// `{table}` in a format string.
    Placeholder,
}

/// The table at the front (`only` and a schema skipped), if it is one to look at, and what follows.
fn table(rest: &[Token]) -> Option<(Table, &[Token])> {
    let rest = rest.strip_prefix_word("only").unwrap_or(rest);
    match rest {
        [_schema, dot, name, after @ ..] if dot.is_mark('.') => name.is(TABLE).then_some((Table::WorkItems, after)),
        [open, _, close, after @ ..] if open.is_mark('{') && close.is_mark('}') => Some((Table::Placeholder, after)),
        [name, after @ ..] if name.is(TABLE) => Some((Table::WorkItems, after)),
        _ => None,
    }
}

/// A column list up to its closing bracket.
fn columns(list: &[Token]) -> Option<PhaseWrite> {
    let list = &list[..list.iter().position(|t| t.is_mark(')')).unwrap_or(list.len())];
    if list.iter().any(|t| t.is(COLUMN)) {
        return Some(PhaseWrite::Named);
    }
    let unseen = list.is_empty() || list.iter().any(|t| t.is_mark('{'));
    unseen.then_some(PhaseWrite::Unseen)
}

/// Targets of a SET clause: each begins the clause or follows a comma outside brackets, and may be a list in brackets.
fn set_clause(clause: &[Token]) -> Option<PhaseWrite> {
    if clause.is_empty() {
        return Some(PhaseWrite::Unseen);
    }
    let mut depth = 0_usize;
    let mut expecting = true;
    for (at, token) in clause.iter().enumerate() {
        match &token.kind {
            Kind::Mark('(') => {
                if expecting && let Some(write) = columns(&clause[at + 1..]) {
                    return Some(write);
                }
                depth += 1;
            }
            Kind::Mark(')') if depth == 0 => return None,
            Kind::Mark(')') => depth -= 1,
            Kind::Mark(';') => return None,
            Kind::Mark(',') if depth == 0 => {
                expecting = true;
                continue;
            }
            Kind::Mark('{') if expecting => return Some(PhaseWrite::Unseen),
            Kind::Word(word) if depth == 0 && expecting && word == COLUMN => return Some(PhaseWrite::Named),
            Kind::Word(word) if depth == 0 && matches!(word.as_str(), "where" | "returning") => return None,
            Kind::Word(word) if depth == 0 && word == "from" && !clause[..at].ends_with_word("distinct") => {
                return None;
            }
            Kind::Word(_) | Kind::Mark(_) | Kind::Text(_) => {}
        }
        expecting = false;
    }
    None
}

struct Token {
    line: usize,
    kind: Kind,
}

enum Kind {
    /// A name, keyword, number or parameter, in lower case and without quotes.
    Word(String),
    /// A literal.
    Text(String),
    Mark(char),
}

impl Token {
    fn is(&self, word: &str) -> bool {
        matches!(&self.kind, Kind::Word(own) if own == word)
    }

    fn is_mark(&self, mark: char) -> bool {
        matches!(&self.kind, Kind::Mark(own) if *own == mark)
    }
}

trait Words {
    fn strip_prefix_word(&self, word: &str) -> Option<&[Token]>;
    fn ends_with_word(&self, word: &str) -> bool;
}

impl Words for [Token] {
    fn ends_with_word(&self, word: &str) -> bool {
        self.last().is_some_and(|last| last.is(word))
    }

    fn strip_prefix_word(&self, word: &str) -> Option<&[Token]> {
        self.split_first().filter(|(first, _)| first.is(word)).map(|(_, rest)| rest)
    }
}

/// Splits SQL; comments are left out, and `$$` is no quote here, so that function bodies are read as well.
fn tokens(sql: &str, first_line: usize) -> Vec<Token> {
    let mut found = Vec::new();
    let mut line = first_line;
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let (kind, bytes) = if rest.starts_with("--") {
            (None, rest.find('\n').unwrap_or(rest.len()))
        } else if rest.starts_with("/*") {
            (None, rest.find("*/").map_or(rest.len(), |end| end + 2))
        } else if first == '\'' || first == '"' {
            let end = rest[1..].find(first).map_or(rest.len(), |end| end + 2);
            let inner = rest[1..end].trim_end_matches(first).to_owned();
            (Some(if first == '"' { Kind::Word(inner) } else { Kind::Text(inner) }), end)
        } else if first.is_alphanumeric() || first == '_' {
            let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
            (Some(Kind::Word(rest[..end].to_lowercase())), end)
        } else if first.is_whitespace() {
            (None, first.len_utf8())
        } else {
            (Some(Kind::Mark(first)), first.len_utf8())
        };
        found.extend(kind.map(|kind| Token { line, kind }));
        line += rest[..bytes].matches('\n').count();
        rest = &rest[bytes..];
    }
    found
}

#[cfg(test)]
mod tests {
    use super::PhaseWrite::{Named, Unseen};
    use super::*;

    #[track_caller]
    fn assert_writes(sql: &str, expected: &[PhaseWrite]) {
        let found: Vec<_> = phase_writes(sql).into_iter().map(|(_, w)| w).collect();
        assert_eq!(found, expected, "{sql}");
    }

    #[test]
    fn updates_that_name_the_column() {
        for sql in [
            "UPDATE work_items SET phase = 'build' WHERE id = $1",
            "update only public.work_items as w\n set rank = 1, \"phase\" = $2",
            "WITH a AS (UPDATE work_items SET (rank, phase) = (1, 'x') RETURNING id) SELECT 1",
            "UPDATE work_items SET changed = a IS DISTINCT FROM b, phase = 'merged'",
            "UPDATE {table} SET phase = $1",
            "DO $$ BEGIN EXECUTE 'UPDATE work_items SET phase = 1'; END $$",
            "UPDATE work_items SET n = coalesce(a, b), /* why */ phase = 'x'",
        ] {
            assert_writes(sql, &[Named]);
        }
    }

    #[test]
    fn updates_of_other_columns_and_tables() {
        for sql in [
            "UPDATE work_items SET rank = $1 WHERE phase = 'build'",
            "UPDATE work_items SET ready = (phase = 'spec'), n = f(a, phase)",
            "UPDATE work_items w SET n = 1 FROM runs r WHERE r.phase = w.phase",
            "UPDATE runs SET phase = 'x'",
            "UPDATE {table} SET {columns}",
            "SELECT id FROM work_items WHERE phase = 'spec' FOR UPDATE OF work_items SKIP LOCKED",
            "CREATE TRIGGER t BEFORE UPDATE OF phase ON work_items FOR EACH ROW EXECUTE FUNCTION f()",
            "-- UPDATE work_items SET phase = 1",
        ] {
            assert_writes(sql, &[]);
        }
    }

    #[test]
    fn inserts_and_upserts() {
        assert_writes("INSERT INTO work_items (id, phase) VALUES (1, 'spec')", &[Named]);
        assert_writes("INSERT INTO work_items AS w (id) VALUES (1)", &[]);
        assert_writes("INSERT INTO work_items DEFAULT VALUES", &[]);
        assert_writes("INSERT INTO runs (id, phase) SELECT id, phase FROM work_items", &[]);
        assert_writes("INSERT INTO work_items SELECT * FROM old", &[Unseen]);
        assert_writes("INSERT INTO work_items (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET phase = 'x'", &[Named]);
        assert_writes("INSERT INTO work_items (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET rank = 1", &[]);
        assert_writes("INSERT INTO runs (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET phase = 'x'", &[]);
    }

    #[test]
    fn statements_in_pieces_and_rare_verbs() {
        assert_writes("UPDATE work_items SET ", &[Unseen]);
        assert_writes("UPDATE work_items SET {columns}", &[Unseen]);
        assert_writes("INSERT INTO work_items ({columns})", &[Unseen]);
        assert_writes("MERGE INTO work_items USING s ON true WHEN MATCHED THEN DELETE", &[Unseen]);
        assert_writes("COPY work_items FROM stdin", &[Unseen]);
        assert_writes("COPY work_items (id, phase) FROM stdin", &[Named]);
        assert_writes("COPY work_items (id, phase) TO stdout", &[]);
    }

    #[test]
    fn lines_are_counted() {
        assert_eq!(phase_writes("SELECT 1;\n\nUPDATE work_items\nSET phase = 1"), [(2, Named)]);
    }
}
