//! Several processes, one server.

use damascus_postgres::{Origin, Release};

use crate::home::{Home, connect, show};
use crate::user::User;

/// How many processes come at once.
const CROWD: usize = 8;

#[test]
fn the_first_to_leave_does_not_stop_the_server_of_the_second() {
    let home = Home::new();
    let mut first = User::spawn(&home);
    let (origin, pid) = first.joined();
    assert_eq!(origin, "Started");
    let second = home.acquire();
    assert_eq!(second.origin(), Origin::Adopted);
    assert_eq!(second.server_pid().unwrap(), Some(pid));
    assert_eq!(first.leave(), "StillInUse");
    assert_eq!(show(&mut connect(&second), "listen_addresses"), "");
    assert_eq!(second.release().unwrap(), Release::Stopped);
    assert!(home.is_quiet());
}

#[test]
fn a_killed_user_leaves_its_server_to_the_next() {
    let home = Home::new();
    let mut first = User::spawn(&home);
    let (_, pid) = first.joined();
    first.kill();
    let second = home.acquire();
    assert_eq!((second.origin(), second.server_pid().unwrap()), (Origin::Adopted, Some(pid)));
    show(&mut connect(&second), "fsync");
    assert_eq!(second.release().unwrap(), Release::Stopped, "a killed process counts no more");
    assert!(home.is_quiet());
}

#[test]
fn a_crowd_at_an_empty_home_makes_one_cluster_and_one_server() {
    let home = Home::new();
    let mut users: Vec<_> = (0..CROWD).map(|_| User::spawn(&home)).collect();
    let joined: Vec<_> = users.iter_mut().map(User::joined).collect();
    assert_eq!(joined.iter().filter(|(origin, _)| origin == "Started").count(), 1, "{joined:?}");
    assert!(joined.iter().all(|(_, pid)| *pid == joined[0].1), "{joined:?}");
    let left: Vec<_> = users.into_iter().map(User::leave).collect();
    let (last, others) = left.split_last().unwrap();
    assert!(others.iter().all(|said| said == "StillInUse"), "{left:?}");
    assert_eq!(last, "Stopped");
    assert!(home.is_quiet());
}

#[test]
fn two_shares_of_one_process_count_as_two() {
    let home = Home::new();
    let (first, second) = (home.acquire(), home.acquire());
    assert_eq!((first.origin(), second.origin()), (Origin::Started, Origin::Adopted));
    assert_eq!(first.release().unwrap(), Release::StillInUse);
    assert_eq!(second.release().unwrap(), Release::Stopped);
}
