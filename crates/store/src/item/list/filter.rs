//! From a filter to SQL.
//!
//! Invariant: the statement is put together from constants only; every value is bound. What it reads is bounded by [`MAX_LOOKED_AT`].

use damascus_core::{Named as _, Phase};
use sqlx::{Postgres, QueryBuilder};

use super::{ItemFilter, MAX_PAGE};

/// How many items one page looks at, at most, where a filter leaves some of them out.
const MAX_LOOKED_AT: usize = 20_000;

/// The indexes on what is unfinished: together they hold each such item once.
const UNFINISHED: [&str; 3] = [
    "w.claim_class IS NOT NULL",
    "w.lease_owner IS NOT NULL",
    "w.claim_class IS NULL AND w.lease_owner IS NULL AND w.phase NOT IN ('merged', 'cancelled')",
];
const CANCELLED: &str = "w.phase = 'cancelled'";

impl ItemFilter {
    /// How many items a page has at most.
    pub(super) fn page(&self) -> usize {
        if self.limit == 0 { MAX_PAGE } else { self.limit.min(MAX_PAGE) }
    }

    /// The statement that gives the ids of the page, in order.
    pub(super) fn found(&self) -> QueryBuilder<Postgres> {
        let mut query = QueryBuilder::new("SELECT w.id FROM (");
        self.push_looked_at(&mut query);
        query.push(") l JOIN work_items w ON w.id = l.id");
        if self.text.is_some() {
            query.push(" JOIN stories s ON s.item_id = l.id");
        }
        query.push(" WHERE true");
        self.push_phases(&mut query);
        if let Some(held) = self.held {
            query.push(" AND w.held = ").push_bind(held);
        }
        if let Some(text) = &self.text {
            query.push(" AND (position(lower(").push_bind(text.clone()).push(") IN lower(s.key)) > 0 OR position(lower(");
            query.push_bind(text.clone()).push(") IN lower(s.title)) > 0)");
        }
        self.push_order(&mut query, "l.id", self.page());
        query
    }

    /// The statement that gives the last id looked at when there may be more behind it, or null when all were looked at.
    pub(super) fn looked_until(&self) -> QueryBuilder<Postgres> {
        let last = if self.newest_first { "min" } else { "max" };
        let mut query = QueryBuilder::new("SELECT CASE WHEN count(*) >= ");
        query.push(self.looked_at()).push(" THEN ").push(last).push("(l.id) END FROM (");
        self.push_looked_at(&mut query);
        query.push(") l");
        query
    }

    /// What has merged need not be looked at.
    fn leaves_merged_out(&self) -> bool {
        self.held == Some(true) || (!self.phases.is_empty() && !self.phases.contains(&Phase::Merged))
    }

    /// How many must be looked at to fill a page.
    fn looked_at(&self) -> usize {
        let all_fit = self.text.is_none() && self.held.is_none() && (self.phases.is_empty() || self.leaves_merged_out());
        if all_fit { self.page() } else { MAX_LOOKED_AT }
    }

    fn push_looked_at(&self, query: &mut QueryBuilder<Postgres>) {
        if !self.leaves_merged_out() {
            query.push("SELECT s.item_id AS id FROM stories s WHERE true");
            self.push_place(query, "s.item_id", "s.project_id");
            self.push_order(query, "s.item_id", self.looked_at());
            return;
        }
        let cancelled = self.held != Some(true) && self.phases.contains(&Phase::Cancelled);
        query.push("SELECT u.id FROM (");
        for (at, part) in UNFINISHED.into_iter().chain(cancelled.then_some(CANCELLED)).enumerate() {
            query.push(if at == 0 { "(" } else { " UNION ALL (" });
            query.push("SELECT w.id FROM work_items w WHERE ").push(part);
            self.push_phases(query);
            self.push_place(query, "w.id", "w.project_id");
            self.push_order(query, "w.id", self.looked_at());
            query.push(")");
        }
        query.push(") u");
        self.push_order(query, "u.id", self.looked_at());
    }

    fn push_phases(&self, query: &mut QueryBuilder<Postgres>) {
        if !self.phases.is_empty() {
            let names: Vec<&'static str> = self.phases.iter().map(|phase| phase.name()).collect();
            query.push(" AND w.phase = ANY(").push_bind(names).push("::text[]::phase[])");
        }
    }

    fn push_place(&self, query: &mut QueryBuilder<Postgres>, id: &str, project: &str) {
        if let Some(wanted) = self.project {
            query.push(" AND ").push(project).push(" = ").push_bind(wanted.0);
        }
        if let Some(after) = self.after {
            query.push(" AND ").push(id).push(if self.newest_first { " < " } else { " > " }).push_bind(after.0);
        }
    }

    fn push_order(&self, query: &mut QueryBuilder<Postgres>, id: &str, limit: usize) {
        query.push(" ORDER BY ").push(id).push(if self.newest_first { " DESC" } else { " ASC" });
        // A literal, since the plan depends on it and plans are made once for all values.
        query.push(" LIMIT ").push(limit);
    }
}
