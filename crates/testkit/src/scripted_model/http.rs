//! Just enough HTTP/1.1: one request per connection, read within bounds; answers that a proper server would never give are possible.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::reply::Sent;
use super::{Asked, Script};

/// The largest body of a request, in bytes.
const BODY_MAX: usize = 16 * 1024 * 1024;
/// The most header lines.
const HEADERS_MAX: usize = 100;
/// How much of a flood is sent at once, in bytes.
const FLOOD_PIECE: usize = 64 * 1024;

pub(super) async fn serve(listener: TcpListener, script: Arc<Script>) {
    let mut calls = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let script = Arc::clone(&script);
        calls.spawn(async move {
            // A client that goes away in the middle is part of many tests.
            let _ = call(stream, &script).await;
        });
        while calls.try_join_next().is_some() {}
    }
}

async fn call(mut stream: TcpStream, script: &Script) -> std::io::Result<()> {
    let Some(asked) = read(&mut stream).await? else { return Ok(()) };
    let streamed = asked.body["stream"] == Value::Bool(true);
    let model = asked.body["model"].as_str().unwrap_or_default().to_owned();
    let head_only = asked.method == "HEAD";
    match script.reply(asked).sent(streamed, &model) {
        Sent::Nothing => std::future::pending().await,
        Sent::Whole { status, headers, body } => {
            let head = head(status, &headers, Some(body.len()));
            stream.write_all(head.as_bytes()).await?;
            if !head_only {
                stream.write_all(&body).await?;
            }
        }
        Sent::CutOff { headers, body, promised } => {
            stream.write_all(head(200, &headers, Some(promised)).as_bytes()).await?;
            stream.write_all(&body).await?;
        }
        Sent::Flood { headers, bytes } => {
            stream.write_all(head(200, &headers, None).as_bytes()).await?;
            let piece = vec![b' '; FLOOD_PIECE];
            for _ in 0..bytes.div_ceil(FLOOD_PIECE) {
                stream.write_all(&piece).await?;
            }
        }
    }
    stream.shutdown().await
}

fn head(status: u16, headers: &[(String, String)], length: Option<usize>) -> String {
    let mut head = format!("HTTP/1.1 {status} Scripted\r\nconnection: close\r\n");
    if let Some(length) = length {
        head.push_str(&format!("content-length: {length}\r\n"));
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head + "\r\n"
}

/// Reads one request; none when there is none, or none that this server reads.
async fn read(stream: &mut TcpStream) -> std::io::Result<Option<Asked>> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).await?;
    let mut words = line.split_whitespace();
    let (Some(method), Some(path)) = (words.next(), words.next()) else { return Ok(None) };
    let (method, path) = (method.to_owned(), path.to_owned());
    let mut headers = BTreeMap::new();
    for _ in 0..HEADERS_MAX {
        let mut line = String::new();
        reader.read_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    if length > BODY_MAX {
        return Ok(None);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).await?;
    let body = serde_json::from_slice(&body).unwrap_or_default();
    Ok(Some(Asked { method, path, headers, body }))
}
