//! The cage: what the child takes away from itself before libav sees the first byte.
//!
//! Decoders of hostile media must be expected to be taken over. What is then left is a process that
//! can read one descriptor (the source), write one socket (to the client) and burn a bounded amount
//! of memory and CPU time:
//!
//! | layer | what it takes |
//! |---|---|
//! | user | root becomes `nobody` |
//! | rlimits | address space, CPU time, core dumps, written files, open descriptors |
//! | no_new_privs | set-user-id programs |
//! | Landlock | every path; TCP where the kernel can (best effort by ABI) |
//! | seccomp | every system call but memory, threads, and reading and writing open descriptors |
//!
//! `RLIMIT_NPROC` is left alone: it counts all processes of a user, not those of this child, and the
//! filter forbids new processes anyway. `PR_SET_PDEATHSIG` is left alone too: it fires when the
//! *thread* that started the child ends, which in a server's thread pool says nothing. The engine
//! watches its socket instead, which the kernel closes when the client dies (`engine::lifeline`).

use std::collections::BTreeMap;
use std::io;

use landlock::{ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetStatus};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

use crate::CageTrial;

/// Descriptors the child may have open: the three standard ones and a few spare.
const OPEN_FILES_MAX: u64 = 16;

/// `nobody` on Debian.
const NOBODY: u32 = 65_534;

/// Newest Landlock ABI that the rules are written for; older kernels enforce what they know.
const LANDLOCK_ABI: ABI = ABI::V5;

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
    #[error("cannot set the limit of {what}")]
    Limit {
        what: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("cannot give up privileges")]
    Privileges(#[source] io::Error),
    #[error("cannot apply Landlock: {0}")]
    Landlock(String),
    #[error("cannot apply seccomp: {0}")]
    Seccomp(String),
}

/// Closes the cage around this process for good; says how far Landlock is enforced.
///
/// Must run while the process has a single thread. A kernel without Landlock is accepted, since
/// seccomp alone denies every call that takes a path; a kernel without seccomp is not.
pub(crate) fn close(allowance: Allowance) -> Result<&'static str, CageError> {
    system::drop_root();
    system::limit(libc::RLIMIT_AS, allowance.memory_bytes, "memory")?;
    system::limit(libc::RLIMIT_CPU, allowance.cpu_seconds, "CPU time")?;
    system::limit(libc::RLIMIT_CORE, 0, "core dumps")?;
    system::limit(libc::RLIMIT_FSIZE, 0, "written files")?;
    system::limit(libc::RLIMIT_NOFILE, OPEN_FILES_MAX, "open files")?;
    system::no_new_privileges().map_err(CageError::Privileges)?;
    let landlock = restrict_paths().map_err(|error| CageError::Landlock(error.to_string()))?;
    restrict_calls().map_err(|error| CageError::Seccomp(error.to_string()))?;
    Ok(landlock)
}

/// A Landlock rule set that handles everything and allows nothing.
fn restrict_paths() -> Result<&'static str, landlock::RulesetError> {
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(LANDLOCK_ABI))?
        .handle_access(AccessNet::from_all(LANDLOCK_ABI))?
        .create()?
        .restrict_self()?;
    Ok(match status.ruleset {
        RulesetStatus::FullyEnforced => "fully",
        RulesetStatus::PartiallyEnforced => "partially",
        RulesetStatus::NotEnforced => "not",
    })
}

/// Calls that are allowed whatever their arguments: all act on memory, threads of this process,
/// clocks, or descriptors that are already open.
const ALLOWED: &[i64] = &[
    libc::SYS_read,
    libc::SYS_pread64,
    libc::SYS_readv,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_lseek,
    libc::SYS_fstat,
    libc::SYS_close,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_futex,
    libc::SYS_clone3,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_getrandom,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_restart_syscall,
    libc::SYS_gettid,
    libc::SYS_getpid,
    // Only `abort` uses it, to die by a signal: the child cannot name another process it may signal.
    libc::SYS_tgkill,
];

fn restrict_calls() -> Result<(), seccompiler::Error> {
    let arch = std::env::consts::ARCH.try_into()?;
    // A filter cannot look into clone3's arguments. "No such call" makes glibc fall back to clone.
    let absent = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    let clone3 = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    let filter: BpfProgram = SeccompFilter::new(clone3, SeccompAction::Allow, absent, arch)?.try_into()?;
    seccompiler::apply_filter(&filter)?;
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = ALLOWED.iter().map(|call| (*call, Vec::new())).collect();
    // Threads, not processes.
    let thread = u64::from(libc::CLONE_THREAD.unsigned_abs());
    rules.insert(libc::SYS_clone, vec![masked(0, thread, thread)?]);
    // No memory that can be executed: whatever a taken-over decoder writes stays data.
    let executable = u64::from(libc::PROT_EXEC.unsigned_abs());
    rules.insert(libc::SYS_mmap, vec![masked(2, executable, 0)?]);
    rules.insert(libc::SYS_mprotect, vec![masked(2, executable, 0)?]);
    // Thread names only.
    rules.insert(libc::SYS_prctl, vec![masked(0, u64::MAX, u64::from(libc::PR_SET_NAME.unsigned_abs()))?]);
    // A thread's own priority, which it can only lower.
    let process = u64::from(libc::PRIO_PROCESS);
    let own = || SeccompRule::new(vec![condition(0, u64::MAX, process)?, condition(1, u64::MAX, 0)?]);
    rules.insert(libc::SYS_getpriority, vec![own()?]);
    rules.insert(libc::SYS_setpriority, vec![own()?]);
    // Questions about a descriptor, as `File` asks them.
    rules.insert(libc::SYS_fcntl, vec![masked(1, u64::MAX, u64::from(libc::F_GETFL.unsigned_abs()))?]);
    let deny = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let filter: BpfProgram = SeccompFilter::new(rules, deny, SeccompAction::Allow, arch)?.try_into()?;
    seccompiler::apply_filter(&filter)
}

