//! The rule that SQL stands only in the store.
//!
//! What counts as SQL is a string that begins like a statement, in capitals or with the words that go with it, so that
//! "Select a project" stays prose. Two places are left out in part: the testkit makes and drops whole databases and asks
//! the server's catalogues (`pg_…`) about them, and the tests of the Postgres supervisor write rows of tables of their
//! own, to see them survive.

use super::scan::Scan;
use crate::finding::Finding;
use crate::tree::SourceFile;

const RULE: &str = "sql-outside-store";
const HOME: &str = "crates/store/";

/// Makes and drops whole databases, and touches nothing inside them.
const MAKER: &str = "crates/testkit/";

/// Has tables of its own; our schema is not there.
const SUPERVISOR_TESTS: &str = "crates/postgres/tests/";

/// Ways to run SQL by hand.
const RUNNERS: [&str; 3] = ["sqlx::query", "sqlx::raw_sql", "sqlx::QueryBuilder"];

/// Checks one Rust file, taken apart.
pub(crate) fn check_rust(file: &SourceFile, scan: &Scan, findings: &mut Vec<Finding>) {
    if file.path.starts_with(HOME) || file.path.starts_with(SUPERVISOR_TESTS) {
        return;
    }
    let makes_databases = file.path.starts_with(MAKER);
    let mut fail = |line, what: &str| {
        let way_out = "move it to a function of damascus-store and call that";
        findings.push(Finding::failure(&file.path, line, RULE, format!("{what} outside crates/store; {way_out}")));
    };
    for (line, text) in &scan.strings {
        let found = if makes_databases {
            statement_on_rows(text) && !(begins(text, "SELECT", &[]) && text.contains("pg_"))
        } else {
            statement_on_rows(text) || statement_on_databases(text)
        };
        if found {
            fail(*line, "SQL");
        }
    }
    for (index, code) in scan.code.iter().enumerate() {
        if !makes_databases && RUNNERS.iter().any(|r| code.contains(r)) {
            fail(index + 1, "a query of sqlx");
        }
    }
}

/// Checks that a file of SQL lies in the store.
pub(crate) fn check_sql_file(file: &SourceFile, findings: &mut Vec<Finding>) {
    if !file.path.starts_with(HOME) {
        findings.push(Finding::failure(&file.path, 1, RULE, "a file of SQL outside crates/store; move it there"));
    }
}

fn statement_on_rows(text: &str) -> bool {
    begins(text, "SELECT", &[])
        || begins(text, "INSERT INTO", &[])
        || begins(text, "DELETE FROM", &[])
        || begins(text, "UPDATE", &["SET"])
        || begins(text, "WITH", &["AS", "SELECT"])
        || begins(text, "WITH", &["AS", "UPDATE"])
        || begins(text, "TRUNCATE", &[])
        || begins(text, "CREATE TABLE", &[])
        || begins(text, "ALTER TABLE", &[])
        || begins(text, "DROP TABLE", &[])
        || begins(text, "select", &["from", "where"])
        || begins(text, "insert into", &["values"])
        || begins(text, "delete from", &["where"])
        || begins(text, "update", &["set", "where"])
}

fn statement_on_databases(text: &str) -> bool {
    ["CREATE", "DROP", "ALTER"].iter().any(|verb| begins(text, &format!("{verb} DATABASE"), &[]))
        || begins(text, "create database", &[])
        || begins(text, "drop database", &[])
}

/// Whether `text` begins with the words of `start` and has the other words behind it, in that case.
fn begins(text: &str, start: &str, then: &[&str]) -> bool {
    let mut words = text.split_whitespace();
    start.split(' ').all(|expected| words.next() == Some(expected))
        && words.clone().next().is_some()
        && then.iter().all(|word| words.clone().any(|w| w.trim_matches(|c: char| !c.is_alphabetic()) == *word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::scan::scan;

    fn found(path: &str, source: &str) -> usize {
        let mut findings = Vec::new();
        check_rust(&SourceFile::text_file(path, source), &scan(source), &mut findings);
        findings.len()
    }

    #[test]
    fn sql_elsewhere_is_found() {
        for source in [
            "f(\"SELECT 1\")",
            "f(\"\n  INSERT INTO runs VALUES (1)\")",
            "f(r\"UPDATE runs\n SET n = 1\")",
            "f(\"DELETE FROM runs\")",
            "f(\"WITH a AS (SELECT 1) SELECT * FROM a\")",
            "f(\"select id from runs where id = 1\")",
            "sqlx::query(q)",
            "sqlx::query_as!(T, q)",
            "f(\"CREATE DATABASE x\")",
        ] {
            assert_eq!(found("crates/engine/src/a.rs", source), 1, "{source}");
        }
    }

    #[test]
    fn prose_and_the_store_are_left_alone() {
        for source in [
            "f(\"Select a project from the list\")",
            "f(\"select an item from the list\")",
            "f(\"UPDATE available\")",
            "f(\"With this, as said, select\")",
            "f(\"SELECT\")",
            "// SELECT 1 FROM a\nuse sqlx::PgPool;",
        ] {
            assert_eq!(found("crates/engine/src/a.rs", source), 0, "{source}");
        }
        assert_eq!(found("crates/store/src/claim.rs", "sqlx::query(\"SELECT 1\")"), 0);
    }

    #[test]
    fn test_databases_are_made_in_the_testkit_only() {
        let make = "sqlx::raw_sql(\"CREATE DATABASE x\")";
        assert_eq!(found("crates/testkit/src/db.rs", make), 0);
        assert_eq!(found("crates/postgres/tests/start.rs", "execute(\"INSERT INTO t VALUES (1)\")"), 0);
        assert_eq!(found("crates/postgres/src/lib.rs", make), 2);
        assert_eq!(found("crates/testkit/src/db.rs", "sqlx::query(\"SELECT datname FROM pg_database\")"), 0);
        assert_eq!(found("crates/testkit/src/db.rs", "sqlx::query(\"SELECT id FROM runs\")"), 1);
        assert_eq!(found("crates/testkit/src/db.rs", "sqlx::query(\"DELETE FROM runs\")"), 1);
    }

    #[test]
    fn files_of_sql_lie_in_the_store() {
        let check = |path| {
            let mut findings = Vec::new();
            check_sql_file(&SourceFile::text_file(path, ""), &mut findings);
            findings.len()
        };
        assert_eq!(check("crates/engine/a.sql"), 1);
        assert_eq!(check("crates/store/migrations/0001_first.sql"), 0);
    }
}
