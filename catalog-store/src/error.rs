//! Why the catalogue refuses or fails.

use domain::{AssetId, ChannelId, CollectionId, IllegalTransition, JobId, SourceVersion, UploadId, UserId, WebhookId};

use crate::UploadState;

/// Why an operation on the catalogue changed nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogError {
    /// The URL names no database this crate speaks to.
    #[error(
        "expected sqlite:///absolute/path.db, sqlite://relative/path.db or postgres://..., not a URL with scheme {scheme:?}"
    )]
    Scheme {
        /// What stands before the first colon.
        scheme: String,
    },
    /// The database cannot be opened.
    #[error("cannot open the database")]
    Open(#[source] sqlx::Error),
    /// The schema cannot be brought up to date.
    #[error("cannot migrate the database")]
    Migrate(#[source] sqlx::migrate::MigrateError),
    /// The schema is another version's, and it was opened only to be read.
    #[error(
        "the database has schema {found}, this version works with {expected}; {}",
        if found < expected { "bring it up to date with `headwater migrate` or by starting the server" } else { "use the version of headwater that wrote it" }
    )]
    Schema {
        /// The last migration that was applied.
        found: i64,
        /// The last one that this program knows.
        expected: i64,
    },
    /// A statement failed: the connection, the disk, or a constraint.
    #[error("database statement failed")]
    Statement(#[from] sqlx::Error),
    /// The job now belongs to somebody else, or was cancelled. Stop working on it.
    #[error("the lease of {job} is lost")]
    LostLease {
        /// The job.
        job: JobId,
    },
    /// The asset is in a state in which this cannot happen.
    #[error(transparent)]
    Illegal(#[from] IllegalTransition),
    /// The asset is in a stage from which there is no such way.
    #[error(transparent)]
    Stage(#[from] domain::stage::IllegalStage),
    /// Another source is in force than the one that was looked at.
    #[error("version {0} of the source is in force: look at that one first")]
    OtherSource(SourceVersion),
    /// There is no such asset.
    #[error("no asset {0}")]
    NoAsset(AssetId),
    /// The asset has failed: nothing can be added to it.
    #[error("asset {0} has failed")]
    AssetFailed(AssetId),
    /// The asset has as many texts as it may have.
    #[error("asset {0} has {max} texts already", max = domain::text::COUNT_MAX)]
    TooManyTexts(AssetId),
    /// The asset has as many documents as it may have.
    #[error("asset {asset} has {count_max} documents already")]
    TooManyDocuments {
        /// The asset.
        asset: AssetId,
        /// How many it may have.
        count_max: u32,
    },
    /// There is no such upload.
    #[error("no upload {0}")]
    NoUpload(UploadId),
    /// The job's generation has no row, or the job has no generation.
    #[error("{0} belongs to no known generation")]
    NoGeneration(JobId),
    /// The upload is complete or was terminated.
    #[error("upload {upload} is {state}")]
    UploadClosed {
        /// The upload.
        upload: UploadId,
        /// Where it stands.
        state: UploadState,
    },
    /// The capability is used up, expired or taken back.
    #[error("the grant {0} cannot be used")]
    GrantSpent(String),
    /// The new offset is behind the recorded one, or past the announced length.
    #[error("upload {upload} stands at offset {current}, it cannot be set to {wanted}")]
    Offset {
        /// The upload.
        upload: UploadId,
        /// The recorded offset.
        current: u64,
        /// The refused one.
        wanted: u64,
    },
    /// Another object is already recorded for this segment: encoding was not deterministic.
    #[error("segment {index} of {rendition} is recorded with hash {recorded}, not {offered}")]
    HashMismatch {
        /// The rendition.
        rendition: domain::RenditionId,
        /// The segment.
        index: u32,
        /// The hash in the ledger.
        recorded: String,
        /// The refused one.
        offered: String,
    },
    /// Only an asset that is ready can be made anew.
    #[error("{asset} is {state}, not ready")]
    NotReady {
        /// The asset.
        asset: AssetId,
        /// Its state.
        state: domain::AssetState,
    },
    /// The output that was to be replaced is not in force.
    #[error("another generation of {asset} is in force")]
    Replaced {
        /// The asset.
        asset: AssetId,
        /// The output in force.
        in_force: Option<domain::Generation>,
    },
    /// Another source of the asset is on its way already.
    #[error("another version of {0} is on its way")]
    VersionUnderWay(AssetId),
    /// The asset has had as many sources as it may.
    #[error("{0} has had {max} versions", max = SourceVersion::MAX)]
    TooManyVersions(AssetId),
    /// There is no such source of the asset, or it is not kept.
    #[error("version {version} of {asset} is not kept")]
    NoVersion {
        /// The asset.
        asset: AssetId,
        /// Its source.
        version: SourceVersion,
    },
    /// The source is in force.
    #[error("version {version} of {asset} is in force")]
    VersionInForce {
        /// The asset.
        asset: AssetId,
        /// Its source.
        version: SourceVersion,
    },
    /// Too many outputs are kept already.
    #[error("too many generations of {0} are kept")]
    TooManyGenerations(AssetId),
    /// Another account has this mail address.
    #[error("{0} has this mail address")]
    EmailTaken(UserId),
    /// There is no such account, or it was deleted.
    #[error("no account {0}")]
    NoUser(UserId),
    /// The account was deleted: nothing becomes its any more.
    #[error("account {0} was deleted")]
    AccountGone(UserId),
    /// What somebody proved who they are by was put out of force meanwhile, or nobody may use the account any more.
    #[error("what proved who somebody is, is not in force any more")]
    NotInForce,
    /// The row is not at the version that was to be changed.
    #[error("it is at version {version} by now")]
    Changed {
        /// The version that it is at.
        version: u64,
    },
    /// What people decided about an asset is not at the version that was to be changed.
    #[error("it is at version {about_version} by now, and elsewhere or at another stage")]
    PlaceChanged {
        /// The version of what is said about it.
        about_version: u64,
        /// The version of that and all else that was decided.
        place: u64,
    },
    /// Something is there where nothing was to be.
    #[error("there is one already")]
    Exists {
        /// The version that it is at, if it has any.
        version: Option<u64>,
    },
    /// Nobody could decide about accounts any more.
    #[error("the last administrator has to stay one")]
    LastAdmin,
    /// Videos have become the account's since they were deleted.
    #[error("account {0} has videos that were to be deleted before it")]
    VideosLeft(UserId),
    /// The account has as many API keys as it may.
    #[error("account {0} has {max} API keys already", max = crate::credentials::KEYS_MAX)]
    TooManyKeys(UserId),
    /// The asset is shared with as many as it may be.
    #[error("asset {0} is shared with {max} accounts already", max = crate::shares::SHARES_MAX)]
    TooManyShares(AssetId),
    /// Another account has the identity.
    #[error("another account has this identity")]
    IdentityTaken,
    /// The account has as many identities as it may.
    #[error("there are {max} identities already", max = crate::identities::IDENTITIES_MAX)]
    TooManyIdentities,
    /// Its owner could not log in any more.
    #[error("the account has no other way in")]
    LastWayIn,
    /// There is no such webhook.
    #[error("no webhook {0}")]
    NoWebhook(WebhookId),
    /// Its owner has as many webhooks as one may.
    #[error("there are {max} webhooks already", max = crate::webhooks::WEBHOOKS_MAX)]
    TooManyWebhooks,
    /// As much waits for the webhook as may.
    #[error("too much waits for {0}")]
    TooManyMessages(WebhookId),
    /// What was asked for under a name is done by somebody else by now.
    #[error("another runner has the name by now")]
    LostName,
    /// Another asset has this id under a scheme.
    #[error("another asset has this id under {scheme}")]
    ExternalIdTaken {
        /// The scheme.
        scheme: String,
    },
    /// There is no such collection.
    #[error("no collection {0}")]
    NoCollection(CollectionId),
    /// A collection of this kind does not take it.
    #[error("a {kind} does not take this")]
    Unfit {
        /// The kind.
        kind: domain::collection::Kind,
    },
    /// It is in the collection already.
    #[error("it is in {0} already")]
    AlreadyIn(CollectionId),
    /// The collection has as many items as it may.
    #[error("{0} has {max} items already", max = crate::collections::ITEMS_MAX)]
    TooManyItems(CollectionId),
    /// The collection is shared with as many as it may be.
    #[error("{0} is shared with {max} accounts already", max = crate::shares::SHARES_MAX)]
    TooManyCollectionShares(CollectionId),
    /// There is no such channel.
    #[error("no channel {0}")]
    NoChannel(ChannelId),
    /// Another channel has this handle.
    #[error("another channel has this handle")]
    HandleTaken,
    /// The owner has as many channels as they may.
    #[error("there are {max} channels already", max = crate::channels::CHANNELS_OF_OWNER_MAX)]
    TooManyChannels,
    /// The account follows as many channels as it may.
    #[error("there are {max} subscriptions already", max = crate::channels::SUBSCRIPTIONS_MAX)]
    TooManySubscriptions,
    /// There is no key to seal or open secrets with.
    #[error("secrets can neither be sealed nor opened without a key")]
    Locked,
    /// The secrets of this database are sealed under another key.
    #[error(
        "the secrets in this database are sealed under another key: give the one that they were sealed with as \
         secret_key, or among previous_secret_keys to have them sealed anew, or put its secrets.key back"
    )]
    WrongKey,
    /// A secret was changed, or sealed under another key.
    #[error("the secret in {place} cannot be opened")]
    Unopened {
        /// Its table and row.
        place: String,
    },
    /// The clock stands before this program was made.
    #[error("the clock of this machine says {}: put it right first", .0.rfc3339())]
    Clock(domain::Timestamp),
    /// A number does not fit into a database column.
    #[error("{0} is too large a number")]
    TooLarge(u64),
    /// A row does not hold what this version writes.
    #[error("the row holds an unreadable {column}: {detail}")]
    Corrupt {
        /// The column.
        column: &'static str,
        /// What is wrong with it.
        detail: String,
    },
}

