//! Packets, tables and PES headers (ISO/IEC 13818-1 §2.4.3, §2.4.4).

const PACKET_BYTES: usize = 188;
const HEADER_BYTES: usize = 4;

const PAT_PID: u16 = 0;
const PMT_PID: u16 = 0x1000;
const MEDIA_PID: u16 = 0x100;

/// How far the clock of the stream is behind the decoding of what comes with it, at 90 kHz.
const CLOCK_LAG: u64 = 45_000;

/// Packets after which a continuity counter begins again.
const COUNTER_PERIOD: usize = 16;

/// An elementary stream: its stream_type in the PMT, and its stream_id in PES packets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stream {
    kind: u8,
    id: u8,
    /// PES packets tell their length; that of a picture may not fit the field.
    has_length: bool,
}

/// H.264 (§2.14).
pub(super) const H264: Stream = Stream { kind: 0x1b, id: 0xe0, has_length: false };
/// AAC in ADTS.
pub(super) const AAC: Stream = Stream { kind: 0x0f, id: 0xc0, has_length: true };

/// One access unit, or a few frames of sound.
#[derive(Debug)]
pub(super) struct Pes {
    pub(super) pts: u64,
    pub(super) dts: u64,
    pub(super) is_sync: bool,
    pub(super) data: Vec<u8>,
}

/// Writes one segment.
pub(super) struct Writer {
    stream: Stream,
    out: Vec<u8>,
    /// The counter of PAT and PMT.
    tables: u8,
    media: u8,
}

impl Writer {
    pub(super) fn new(stream: Stream, tables: u8) -> Self {
        Self { stream, out: Vec::new(), tables, media: 0 }
    }

    pub(super) fn write(mut self, units: &[Pes]) -> Vec<u8> {
        let pat = section(0x00, 1, &[&[0, 1], &pid(PMT_PID)[..]].concat());
        // No descriptors of the program, one stream without descriptors.
        let pmt = [&pid(MEDIA_PID)[..], &[0xf0, 0, self.stream.kind], &pid(MEDIA_PID), &[0xf0, 0]].concat();
        self.table(PAT_PID, &pat);
        self.table(PMT_PID, &section(0x02, 1, &pmt));
        let payloads: Vec<Vec<u8>> = units.iter().map(|unit| self.payload(unit)).collect();
        let mut counts: Vec<usize> = payloads.iter().map(|payload| packets(payload.len())).collect();
        let mut missing = (COUNTER_PERIOD - counts.iter().sum::<usize>() % COUNTER_PERIOD) % COUNTER_PERIOD;
        // From the end, since what comes last is waited for least. Every packet has an octet of its own.
        for (count, payload) in counts.iter_mut().zip(&payloads).rev() {
            let more = missing.min(payload.len().saturating_sub(*count));
            *count += more;
            missing -= more;
        }
        for ((unit, payload), count) in units.iter().zip(&payloads).zip(counts) {
            self.unit(unit, payload, count);
        }
        self.out
    }

    /// The PES packet of a unit.
    fn payload(&self, unit: &Pes) -> Vec<u8> {
        let has_dts = unit.dts != unit.pts;
        let fields = if has_dts { 10 } else { 5 };
        let length = 3 + usize::from(fields) + unit.data.len();
        let length = u16::try_from(length).ok().filter(|_| self.stream.has_length).unwrap_or(0);
        let mut out = Vec::with_capacity(unit.data.len() + 32);
        out.extend_from_slice(&[0, 0, 1, self.stream.id]);
        out.extend_from_slice(&length.to_be_bytes());
        // The data begins with the start of a unit.
        out.extend_from_slice(&[0x84, if has_dts { 0xc0 } else { 0x80 }, fields]);
        out.extend_from_slice(&timestamp(if has_dts { 3 } else { 2 }, unit.pts));
        if has_dts {
            out.extend_from_slice(&timestamp(1, unit.dts));
        }
        out.extend_from_slice(&unit.data);
        out
    }

