//! Every SQL statement, table by table; nothing else in the workspace speaks SQL.
//!
//! Statements are lower case, name their columns and use `$1`, which both engines understand.

pub(crate) mod accounts;
pub(crate) mod assets;
pub(crate) mod audit;
pub(crate) mod avatars;
pub(crate) mod channels;
pub(crate) mod collections;
pub(crate) mod credentials;
pub(crate) mod documents;
pub(crate) mod erasure;
pub(crate) mod events;
pub(crate) mod generations;
pub(crate) mod grants;
pub(crate) mod idempotency;
pub(crate) mod identities;
pub(crate) mod imports;
pub(crate) mod jobs;
pub(crate) mod lookup;
pub(crate) mod notifications;
pub(crate) mod outbox;
pub(crate) mod search;
pub(crate) mod second_factor;
pub(crate) mod secrets;
pub(crate) mod segments;
pub(crate) mod sessions;
pub(crate) mod shares;
pub(crate) mod texts;
pub(crate) mod uploads;
pub(crate) mod versions;
pub(crate) mod webhooks;

/// One statement, as each engine wants it.
#[derive(Clone, Copy)]
pub(crate) struct Sql {
    pub(crate) sqlite: &'static str,
    pub(crate) postgres: &'static str,
}

/// The same text on both engines.
const fn both(text: &'static str) -> Sql {
    Sql { sqlite: text, postgres: text }
}

/// The last migration that was applied, as sqlx notes it.
pub(crate) const SCHEMA_VERSION: Sql = both("select max(version) as number from _sqlx_migrations where success");

/// Declares statements, and lists them for the test that prepares each on both engines.
macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $sql:expr;)*) => {
        $($(#[$doc])* pub(crate) const $name: crate::sql::Sql = $sql;)*
        #[cfg(test)]
        pub(crate) const ALL: &[(&str, crate::sql::Sql)] = &[$((stringify!($name), $name)),*];
    };
}
use statements;

/// Every statement with its name.
#[cfg(test)]
pub(crate) fn all() -> impl Iterator<Item = (&'static str, Sql)> {
    let tables = [
        accounts::ALL,
        assets::ALL,
        audit::ALL,
        avatars::ALL,
        channels::ALL,
        collections::ALL,
        credentials::ALL,
        documents::ALL,
        erasure::ALL,
        events::ALL,
        generations::ALL,
        grants::ALL,
        idempotency::ALL,
        identities::ALL,
        imports::ALL,
        jobs::ALL,
        lookup::ALL,
        notifications::ALL,
        outbox::ALL,
        search::ALL,
        second_factor::ALL,
        secrets::ALL,
        segments::ALL,
        sessions::ALL,
        shares::ALL,
        texts::ALL,
        uploads::ALL,
        versions::ALL,
        webhooks::ALL,
    ];
    tables.into_iter().flatten().copied()
}
