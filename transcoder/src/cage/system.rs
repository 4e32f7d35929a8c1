//! The system calls that Rust's standard library does not offer.
#![expect(unsafe_code, reason = "rlimits, capabilities and namespaces exist as C functions only")]

use std::io;
use std::ptr;

use super::policy::NOBODY;

/// Version 3 of the capability calls: two words of 32 capabilities each.
const CAPABILITY_VERSION: u32 = 0x2008_0522;

fn answer(result: impl Into<i64>) -> io::Result<()> {
    if result.into() < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The process that started this one.
pub(super) fn parent() -> libc::pid_t {
    // SAFETY: a plain call that cannot fail.
    unsafe { libc::getppid() }
}

/// Moves into empty namespaces, as far as the kernel lets us, and from root to nobody; says which.
///
/// Root needs no user namespace to leave the network, others do. A container may forbid all of it:
/// the later layers do not depend on it.
pub(super) fn leave_namespaces() -> Vec<&'static str> {
    // SAFETY: plain calls without pointers, in a process of one thread.
    let unshared = |flags| unsafe { libc::unshare(flags) } == 0;
    let apart = libc::CLONE_NEWNET | libc::CLONE_NEWIPC;
    let mut left = Vec::new();
    if unshared(apart) {
        left.extend(["network", "ipc"]);
    }
    drop_root();
    if left.is_empty() && unshared(libc::CLONE_NEWUSER | apart) {
        left.extend(["network", "ipc", "user"]);
    } else if unshared(libc::CLONE_NEWUSER) {
        left.push("user");
    }
    left
}

fn drop_root() {
    // SAFETY: plain calls; the one pointer is null, with a length of zero.
    unsafe {
        if libc::geteuid() == 0 {
            libc::setgroups(0, ptr::null());
            libc::setresgid(NOBODY, NOBODY, NOBODY);
            libc::setresuid(NOBODY, NOBODY, NOBODY);
        }
    }
}

/// Gives up every capability, also those that a service manager granted and those that a user
/// namespace of one's own comes with.
///
/// A service manager may forbid the call; that is well as long as there is nothing to give up.
pub(super) fn drop_capabilities() -> io::Result<()> {
    // Version and thread, then effective, permitted and inheritable of either word.
    let mut header = [CAPABILITY_VERSION, 0];
    let none = [0u32; 6];
    let mut held = [u32::MAX; 6];
    // SAFETY: all pointers are to live locals of the size that the version says.
    let (dropped, asked) = unsafe {
        // Kernels from 4.3 have ambient capabilities; on others there are none to clear.
        libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
        (
            answer(libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr())),
            answer(libc::syscall(libc::SYS_capget, header.as_mut_ptr(), held.as_mut_ptr())),
        )
    };
    if asked.is_ok() && held == none { Ok(()) } else { dropped }
}

/// Sets a limit for good; says what it is then.
pub(super) fn limit(resource: libc::__rlimit_resource_t, max: u64) -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a live local.
    answer(unsafe { libc::getrlimit(resource, &raw mut limit) })?;
    // An inherited limit may be tighter, and cannot be raised.
    let max = max.min(limit.rlim_max);
    let limit = libc::rlimit { rlim_cur: max, rlim_max: max };
    // SAFETY: the pointer is to a live local.
    answer(unsafe { libc::setrlimit(resource, &raw const limit) })?;
    Ok(max)
}

pub(super) fn no_new_privileges() -> io::Result<()> {
    // SAFETY: prctl without pointers.
    answer(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })
}
