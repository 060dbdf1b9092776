//! The project's own rules, from outside: read, written, detected.

mod detected;
mod file;
