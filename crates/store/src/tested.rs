//! Which tree was tested by which rules, with what result.
//!
//! Invariants: a result is filed under the very tree that its evidence names, and is never changed; what is not here was not tested. Results
//! are trimmed after [`crate::schedule::KEEP_TESTED_DAYS`] days: then a tree is tested again.

use chrono::{DateTime, Utc};
use damascus_core::{CommitId, Digest, ProjectId, TestEvidence};
use serde_json::Value;

use crate::decode::RowRef;
use crate::{Store, StoreError, input, project};

/// How long the results of single tests may be, as JSON, in bytes.
pub const TESTS_MAX_BYTES: usize = 1 << 20;
/// How long the evidence may be, as JSON, in bytes.
const EVIDENCE_MAX_BYTES: usize = 64 << 10;
/// What Postgres says when a row names a project that is not there.
const FOREIGN_KEY_VIOLATION: &str = "23503";

/// The result of testing a tree.
#[derive(Debug, Clone, PartialEq)]
pub struct Tested {
    /// The execution of the test command; its `tree` is what the result is found by.
    pub evidence: TestEvidence,
    /// What came of each test, by its name; at most [`TESTS_MAX_BYTES`].
    pub tests: Value,
    /// When it was stored; what [`Store::remember_tested`] is given here is not looked at.
    pub at: DateTime<Utc>,
}

impl Store {
    /// The result of testing a tree by these rules, if it is known.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Inconsistent`].
    pub async fn tested(
        &self,
        project: ProjectId,
        tree: &CommitId,
        rules: &Digest,
    ) -> Result<Option<Tested>, StoreError> {
        let row = sqlx::query!(
            "SELECT evidence, tests, at FROM tested_trees WHERE project_id = $1 AND tree = $2 AND rules_sha256 = $3",
            project.0,
            tree.as_str(),
            rules.as_str(),
        )
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let place = RowRef { table: "tested_trees", id: project.0 };
        let evidence: TestEvidence = serde_json::from_value(row.evidence).map_err(|error| place.wrong(error))?;
        if evidence.tree != *tree {
            return Err(place.wrong(format_args!("{tree} has the evidence of {}", evidence.tree)));
        }
        Ok(Some(Tested { evidence, tests: row.tests, at: row.at }))
    }

    /// Remembers the result of testing a tree; the first one stays. Which results deserve it is the caller's to decide.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for what is too large; [`StoreError::NotFound`] when there is no such project; [`StoreError::Database`].
    pub async fn remember_tested(&self, project: ProjectId, rules: &Digest, tested: &Tested) -> Result<(), StoreError> {
        let evidence = serde_json::to_value(&tested.evidence).map_err(|error| input::wrong("evidence", error))?;
        input::json("evidence", &evidence, EVIDENCE_MAX_BYTES)?;
        input::json("tests", &tested.tests, TESTS_MAX_BYTES)?;
        let stored = sqlx::query!(
            r#"
            INSERT INTO tested_trees (project_id, tree, rules_sha256, evidence, tests) VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT (project_id, tree, rules_sha256) DO NOTHING
            "#,
            project.0,
            tested.evidence.tree.as_str(),
            rules.as_str(),
            evidence,
            tested.tests,
        )
        .execute(&self.pool)
        .await
        .map_err(StoreError::from);
        match stored {
            Ok(_) => Ok(()),
            Err(error) if error.sql_state().as_deref() == Some(FOREIGN_KEY_VIOLATION) => Err(project::gone(project)),
            Err(error) => Err(error),
        }
    }
}
