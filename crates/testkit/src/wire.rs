//! The wire between a test and its database, which a test can hold up: what a partitioned network and a frozen server look like.

use std::sync::Arc;

use damascus_store::{ConnectOptions, Store};
use sqlx::postgres::PgConnectOptions;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::TestDb;

/// How much is carried at once, in bytes.
const BUFFER: usize = 16 * 1024;

/// A wire; what runs over it ends with it.
#[derive(Debug)]
pub struct Wire {
    store: Store,
    held_up: watch::Sender<bool>,
    _carrier: JoinSet<()>,
}

impl Wire {
    /// A wire to the test's database.
    pub async fn to(db: &TestDb) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let (held_up, watched) = watch::channel(false);
        let server: Arc<PgConnectOptions> = Arc::new(db.url().parse().expect("the test database has an address"));
        let mut carrier = JoinSet::new();
        carrier.spawn(async move {
            let mut calls = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                calls.spawn(carry(near, Arc::clone(&server), watched.clone()));
            }
        });
        let (before, database) =
            db.url().split_once("://").and_then(|(_, rest)| rest.rsplit_once('/')).expect("an address");
        let who = before.rsplit_once('@').map_or("", |(who, _)| who);
        let database = database.split('?').next().unwrap_or_default();
        let url = format!("postgres://{who}@127.0.0.1:{port}/{database}?sslmode=disable");
        let options = ConnectOptions::parse(&url).expect("the wire has an address");
        let store = Store::open(options).await.expect("the test database answers over the wire");
        Self { store, held_up, _carrier: carrier }
    }

    /// A store at this end of the wire.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// Nothing passes any more, and nothing breaks.
    pub fn hold_up(&self) {
        self.held_up.send_replace(true);
    }

    /// What was held up passes.
    pub fn let_go(&self) {
        self.held_up.send_replace(false);
    }
}

async fn carry(near: TcpStream, server: Arc<PgConnectOptions>, held_up: watch::Receiver<bool>) {
    let (near_in, near_out) = near.into_split();
    match server.get_socket() {
        Some(folder) => {
            let path = folder.join(format!(".s.PGSQL.{}", server.get_port()));
            let Ok(far) = UnixStream::connect(path).await else { return };
            let (far_in, far_out) = far.into_split();
            tokio::join!(one_way(near_in, far_out, held_up.clone()), one_way(far_in, near_out, held_up));
        }
        None => {
            let Ok(far) = TcpStream::connect((server.get_host(), server.get_port())).await else { return };
            let (far_in, far_out) = far.into_split();
            tokio::join!(one_way(near_in, far_out, held_up.clone()), one_way(far_in, near_out, held_up));
        }
    }
}

async fn one_way(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut held_up: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; BUFFER];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let open = held_up.wait_for(|held_up| !held_up).await.is_ok();
        if !open || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
