//! The program as people and scripts use it: the real binary on a real database.

mod errors;
mod follow;
mod help;
mod program;
mod setup;
mod shapes;
mod wait;
