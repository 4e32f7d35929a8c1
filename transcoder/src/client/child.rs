//! One engine process: its socket, its log, its watchdogs and its end.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::Duration;

use domain::Tally;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::process::ChildStderr;
use tokio::time::Instant;

use super::{EngineConfig, answer};
use crate::EngineError;
use crate::request::Envelope;
use crate::wire::{HEADER_BYTES, Inbox, Kind, Malformed, Message, REQUEST_BYTES_MAX, Reader};

/// Makes glibc hand out zeroed memory, as a fresh process sees it.
///
/// Debian's x264 0.164 reads memory that it never wrote when macroblock-tree analysis meets
/// B-frames and a width that is no multiple of 16. Without this, the bytes of a segment depend on
/// which segments the process encoded before it. Small blocks from the thread caches would not be
/// filled, so those caches are off.
///
/// What is freed stays with the process, in huge pages where the kernel gives them: pictures come and go all the
/// time, and to fetch each from the kernel anew took 500,000 page faults for 18 s of 1080p (ADR 28).
const HEAP: &str = "glibc.malloc.perturb=255:glibc.malloc.tcache_count=0:glibc.malloc.hugetlb=1:\
                    glibc.malloc.mmap_threshold=33554432:glibc.malloc.trim_threshold=1073741824";

/// How much of the end of the child's log is kept.
const LOG_BYTES_MAX: usize = 8 << 10;

/// How long a child that has closed its socket may take to exit.
const EXIT_WAIT: Duration = Duration::from_secs(5);

/// How many bytes are read from the socket at once.
const READ_BYTES: usize = 256 << 10;

/// What a child may use of our patience and memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Longest wait for a sign of progress.
    pub(super) stall: Duration,
    /// Longest wait for everything.
    pub(super) wall: Duration,
    /// Most bytes of all answers together.
    pub(super) bytes_max: u64,
}

/// What a child had to say.
pub(super) enum Heard {
    /// A result.
    Message(Message),
    /// The work is complete.
    Done,
}

/// A running engine. The process is killed when this is dropped.
#[derive(Debug)]
pub(super) struct Child {
    process: tokio::process::Child,
    socket: UnixStream,
    stderr: Option<ChildStderr>,
    log: Vec<u8>,
    request: Vec<u8>,
    request_sent: usize,
    inbox: Inbox,
    progress: u64,
    /// The child said that the work is complete.
    is_done: bool,
    tally: Option<Tally>,
    /// What is left of each bound; the wait for progress begins anew with every call.
    left: Bounds,
}

impl Child {
    /// Starts the program with `source` as its standard input and one end of a socket pair as its
    /// standard output. The request goes down that socket, the answers come up.
    pub(super) fn start(
        config: &EngineConfig,
        source: File,
        envelope: &Envelope,
        bounds: Bounds,
    ) -> Result<Self, EngineError> {
        let json = serde_json::to_vec(envelope).map_err(|error| start_error(error.into()))?;
        if json.len() > REQUEST_BYTES_MAX {
            return Err(start_error(std::io::Error::other("the request is too long")));
        }
        let mut request = u32::try_from(json.len()).unwrap_or(u32::MAX).to_le_bytes().to_vec();
        request.extend(json);
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().map_err(start_error)?;
        ours.set_nonblocking(true).map_err(start_error)?;
        let socket = UnixStream::from_std(ours).map_err(start_error)?;
        #[expect(clippy::disallowed_methods, reason = "this is the one place that starts processes")]
        let mut process = tokio::process::Command::new(&config.program)
            .args(&config.args)
            // The environment may hold secrets, and libav reads some of it.
            .env_clear()
            // Each glibc arena reserves 64 MiB of the address space that the cage limits.
            .env("MALLOC_ARENA_MAX", "4")
            .env("GLIBC_TUNABLES", HEAP)
            // SVT-AV1 logs its settings for each encoder; errors are enough.
            .env("SVT_LOG", "1")
            .current_dir("/")
            .stdin(Stdio::from(source))
            .stdout(Stdio::from(OwnedFd::from(theirs)))
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(start_error)?;
        let stderr = process.stderr.take();
        Ok(Self {
            process,
            socket,
            stderr,
            log: Vec::new(),
            request,
            request_sent: 0,
            inbox: Inbox::default(),
            progress: 0,
            is_done: false,
            tally: None,
            left: bounds,
        })
    }

    /// How the decoding went, as far as the child has said it.
    pub(super) fn tally(&self) -> Option<Tally> {
        self.tally
    }

