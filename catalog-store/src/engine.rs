//! One way to run a statement on either engine.
//!
//! Arguments are a short list of [`Arg`]s and rows are structs that derive `sqlx::FromRow`, so every
//! method of the catalogue is written once, and only this file knows that there are two engines.

use std::str::FromStr;
use std::time::Duration;

use domain::{
    AssetId, ChannelId, CollectionId, DocumentId, Generation, IdentityId, ItemId, JobId, KeyId, MessageId,
    NotificationId, PictureId, PlaybackId, RenditionId, SessionId, SourceVersion, TextId, Timestamp, UploadId, UserId,
    WebhookId,
};
use sqlx::Connection as _;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPool, PgPoolOptions, PgRow, Postgres};
use sqlx::sqlite::{
    Sqlite, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};

use crate::CatalogError;
use crate::sql::Sql;

mod files;

/// Connections that read a SQLite database at the same time: some wait for the disk, or are slow, while others read.
const SQLITE_READERS: u32 = 8;
/// Connections to PostgreSQL from one process.
const POSTGRES_CONNECTIONS: u32 = 10;
/// For how long a connection that was well when it was given back is taken to be.
const TRUSTED: Duration = Duration::from_secs(1);
/// How long a statement waits for a connection of the pool.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long SQLite waits while another process writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Migrations that both engines understand, and those that each has in a text of its own, under the same numbers.
static COMMON: Migrator = sqlx::migrate!("./migrations");
static OF_SQLITE: Migrator = sqlx::migrate!("./migrations/sqlite");
static OF_POSTGRES: Migrator = sqlx::migrate!("./migrations/postgres");

/// All migrations of an engine, in order.
fn migrations(own: &Migrator) -> Migrator {
    Migrator::with_migrations(COMMON.iter().chain(own.iter()).cloned().collect())
}

/// The schema that this program works with.
pub(crate) fn schema_version() -> i64 {
    COMMON.iter().chain(OF_SQLITE.iter()).map(|migration| migration.version).max().unwrap_or(0)
}

/// The database behind a catalogue.
pub(crate) enum Engine {
    /// All writes go through one connection, so no transaction ever meets another one.
    Sqlite { writer: SqlitePool, readers: SqlitePool },
    /// One pool for everything.
    Postgres(PgPool),
}

/// A transaction; dropped without commit, it leaves nothing behind.
pub(crate) enum Transaction {
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    Postgres(sqlx::Transaction<'static, Postgres>),
}

/// A row struct that reads from both engines.
pub(crate) trait Row:
    for<'r> sqlx::FromRow<'r, SqliteRow> + for<'r> sqlx::FromRow<'r, PgRow> + Send + Unpin
{
}
impl<T> Row for T where T: for<'r> sqlx::FromRow<'r, SqliteRow> + for<'r> sqlx::FromRow<'r, PgRow> + Send + Unpin {}

/// One argument of a statement.
#[derive(Clone, Debug)]
pub(crate) enum Arg {
    Text(Option<String>),
    Int(Option<i64>),
}

/// The arguments of a statement, in the order of `$1`, `$2` ...
macro_rules! args {
    ($($arg:expr),* $(,)?) => { vec![$(crate::engine::Arg::from($arg)),*] };
}
pub(crate) use args;

/// The query with all its arguments bound; a macro, since the two engines' queries share no type.
macro_rules! bound {
    ($query:expr, $args:expr) => {{
        let mut query = $query;
        for arg in $args {
            query = match arg {
                Arg::Text(value) => query.bind(value),
                Arg::Int(value) => query.bind(value),
            };
        }
        query
    }};
}

impl Engine {
    pub(crate) async fn open(url: &str) -> Result<Self, CatalogError> {
        match url.split(':').next().unwrap_or_default() {
            "sqlite" if !url.contains(":memory:") => Self::open_sqlite(url).await,
            "postgres" | "postgresql" => {
                Ok(Self::Postgres(postgres_pool().connect_with(postgres(url)?).await.map_err(CatalogError::Open)?))
            }
            scheme => Err(CatalogError::Scheme { scheme: scheme.to_owned() }),
        }
    }

    /// The same, but nothing can be written.
    pub(crate) async fn open_to_read(url: &str) -> Result<Self, CatalogError> {
        match url.split(':').next().unwrap_or_default() {
            "sqlite" if !url.contains(":memory:") => {
                let options = SqliteConnectOptions::from_str(url).map_err(CatalogError::Open)?;
                let options = options.busy_timeout(BUSY_TIMEOUT).read_only(true);
                let readers = pool(SQLITE_READERS).connect_with(options).await.map_err(CatalogError::Open)?;
                Ok(Self::Sqlite { writer: readers.clone(), readers })
            }
            "postgres" | "postgresql" => {
                let options = postgres(url)?.options([("default_transaction_read_only", "on")]);
                Ok(Self::Postgres(postgres_pool().connect_with(options).await.map_err(CatalogError::Open)?))
            }
            scheme => Err(CatalogError::Scheme { scheme: scheme.to_owned() }),
        }
    }

