//! The cage: what the child takes away from itself before libav sees the first byte.
//!
//! Decoders of hostile media must be expected to be taken over. What is then left is a process that
//! can read one descriptor (the source), write one socket (to the client) and burn a bounded amount
//! of memory and CPU time. What exactly is left stands in [`policy`]; in this order it is enforced:
//!
//! | layer | what it takes |
//! |---|---|
//! | namespaces | the network and IPC of the machine, where the kernel lets us (best effort) |
//! | user | root becomes `nobody`; every capability is gone |
//! | no_new_privs | set-user-id programs |
//! | rlimits | address space, CPU time, core dumps, written files, open descriptors, threads |
//! | Landlock | every path; TCP, and signals to others, where the kernel can (best effort by ABI) |
//! | seccomp | every system call but memory, threads, and reading and writing open descriptors |
//!
//! `RLIMIT_NPROC` counts all threads of a user, not those of this child, unless the child has a user
//! namespace of its own: it is set only there. The filter forbids new processes anyway.
//! `PR_SET_PDEATHSIG` is left alone: it fires when the *thread* that started the child ends, which in
//! a server's thread pool says nothing. The engine watches its socket instead, which the kernel closes
//! when the client dies (`engine::lifeline`).

mod filter;
pub(crate) mod policy;
mod system;
mod trials;

use std::io;

use crate::CageLimit;

/// What a child may use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    /// Address space in bytes.
    pub(crate) memory_bytes: u64,
    /// CPU seconds over all threads.
    pub(crate) cpu_seconds: u64,
}

/// Why the cage could not be closed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CageError {
    #[error("cannot set the limit of {what}: {source}")]
    Limit { what: &'static str, source: io::Error },
    #[error("cannot give up privileges: {0}")]
    Privileges(io::Error),
    #[error("cannot apply Landlock: {0}")]
    Landlock(String),
    #[error("cannot apply seccomp: {0}")]
    Seccomp(String),
}

/// A closed cage, and how tight it is.
#[derive(Debug)]
pub(crate) struct Cage {
    /// Namespaces of its own: `network`, `ipc`, `user`.
    pub(crate) namespaces: Vec<&'static str>,
    /// What the limits are by now; an inherited limit may be tighter than the policy's.
    pub(crate) limits: Vec<CageLimit>,
    /// How far Landlock is enforced: `fully`, `partially` or `not`.
    pub(crate) landlock: &'static str,
    /// The Landlock ABI of the kernel; 0 without Landlock.
    pub(crate) landlock_abi: i32,
    /// The client's process.
    parent: libc::pid_t,
}

impl Cage {
    /// Closes the cage around this process for good.
    ///
    /// Must run while the process has a single thread. A kernel without Landlock or namespaces is
    /// accepted, since seccomp alone denies every call that takes a path, makes a socket or signals
    /// others; a kernel without seccomp is not.
    pub(crate) fn close(allowance: Allowance) -> Result<Self, CageError> {
        let parent = system::parent();
        let namespaces = system::leave_namespaces();
        system::drop_capabilities().map_err(CageError::Privileges)?;
        system::no_new_privileges().map_err(CageError::Privileges)?;
        let limits = limit(allowance, namespaces.contains(&"user"))?;
        let (landlock, landlock_abi) =
            filter::restrict_paths().map_err(|error| CageError::Landlock(error.to_string()))?;
        filter::restrict_calls().map_err(|error| CageError::Seccomp(error.to_string()))?;
        Ok(Self { namespaces, limits, landlock, landlock_abi, parent })
    }

    /// Tries from inside what must not be possible.
    pub(crate) fn trials(&self) -> Vec<crate::CageTrial> {
        trials::all(self.parent)
    }
}

/// Sets the limits of the policy; says what they are then.
fn limit(allowance: Allowance, has_own_users: bool) -> Result<Vec<CageLimit>, CageError> {
    let limits = [
        (libc::RLIMIT_AS, "address space", allowance.memory_bytes),
        (libc::RLIMIT_CPU, "CPU seconds", allowance.cpu_seconds),
        (libc::RLIMIT_CORE, "core dump", 0),
        (libc::RLIMIT_FSIZE, "written file", 0),
        (libc::RLIMIT_NOFILE, "open files", policy::OPEN_FILES_MAX),
        (libc::RLIMIT_NPROC, "threads", policy::THREADS_MAX),
    ];
    let wanted = limits.into_iter().filter(|(resource, ..)| has_own_users || *resource != libc::RLIMIT_NPROC);
    let set = |(resource, what, max)| {
        let max = system::limit(resource, max).map_err(|source| CageError::Limit { what, source })?;
        Ok(CageLimit { name: what.to_owned(), max })
    };
    wanted.map(set).collect()
}
