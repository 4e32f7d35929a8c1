//! Pictures that were taken as two fields, half a frame apart.

use serde::{Deserialize, Deserializer, Serialize};

use super::VideoTrack;
use crate::{FrameRate, ladder};

/// Which field of a frame was taken first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum FieldOrder {
    /// Frames were taken as a whole.
    #[default]
    #[serde(rename = "progressive")]
    Progressive,
    /// The field of the first, third ... row.
    #[serde(rename = "tff")]
    TopFirst,
    /// The field of the second, fourth ... row.
    #[serde(rename = "bff")]
    BottomFirst,
}

/// Reads a field order, or what older probes hold: whether there are fields at all.
pub(super) fn stated<'de, D: Deserializer<'de>>(deserializer: D) -> Result<FieldOrder, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Stated {
        Order(FieldOrder),
        IsInterlaced(bool),
    }
    Ok(match Stated::deserialize(deserializer)? {
        Stated::Order(order) => order,
        Stated::IsInterlaced(true) => FieldOrder::TopFirst,
        Stated::IsInterlaced(false) => FieldOrder::Progressive,
    })
}

impl VideoTrack {
    /// True if its frames hold two fields each.
    pub fn is_interlaced(&self) -> bool {
        self.field_order != FieldOrder::Progressive
    }

    /// True if each field becomes a picture of its own: of television's 25 and 30 frames a second.
    pub fn shows_fields(&self) -> bool {
        let rate = ladder::output_rate(self.measured_rate);
        self.is_interlaced() && matches!((rate.num(), rate.den()), (25 | 30, 1) | (30_000, 1001))
    }

    /// Pictures a second: the measured rate, doubled where each field becomes a picture.
    pub fn picture_rate(&self) -> FrameRate {
        let rate = self.measured_rate;
        let doubled = rate.num().checked_mul(2).filter(|_| self.shows_fields());
        doubled.and_then(|num| FrameRate::new(num, rate.den())).unwrap_or(rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Track {
        #[serde(default, alias = "is_interlaced", deserialize_with = "stated")]
        field_order: FieldOrder,
    }

    #[test]
    fn an_older_probe_says_only_whether_there_are_fields() {
        let check = |json: &str, order: FieldOrder| {
            let track: Track = serde_json::from_str(json).expect("is read");
            assert_eq!(track.field_order, order, "{json}");
        };
        check(r#"{"is_interlaced":true}"#, FieldOrder::TopFirst);
        check(r#"{"is_interlaced":false}"#, FieldOrder::Progressive);
        check(r#"{"field_order":"bff"}"#, FieldOrder::BottomFirst);
        check("{}", FieldOrder::Progressive);
        let json = serde_json::to_string(&Track { field_order: FieldOrder::TopFirst }).expect("is written");
        assert_eq!(json, r#"{"field_order":"tff"}"#);
    }
}