    async fn open_sqlite(url: &str) -> Result<Self, CatalogError> {
        // FULL: what was acknowledged survives a power cut, not only a crash of the process.
        let options = SqliteConnectOptions::from_str(url)
            .map_err(CatalogError::Open)?
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT)
            .foreign_keys(true)
            // What is overwritten or removed stays in no page that is written anyway.
            .pragma("secure_delete", "fast");
        files::keep_private(options.get_filename());
        let writer = pool(1).connect_with(options.clone().create_if_missing(true)).await.map_err(CatalogError::Open)?;
        // What is sorted stays in memory. The file is not mapped: each commit would unmap it from every reader, and what
        // a broken disk cannot read would end the process (docs/adr/0056).
        let options = options.pragma("query_only", "on").pragma("temp_store", "memory");
        let readers = pool(SQLITE_READERS).connect_lazy_with(options);
        Ok(Self::Sqlite { writer, readers })
    }

    pub(crate) async fn migrate(&self) -> Result<(), CatalogError> {
        match self {
            Self::Sqlite { writer, .. } => migrations(&OF_SQLITE).run(writer).await,
            Self::Postgres(pool) => migrations(&OF_POSTGRES).run(pool).await,
        }
        .map_err(CatalogError::Migrate)
    }

    /// Connections that are opened when they are needed and are slow at first.
    pub(crate) fn new_connections(&self) -> u32 {
        match self {
            Self::Sqlite { .. } => 0,
            Self::Postgres(_) => POSTGRES_CONNECTIONS,
        }
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
            Self::Postgres(pool) => pool.close().await,
        }
    }

    pub(crate) async fn begin(&self) -> Result<Transaction, CatalogError> {
        Ok(match self {
            // Another process may write too: taking the lock at once avoids a failing upgrade later.
            Self::Sqlite { writer, .. } => Transaction::Sqlite(writer.begin_with("begin immediate").await?),
            Self::Postgres(pool) => Transaction::Postgres(pool.begin().await?),
        })
    }

    /// Hears of what is told on `channel`.
    pub(crate) async fn listener(&self, channel: &str) -> Result<Listener, CatalogError> {
        Ok(match self {
            Self::Sqlite { .. } => Listener::Deaf,
            Self::Postgres(pool) => {
                let mut listener = PgListener::connect_with(pool).await?;
                listener.listen(channel).await?;
                Listener::Postgres(Box::new(listener))
            }
        })
    }

    /// Rows as they were last committed.
    pub(crate) async fn rows<R: Row>(&self, sql: Sql, args: Vec<Arg>) -> Result<Vec<R>, CatalogError> {
        Ok(match self {
            Self::Sqlite { readers, .. } => bound!(sqlx::query_as(sql.sqlite), args).fetch_all(readers).await?,
            Self::Postgres(pool) => bound!(sqlx::query_as(sql.postgres), args).fetch_all(pool).await?,
        })
    }

    /// The first row, as it was last committed.
    pub(crate) async fn row<R: Row>(&self, sql: Sql, args: Vec<Arg>) -> Result<Option<R>, CatalogError> {
        Ok(self.rows(sql, args).await?.into_iter().next())
    }
}

/// Hears of what other processes tell.
pub(crate) enum Listener {
    /// Processes on one SQLite file tell each other nothing.
    Deaf,
    Postgres(Box<PgListener>),
}

impl Listener {
    /// Returns when something was told; never where nothing can be.
    pub(crate) async fn heard(&mut self) -> Result<(), CatalogError> {
        match self {
            Self::Deaf => std::future::pending().await,
            Self::Postgres(listener) => {
                listener.recv().await?;
                Ok(())
            }
        }
    }
}

impl Transaction {
    /// Runs a statement; how many rows it touched.
    pub(crate) async fn execute(&mut self, sql: Sql, args: Vec<Arg>) -> Result<u64, CatalogError> {
        Ok(match self {
            Self::Sqlite(tx) => bound!(sqlx::query(sql.sqlite), args).execute(&mut **tx).await?.rows_affected(),
            Self::Postgres(tx) => bound!(sqlx::query(sql.postgres), args).execute(&mut **tx).await?.rows_affected(),
        })
    }

    pub(crate) async fn rows<R: Row>(&mut self, sql: Sql, args: Vec<Arg>) -> Result<Vec<R>, CatalogError> {
        Ok(match self {
            Self::Sqlite(tx) => bound!(sqlx::query_as(sql.sqlite), args).fetch_all(&mut **tx).await?,
            Self::Postgres(tx) => bound!(sqlx::query_as(sql.postgres), args).fetch_all(&mut **tx).await?,
        })
    }

