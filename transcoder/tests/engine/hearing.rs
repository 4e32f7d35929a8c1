//! What segments of sound sound like, to a decoder that is not ours.

use transcoder::AudioSegment;

/// Samples per second of the output.
pub(crate) const RATE: f64 = 48_000.0;

/// The samples of the left channel of stereo sound, from the second AAC frame on: the first one lacks the one before it.
pub(crate) fn decoded(segments: &[AudioSegment]) -> Vec<f32> {
    decoded_channel(segments, 2, 0)
}

/// As [`decoded`], for any channel of sound with 2 or 6 channels.
#[expect(clippy::disallowed_methods, reason = "output is decoded by a program that is not ours")]
pub(crate) fn decoded_channel(segments: &[AudioSegment], channels: u8, channel: u8) -> Vec<f32> {
    let mut adts = Vec::new();
    for frame in segments.iter().flat_map(|segment| &segment.frames) {
        let length = u16::try_from(frame.len() + 7).expect("13 bits");
        let [high, low] = length.to_be_bytes();
        // AAC-LC, 48 kHz (index 3), as many channels (ISO/IEC 13818-7 §6.2.1).
        adts.extend([
            0xff,
            0xf1,
            0x4c | channels >> 2,
            channels << 6 | high >> 3,
            high << 5 | low >> 3,
            low << 5 | 0x1f,
            0xfc,
        ]);
        adts.extend(frame);
    }
    let file = tempfile::Builder::new().suffix(".aac").tempfile().expect("a temporary file");
    std::fs::write(file.path(), adts).expect("written");
    let output = std::process::Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(file.path())
        .args(["-af", &format!("pan=mono|c0=c{channel}"), "-f", "f32le", "-"])
        .output()
        .expect("Debian's package ffmpeg");
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let samples = output.stdout.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().expect("four")));
    samples.skip(1024).collect()
}

/// When the burst of 10 ms is heard that should begin at `second`, or any within 80 ms; `None` in silence.
///
/// `first` is the AAC frame that the segments of `samples` begin with.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small")]
pub(crate) fn burst_near(samples: &[f32], first: u64, second: f64) -> Option<f64> {
    let start = (first + 1) as f64 * 1024.0;
    let at = |second: f64| ((second * RATE - start).max(0.0) as usize).min(samples.len());
    let (from, to) = (at(second - 0.075), at(second + 0.085));
    let (mut total, mut moment) = (0.0, 0.0);
    for (at, sample) in samples[from..to].iter().enumerate() {
        let energy = f64::from(sample * sample);
        total += energy;
        moment += energy * ((from + at) as f64 + start) / RATE;
    }
    // A burst of amplitude 0.7 holds about 100.
    (total > 10.0).then(|| moment / total - 0.005)
}
