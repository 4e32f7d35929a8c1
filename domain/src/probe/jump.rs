//! Time stamps that start anew in the middle of a file, or lie.

use serde::{Deserialize, Serialize};

use crate::MediaTime;

/// A place in a file from which on the time stamps of a track are off by another amount.
///
/// Files that were joined end to end, and recordings whose clock was reset, hold several timelines.
/// The jumps of a track, in order of their position, make one of them: a packet that lies at or behind
/// a jump plays at its time stamp plus the jump's shift. A single wrong stamp is two jumps, one at its
/// packet and one just behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jump {
    /// Bytes of the file before it.
    pub position: u64,
    /// What is added to time stamps from there on.
    pub shift: MediaTime,
}

/// Most jumps that are followed in one track.
pub const JUMPS_MAX: usize = 2000;
