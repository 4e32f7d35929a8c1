//! What people are told of what happened: in the pages, and by mail.

use domain::{AssetId, NotificationId, Timestamp, UserId};
use serde::Serialize;
use serde_json::Value;

use crate::catalog::Text;
use crate::engine::{args, column, corrupt, document, parsed};
use crate::outbox::OutboxHold;
use crate::parts::digest;
use crate::{Catalog, CatalogError, Expected, Meant, Side, sql};

/// Most notifications that one call returns.
pub const PAGE_NOTIFICATIONS_MAX: u32 = 100;
/// Notifications of one person that are kept.
pub const KEPT_MAX: u32 = 1000;
/// Who turns events into notifications.
pub const READER: &str = "@notifications";

/// What somebody is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NotificationKind {
    /// A video of theirs can be shown.
    AssetReady,
    /// A video of theirs cannot be processed.
    AssetFailed,
    /// Somebody shares a video with them.
    AssetShared,
    /// Something about their account changed that they should know if it was not them.
    AccountSecurity,
    /// A webhook of theirs is sent nothing any more.
    WebhookDisabled,
    /// A letter a week of what they did not read.
    Digest,
}

impl NotificationKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::AssetReady,
        Self::AssetFailed,
        Self::AssetShared,
        Self::AccountSecurity,
        Self::WebhookDisabled,
        Self::Digest,
    ];

    /// Its name in documents and in the catalogue.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AssetReady => "asset_ready",
            Self::AssetFailed => "asset_failed",
            Self::AssetShared => "asset_shared",
            Self::AccountSecurity => "account_security",
            Self::WebhookDisabled => "webhook_disabled",
            Self::Digest => "digest",
        }
    }

    /// The kind of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// How somebody is told who did not say.
    pub fn default_channel(self) -> NotificationChannel {
        match self {
            Self::AssetReady | Self::AssetFailed | Self::AssetShared => NotificationChannel::App,
            Self::AccountSecurity | Self::WebhookDisabled | Self::Digest => NotificationChannel::Email,
        }
    }
}

/// How somebody is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NotificationChannel {
    /// Not at all.
    Off,
    /// In the pages.
    App,
    /// There, and by a letter.
    Email,
}

impl NotificationChannel {
    /// Its name in documents and in the catalogue.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::App => "app",
            Self::Email => "email",
        }
    }

    /// The channel of this name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Off, Self::App, Self::Email].into_iter().find(|channel| channel.as_str() == name)
    }
}

/// Something that somebody is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Its id.
    pub id: NotificationId,
    /// Whom.
    pub user: UserId,
    /// What it is about.
    pub kind: NotificationKind,
    /// Which video.
    pub asset: Option<AssetId>,
    /// The details, a JSON object.
    pub data: Value,
    /// A letter is still to be sent.
    pub is_mail_due: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When they read it.
    pub read_at: Option<Timestamp>,
}

/// Something that somebody is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewNotification {
    /// Its id.
    pub id: NotificationId,
    /// Whom.
    pub user: UserId,
    /// The event that it tells of.
    pub seq: u64,
    /// What it is about.
    pub kind: NotificationKind,
    /// Which video.
    pub asset: Option<AssetId>,
    /// The details, a JSON object.
    pub data: Value,
    /// By a letter too.
    pub by_mail: bool,
}

