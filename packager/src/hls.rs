//! HLS playlists (RFC 8216) of a presentation.
//!
//! All URIs are relative. The multivariant playlist stands at the top and names everything below a
//! prefix, so that a server can put a generation's immutable objects under a name of their own.

mod attribute;
pub(crate) mod images;
mod keys;
mod markers;
mod media;
mod multivariant;
mod view;

pub use images::images;
pub use media::{iframes, media, target_duration_s};
pub use multivariant::{PATHWAY, multivariant};
pub use view::{Clip, ClipError, Container, View};

/// Playlist text, built line by line.
struct Playlist(String);

impl Playlist {
    /// `version` is the lowest that has every tag in use (RFC 8216 §7).
    fn new(version: u32) -> Self {
        Self(format!("#EXTM3U\n#EXT-X-VERSION:{version}\n"))
    }

    fn line(&mut self, text: impl AsRef<str>) {
        self.0.push_str(text.as_ref());
        self.0.push('\n');
    }
}

/// Peak and mean of a number of pieces, in bits per second, both rounded up.
///
/// `pieces` are pairs of octets and ticks; `None` if there are none or one lasts no time.
fn bit_rates(pieces: impl Iterator<Item = (u64, u64)>, timescale: domain::Timescale) -> Option<(u64, u64)> {
    let rate = |bytes: u128, ticks: u128| {
        let bits = bytes * 8 * u128::from(timescale.per_second());
        (ticks > 0).then(|| u64::try_from(bits.div_ceil(ticks)).unwrap_or(u64::MAX))
    };
    let (mut peak, mut bytes_total, mut ticks_total) = (0, 0u128, 0u128);
    for (bytes, ticks) in pieces {
        peak = peak.max(rate(bytes.into(), ticks.into())?);
        bytes_total += u128::from(bytes);
        ticks_total += u128::from(ticks);
    }
    rate(bytes_total, ticks_total).map(|mean| (peak, mean))
}

#[cfg(test)]
mod tests;
