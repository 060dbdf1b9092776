//! The diff policy, from outside: what is refused, and what is not.

mod cheats;
mod content;
mod honest;
mod hostile;
mod protection;
mod scope;
mod story;
