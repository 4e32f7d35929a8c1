//! Tags that say how the segments behind them are encrypted (RFC 8216 §4.3.2.4), and where those lie.
//!
//! The clear initialization segment is named before any key: it holds nothing that would have to be hidden, and a key
//! applies to those behind it alone. Samples that are encrypted need one of their own for each key, which names it.

use domain::{EncryptionMethod, Presentation, RenditionId, Timescale};

use super::Playlist;
use super::attribute::List;
use crate::encryption::{Lock, hex};

/// Where keys lie, from where playlists do.
const KEYS: &str = "../../keys";

/// The only version of the format in which a key is its octets.
const IDENTITY: (&str, &str) = ("identity", "1");

/// Writes what the next segment needs, where that changes.
pub(super) struct Keys<'a> {
    lock: Option<Lock>,
    presentation: &'a Presentation,
    rendition: &'a RenditionId,
    /// The clear initialization segment, if these have one.
    map: Option<&'a str>,
    /// Of the segment before: the number of its key, if it had one.
    current: Option<Option<u32>>,
}

impl<'a> Keys<'a> {
    pub(super) fn new(
        lock: Option<Lock>,
        presentation: &'a Presentation,
        rendition: &'a RenditionId,
        map: Option<&'a str>,
    ) -> Self {
        Self { lock, presentation, rendition, map, current: None }
    }

    /// Writes the tags for a segment that begins at `ticks`; gives the folder in which it lies, with a slash, and
    /// whether it is encrypted.
    pub(super) fn turn(&mut self, out: &mut Playlist, ticks: u64, timescale: Timescale) -> (String, bool) {
        let number = self.lock.and_then(|lock| lock.key_at(ticks, timescale));
        let is_first = self.current.is_none();
        let is_sample = self.lock.is_some_and(|lock| lock.method() == EncryptionMethod::Cbcs);
        if self.current != Some(number) {
            self.current = Some(number);
            if let Some(map) = self.map.filter(|_| is_first && (number.is_none() || !is_sample)) {
                out.line(format!("#EXT-X-MAP:URI=\"{map}\""));
            }
            if let (Some(lock), Some(number)) = (self.lock, number) {
                self.key(out, lock, number);
            }
        }
        match (self.lock, number) {
            (Some(lock), Some(_)) => (format!("{}/", lock.edition()), true),
            _ => (String::new(), false),
        }
    }

    fn key(&self, out: &mut Playlist, lock: Lock, number: u32) {
        let (presentation, edition) = (self.presentation, lock.edition());
        let method = match lock.method() {
            EncryptionMethod::Aes128 => "AES-128",
            EncryptionMethod::Cbcs => "SAMPLE-AES",
        };
        let vector = hex(&lock.vector(presentation, self.rendition, number));
        let list = List::of("EXT-X-KEY")
            .plain("METHOD", method)
            .quoted("URI", &format!("{KEYS}/{}/{number}?of={edition}", presentation.generation))
            .plain("IV", format!("0x{vector}"));
        if lock.method() == EncryptionMethod::Aes128 {
            return out.line(list.finish());
        }
        let (format, version) = IDENTITY;
        out.line(list.quoted("KEYFORMAT", format).quoted("KEYFORMATVERSIONS", version).finish());
        out.line(format!("#EXT-X-MAP:URI=\"{edition}/init-{number}.mp4\""));
    }
}
