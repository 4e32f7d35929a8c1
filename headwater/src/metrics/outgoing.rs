//! How it goes with what is sent to others, as Prometheus series, read from the catalogue at each scrape.

use catalog_store::{DeliveryState, Outgoing};
use domain::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    state: &'static str,
}

/// The series.
#[derive(Debug)]
pub(super) struct OutgoingGauges {
    messages: Family<StateLabels, Gauge>,
    oldest_message_s: Gauge,
    off: Gauge,
    letters: Gauge,
    oldest_letter_s: Gauge,
}

impl OutgoingGauges {
    pub(super) fn registered(registry: &mut Registry) -> Self {
        let gauge = |registry: &mut Registry, name: &str, help: &str| {
            let gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            gauge
        };
        let messages = Family::default();
        let help = "Messages to webhooks that are remembered, by what came of them";
        registry.register("webhook_messages", help, messages.clone());
        let help = "Seconds since the message was made that waits for longest; 0 if none does";
        let oldest_message_s = gauge(registry, "webhook_oldest_message_seconds", help);
        let off = gauge(registry, "webhooks_off", "Webhooks that nothing is sent to any more");
        let letters = gauge(registry, "letters_waiting", "Letters that are to be sent");
        let help = "Seconds since the letter was due that waits for longest; 0 if none does";
        let oldest_letter_s = gauge(registry, "letters_oldest_seconds", help);
        Self { messages, oldest_message_s, off, letters, oldest_letter_s }
    }

    pub(super) fn set(&self, outgoing: &Outgoing, now: Timestamp) {
        let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        for state in [DeliveryState::Pending, DeliveryState::Delivered, DeliveryState::Failed] {
            let labels = StateLabels { state: state.as_str() };
            self.messages.get_or_create(&labels).set(number(outgoing.of(state)));
        }
        let age = |since: Option<Timestamp>| since.map_or(0, |since| number(now.since(since).as_secs()));
        self.oldest_message_s.set(age(outgoing.oldest_message));
        self.off.set(number(outgoing.webhooks_off));
        self.letters.set(number(outgoing.letters));
        self.oldest_letter_s.set(age(outgoing.oldest_letter));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_told_with_its_age() {
        let mut registry = Registry::with_prefix("headwater");
        let gauges = OutgoingGauges::registered(&mut registry);
        let at = Timestamp::from_unix_ms;
        let outgoing = Outgoing {
            messages: vec![(DeliveryState::Pending, 3), (DeliveryState::Failed, 1)],
            oldest_message: Some(at(1000)),
            webhooks: 5,
            webhooks_off: 2,
            letters: 0,
            oldest_letter: None,
        };
        gauges.set(&outgoing, at(61_000));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("it is text");
        for line in [
            "headwater_webhook_messages{state=\"pending\"} 3",
            "headwater_webhook_messages{state=\"delivered\"} 0",
            "headwater_webhook_messages{state=\"failed\"} 1",
            "headwater_webhook_oldest_message_seconds 60",
            "headwater_webhooks_off 2",
            "headwater_letters_waiting 0",
            "headwater_letters_oldest_seconds 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
    }
}
