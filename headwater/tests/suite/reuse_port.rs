//! Two servers on one port: they share who comes, and one leaves without anybody being refused.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::harness::{PATIENCE, Server, headwater, run, text};

const PATH: &str = "/v/plb_00000000000000000000000007/master.m3u8";

/// The status of one request on a connection of its own.
fn status(address: &str) -> Result<u16, std::io::Error> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let request = format!("GET {PATH} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.ok_or_else(|| std::io::Error::other(format!("no answer: {answer:?}")))
}

#[test]
fn two_servers_share_a_port_and_one_leaves_without_anybody_being_refused() {
    const SHARED: [&str; 2] = ["--set", "listen_reuse_port=true"];
    let temp = tempfile::tempdir().unwrap();
    // An origin without anything says 404, an edge without an origin 502.
    let origin_args = ["--roles", "origin", SHARED[0], SHARED[1]];
    let mut old = Server::start_with(&temp.path().join("old"), &origin_args);
    let address = old.url.strip_prefix("http://").unwrap().to_owned();
    let edge_args = ["--roles", "origin", "--upstream", "http://127.0.0.1:1", SHARED[0], SHARED[1]];
    let _new = Server::start_on(&address, &mut headwater(&[]), &temp.path().join("new"), &edge_args);

    let (by_old, by_new) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let is_over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (address, by_old, by_new, is_over) =
                (address.clone(), Arc::clone(&by_old), Arc::clone(&by_new), Arc::clone(&is_over));
            std::thread::spawn(move || {
                let mut refused = Vec::new();
                while !is_over.load(Ordering::Relaxed) {
                    match status(&address) {
                        Ok(404) => drop(by_old.fetch_add(1, Ordering::Relaxed)),
                        Ok(502) => drop(by_new.fetch_add(1, Ordering::Relaxed)),
                        other => refused.push(format!("{other:?}")),
                    }
                }
                refused
            })
        })
        .collect();
    let until = |what: &str, is_so: &dyn Fn() -> bool| {
        let begun = Instant::now();
        while !is_so() {
            assert!(begun.elapsed() < PATIENCE, "{what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    let counts = || (by_old.load(Ordering::Relaxed), by_new.load(Ordering::Relaxed));
    until("both are asked", &|| counts().0 > 50 && counts().1 > 50);
    old.terminate();
    assert!(old.ended().success());
    let (last_of_old, before) = counts();
    until("the new one has all of it", &|| counts().1 > before + 200);
    is_over.store(true, Ordering::Relaxed);
    let refused: Vec<String> = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
    assert_eq!(refused, [""; 0], "nobody is refused");
    assert!(counts().0 <= last_of_old + 4, "the old one is gone");
}

#[test]
fn a_port_is_nobody_elses_unless_it_is_shared() {
    let temp = tempfile::tempdir().unwrap();
    let first = Server::start_with(&temp.path().join("one"), &["--roles", "origin"]);
    let address = first.url.strip_prefix("http://").unwrap();
    let folder = temp.path().join("two");
    for shared in ["false", "true"] {
        let setting = format!("listen_reuse_port={shared}");
        let second =
            ["serve", "--roles", "origin", "--listen", address, "--data-dir", text(&folder), "--set", &setting];
        let output = run(&second);
        assert_eq!(output.status.code(), Some(1), "{shared}");
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert!(complaint.contains("cannot listen on"), "{complaint}");
    }
}
