//! Projects with items, and short ways to move them on: always by claims, reports and decisions, never by hand.

use std::time::Duration;

use damascus_core::{
    Backoff, Digest, Epoch, Event, Failure, ItemId, ItemState, Outcome, Policy, ProjectId, Question, RunReport,
    WorkPhase, WorkerId,
};
use damascus_store::item::{NewItem, Standing, StorySource};
use damascus_store::project::{ForgeKind, NewProject};
use damascus_store::{Applied, ClaimRequest, Lease, Move, Registration, Store};

use crate::{TestDb, handlers};

/// Every phase, in claim order.
pub const PHASES: [WorkPhase; 4] = [WorkPhase::Merge, WorkPhase::Review, WorkPhase::Build, WorkPhase::Spec];

/// Long enough that no lease of a test runs out unless the test wants it to.
pub const LONG: Duration = Duration::from_secs(600);

/// A database with one project, `demo`.
#[derive(Debug)]
pub struct Scene {
    /// The database.
    pub db: TestDb,
    /// The project.
    pub project: ProjectId,
    /// A worker that is registered, for what the test claims itself.
    pub worker: WorkerId,
}

/// A project that backs off for milliseconds.
#[must_use]
pub fn project(name: &str) -> NewProject {
    let mut new = NewProject::new(name, ForgeKind::Local, "/srv/demo.git");
    new.backoff = Backoff { base_ms: 40, cap_ms: 200 };
    new
}

/// A project that backs off for longer than a test waits.
#[must_use]
pub fn slow_project(name: &str) -> NewProject {
    NewProject { backoff: Backoff::default(), ..project(name) }
}

/// A story to create.
#[must_use]
pub fn story(key: &str) -> NewItem {
    NewItem {
        key: key.to_owned(),
        title: format!("Story {key}"),
        body: "As a user I want it to work.".to_owned(),
        acceptance: vec!["It works.".to_owned()],
        source: StorySource::Manual,
        source_path: None,
        content_sha256: Digest::filled(b'a'),
        priority: None,
        rank: 0,
        max_attempts: None,
        gates: Vec::new(),
    }
}

/// A report that passes the phase.
#[must_use]
pub fn passed(phase: WorkPhase) -> RunReport {
    RunReport::free(Outcome::Pass(handlers::proof(phase)))
}

/// A report that fails.
#[must_use]
pub fn failed(failure: Failure) -> RunReport {
    RunReport::failed(failure, "it did not work")
}

/// A report that hit a provider's limit.
#[must_use]
pub fn rate_limited(reopen_after_ms: Option<u64>) -> RunReport {
    RunReport::free(Outcome::RateLimited { reopen_after_ms, detail: "too many requests".to_owned() })
}

/// A report that asks one question.
#[must_use]
pub fn asked(text: &str) -> RunReport {
    let first = Question { text: text.to_owned(), options: vec!["a".to_owned(), "b".to_owned()], default: None };
    RunReport::free(Outcome::Ask { first, more: Vec::new() })
}

/// What a process says of itself.
#[must_use]
pub fn registration(name: &str) -> Registration {
    Registration {
        name: name.to_owned(),
        host: "here".to_owned(),
        pid: std::process::id(),
        version: "0.0.0".to_owned(),
        concurrency: 8,
    }
}

/// A request for up to `max` items of any phase, under a lease that does not run out.
#[must_use]
pub fn request(worker: WorkerId, max: usize) -> ClaimRequest {
    ClaimRequest { worker, phases: PHASES.to_vec(), max, lease: LONG }
}

/// Leases as they are renewed and handed back.
#[must_use]
pub fn names(leases: &[Lease]) -> Vec<(ItemId, Epoch)> {
    leases.iter().map(|lease| (lease.item, lease.epoch)).collect()
}

/// The moves of passes for these leases.
#[must_use]
pub fn passes(leases: &[Lease]) -> Vec<Move> {
    leases.iter().map(|lease| report_move(lease, passed(lease.phase))).collect()
}