impl CatalogError {
    /// True if the same call may succeed later without anybody changing it: the database is away, busy or
    /// out of space.
    pub fn is_transient(&self) -> bool {
        use sqlx::Error as E;
        let (Self::Statement(error) | Self::Open(error)) = self else { return false };
        match error {
            E::Io(_) | E::Tls(_) | E::Protocol(_) | E::PoolTimedOut | E::PoolClosed | E::WorkerCrashed => true,
            E::Database(error) => error.code().is_some_and(|code| is_outage(&code)),
            _ => false,
        }
    }

    /// True if what a row was to refer to is not there. Calls look for it first, so it was deleted meanwhile.
    pub fn is_reference_gone(&self) -> bool {
        matches!(self, Self::Statement(sqlx::Error::Database(error)) if error.is_foreign_key_violation())
    }

    /// True if no call succeeds before somebody has seen to the database: it is damaged or gone, lets nobody in, or
    /// takes nothing.
    pub fn is_breakdown(&self) -> bool {
        let (Self::Statement(sqlx::Error::Database(error)) | Self::Open(sqlx::Error::Database(error))) = self else {
            return false;
        };
        error.code().is_some_and(|code| is_breakdown(&code))
    }
}

/// True for the codes of a database that somebody has to see to.
fn is_breakdown(code: &str) -> bool {
    if code.len() == 5 {
        // No such database, a standby that only reads; then who may come in, and what is damaged.
        return matches!(code, "3D000" | "25006") || matches!(&code[..2], "28" | "XX");
    }
    // Nothing can be written, damaged, no database.
    code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 8 | 11 | 26))
}

