//! A model's gateway that follows a script: a real HTTP server that speaks `/v1/chat/completions` and `/v1/messages`, whole or streamed.
//!
//! Invariants: it is as strict as the originals: a request that they would refuse is refused, and noted as a problem; every accepted request
//! takes the next answer of the script, or the one for all further requests; without one it fails, and that is a problem too.

mod http;
mod reply;
mod strict;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub use reply::{Block, Chat, Message, Reply};

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Such as `POST`.
    pub method: String,
    /// With its query.
    pub path: String,
    /// By name in small letters.
    pub headers: BTreeMap<String, String>,
    /// The JSON body; `null` where there is none.
    pub body: Value,
}

/// A gateway on a port of its own; it ends with its owner.
#[derive(Debug)]
pub struct ScriptedModel {
    address: SocketAddr,
    script: Arc<Script>,
    _server: JoinSet<()>,
}

/// What the server's tasks share.
#[derive(Debug)]
struct Script {
    key: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: VecDeque<Reply>,
    always: Option<Reply>,
    asked: Vec<Asked>,
    problems: Vec<String>,
}

impl Script {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What to answer to a request.
    fn reply(&self, asked: Asked) -> Reply {
        let verdict = strict::check(&asked, &self.key);
        let mut state = self.state();
        state.asked.push(asked);
        match verdict {
            Ok(()) => match state.next.pop_front().or_else(|| state.always.clone()) {
                Some(reply) => reply,
                None => {
                    state.problems.push("nothing is scripted for this request".to_owned());
                    Reply::error(500, "api_error", "nothing is scripted")
                }
            },
            Err(refusal) => {
                if refusal.status != 404 {
                    state.problems.push(refusal.message.clone());
                }
                Reply::error(refusal.status, "invalid_request_error", &refusal.message)
            }
        }
    }
}

impl ScriptedModel {
    /// Starts a gateway that accepts this key.
    pub async fn start(key: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let script = Arc::new(Script { key: key.to_owned(), state: Mutex::default() });
        let mut server = JoinSet::new();
        server.spawn(http::serve(listener, Arc::clone(&script)));
        Self { address, script, _server: server }
    }

    /// Its base address, such as `http://127.0.0.1:4000`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The answer to the next request that has none yet.
    pub fn answer(&self, reply: impl Into<Reply>) {
        self.script.state().next.push_back(reply.into());
    }

    /// The answer to every request after those that have one of their own.
    pub fn always(&self, reply: impl Into<Reply>) {
        self.script.state().always = Some(reply.into());
    }

    /// Every request so far, in order, also those that were refused.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.script.state().asked.clone()
    }

    /// What was wrong with requests, and answers that the script lacked. A look at an address that is none is not among them: programs
    /// probe for what a gateway has.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        self.script.state().problems.clone()
    }

    /// Answers of the script that nobody asked for yet.
    #[must_use]
    pub fn left(&self) -> usize {
        self.script.state().next.len()
    }
}
