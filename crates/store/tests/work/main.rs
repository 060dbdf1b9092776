//! What people and the scheduler do with projects, items, gates and issues, against a real Postgres.

mod answers;
mod gates;
mod items;
mod lists;
mod projects;
mod races;
mod scene;
mod stops;
