//! From columns to the domain, strictly.
//!
//! Invariant: nothing is defaulted; a value that no version of Damascus writes becomes [`StoreError::Inconsistent`].

use std::num::NonZeroU16;

use damascus_core::{BlockReason, Budget, Named, Phase, Stage, WorkPhase};

use crate::StoreError;

/// A row that is being decoded, for the error's place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowRef {
    pub(crate) table: &'static str,
    pub(crate) id: i64,
}

impl RowRef {
    pub(crate) const fn item(id: i64) -> Self {
        Self { table: "work_items", id }
    }

    pub(crate) fn wrong(self, problem: impl std::fmt::Display) -> StoreError {
        StoreError::Inconsistent { table: self.table, id: self.id, problem: problem.to_string() }
    }

    pub(crate) fn named<T: Named>(self, text: &str) -> Result<T, StoreError> {
        T::parse(text).map_err(|error| self.wrong(error))
    }

    pub(crate) fn count(self, column: &'static str, value: i16) -> Result<u16, StoreError> {
        u16::try_from(value).map_err(|_| self.wrong(format_args!("{column} is {value}")))
    }

    pub(crate) fn positive(self, column: &'static str, value: i16) -> Result<NonZeroU16, StoreError> {
        self.count(column, value)
            .and_then(|n| NonZeroU16::new(n).ok_or_else(|| self.wrong(format_args!("{column} is 0"))))
    }

    pub(crate) fn work_phase(self, text: &str) -> Result<WorkPhase, StoreError> {
        self.named(text)
    }

    pub(crate) fn stage(self, phase: &str, resume: Option<&str>, reason: Option<&str>) -> Result<Stage, StoreError> {
        let phase: Phase = self.named(phase)?;
        let resume: Option<WorkPhase> = resume.map(|text| self.named(text)).transpose()?;
        let reason: Option<BlockReason> = reason.map(|text| self.named(text)).transpose()?;
        Stage::from_parts(phase, resume, reason).map_err(|error| self.wrong(error))
    }

    pub(crate) fn budget(
        self,
        granted: i16,
        used: i16,
        infra_failures: i16,
        moves: i16,
        tampers: i16,
    ) -> Result<Budget, StoreError> {
        Ok(Budget {
            attempts_granted: self.positive("attempts_granted", granted)?,
            attempts_used: self.count("attempts_used", used)?,
            infra_failures: self.count("infra_failures", infra_failures)?,
            moves: self.count("moves", moves)?,
            tampers: self.count("tampers", tampers)?,
        })
    }
}