/// A rule that holds if the bits `mask` of argument `index` are those of `value`.
fn masked(index: u8, mask: u64, value: u64) -> Result<SeccompRule, seccompiler::BackendError> {
    SeccompRule::new(vec![condition(index, mask, value)?])
}

fn condition(index: u8, mask: u64, value: u64) -> Result<SeccompCondition, seccompiler::BackendError> {
    SeccompCondition::new(index, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(mask), value)
}

/// Tries from inside what must not be possible.
pub(crate) fn trials() -> Vec<CageTrial> {
    let trial = |(name, result): (&str, io::Result<()>)| CageTrial {
        name: name.to_owned(),
        is_denied: result.is_err(),
        answer: result.map_or_else(|error| error.to_string(), |()| "allowed".to_owned()),
    };
    system::attempts().into_iter().map(trial).collect()
}

/// The system calls that Rust's standard library does not offer.
#[expect(unsafe_code, reason = "rlimits, prctl and forbidden calls exist as C functions only")]
mod system {
    use std::io;
    use std::ptr;

    use super::{CageError, NOBODY};

    fn answer(result: impl Into<i64>) -> io::Result<()> {
        if result.into() < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Root becomes nobody. A container may forbid it; the later layers do not depend on it.
    pub(super) fn drop_root() {
        // SAFETY: plain calls without pointers, in a process of one thread.
        unsafe {
            if libc::geteuid() == 0 {
                libc::setgroups(0, ptr::null());
                libc::setresgid(NOBODY, NOBODY, NOBODY);
                libc::setresuid(NOBODY, NOBODY, NOBODY);
            }
        }
    }

    pub(super) fn limit(resource: libc::__rlimit_resource_t, max: u64, what: &'static str) -> Result<(), CageError> {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: the pointer is to a live local.
        let read = answer(unsafe { libc::getrlimit(resource, &raw mut limit) });
        // An inherited limit may be tighter, and cannot be raised.
        let max = max.min(limit.rlim_max);
        let limit = libc::rlimit { rlim_cur: max, rlim_max: max };
        // SAFETY: the pointer is to a live local.
        let set = read.and_then(|()| answer(unsafe { libc::setrlimit(resource, &raw const limit) }));
        set.map_err(|source| CageError::Limit { what, source })
    }

    pub(super) fn no_new_privileges() -> io::Result<()> {
        // SAFETY: prctl without pointers.
        answer(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })
    }

    /// One attempt per door. Whatever succeeds is left open: the process ends right after.
    pub(super) fn attempts() -> Vec<(&'static str, io::Result<()>)> {
        let path = c"/etc/passwd".as_ptr();
        let program = c"/bin/true".as_ptr();
        // SAFETY: all pointers are to static, terminated strings or null where the call accepts null;
        // a fork that succeeds exits at once without running any destructor.
        unsafe {
            vec![
                ("open a file", answer(libc::open(path, libc::O_RDONLY))),
                ("open a file relative to a descriptor", answer(libc::openat(0, path, libc::O_RDONLY))),
                ("create a file", answer(libc::open(c"/tmp/cage".as_ptr(), libc::O_CREAT | libc::O_WRONLY, 0o600))),
                ("look at a path", answer(libc::access(path, libc::F_OK))),
                ("remove a file", answer(libc::unlink(c"/tmp/cage".as_ptr()))),
                ("make an internet socket", answer(libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0))),
                ("make a local socket", answer(libc::socket(libc::AF_UNIX, libc::SOCK_STREAM, 0))),
                ("send a descriptor", answer(libc::syscall(libc::SYS_sendmsg, 1, 0, 0))),
                ("run a program", answer(libc::execve(program, ptr::null(), ptr::null()))),
                ("fork", {
                    let child = libc::fork();
                    if child == 0 {
                        libc::_exit(0);
                    }
                    answer(child)
                }),
                ("trace a process", answer(libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0))),
                ("signal another process", answer(libc::kill(libc::getppid(), 0))),
                ("set up io_uring", answer(libc::syscall(libc::SYS_io_uring_setup, 1, 0))),
                ("load a BPF program", answer(libc::syscall(libc::SYS_bpf, 0, 0, 0))),
                ("make a namespace", answer(libc::unshare(libc::CLONE_NEWUSER))),
                (
                    "map executable memory",
                    if libc::mmap(
                        ptr::null_mut(),
                        4096,
                        libc::PROT_READ | libc::PROT_EXEC,
                        libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                        -1,
                        0,
                    ) == libc::MAP_FAILED
                    {
                        Err(io::Error::last_os_error())
                    } else {
                        Ok(())
                    },
                ),
            ]
        }
    }
}