/// What a report does to its item, backing off for as long as it can be.
#[must_use]
pub fn report_move(lease: &Lease, report: RunReport) -> Move {
    Move::from_report(lease, report, 1.0).expect("the verdict has its place in the phase")
}

/// A person's cancellation of a new item that nobody has claimed.
#[must_use]
pub fn cancellation(item: ItemId) -> Move {
    let fresh = ItemState::new(damascus_core::policy::DEFAULT_ATTEMPTS);
    Move::from_event(item, Epoch(0), fresh, Event::Cancelled, &Policy::default()).expect("a new item can be given up")
}

impl Scene {
    /// A scene on a database of its own.
    pub async fn new() -> Self {
        Self::on(TestDb::new().await, project("demo")).await
    }

    /// A scene with a project of the test's own.
    pub async fn with(project: NewProject) -> Self {
        Self::on(TestDb::new().await, project).await
    }

    /// A scene on a given database.
    pub async fn on(db: TestDb, project: NewProject) -> Self {
        let project = db.store().add_project(&project).await.expect("the project is new");
        let worker = db.store().register_worker(&registration("worker")).await.expect("a worker registers");
        Self { db, project, worker }
    }

    /// The store.
    #[must_use]
    pub const fn store(&self) -> &Store {
        self.db.store()
    }

    /// Another project.
    pub async fn project(&self, name: &str) -> ProjectId {
        self.store().add_project(&project(name)).await.expect("the project is new")
    }

    /// Another worker.
    pub async fn worker(&self, name: &str) -> WorkerId {
        self.store().register_worker(&registration(name)).await.expect("a worker registers")
    }

    /// A new item of the scene's project.
    pub async fn item(&self, key: &str) -> ItemId {
        self.store().create_item(self.project, &story(key)).await.expect("the item is new").item
    }

    /// So many new items of a project, oldest first.
    pub async fn items(&self, project: ProjectId, count: usize) -> Vec<ItemId> {
        let new: Vec<NewItem> = (0..count).map(|n| story(&format!("s{n}"))).collect();
        let made = self.store().create_items(project, &new).await.expect("the items are new");
        made.into_iter().map(|one| one.item).collect()
    }

    /// Claims as the scene's worker.
    pub async fn claim(&self, max: usize) -> Vec<Lease> {
        self.store().claim(&request(self.worker, max)).await.expect("a claim")
    }

    /// Writes moves and claims nothing.
    pub async fn write(&self, moves: &[Move]) -> Applied {
        self.store().finish_and_claim(moves, &request(self.worker, 0)).await.expect("the moves are written").0
    }

    /// Reports for a lease; says whether it was written.
    pub async fn report(&self, lease: &Lease, report: RunReport) -> bool {
        self.write(&[report_move(lease, report)]).await.wrote(lease.item)
    }

    /// A lease on this very item; what else was claimed on the way is handed back.
    pub async fn lease(&self, item: ItemId) -> Lease {
        let (ours, others): (Vec<Lease>, Vec<Lease>) =
            self.claim(512).await.into_iter().partition(|one| one.item == item);
        self.store().hand_back(self.worker, &names(&others)).await.expect("handed back");
        match ours.into_iter().next() {
            Some(lease) => lease,
            None => panic!("{item} can't be claimed: {}", self.standing(item).await.explain()),
        }
    }

    /// Takes items to where they wait for a phase, each through the phases before it; nothing else may be claimable.
    pub async fn bring_to(&self, phase: WorkPhase, items: &[ItemId]) {
        for _ in 0..3 - phase.claim_rank() {
            let leases = self.claim(512).await;
            assert!(leases.len() == items.len() && leases.iter().all(|one| items.contains(&one.item)), "{leases:?}");
            self.write(&passes(&leases)).await;
        }
    }

    /// Where an item stands.
    pub async fn standing(&self, item: ItemId) -> Standing {
        self.store().standing(item).await.expect("the item is there")
    }
}
