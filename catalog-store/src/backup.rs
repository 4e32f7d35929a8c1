//! Copies of a SQLite database that is in use, and what is in them.
//!
//! A copy is what was committed at one moment, whatever is written meanwhile (`VACUUM INTO`). PostgreSQL has programs of
//! its own for this.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};

use crate::CatalogError;
use crate::engine::{corrupt, count};

/// How long a copy waits for whoever has the database to themselves.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// What is in a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// The schema that it has.
    pub schema: i64,
    /// Number of the latest event.
    pub last_event: u64,
    /// Rows of the audit log.
    pub audit_entries: u64,
    /// The seal of the last one; empty if there is none.
    pub audit_seal: String,
    /// The first thing that is wrong with it, as SQLite says.
    pub fault: Option<String>,
}

/// The schema that this program works with.
pub fn schema() -> i64 {
    crate::engine::schema_version()
}

/// The file behind an address of SQLite; `None` for other addresses.
pub fn file_of(url: &str) -> Option<PathBuf> {
    if !url.starts_with("sqlite:") {
        return None;
    }
    Some(SqliteConnectOptions::from_str(url).ok()?.get_filename().to_owned())
}

/// About how many octets a copy will have.
///
/// # Errors
/// If there is no database at `file`.
pub async fn size_of(file: &Path) -> Result<u64, CatalogError> {
    let mut connection = opened(SqliteConnectOptions::new().filename(file)).await?;
    let used =
        "select (select page_count from pragma_page_count()) - (select freelist_count from pragma_freelist_count())";
    let pages: i64 = sqlx::query_scalar(used).fetch_one(&mut connection).await?;
    let page_bytes: i64 =
        sqlx::query_scalar("select page_size from pragma_page_size()").fetch_one(&mut connection).await?;
    connection.close().await?;
    count("page_count", pages.saturating_mul(page_bytes))
}

/// Copies the database at `file` into a new file, which must not be there.
///
/// # Errors
/// If either cannot be read or written.
pub async fn copy(file: &Path, target: &Path) -> Result<(), CatalogError> {
    let mut connection = opened(SqliteConnectOptions::new().filename(file)).await?;
    let target = target.to_str().ok_or_else(|| corrupt("file name", "not UTF-8"))?;
    sqlx::query("vacuum into $1").bind(target).execute(&mut connection).await?;
    connection.close().await?;
    Ok(())
}

/// Reads the whole copy at `file` and says what is in it.
///
/// # Errors
/// If it is no database of this program.
pub async fn contents(file: &Path) -> Result<Contents, CatalogError> {
    let mut connection = opened(SqliteConnectOptions::new().filename(file).read_only(true)).await?;
    let found: Vec<String> = sqlx::query_scalar("pragma integrity_check(1)").fetch_all(&mut connection).await?;
    let mut fault = found.into_iter().find(|line| line != "ok");
    if fault.is_none() {
        let strays = sqlx::query("pragma foreign_key_check").fetch_all(&mut connection).await?;
        fault = (!strays.is_empty()).then(|| format!("{} rows belong to nothing", strays.len()));
    }
    let schema: Option<i64> = sqlx::query_scalar("select max(version) from _sqlx_migrations where success")
        .fetch_one(&mut connection)
        .await?;
    let last_event: i64 =
        sqlx::query_scalar("select seq from event_counter where id = 1").fetch_one(&mut connection).await?;
    let (entries, audit_seal): (i64, String) =
        sqlx::query_as("select seq, hash from audit_head where id = 1").fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(Contents {
        schema: schema.unwrap_or(0),
        last_event: count("event_counter.seq", last_event)?,
        audit_entries: count("audit_head.seq", entries)?,
        audit_seal,
        fault,
    })
}

/// Writes what lies beside the database at `file` into it, so that it is whole by itself.
///
/// # Errors
/// If it is in use, or no database.
pub async fn settle(file: &Path) -> Result<(), CatalogError> {
    let mut connection = opened(SqliteConnectOptions::new().filename(file)).await?;
    sqlx::query("pragma wal_checkpoint(truncate)").execute(&mut connection).await?;
    connection.close().await?;
    Ok(())
}

async fn opened(options: SqliteConnectOptions) -> Result<SqliteConnection, CatalogError> {
    options.busy_timeout(BUSY_TIMEOUT).connect().await.map_err(CatalogError::Open)
}

#[cfg(test)]
mod tests {
    use domain::Timestamp;

    use super::*;
    use crate::Catalog;

    #[tokio::test]
    async fn a_copy_of_a_database_in_use_holds_what_was_committed() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, target) = (folder.path().join("catalog.db"), folder.path().join("copy.db"));
        let url = format!("sqlite://{}", file.display());
        assert_eq!(file_of(&url).as_deref(), Some(file.as_path()));
        assert_eq!(file_of("postgres://hw@db/hw"), None);
        let catalog = Catalog::open(&url).await.expect("it opens");
        catalog.migrate().await.expect("it migrates");
        let user = domain::UserId::from_u128(7);
        catalog.note("test", "user.tried", user, Timestamp::from_unix_ms(5)).await.expect("it is noted");
        let unfinished = catalog.begin().await.expect("a transaction");
        copy(&file, &target).await.expect("it is copied");
        drop(unfinished);
        let found = contents(&target).await.expect("it reads");
        assert_eq!((found.schema, found.audit_entries, found.fault.as_deref()), (schema(), 1, None));
        assert!(size_of(&file).await.expect("it reads") >= 4096);
        assert!(copy(&file, &target).await.is_err(), "what is there is not written over");
        catalog.close().await;

        let pool = sqlx::SqlitePool::connect(&format!("sqlite://{}", target.display())).await.expect("it opens");
        let newer = "insert into _sqlx_migrations (version, description, success, checksum, execution_time) \
            values (9999, '', true, x'00', 0)";
        sqlx::query(newer).execute(&pool).await.expect("it is changed");
        sqlx::query("pragma foreign_keys = off").execute(&pool).await.expect("it is set");
        pool.close().await;
        assert_eq!(contents(&target).await.expect("it reads").schema, 9999);

        let mut octets = std::fs::read(&target).expect("it reads");
        let half = octets.len() / 2;
        octets[half..].fill(0x55);
        std::fs::write(&target, octets).expect("it is written");
        let spoilt = contents(&target).await;
        assert!(spoilt.as_ref().map_or(true, |found| found.fault.is_some()), "{spoilt:?}");
    }
}