    /// Waits for a result, the end, a failure, or a watchdog.
    pub(super) async fn hear(&mut self) -> Result<Heard, EngineError> {
        let began = Instant::now();
        let mut moved = began;
        loop {
            // Ends with the child's last message, its death, or a watchdog.
            if self.is_done {
                // Killed when it is dropped, should it not exit by itself.
                let _ = tokio::time::timeout(EXIT_WAIT, self.process.wait()).await;
                return Ok(Heard::Done);
            }
            let Some(message) = self.inbox.take()? else {
                let deadline = (moved + self.left.stall).min(began + self.left.wall);
                match tokio::time::timeout_at(deadline, self.exchange()).await {
                    Err(_) => return Err(self.stalled(began)),
                    Ok(Ok(true)) => continue,
                    Ok(Ok(false) | Err(_)) => return Err(self.crashed().await),
                }
            };
            let bytes = u64::try_from(HEADER_BYTES + message.payload.len()).unwrap_or(u64::MAX);
            self.left.bytes_max = self.left.bytes_max.checked_sub(bytes).ok_or_else(too_much)?;
            match message.kind {
                Kind::Progress => {
                    let count = Reader::new(&message.payload).u64()?;
                    // Only real progress counts as a sign of life.
                    if count > self.progress {
                        self.progress = count;
                        moved = Instant::now();
                    }
                }
                Kind::Tally => self.tally = Some(answer::tally(&message)?),
                Kind::Done => self.is_done = true,
                Kind::Failed => return Err(EngineError::Refused(answer::failure(&message)?)),
                Kind::Unreadable => return Err(EngineError::Unreadable),
                _ => {
                    self.left.wall = self.left.wall.saturating_sub(began.elapsed());
                    return Ok(Heard::Message(message));
                }
            }
        }
    }

    /// Moves some bytes: request, answers or log. `false` once the child has closed its end.
    async fn exchange(&mut self) -> std::io::Result<bool> {
        let inbox = self.inbox.tail();
        inbox.reserve(READ_BYTES);
        let (mut answers, mut request) = self.socket.split();
        let unsent = &self.request[self.request_sent..];
        let mut log = [0; 1024];
        let has_log = self.stderr.is_some();
        let read_log = async {
            match self.stderr.as_mut() {
                Some(stderr) => stderr.read(&mut log).await,
                None => std::future::pending().await,
            }
        };
        // Every branch is a single cancel-safe call: a branch that loses has moved nothing.
        tokio::select! {
            sent = request.write(unsent), if !unsent.is_empty() => {
                // A child that died early leaves its reason in the log and its end in the socket.
                self.request_sent += sent.unwrap_or(unsent.len());
            }
            length = answers.read_buf(inbox) => return Ok(length? > 0),
            length = read_log, if has_log => match length {
                Ok(length) if length > 0 => keep_end(&mut self.log, &log[..length]),
                _ => self.stderr = None,
            },
        }
        Ok(true)
    }

    fn stalled(&mut self, began: Instant) -> EngineError {
        // The id is still ours: the process has not been waited for.
        let _ = self.process.start_kill();
        EngineError::Stalled { after: began.elapsed(), log: self.log_text() }
    }

    async fn crashed(&mut self) -> EngineError {
        let read_rest = async {
            let mut rest = [0; 1024];
            while let Some(stderr) = self.stderr.as_mut() {
                // Ends when the dead child's end of the pipe is closed.
                match stderr.read(&mut rest).await {
                    Ok(length) if length > 0 => keep_end(&mut self.log, &rest[..length]),
                    _ => self.stderr = None,
                }
            }
        };
        let _ = tokio::time::timeout(EXIT_WAIT, read_rest).await;
        let status = match tokio::time::timeout(EXIT_WAIT, self.process.wait()).await {
            Ok(Ok(status)) if status.signal() == Some(libc::SIGKILL) => {
                return EngineError::Killed { log: self.log_text() };
            }
            Ok(Ok(status)) => status.to_string(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => {
                let _ = self.process.start_kill();
                "closed its socket but did not exit".into()
            }
        };
        EngineError::Crashed { status, log: self.log_text() }
    }

    fn log_text(&self) -> String {
        // Control characters of hostile metadata must not reach a terminal.
        let text = String::from_utf8_lossy(&self.log);
        text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect::<String>().trim().to_owned()
    }
}

/// Appends to a log of which only the end is kept.
fn keep_end(log: &mut Vec<u8>, bytes: &[u8]) {
    log.extend_from_slice(bytes);
    if log.len() > LOG_BYTES_MAX {
        log.drain(..log.len() - LOG_BYTES_MAX);
    }
}

fn too_much() -> Malformed {
    Malformed::new("the engine sends more than can come of what was asked for")
}

fn start_error(source: std::io::Error) -> EngineError {
    EngineError::Start { source }
}
