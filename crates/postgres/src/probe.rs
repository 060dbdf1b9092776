//! Asks a server whether it takes connections: one startup packet, the first answer decides.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use crate::{MAINTENANCE_DATABASE, SUPERUSER};

/// How long one answer may take.
const ANSWER_WAIT: Duration = Duration::from_secs(2);
/// Protocol 3.0.
const PROTOCOL: u32 = 3 << 16;
/// SQLSTATE `cannot_connect_now`: starting up, recovering or shutting down.
const CANNOT_CONNECT_NOW: &[u8] = b"57P03";
/// The most that is read of one answer, in bytes.
const MAX_ANSWER_BYTES: u64 = 4 * 1024;

/// What a server said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It takes connections (or refuses this one for a reason that only a running server has, such as too many clients).
    Ready,
    /// Somebody listens, but does not take connections yet, or any more.
    NotNow,
    /// Nobody listens.
    Nobody,
}

/// Connects to the socket and asks.
pub(crate) fn ask(socket: &Path) -> Answer {
    match open(socket) {
        Ok(stream) => exchange(stream).unwrap_or_else(|error| {
            tracing::trace!(%error, "the server does not answer properly");
            Answer::NotNow
        }),
        Err(Errno::NOENT | Errno::CONNREFUSED) => Answer::Nobody,
        // Such as EAGAIN: its backlog is full.
        Err(error) => {
            tracing::trace!(%error, "the server takes no connection");
            Answer::NotNow
        }
    }
}

fn exchange(mut stream: UnixStream) -> io::Result<Answer> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(ANSWER_WAIT))?;
    stream.set_write_timeout(Some(ANSWER_WAIT))?;
    stream.write_all(&startup_packet()?)?;
    let mut kind = [0];
    stream.read_exact(&mut kind)?;
    match kind[0] {
        b'R' => {
            // Terminate, so that the server logs no lost connection. Its loss would not matter.
            let _ = stream.write_all(&[b'X', 0, 0, 0, 4]);
            Ok(Answer::Ready)
        }
        b'E' => {
            let mut length = [0; 4];
            stream.read_exact(&mut length)?;
            let length = u64::from(u32::from_be_bytes(length).saturating_sub(4));
            let mut fields = Vec::new();
            stream.take(length.min(MAX_ANSWER_BYTES)).read_to_end(&mut fields)?;
            Ok(judge(&fields))
        }
        other => Err(io::Error::new(io::ErrorKind::InvalidData, format!("unexpected message {other:#x}"))),
    }
}

/// Looks for the SQLSTATE among an error's fields (`C`, text, zero).
fn judge(fields: &[u8]) -> Answer {
    let code = fields.split(|byte| *byte == 0).find_map(|field| field.strip_prefix(b"C"));
    match code {
        Some(code) if code != CANNOT_CONNECT_NOW => Answer::Ready,
        _ => Answer::NotNow,
    }
}

/// Connects without blocking: a stopped server with a full backlog would hold a blocking connect for ever.
fn open(path: &Path) -> Result<UnixStream, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let fd = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(&fd, &SocketAddrUnix::new(path)?)?;
    Ok(UnixStream::from(fd))
}

fn startup_packet() -> io::Result<Vec<u8>> {
    let mut body = PROTOCOL.to_be_bytes().to_vec();
    for word in ["user", SUPERUSER, "database", MAINTENANCE_DATABASE, "application_name", "damascus-supervisor"] {
        body.extend_from_slice(word.as_bytes());
        body.push(0);
    }
    body.push(0);
    let length = u32::try_from(body.len() + 4).map_err(io::Error::other)?;
    let mut packet = length.to_be_bytes().to_vec();
    packet.append(&mut body);
    Ok(packet)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_server_that_is_starting_or_stopping_is_not_ready() {
        assert_eq!(judge(b"SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0"), Answer::NotNow);
        assert_eq!(judge(b"SFATAL\0VFATAL\0C53300\0Msorry, too many clients already\0\0"), Answer::Ready);
        assert_eq!(judge(b""), Answer::NotNow);
    }

    #[test]
    fn the_startup_packet_counts_itself() {
        let packet = startup_packet().unwrap();
        assert_eq!(u32::from_be_bytes([packet[0], packet[1], packet[2], packet[3]]) as usize, packet.len());
        assert!(packet.ends_with(&[0, 0]));
    }
}
