//! From a filter to SQL.
//!
//! Invariants: the statement is put together from constants only; every value is bound. It reads what is unfinished or was cancelled, or
//! at most [`MAX_LOOKED_AT`] of all items.

use damascus_core::{Named as _, Phase};
use sqlx::{Postgres, QueryBuilder};

use super::{ItemFilter, MAX_PAGE};

/// How many items one page looks at, at most, where a filter leaves some of them out.
const MAX_LOOKED_AT: usize = 20_000;

/// The indexes on what can be claimed, on what runs, and on what does neither: together they hold each unfinished item once.
const QUEUED: &str = "w.claim_class IS NOT NULL";
const RUNNING: &str = "w.lease_owner IS NOT NULL";
const WAITING: &str = "w.claim_class IS NULL AND w.lease_owner IS NULL AND w.phase NOT IN ('merged', 'cancelled')";
/// The index on what was given up.
const CANCELLED: &str = "w.phase = 'cancelled'";

impl ItemFilter {
    /// How many items a page has at most.
    pub(super) fn page(&self) -> usize {
        if self.limit == 0 { MAX_PAGE } else { self.limit.min(MAX_PAGE) }
    }

    /// The statement that gives the ids of the page, in order. What the row and the story say is looked up for one id after the other, in
    /// subqueries that can't become joins: a join in the order of the ids would read all that has ended.
    pub(super) fn found(&self) -> QueryBuilder<Postgres> {
        let mut query = QueryBuilder::new("SELECT l.id FROM (");
        self.push_looked_at(&mut query);
        query.push(") l WHERE true");
        if !self.leaves_merged_out() && (!self.phases.is_empty() || self.held.is_some()) {
            query.push(" AND (SELECT true");
            self.push_row(&mut query);
            query.push(" FROM work_items w WHERE w.id = l.id)");
        }
        if let Some(text) = &self.text {
            query
                .push(" AND (SELECT position(lower(")
                .push_bind(text.clone())
                .push(") IN lower(s.key)) > 0 OR position(lower(");
            query.push_bind(text.clone()).push(") IN lower(s.title)) > 0 FROM stories s WHERE s.item_id = l.id)");
        }
        self.push_order(&mut query, &["l.id"], self.page());
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

    /// The indexes that hold what is asked for, where nothing merged is.
    fn parts(&self) -> Vec<&'static str> {
        let mut parts = Vec::new();
        if self.phases.is_empty() || self.phases.iter().any(|phase| phase.working().is_some()) {
            parts.extend([QUEUED, RUNNING]);
        }
        parts.push(WAITING);
        if self.held != Some(true) && self.phases.contains(&Phase::Cancelled) {
            parts.push(CANCELLED);
        }
        parts
    }

    /// How many must be looked at to fill a page.
    fn looked_at(&self) -> usize {
        let all_fit = self.leaves_merged_out() || (self.phases.is_empty() && self.held.is_none());
        if all_fit && self.text.is_none() { self.page() } else { MAX_LOOKED_AT }
    }

    /// The ids to look at. What is unfinished is read whole and then sorted, since the order of the ids would tempt the planner to walk the
    /// primary key past all that has ended; with a project, both columns of the stories' index are ordered by, for the same reason.
    fn push_looked_at(&self, query: &mut QueryBuilder<Postgres>) {
        if self.leaves_merged_out() {
            query.push("WITH few AS MATERIALIZED (");
            for (at, part) in self.parts().into_iter().enumerate() {
                query.push(if at == 0 { "" } else { " UNION ALL " });
                query.push("SELECT w.id FROM work_items w WHERE ").push(part);
                self.push_row(query);
                if let Some(project) = self.project {
                    query.push(" AND w.project_id = ").push_bind(project.0);
                }
                self.push_after(query, "w.id");
            }
            query.push(") SELECT few.id FROM few");
            self.push_order(query, &["few.id"], self.looked_at());
        } else if let Some(project) = self.project {
            let (least, most) = if self.newest_first {
                (0, self.after.map_or(i64::MAX, |after| after.0))
            } else {
                (self.after.map_or(0, |after| after.0), i64::MAX)
            };
            query
                .push("SELECT s.item_id AS id FROM stories s WHERE (s.project_id, s.item_id) > (")
                .push_bind(project.0)
                .push(", ");
            query
                .push_bind(least)
                .push(") AND (s.project_id, s.item_id) < (")
                .push_bind(project.0)
                .push(", ")
                .push_bind(most)
                .push(")");
            self.push_order(query, &["s.project_id", "s.item_id"], self.looked_at());
        } else {
            query.push("SELECT s.item_id AS id FROM stories s WHERE true");
            self.push_after(query, "s.item_id");
            self.push_order(query, &["s.item_id"], self.looked_at());
        }
    }

    /// What must be true of the item's row.
    fn push_row(&self, query: &mut QueryBuilder<Postgres>) {
        let open = Phase::ALL.iter().filter(|phase| !phase.is_end()).all(|phase| self.phases.contains(phase));
        // Where only what is unfinished is looked at, all its phases together choose nothing.
        let any_phase = self.phases.is_empty() || (open && self.leaves_merged_out());
        if !any_phase {
            let names: Vec<&'static str> = self.phases.iter().map(|phase| phase.name()).collect();
            query.push(" AND w.phase = ANY(").push_bind(names).push("::text[]::phase[])");
        }
        if let Some(held) = self.held {
            query.push(" AND w.held = ").push_bind(held);
        }
    }

    fn push_after(&self, query: &mut QueryBuilder<Postgres>, id: &str) {
        if let Some(after) = self.after {
            query.push(" AND ").push(id).push(if self.newest_first { " < " } else { " > " }).push_bind(after.0);
        }
    }

    fn push_order(&self, query: &mut QueryBuilder<Postgres>, columns: &[&str], limit: usize) {
        let direction = if self.newest_first { " DESC" } else { " ASC" };
        for (at, column) in columns.iter().enumerate() {
            query.push(if at == 0 { " ORDER BY " } else { ", " }).push(column).push(direction);
        }
        // A literal, since the plan depends on it and plans are made once for all values.
        query.push(" LIMIT ").push(limit);
    }
}
