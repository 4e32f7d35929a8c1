//! Which threads go first where there are fewer processors than work.
#![expect(unsafe_code, reason = "setpriority")]

/// How far a thread steps back, in levels of nice: about a quarter of the time of one that does not.
const STEP: libc::c_int = 6;

/// Lets every thread that has not stepped back go before this one.
///
/// The largest rung is encoded by one thread and takes longest of all: whenever it waits for a
/// processor, the whole chunk ends later. Where the system refuses, nothing changes.
pub(crate) fn step_back() {
    // SAFETY: a plain call; on Linux 0 means the calling thread.
    unsafe {
        libc::setpriority(libc::PRIO_PROCESS, 0, libc::getpriority(libc::PRIO_PROCESS, 0).saturating_add(STEP));
    }
}
