//! How it goes with what is sent to others: webhooks and letters, over all of them.

use domain::Timestamp;

use crate::engine::{args, corrupt, count};
use crate::webhooks::DeliveryState;
use crate::{Catalog, CatalogError, sql};

/// What is sent, was sent, and waits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outgoing {
    /// Messages to webhooks that are remembered, by how far they are. Those that wait for one that is off are not among
    /// them.
    pub messages: Vec<(DeliveryState, u64)>,
    /// When the message was made that waits for longest; `None` if none does.
    pub oldest_message: Option<Timestamp>,
    /// Webhooks.
    pub webhooks: u64,
    /// Those that nothing is sent to any more.
    pub webhooks_off: u64,
    /// Letters that wait.
    pub letters: u64,
    /// Since when the one does that waits for longest.
    pub oldest_letter: Option<Timestamp>,
}

impl Outgoing {
    /// Messages that are so far.
    pub fn of(&self, state: DeliveryState) -> u64 {
        self.messages.iter().find(|(known, _)| *known == state).map_or(0, |(_, count)| *count)
    }
}

impl Catalog {
    /// How it goes with what is sent to others.
    pub async fn outgoing(&self) -> Result<Outgoing, CatalogError> {
        let mut outgoing = Outgoing {
            webhooks: self.number(sql::webhooks::COUNT_ALL, args![]).await?,
            webhooks_off: self.number(sql::webhooks::COUNT_OFF, args![]).await?,
            ..Outgoing::default()
        };
        for row in self.rows::<StateRow>(sql::webhooks::BY_STATE, args![]).await? {
            let state =
                DeliveryState::named(&row.state).ok_or_else(|| corrupt("webhook_deliveries.state", &row.state))?;
            outgoing.messages.push((state, count("webhook_deliveries.number", row.number)?));
            if state == DeliveryState::Pending {
                outgoing.oldest_message = row.oldest.map(Timestamp::from_unix_ms);
            }
        }
        let letters: Option<LettersRow> = self.row(sql::notifications::LETTERS_DUE, args![]).await?;
        if let Some(letters) = letters {
            outgoing.letters = count("notifications.number", letters.number)?;
            outgoing.oldest_letter = letters.oldest.map(Timestamp::from_unix_ms);
        }
        Ok(outgoing)
    }
}

#[derive(sqlx::FromRow)]
struct StateRow {
    state: String,
    number: i64,
    oldest: Option<i64>,
}

#[derive(sqlx::FromRow)]
struct LettersRow {
    number: i64,
    oldest: Option<i64>,
}