impl Catalog {
    /// Records what people are told of all events up to `seq`, and that these were looked at, together; false if
    /// another process has the right by now. Who is gone is told nothing.
    pub async fn notify(
        &self,
        hold: OutboxHold<'_>,
        seq: u64,
        news: &[NewNotification],
        now: Timestamp,
    ) -> Result<bool, CatalogError> {
        let mut tx = self.begin().await?;
        if !tx.move_reader(hold, seq).await? {
            return Ok(false);
        }
        for new in news {
            match tx.hold_account(new.user).await {
                Err(CatalogError::AccountGone(_)) => continue,
                held => held?,
            }
            let (asset, data) = (new.asset.map(|asset| asset.to_string()), new.data.to_string());
            let args = args![new.id, new.user, column(new.seq)?, new.kind.as_str(), asset, data, new.by_mail, now];
            tx.execute(sql::notifications::INSERT, args).await?;
            tx.execute(sql::notifications::PRUNE_MANY, args![new.user, KEPT_MAX]).await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    /// At most `limit` (and [`PAGE_NOTIFICATIONS_MAX`] + 1) of somebody's notifications on one side of another, the
    /// latest first.
    pub async fn notifications(
        &self,
        user: UserId,
        is_unread: bool,
        side: Option<Side<NotificationId>>,
        limit: u32,
    ) -> Result<Vec<Notification>, CatalogError> {
        let (place, way) = Side::or_first(side, NotificationId::from_u128(u128::MAX));
        let args = args![user, place, limit.min(PAGE_NOTIFICATIONS_MAX + 1), is_unread];
        let statement = way.of([sql::notifications::PAGE, sql::notifications::PAGE_BEFORE]);
        Ok(way.in_order(self.notifications_by(statement, args).await?))
    }

    async fn notifications_by(
        &self,
        sql: sql::Sql,
        args: Vec<crate::engine::Arg>,
    ) -> Result<Vec<Notification>, CatalogError> {
        let rows: Vec<NotificationRow> = self.rows(sql, args).await?;
        rows.into_iter().map(Notification::try_from).collect()
    }

    /// One notification.
    pub async fn notification(&self, id: NotificationId) -> Result<Option<Notification>, CatalogError> {
        Ok(self.notifications_by(sql::notifications::BY_ID, args![id]).await?.pop())
    }

    /// How many notifications somebody has not read.
    pub async fn unread_count(&self, user: UserId) -> Result<u64, CatalogError> {
        self.number(sql::notifications::UNREAD, args![user]).await
    }

    /// Notes that somebody read these of theirs; all, if none is named. How many were unread.
    pub async fn read_notifications(
        &self,
        user: UserId,
        ids: Option<&[NotificationId]>,
        now: Timestamp,
    ) -> Result<u64, CatalogError> {
        let mut tx = self.begin().await?;
        let mut read = 0;
        match ids {
            None => read = tx.execute(sql::notifications::READ_ALL, args![user, now]).await?,
            Some(ids) => {
                for id in ids {
                    read += tx.execute(sql::notifications::READ, args![user, *id, now]).await?;
                }
            }
        }
        tx.commit().await?;
        Ok(read)
    }

    /// Removes a notification of somebody's; false if there is none.
    pub async fn delete_notification(&self, user: UserId, id: NotificationId) -> Result<bool, CatalogError> {
        let mut tx = self.begin().await?;
        let deleted = tx.execute(sql::notifications::DELETE, args![user, id]).await?;
        tx.commit().await?;
        Ok(deleted == 1)
    }

    /// How somebody wants to be told, kind by kind.
    pub async fn channels_of(
        &self,
        user: UserId,
    ) -> Result<Vec<(NotificationKind, NotificationChannel)>, CatalogError> {
        let rows: Vec<PreferenceRow> = self.rows(sql::notifications::PREFERENCES, args![user]).await?;
        said(&rows)
    }

    /// Sets how somebody wants to be told.
    ///
    /// # Errors
    /// [`CatalogError::AccountGone`]; [`CatalogError::Changed`] if it is not at the [`version_of_channels`] that is
    /// expected.
    pub async fn set_channels(
        &self,
        user: impl Into<Meant<UserId>>,
        wanted: &[(NotificationKind, NotificationChannel)],
    ) -> Result<(), CatalogError> {
        let Meant { id: user, expected } = user.into();
        let mut tx = self.begin().await?;
        if expected != Expected::Anything {
            // Nobody else may hold it, who would change what is compared.
            tx.row::<Text>(sql::accounts::HOLD_ALONE, args![user]).await?;
        }
        tx.hold_account(user).await?;
        if let Expected::Version(expected) = expected {
            let rows: Vec<PreferenceRow> = tx.rows(sql::notifications::PREFERENCES, args![user]).await?;
            let version = version_of_channels(&said(&rows)?);
            if version != expected {
                return Err(CatalogError::Changed { version });
            }
        }
        for (kind, channel) in wanted {
            tx.execute(sql::notifications::SET_PREFERENCE, args![user, kind.as_str(), channel.as_str()]).await?;
        }
        tx.commit().await
    }

    /// Notifications of which a letter is to be sent, the oldest first.
    pub async fn mail_due(&self, limit: u32) -> Result<Vec<Notification>, CatalogError> {
        self.notifications_by(sql::notifications::MAIL_DUE, args![limit]).await
    }

    /// Notes that the letter of a notification was sent, or that none is to be.
    pub async fn note_mailed(&self, id: NotificationId) -> Result<bool, CatalogError> {
        let mut tx = self.begin().await?;
        let noted = tx.execute(sql::notifications::MAILED, args![id]).await?;
        tx.commit().await?;
        Ok(noted == 1)
    }

    /// Who is to have the letter of a week and has not read all that they were told from `since` on and before `until`:
    /// at most `limit` after `after`.
    pub async fn digest_for(
        &self,
        week: i64,
        (since, until): (Timestamp, Timestamp),
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<UserId>, CatalogError> {
        let after = after.map_or_else(String::new, |user| user.to_string());
        let args = args![week, since, after, limit, until];
        let rows: Vec<Text> = self.rows(sql::notifications::DIGEST_FOR, args).await?;
        rows.into_iter().map(|row| parsed("users.id", &row.text)).collect()
    }

    /// Takes the letter of a week of somebody's; false if it was taken. Whoever takes it sends it.
    pub async fn take_digest(&self, user: UserId, week: i64) -> Result<bool, CatalogError> {
        let mut tx = self.begin().await?;
        match tx.hold_account(user).await {
            Err(CatalogError::AccountGone(_)) => return Ok(false),
            held => held?,
        }
        let taken = tx.execute(sql::notifications::DIGEST_TAKE, args![user, week]).await?;
        tx.commit().await?;
        Ok(taken == 1)
    }

    /// What somebody was told from `since` on and before `until` and did not read, the latest first.
    pub async fn digest_of(
        &self,
        user: UserId,
        (since, until): (Timestamp, Timestamp),
        limit: u32,
    ) -> Result<Vec<Notification>, CatalogError> {
        self.notifications_by(sql::notifications::DIGEST_OF, args![user, since, limit, until]).await
    }

    /// Forgets notifications that were made before `before`.
    pub async fn prune_notifications(&self, before: Timestamp) -> Result<u64, CatalogError> {
        let mut tx = self.begin().await?;
        let pruned = tx.execute(sql::notifications::PRUNE, args![before]).await?;
        tx.commit().await?;
        Ok(pruned)
    }
}

/// Tells one state of how somebody is told from those before it.
pub fn version_of_channels(channels: &[(NotificationKind, NotificationChannel)]) -> u64 {
    digest(&channels)
}

/// How somebody is told who said this.
fn said(rows: &[PreferenceRow]) -> Result<Vec<(NotificationKind, NotificationChannel)>, CatalogError> {
    let said = |kind: NotificationKind| {
        let row = rows.iter().find(|row| row.kind == kind.as_str());
        row.map_or(Some(kind.default_channel()), |row| NotificationChannel::named(&row.channel))
    };
    let each = NotificationKind::ALL.into_iter().map(|kind| Some((kind, said(kind)?)));
    each.collect::<Option<_>>().ok_or_else(|| corrupt("notification_preferences.channel", "no channel"))
}

#[derive(sqlx::FromRow)]
struct PreferenceRow {
    kind: String,
    channel: String,
}

/// `notifications` as stored.
#[derive(sqlx::FromRow)]
struct NotificationRow {
    id: String,
    user_id: String,
    kind: String,
    asset_id: Option<String>,
    data: String,
    mail_due: i64,
    created_at: i64,
    read_at: Option<i64>,
}

impl TryFrom<NotificationRow> for Notification {
    type Error = CatalogError;

    fn try_from(row: NotificationRow) -> Result<Self, CatalogError> {
        let kind = NotificationKind::named(&row.kind);
        Ok(Self {
            id: parsed("notifications.id", &row.id)?,
            user: parsed("notifications.user_id", &row.user_id)?,
            kind: kind.ok_or_else(|| corrupt("notifications.kind", &row.kind))?,
            asset: row.asset_id.map(|id| parsed("notifications.asset_id", &id)).transpose()?,
            data: document("notifications.data", &row.data)?,
            is_mail_due: row.mail_due != 0,
            created_at: Timestamp::from_unix_ms(row.created_at),
            read_at: row.read_at.map(Timestamp::from_unix_ms),
        })
    }
}
