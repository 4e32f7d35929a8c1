//! Which processes and threads go first where there are fewer processors than work.
#![expect(unsafe_code, reason = "setpriority")]

/// How far a thread steps back behind its siblings: it gets about a quarter of the time of one that does not.
pub(crate) const STEP: u8 = 6;

/// Lets everything that has not stepped back go before this thread, and before those that it starts from here on.
///
/// The largest rung is encoded by one thread and takes longest of all: whenever it waits for a
/// processor, the whole chunk ends later. Where the system refuses, nothing changes.
pub(crate) fn step_back(levels: u8) {
    // SAFETY: plain calls; on Linux 0 means the calling thread.
    unsafe {
        let now = libc::getpriority(libc::PRIO_PROCESS, 0);
        libc::setpriority(libc::PRIO_PROCESS, 0, now.saturating_add(levels.into()));
    }
}

/// The level of nice of this thread, 19 at most.
pub(crate) fn niceness() -> i32 {
    // SAFETY: as above.
    unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) }
}
