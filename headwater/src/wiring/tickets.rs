//! Keys of tickets: those that the operator gave, which open what is signed, and those of this process alone, by which
//! its own API opens assets where there are no others.

use anyhow::Context;
use catalog_api::{TicketKind, Tickets};
use domain::{Clock, PlaybackId, Timestamp};
use origin::access::{Grant, KeyRing, mint};

use crate::config::{Config, Role};

/// The keys in force in this process. Cheap to clone; clones see the same keys.
#[derive(Clone)]
pub struct TicketKeys {
    ring: KeyRing,
    own: KeyRing,
}

impl TicketKeys {
    /// The keys of the settings, and others that nobody knows and that last as long as the process, if it serves players
    /// itself.
    ///
    /// # Errors
    /// If the keys of the settings cannot be used.
    pub fn new(config: &Config, clock: &dyn Clock) -> anyhow::Result<Self> {
        let own = match config.has(Role::Origin) {
            true => {
                let secret: String =
                    [clock.entropy(), clock.entropy()].concat().iter().map(|byte| format!("{byte:02x}")).collect();
                KeyRing::new(&[format!("own:{secret}")]).context("cannot make a key")?
            }
            false => KeyRing::default(),
        };
        Ok(Self { ring: config.token_keys()?, own })
    }

    /// Those of the settings.
    pub fn ring(&self) -> &KeyRing {
        &self.ring
    }

    /// Those of this process.
    pub fn own(&self) -> &KeyRing {
        &self.own
    }

    /// Signs tickets of the API: by a key of the settings, which all origins know, or else by one of its own.
    pub fn tickets(&self) -> Tickets {
        let keys = self.clone();
        Tickets::signed_by(move |playback, kind, (begins, ends)| {
            let grant = grant(playback, kind, begins, ends)?;
            let token = mint(&grant, &keys.ring).or_else(|_| mint(&grant, &keys.own));
            token.ok().map(|token| format!("/t/{token}"))
        })
    }
}

fn grant(playback: PlaybackId, kind: TicketKind, begins: Timestamp, ends: Timestamp) -> Option<Grant> {
    let seconds = |at: Timestamp| u64::try_from(at.unix_ms() / 1000).ok();
    Some(Grant {
        expires_s: seconds(ends)?,
        begins_s: seconds(begins)?,
        prefix: format!("/v/{playback}/"),
        session: None,
        network: None,
        is_preview: kind == TicketKind::Reviewer,
    })
}
