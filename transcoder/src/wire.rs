//! The frames between engine and client: a kind, a length, a payload of integers and byte strings.
//!
//! All integers are little-endian. The reader trusts nothing: each kind has its greatest length,
//! each byte string its own, and a payload must be used up exactly.

/// Bytes before each payload: the kind and the payload's length.
pub(crate) const HEADER_BYTES: usize = 5;

/// The longest request the engine reads.
pub(crate) const REQUEST_BYTES_MAX: usize = 16 << 20;

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// How much was done so far: packets, frames.
    Progress = 1,
    /// A [`domain::Failure`] as JSON; the last message.
    Failed = 2,
    /// A [`domain::Probe`] as JSON.
    Probe = 3,
    /// One [`crate::VideoSegment`].
    Video = 4,
    /// One [`crate::AudioSegment`].
    Audio = 5,
    /// One [`crate::Picture`].
    Picture = 6,
    /// One [`crate::Cue`] as JSON.
    Cue = 7,
    /// A [`crate::CageReport`] as JSON.
    Cage = 8,
    /// The work is complete; the last message.
    Done = 9,
    /// [`crate::Headers`] as JSON.
    Headers = 10,
    /// The source could not be read; the last message.
    Unreadable = 11,
    /// How the decoding went, as a [`domain::Tally`] in JSON; at most one, before the last message.
    Tally = 12,
    /// One [`domain::loudness::Loudness`] as JSON.
    Loudness = 13,
    /// One [`crate::SampleCost`] as JSON.
    Cost = 14,
    /// A [`domain::ahead::Reach`] as JSON.
    Reach = 15,
    /// The file of a [`crate::Preview`].
    Preview = 20,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        let all = [
            Self::Progress,
            Self::Failed,
            Self::Probe,
            Self::Video,
            Self::Audio,
            Self::Picture,
            Self::Cue,
            Self::Cage,
            Self::Done,
            Self::Headers,
            Self::Unreadable,
            Self::Tally,
            Self::Preview,
            Self::Loudness,
            Self::Cost,
            Self::Reach,
        ];
        all.into_iter().find(|kind| *kind as u8 == byte)
    }

    /// The longest payload of this kind.
    pub(crate) fn payload_bytes_max(self) -> usize {
        match self {
            Self::Progress => 8,
            Self::Done | Self::Unreadable => 0,
            Self::Tally | Self::Cost => 256,
            Self::Loudness => 1024,
            Self::Failed | Self::Cage => 16 << 10,
            Self::Cue | Self::Headers => 64 << 10,
            // 64 streams and 10 000 chapters with titles of 500 characters.
            Self::Probe => 32 << 20,
            // 15 digits for each second of eight days.
            Self::Reach => 12 << 20,
            // 6.5 s at ten times the highest bit rate of the ladder.
            Self::Video => 80 << 20,
            // 6.5 s of AAC at its absolute maximum (6144 bits per channel and frame).
            Self::Audio => 8 << 20,
            // A hundred frames of 80 kB.
            Self::Preview => 8 << 20,
            // A picture of 4096 x 4096.
            Self::Picture => (3 << 24) + 64,
        }
    }
}

/// Something no healthy engine sends.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Malformed(pub(crate) String);

impl Malformed {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

/// One received message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) kind: Kind,
    pub(crate) payload: Vec<u8>,
}

/// What has arrived and was not taken yet.
///
/// Messages are taken from the front without moving the rest, so that a flood of short ones costs no more
/// than their bytes.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    bytes: Vec<u8>,
    /// Bytes at the start of `bytes` that were taken.
    taken: usize,
}

impl Inbox {
    /// Where bytes that arrive are appended.
    pub(crate) fn tail(&mut self) -> &mut Vec<u8> {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        &mut self.bytes
    }

