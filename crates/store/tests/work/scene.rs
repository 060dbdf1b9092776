//! A project with items, and short ways to move them on: always by leases, reports and decisions, never by hand.

use std::time::Duration;

use damascus_core::{
    Digest, Failure, GateCondition, ItemId, Outcome, ProjectId, Question, RunReport, WorkPhase, WorkerId,
};
use damascus_store::gate::{GateTarget, NewGate};
use damascus_store::item::{NewItem, Standing, StorySource};
use damascus_store::project::{ForgeKind, NewProject};
use damascus_store::{Applied, ClaimRequest, Lease, Move, Registration, Store};
use damascus_testkit::{TestDb, handlers};

pub(crate) const PHASES: [WorkPhase; 4] = [WorkPhase::Merge, WorkPhase::Review, WorkPhase::Build, WorkPhase::Spec];

pub(crate) struct Scene {
    pub(crate) db: TestDb,
    pub(crate) project: ProjectId,
    pub(crate) worker: WorkerId,
}

pub(crate) fn story(key: &str) -> NewItem {
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

pub(crate) fn gate(phase: WorkPhase, condition: GateCondition) -> NewGate {
    NewGate { phase, waits_for: GateTarget::Condition(condition), deadline: None, origin: "a test".to_owned() }
}

/// A gate on the build phase until another item of the project is merged.
pub(crate) fn after(key: &str) -> NewGate {
    NewGate {
        phase: WorkPhase::Build,
        waits_for: GateTarget::ItemKey(key.to_owned()),
        deadline: None,
        origin: "a test".to_owned(),
    }
}

pub(crate) fn failed(failure: Failure) -> RunReport {
    RunReport::failed(failure, "it did not work")
}

pub(crate) fn asked(questions: &[(&str, &[&str])]) -> RunReport {
    let mut questions = questions.iter().map(|(text, options)| Question {
        text: (*text).to_owned(),
        options: options.iter().map(|&option| option.to_owned()).collect(),
        default: None,
    });
    let first = questions.next().unwrap();
    RunReport::free(Outcome::Ask { first, more: questions.collect() })
}

impl Scene {
    pub(crate) async fn new() -> Self {
        let db = TestDb::new().await;
        let project =
            db.store().add_project(&NewProject::new("demo", ForgeKind::Local, "/srv/demo.git")).await.unwrap();
        let registration = Registration {
            name: "worker".to_owned(),
            host: "here".to_owned(),
            pid: 1,
            version: "0.0.0".to_owned(),
            concurrency: 8,
        };
        let worker = db.store().register_worker(&registration).await.unwrap();
        Self { db, project, worker }
    }

    pub(crate) fn store(&self) -> &Store {
        self.db.store()
    }

    pub(crate) async fn item(&self, key: &str) -> ItemId {
        self.store().create_item(self.project, &story(key)).await.unwrap().item
    }

    /// An item that waits in build until others are merged.
    pub(crate) async fn item_after(&self, key: &str, upstreams: &[&str]) -> ItemId {
        let new = NewItem { gates: upstreams.iter().map(|key| after(key)).collect(), ..story(key) };
        self.store().create_item(self.project, &new).await.unwrap().item
    }

    pub(crate) fn request(&self, max: usize) -> ClaimRequest {
        ClaimRequest { worker: self.worker, phases: PHASES.to_vec(), max, lease: Duration::from_secs(60) }
    }

    /// A lease on this very item; what else was claimed on the way is handed back.
    pub(crate) async fn lease(&self, item: ItemId) -> Lease {
        let leases = self.store().claim(&self.request(512)).await.unwrap();
        let others: Vec<_> = leases.iter().filter(|l| l.item != item).map(|l| (l.item, l.epoch)).collect();
        self.store().hand_back(self.worker, &others).await.unwrap();
        match leases.into_iter().find(|lease| lease.item == item) {
            Some(lease) => lease,
            None => panic!("{item} can't be claimed: {}", self.standing(item).await.explain()),
        }
    }

    /// Reports for a lease.
    pub(crate) async fn report(&self, lease: &Lease, report: RunReport) -> Applied {
        let one = Move::from_report(lease, report, 0.0).unwrap();
        self.store().finish_and_claim(&[one], &self.request(0)).await.unwrap().0
    }

    /// Runs an item once, and has its gates evaluated when it stops, as a worker does.
    pub(crate) async fn run(&self, item: ItemId, report: RunReport) -> Standing {
        let lease = self.lease(item).await;
        let applied = self.report(&lease, report).await;
        self.store().evaluate_upstream(&applied.stopped).await.unwrap();
        self.standing(item).await
    }

    pub(crate) async fn pass(&self, item: ItemId) -> Standing {
        let lease = self.lease(item).await;
        let applied = self.report(&lease, RunReport::free(Outcome::Pass(handlers::proof(lease.phase)))).await;
        self.store().evaluate_upstream(&applied.stopped).await.unwrap();
        self.standing(item).await
    }

    /// Takes a new item to its end.
    pub(crate) async fn merge(&self, item: ItemId) {
        for _ in PHASES {
            self.pass(item).await;
        }
        assert!(matches!(self.standing(item).await, Standing::Merged { .. }));
    }

    /// Lets an item fail in build until its attempts are spent.
    pub(crate) async fn block(&self, item: ItemId) {
        if matches!(self.standing(item).await, Standing::Ready { phase: WorkPhase::Spec, .. }) {
            self.pass(item).await;
        }
        while !matches!(self.run(item, failed(Failure::BuildFailed)).await, Standing::Blocked { .. }) {}
    }

    pub(crate) async fn standing(&self, item: ItemId) -> Standing {
        self.store().standing(item).await.unwrap()
    }

    /// The types of an item's events, oldest first, without runs that were handed back at once (see [`Scene::lease`]); they must be
    /// numbered without a gap.
    pub(crate) async fn events(&self, item: ItemId) -> Vec<String> {
        let mut connection = self.db.connect().await;
        let rows: Vec<(i32, String)> =
            sqlx::query_as("SELECT seq, type FROM events_outbox WHERE item_id = $1 ORDER BY seq")
                .bind(item.0)
                .fetch_all(&mut connection)
                .await
                .unwrap();
        let numbers: Vec<i32> = rows.iter().map(|row| row.0).collect();
        assert_eq!(
            numbers,
            (1..=i32::try_from(rows.len()).unwrap()).collect::<Vec<_>>(),
            "events of {item} have a gap"
        );
        let counted: i32 = sqlx::query_scalar("SELECT events FROM work_items WHERE id = $1")
            .bind(item.0)
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert_eq!(usize::try_from(counted).unwrap(), rows.len(), "the row of {item} counts other events");
        let mut told: Vec<String> = Vec::new();
        for (_, kind) in rows {
            if kind == "run.handed_back" {
                assert_eq!(told.pop().as_deref(), Some("run.started"));
            } else {
                told.push(kind);
            }
        }
        told
    }

    /// Lets the time of the database pass for gates: moves their times into the past.
    pub(crate) async fn gates_come_due(&self) {
        let mut connection = self.db.connect().await;
        sqlx::query("UPDATE coordination_gates SET due_at = due_at - interval '10 years', deadline = deadline - interval '10 years'")
            .execute(&mut connection)
            .await
            .unwrap();
    }
}
