//! Attempts to do from inside what must not be possible, one per door.
#![expect(unsafe_code, reason = "forbidden calls exist as C functions only")]

use std::io;
use std::ptr;

use crate::CageTrial;

type Attempt = (&'static str, io::Result<()>);

/// Every attempt, with what the system answered. `parent` is the process that is signalled.
///
/// Whatever succeeds is left open: the process ends right after.
pub(super) fn all(parent: libc::pid_t) -> Vec<CageTrial> {
    let attempts = paths().into_iter().chain(sockets()).chain(processes(parent)).chain(kernel());
    let told = |(name, result): Attempt| CageTrial {
        name: name.to_owned(),
        is_denied: result.is_err(),
        answer: result.map_or_else(|error| error.to_string(), |()| "allowed".to_owned()),
    };
    attempts.map(told).collect()
}

fn answer(result: impl Into<i64>) -> io::Result<()> {
    if result.into() < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn paths() -> Vec<Attempt> {
    let path = c"/etc/passwd".as_ptr();
    // SAFETY: all pointers are to static, terminated strings.
    unsafe {
        vec![
            ("open a file", answer(libc::open(path, libc::O_RDONLY))),
            ("open a file relative to a descriptor", answer(libc::openat(0, path, libc::O_RDONLY))),
            ("create a file", answer(libc::open(c"/tmp/cage".as_ptr(), libc::O_CREAT | libc::O_WRONLY, 0o600))),
            ("look at a path", answer(libc::access(path, libc::F_OK))),
            ("remove a file", answer(libc::unlink(c"/tmp/cage".as_ptr()))),
        ]
    }
}

fn sockets() -> Vec<Attempt> {
    // SAFETY: plain calls; the one pointer is null, where the call would fail anyway.
    unsafe {
        vec![
            ("make an internet socket", answer(libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0))),
            ("make a local socket", answer(libc::socket(libc::AF_UNIX, libc::SOCK_STREAM, 0))),
            ("send a descriptor", answer(libc::syscall(libc::SYS_sendmsg, 1, 0, 0))),
        ]
    }
}

fn processes(parent: libc::pid_t) -> Vec<Attempt> {
    let program = c"/bin/true".as_ptr();
    // SAFETY: pointers are to static strings, or null where the call accepts null; a fork that
    // succeeds exits at once without running any destructor.
    unsafe {
        vec![
            ("run a program", answer(libc::execve(program, ptr::null(), ptr::null()))),
            ("fork", {
                let child = libc::fork();
                if child == 0 {
                    libc::_exit(0);
                }
                answer(child)
            }),
            ("trace a process", answer(libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0))),
            ("signal another process", answer(libc::kill(parent, 0))),
            ("signal a thread of another process", answer(libc::syscall(libc::SYS_tgkill, parent, parent, 0))),
            ("become root", answer(libc::setresuid(0, 0, 0))),
        ]
    }
}

fn kernel() -> Vec<Attempt> {
    let (protection, sharing) = (libc::PROT_READ | libc::PROT_EXEC, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: calls without pointers, or with null where the call accepts null.
    unsafe {
        let mapped = libc::mmap(ptr::null_mut(), 4096, protection, sharing, -1, 0);
        let mapped = if mapped == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) };
        vec![
            ("map executable memory", mapped),
            ("set up io_uring", answer(libc::syscall(libc::SYS_io_uring_setup, 1, 0))),
            ("load a BPF program", answer(libc::syscall(libc::SYS_bpf, 0, 0, 0))),
            ("make a namespace", answer(libc::unshare(libc::CLONE_NEWUSER))),
        ]
    }
}