    /// Takes the first whole message; `None` while it is incomplete.
    pub(crate) fn take(&mut self) -> Result<Option<Message>, Malformed> {
        let held = self.bytes.get(self.taken..).unwrap_or_default();
        let Some((&[kind, a, b, c, d], rest)) = held.split_first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let kind = Kind::from_byte(kind).ok_or_else(|| Malformed::new(format!("message of unknown kind {kind}")))?;
        let length = usize::try_from(u32::from_le_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        if length > kind.payload_bytes_max() {
            return Err(Malformed::new(format!("{kind:?} message of {length} bytes")));
        }
        let Some(payload) = rest.get(..length) else {
            let missing = length - rest.len();
            self.tail().reserve(missing);
            return Ok(None);
        };
        let message = Message { kind, payload: payload.to_vec() };
        self.taken += HEADER_BYTES + length;
        Ok(Some(message))
    }

    /// Bytes that are held, or set aside for a message that has begun.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.bytes.len() - self.taken
    }
}

/// Builds one message.
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn new(kind: Kind) -> Self {
        Self(vec![kind as u8, 0, 0, 0, 0])
    }

    pub(crate) fn u32(&mut self, value: u32) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(crate) fn u64(&mut self, value: u64) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// Bytes without a length before them: the rest of the payload.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// Bytes after their length.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX)).raw(bytes)
    }

    /// The finished message; `None` if its payload does not fit a `u32`.
    pub(crate) fn finish(mut self) -> Option<Vec<u8>> {
        let length = u32::try_from(self.0.len() - HEADER_BYTES).ok()?;
        self.0[1..HEADER_BYTES].copy_from_slice(&length.to_le_bytes());
        Some(self.0)
    }
}

/// Reads one payload.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(payload: &'a [u8]) -> Self {
        Self(payload)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or_else(|| Malformed::new("message ends early"))?;
        self.0 = rest;
        Ok(*head)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_le_bytes)
    }

    /// A byte string of 1 to `max` bytes.
    pub(crate) fn bytes(&mut self, max: usize) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(self.u32()?).unwrap_or(usize::MAX);
        if length == 0 || length > max {
            return Err(Malformed::new(format!("byte string of {length} bytes")));
        }
        let (head, rest) = self.0.split_at_checked(length).ok_or_else(|| Malformed::new("message ends early"))?;
        self.0 = rest;
        Ok(head)
    }

    /// Everything that is left.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }

    /// Checks that nothing is left.
    pub(crate) fn end(self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed::new("message is too long")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_message_reads_back_however_it_arrives() {
        let mut writer = Writer::new(Kind::Progress);
        writer.u64(7);
        let sent = writer.finish().expect("short");
        let mut inbox = Inbox::default();
        for byte in &sent[..sent.len() - 1] {
            inbox.tail().push(*byte);
            assert_eq!(inbox.take(), Ok(None));
        }
        inbox.tail().push(sent[sent.len() - 1]);
        let message = inbox.take().expect("well-formed").expect("complete");
        assert_eq!(message.kind, Kind::Progress);
        let mut reader = Reader::new(&message.payload);
        assert_eq!(reader.u64(), Ok(7));
        assert_eq!(reader.end(), Ok(()));
        assert_eq!(inbox.len(), 0);
        assert_eq!(inbox.take(), Ok(None));
    }

    #[test]
    fn a_length_above_the_kinds_maximum_is_refused_before_anything_is_stored() {
        for header in [[Kind::Progress as u8, 9, 0, 0, 0], [Kind::Video as u8, 0xff, 0xff, 0xff, 0xff]] {
            let mut inbox = Inbox::default();
            inbox.tail().extend(header);
            assert!(inbox.take().is_err());
        }
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic_and_never_grow(bytes in prop::collection::vec(any::<u8>(), 0..4096)) {
            let mut inbox = Inbox::default();
            inbox.tail().extend(&bytes);
            let mut taken = 0;
            while let Ok(Some(message)) = inbox.take() {
                taken += HEADER_BYTES + message.payload.len();
                let mut reader = Reader::new(&message.payload);
                let _ = reader.u32();
                let _ = reader.bytes(64);
                let _ = reader.u64();
                prop_assert!(reader.rest().len() <= message.payload.len());
            }
            prop_assert_eq!(taken + inbox.len(), bytes.len());
        }
    }
}
