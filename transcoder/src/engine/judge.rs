//! How coded pictures look: decoded again as they come, and compared with what the encoder was given.

use std::collections::VecDeque;

use crate::av::{AvError, Decoder, Frame, Packet, Similarity, VideoEncoder};

/// One, in millionths.
const MILLION: f64 = 1_000_000.0;

/// Judges the pictures of one encoder.
pub(super) struct Judge {
    decoder: Decoder,
    decoded: Frame,
    /// Made for the first picture.
    similarity: Option<Similarity>,
    /// Given to the encoder and not back yet, in order: as many as encoder and decoder hold.
    originals: VecDeque<Frame>,
    sum: f64,
    count: u32,
}

impl Judge {
    pub(super) fn of(encoder: &VideoEncoder) -> Result<Self, AvError> {
        Ok(Self {
            decoder: encoder.decoder()?,
            decoded: Frame::empty()?,
            similarity: None,
            originals: VecDeque::new(),
            sum: 0.0,
            count: 0,
        })
    }

    /// Keeps what the encoder is given as frame number `display`.
    pub(super) fn keep(&mut self, original: &Frame, display: u32) -> Result<(), AvError> {
        let mut original = original.share()?;
        original.set_pts(display.into());
        self.originals.push_back(original);
        Ok(())
    }

    /// Takes what the encoder made of it; `None` in the end.
    pub(super) fn push(&mut self, packet: Option<&Packet>) -> Result<(), AvError> {
        // What is decoded is taken at once, so there is always room for one more.
        if !self.decoder.send(packet)? {
            return Err(AvError::INVALID);
        }
        while self.decoder.receive(&mut self.decoded)?.is_some() {
            let original = self.originals.pop_front().filter(|original| original.pts() == self.decoded.pts());
            let original = original.ok_or(AvError::INVALID)?;
            let similarity = match &mut self.similarity {
                Some(similarity) => similarity,
                none => none.insert(Similarity::new(&original)?),
            };
            similarity.send(&self.decoded, &original)?;
            self.count_in()?;
        }
        Ok(())
    }

    /// The mean similarity in millionths, and of how many pictures.
    pub(super) fn finish(mut self) -> Result<(u32, u32), AvError> {
        self.push(None)?;
        if let Some(similarity) = &mut self.similarity {
            similarity.finish()?;
        }
        self.count_in()?;
        let mean = (self.sum / f64::from(self.count.max(1)) * MILLION).round().clamp(0.0, MILLION);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to what fits")]
        Ok((mean as u32, self.count))
    }

    fn count_in(&mut self) -> Result<(), AvError> {
        while let Some(value) = self.similarity.as_mut().map_or(Ok(None), Similarity::receive)? {
            self.sum += value;
            self.count += 1;
        }
        Ok(())
    }
}