    /// `payload` in `count` packets, the first of which carries the clock.
    fn unit(&mut self, unit: &Pes, payload: &[u8], count: usize) {
        let mut rest = payload;
        for number in 0..count {
            let mut field = Vec::new();
            if number == 0 {
                // The clock, and whether a decoder may begin here.
                field.push(if unit.is_sync { 0x50 } else { 0x10 });
                field.extend_from_slice(&clock_reference(unit.dts.wrapping_sub(CLOCK_LAG) & ((1 << 33) - 1)));
            }
            let room = PACKET_BYTES - HEADER_BYTES - if field.is_empty() { 0 } else { field.len() + 1 };
            // What follows needs an octet for each packet.
            let length = room.min(rest.len().saturating_sub(count - number - 1));
            let (now, later) = rest.split_at(length);
            rest = later;
            self.packet(number == 0, field, now);
        }
    }

    fn packet(&mut self, is_start: bool, mut field: Vec<u8>, payload: &[u8]) {
        let stuffing = PACKET_BYTES - HEADER_BYTES - payload.len();
        let has_field = stuffing > 0;
        if has_field && stuffing > 1 {
            if field.is_empty() {
                field.push(0);
            }
            field.resize(stuffing - 1, 0xff);
        }
        let [high, low] = MEDIA_PID.to_be_bytes();
        let control = if has_field { 0x30 } else { 0x10 };
        self.out.extend_from_slice(&[0x47, if is_start { 0x40 } else { 0 } | high, low, control | self.media]);
        self.media = (self.media + 1) & 0x0f;
        if has_field {
            // At most 183.
            self.out.push(u8::try_from(stuffing - 1).unwrap_or(0));
            self.out.extend_from_slice(&field);
        }
        self.out.extend_from_slice(payload);
    }

    /// One packet with a table.
    fn table(&mut self, pid: u16, section: &[u8]) {
        let [high, low] = pid.to_be_bytes();
        let end = self.out.len() + PACKET_BYTES;
        self.out.extend_from_slice(&[0x47, 0x40 | high, low, 0x10 | self.tables, 0]);
        self.out.extend_from_slice(section);
        self.out.resize(end, 0xff);
    }
}

/// Packets that a PES packet of so many octets takes, the first with the clock in it.
fn packets(bytes: usize) -> usize {
    let room = PACKET_BYTES - HEADER_BYTES;
    let first = room - 8;
    1 + bytes.saturating_sub(first).div_ceil(room)
}

/// A PID with the bits that are reserved in front of it.
fn pid(pid: u16) -> [u8; 2] {
    (0xe000 | pid).to_be_bytes()
}

/// A table of one section.
fn section(table: u8, id: u16, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(5 + body.len() + 4).unwrap_or(0);
    let mut out = vec![table];
    out.extend_from_slice(&(0xb000 | length).to_be_bytes());
    out.extend_from_slice(&id.to_be_bytes());
    // Version 0, in force; the first section of one.
    out.extend_from_slice(&[0xc1, 0, 0]);
    out.extend_from_slice(body);
    let checksum = crc32(&out);
    out.extend_from_slice(&checksum.to_be_bytes());
    out
}

/// Annex A.
fn crc32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8)
            .fold(sum ^ u32::from(*byte) << 24, |sum, _| if sum >> 31 == 1 { sum << 1 ^ 0x04c1_1db7 } else { sum << 1 })
    })
}

/// §2.4.3.7: 33 bits with markers between.
fn timestamp(mark: u8, ticks: u64) -> [u8; 5] {
    let part = |shift: u32, mask: u64| u8::try_from(ticks >> shift & mask).unwrap_or(0);
    [mark << 4 | part(30, 7) << 1 | 1, part(22, 0xff), part(15, 0x7f) << 1 | 1, part(7, 0xff), part(0, 0x7f) << 1 | 1]
}

/// §2.4.3.5: 33 bits at 90 kHz, and nothing at 27 MHz.
fn clock_reference(ticks: u64) -> [u8; 6] {
    let part = |shift: u32, mask: u64| u8::try_from(ticks >> shift & mask).unwrap_or(0);
    [part(25, 0xff), part(17, 0xff), part(9, 0xff), part(1, 0xff), part(0, 1) << 7 | 0x7e, 0]
}