    pub(crate) async fn row<R: Row>(&mut self, sql: Sql, args: Vec<Arg>) -> Result<Option<R>, CatalogError> {
        Ok(self.rows(sql, args).await?.into_iter().next())
    }

    pub(crate) async fn rollback(self) -> Result<(), CatalogError> {
        match self {
            Self::Sqlite(tx) => tx.rollback().await?,
            Self::Postgres(tx) => tx.rollback().await?,
        }
        Ok(())
    }

    pub(crate) async fn commit(self) -> Result<(), CatalogError> {
        match self {
            Self::Sqlite(tx) => tx.commit().await?,
            Self::Postgres(tx) => tx.commit().await?,
        }
        Ok(())
    }
}

/// Statements here end within milliseconds, or should: to compile them takes PostgreSQL half a second.
fn postgres(url: &str) -> Result<PgConnectOptions, CatalogError> {
    Ok(PgConnectOptions::from_str(url).map_err(CatalogError::Open)?.options([("jit", "off")]))
}

/// Connections to PostgreSQL. One that is given back is tried by the pool then, and tried again before its next use
/// only if it rested meanwhile.
fn postgres_pool() -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(POSTGRES_CONNECTIONS)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .before_acquire(|connection, about| {
            Box::pin(async move {
                if about.idle_for > TRUSTED {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
}

/// So many connections to one SQLite file.
fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        // When the disk is full SQLite ends the transaction by itself. The connection counts it as open for
        // ever and begins no other: it is not used again.
        .before_acquire(|connection, _| Box::pin(async { Ok(!connection.is_in_transaction()) }))
}

/// A count as a column holds it.
pub(crate) fn column(number: u64) -> Result<i64, CatalogError> {
    i64::try_from(number).map_err(|_| CatalogError::TooLarge(number))
}

/// A column that only ever holds counts.
pub(crate) fn count(column: &'static str, number: i64) -> Result<u64, CatalogError> {
    u64::try_from(number).map_err(|_| corrupt(column, number))
}

/// A column that only ever holds small counts.
pub(crate) fn count32(column: &'static str, number: i64) -> Result<u32, CatalogError> {
    u32::try_from(number).map_err(|_| corrupt(column, number))
}

/// A text column that reads as a `T`.
pub(crate) fn parsed<T: FromStr>(column: &'static str, text: &str) -> Result<T, CatalogError>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error: T::Err| corrupt(column, error))
}

/// A column of JSON text.
pub(crate) fn document<T: serde::de::DeserializeOwned>(column: &'static str, text: &str) -> Result<T, CatalogError> {
    serde_json::from_str(text).map_err(|error| corrupt(column, error))
}

/// The JSON text of `value`.
pub(crate) fn json<T: serde::Serialize>(column: &'static str, value: &T) -> Result<String, CatalogError> {
    serde_json::to_string(value).map_err(|error| corrupt(column, error))
}

pub(crate) fn corrupt(column: &'static str, detail: impl std::fmt::Display) -> CatalogError {
    CatalogError::Corrupt { column, detail: detail.to_string() }
}

macro_rules! text_arg {
    ($($type:ty),*) => { $(impl From<$type> for Arg {
        fn from(value: $type) -> Self { Self::Text(Some(value.to_string())) }
    })* };
}
text_arg!(
    &str,
    String,
    ChannelId,
    CollectionId,
    ItemId,
    AssetId,
    PlaybackId,
    UploadId,
    JobId,
    TextId,
    DocumentId,
    PictureId,
    UserId,
    SessionId,
    KeyId,
    IdentityId,
    WebhookId,
    MessageId,
    NotificationId,
    &RenditionId
);

impl From<Option<String>> for Arg {
    fn from(value: Option<String>) -> Self {
        Self::Text(value)
    }
}

impl From<Option<i64>> for Arg {
    fn from(value: Option<i64>) -> Self {
        Self::Int(value)
    }
}

impl From<Timestamp> for Arg {
    fn from(value: Timestamp) -> Self {
        Self::Int(Some(value.unix_ms()))
    }
}

impl From<Generation> for Arg {
    fn from(value: Generation) -> Self {
        Self::Int(Some(i64::from(value.0)))
    }
}

impl From<SourceVersion> for Arg {
    fn from(value: SourceVersion) -> Self {
        Self::Int(Some(i64::from(value.0)))
    }
}

macro_rules! int_arg {
    ($($type:ty),*) => { $(impl From<$type> for Arg {
        fn from(value: $type) -> Self { Self::Int(Some(i64::from(value))) }
    })* };
}
int_arg!(i64, i32, u32, bool);

#[cfg(test)]
mod tests;
