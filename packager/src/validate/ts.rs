//! Rules of MPEG-2 transport streams (ISO/IEC 13818-1), as far as HLS adds to them.

use std::collections::BTreeMap;

use super::{Report, rules};

/// What every packet begins with.
pub(super) const SYNC: u8 = 0x47;

const PACKET_BYTES: usize = 188;

/// Time stamps count at 90 kHz and wrap at 33 bits.
const PTS_WRAP: u64 = 1 << 33;

/// What a segment may begin earlier or later than the one before ends, in ticks of 90 kHz.
const SEAM_TOLERANCE: u64 = 45_000;

/// What of one segment the next one goes on from.
#[derive(Debug, Default)]
pub(super) struct Clock {
    /// When the next segment has to begin.
    next: Option<u64>,
    /// The initialization segment has PAT and PMT: segments need none.
    has_tables: bool,
}

/// What a walk over the packets found.
#[derive(Default)]
struct Seen {
    /// The PID of the PMT.
    program: Option<u16>,
    has_pmt: bool,
    /// The first time stamp.
    pts: Option<u64>,
    /// Media came before PAT and PMT did.
    is_early: bool,
}

impl Clock {
    /// Looks at the initialization segment of a transport stream, a PAT with its PMT (RFC 8216 §3.2).
    pub(super) fn init(&mut self, place: &str, bytes: &[u8], report: &mut Report) {
        let Some(what) = walk(place, bytes, report).map(|seen| seen.tables()) else {
            self.has_tables = false;
            return;
        };
        self.has_tables = what.is_none();
        if let Some(what) = what {
            report.add(&rules::TS_PAT, place, what);
        }
    }

    /// What comes next need not follow what came before.
    pub(super) fn interrupt(&mut self) {
        self.next = None;
    }

    pub(super) fn check(&mut self, place: &str, bytes: &[u8], duration: u64, report: &mut Report) {
        let Some(seen) = walk(place, bytes, report) else {
            self.next = None;
            return;
        };
        if let Some(what) = seen.tables().filter(|_| !self.has_tables) {
            report.add(&rules::TS_PAT, place, what);
        }
        let Some(pts) = seen.pts else {
            self.next = None;
            return report.add(&rules::TS_PTS, place, "there is no time stamp");
        };
        if let Some(next) = self.next {
            let ahead = pts.wrapping_sub(next) % PTS_WRAP;
            if ahead.min(PTS_WRAP - ahead) > SEAM_TOLERANCE {
                report.add(
                    &rules::TS_PTS,
                    place,
                    format!("it begins at {pts} of 90000, the one before ends at {next}"),
                );
            }
        }
        self.next = Some((pts + duration * 9 / 100) % PTS_WRAP);
    }
}

/// Checks the packets alone.
pub(super) fn check_packets(place: &str, bytes: &[u8], report: &mut Report) {
    walk(place, bytes, report);
}

/// `None` if they are no packets.
fn walk(place: &str, bytes: &[u8], report: &mut Report) -> Option<Seen> {
    if bytes.is_empty() || !bytes.len().is_multiple_of(PACKET_BYTES) {
        report.add(&rules::TS_SYNC, place, format!("{} octets are no whole packets", bytes.len()));
        return None;
    }
    let mut seen = Seen::default();
    let mut counters: BTreeMap<u16, u8> = BTreeMap::new();
    for (number, packet) in bytes.chunks_exact(PACKET_BYTES).enumerate() {
        if packet[0] != SYNC {
            report.add(&rules::TS_SYNC, place, format!("packet {number} does not begin with 0x47"));
            return None;
        }
        let pid = u16::from(packet[1] & 0x1f) << 8 | u16::from(packet[2]);
        let (has_field, has_payload) = (packet[3] & 0x20 != 0, packet[3] & 0x10 != 0);
        let field = if has_field { 1 + usize::from(packet[4]) } else { 0 };
        let is_jump = has_field && field > 1 && packet[5] & 0x80 != 0;
        if has_payload && pid != 0x1fff {
            let counter = packet[3] & 0x0f;
            let before = counters.insert(pid, counter);
            // The same packet may be sent twice.
            if before.is_some_and(|before| !is_jump && counter != (before + 1) & 0x0f && counter != before) {
                report.add(&rules::TS_CONTINUITY, place, format!("packet {number} of PID {pid} does not follow"));
            }
        }
        let payload = packet.get(4 + field..).filter(|_| has_payload).unwrap_or_default();
        let is_start = packet[1] & 0x40 != 0;
        seen.packet(pid, is_start, payload);
    }
    Some(seen)
}

impl Seen {
    /// What is wrong with PAT and PMT.
    fn tables(&self) -> Option<&'static str> {
        match (self.program, self.has_pmt, self.is_early) {
            (None, ..) => Some("there is no PAT"),
            (_, false, _) => Some("there is no PMT"),
            (.., true) => Some("PAT and PMT come after media"),
            _ => None,
        }
    }

    fn packet(&mut self, pid: u16, is_start: bool, payload: &[u8]) {
        if !is_start {
            return;
        }
        // A section begins behind a pointer.
        let section = || payload.get(1 + usize::from(*payload.first()?)..);
        if pid == 0 {
            self.program = section().and_then(|section| {
                let pid = section.get(10..12)?;
                (*section.first()? == 0).then(|| u16::from(pid[0] & 0x1f) << 8 | u16::from(pid[1]))
            });
        } else if Some(pid) == self.program {
            self.has_pmt = section().and_then(|section| section.first()) == Some(&2);
        } else if payload.starts_with(&[0, 0, 1]) {
            self.is_early |= !self.has_pmt;
            self.pts = self.pts.or_else(|| pts(payload));
        }
    }
}

/// The presentation time of a PES packet (§2.4.3.7).
fn pts(pes: &[u8]) -> Option<u64> {
    let flags = *pes.get(7)?;
    let field: [u8; 5] = *pes.get(9..14)?.first_chunk()?;
    let [a, b, c, d, e] = field.map(u64::from);
    (flags & 0x80 != 0).then_some((a >> 1 & 7) << 30 | b << 22 | (c >> 1) << 15 | d << 7 | e >> 1)
}
