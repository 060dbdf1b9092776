//! Coding agents: any program by a command line, Claude Code, and recordings.
//!
//! Invariants: what runs a program runs it in the sandbox, with the tree, the out folder and an environment built from nothing; what an
//! agent leaves behind is read without following links, within bounds; an end that costs no attempt is never given on the agent's word
//! where its work had begun and the program just vanished.

mod claude_code;
mod command;
mod ground;
mod lines;
mod out;
mod replay;

pub use claude_code::{ClaudeCode, ClaudeCodeSettings, Credential};
pub use command::CommandAgent;
pub use replay::{Recordings, RecordingsError, ReplayAgent, ReplayModel};