/// True for the codes of a database that cannot do its work now, as opposed to one that refuses it.
fn is_outage(code: &str) -> bool {
    // PostgreSQL's codes have five letters or digits, SQLite's are smaller numbers.
    if code.len() == 5 {
        // Serialisation failure and deadlock; then connections, resources, shutdown, system errors.
        return matches!(code, "40001" | "40P01") || matches!(&code[..2], "08" | "53" | "57" | "58");
    }
    // The low octet is the kind: busy, locked, out of memory, input or output, full, cannot open.
    code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 5 | 6 | 7 | 10 | 13 | 14))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_that_is_broken_is_told_from_one_that_is_away_or_refuses() {
        for code in ["8", "11", "26", "267", "1032", "3D000", "28P01", "25006", "XX001", "XX002"] {
            assert!(is_breakdown(code) && !is_outage(code), "{code}");
        }
        for code in ["1", "5", "10", "14", "19", "2067", "23505", "40001", "57P01", "42601", ""] {
            assert!(!is_breakdown(code), "{code}");
        }
    }

    #[test]
    fn a_database_that_is_away_busy_or_full_is_told_from_one_that_refuses() {
        for code in ["5", "261", "517", "13", "10", "778", "40001", "40P01", "57P01", "53100", "08006"] {
            assert!(is_outage(code), "{code}");
        }
        for code in ["1", "19", "1555", "2067", "23505", "42601", "22003", ""] {
            assert!(!is_outage(code), "{code}");
        }
    }
}
