use sqlx::{Executor, SqlSafeStr};

use super::*;
use crate::sql;

async fn migrated(url: &str) -> Engine {
    let engine = Engine::open(url).await.expect("the database opens");
    engine.migrate().await.expect("the schema is made");
    engine.migrate().await.expect("a second migration does nothing");
    engine
}

fn sqlite_url(dir: &tempfile::TempDir) -> String {
    format!("sqlite://{}", dir.path().join("catalog.db").display())
}

#[tokio::test]
async fn every_statement_can_be_prepared_on_sqlite() {
    let dir = tempfile::tempdir().expect("a folder");
    let engine = migrated(&sqlite_url(&dir)).await;
    let Engine::Sqlite { writer, .. } = &engine else { panic!("not SQLite") };
    let mut connection = writer.acquire().await.expect("a connection");
    for (name, sql) in sql::all() {
        let prepared = connection.prepare(sql.sqlite.into_sql_str()).await;
        assert!(prepared.is_ok(), "{name}: {:?}", prepared.err());
    }
}

#[tokio::test]
async fn every_statement_can_be_prepared_on_postgres() {
    let engine = migrated(&fixtures::services::postgres_url()).await;
    let Engine::Postgres(pool) = &engine else { panic!("not PostgreSQL") };
    let mut connection = pool.acquire().await.expect("a connection");
    for (name, sql) in sql::all() {
        let prepared = connection.prepare(sql.postgres.into_sql_str()).await;
        assert!(prepared.is_ok(), "{name}: {:?}", prepared.err());
    }
}

#[derive(sqlx::FromRow)]
struct Pragmas {
    synchronous: i64,
    foreign_keys: i64,
    journal_mode: String,
}

#[tokio::test]
async fn sqlite_acknowledges_only_what_a_power_cut_leaves() {
    const PRAGMAS: Sql = Sql {
        sqlite: "select (select synchronous from pragma_synchronous) as synchronous, \
            (select foreign_keys from pragma_foreign_keys) as foreign_keys, \
            (select journal_mode from pragma_journal_mode) as journal_mode",
        postgres: "",
    };
    let dir = tempfile::tempdir().expect("a folder");
    let engine = migrated(&sqlite_url(&dir)).await;
    let row: Pragmas = engine.begin().await.unwrap().row(PRAGMAS, args![]).await.unwrap().expect("a row");
    assert_eq!((row.synchronous, row.foreign_keys, row.journal_mode.as_str()), (2, 1, "wal"));
}

#[tokio::test]
async fn sqlite_is_built_to_plan_a_statement_once() {
    const OPTIONS: Sql = Sql { sqlite: "select compile_options as text from pragma_compile_options", postgres: "" };
    let dir = tempfile::tempdir().expect("a folder");
    let engine = migrated(&sqlite_url(&dir)).await;
    let told: Vec<crate::catalog::Text> = engine.rows(OPTIONS, args![]).await.expect("options");
    let is_set = |option: &str| told.iter().any(|told| told.text == option);
    assert!(is_set("ENABLE_QPSG"), "build it below .cargo/config.toml (docs/adr/0056)");
    assert!(is_set("DEFAULT_MEMSTATUS=0"), "threads wait to count octets");
    assert!(!is_set("ENABLE_MEMORY_MANAGEMENT"), "its connections share one cache, and wait for each other");
}

#[tokio::test]
async fn readers_of_sqlite_cannot_write() {
    let dir = tempfile::tempdir().expect("a folder");
    let engine = migrated(&sqlite_url(&dir)).await;
    let refused = engine.rows::<crate::catalog::Number>(sql::events::NEXT_SEQ, args![]).await;
    assert!(refused.is_err(), "a write through the readers' pool");
}

#[tokio::test]
async fn a_url_of_another_kind_is_refused() {
    for url in ["mysql://localhost/x", "sqlite::memory:", "/var/lib/catalog.db", ""] {
        assert!(matches!(Engine::open(url).await, Err(CatalogError::Scheme { .. })), "{url}");
    }
}

#[tokio::test]
async fn sqlite_goes_on_after_it_ended_a_transaction_by_itself() {
    // What SQLite does when the disk is full, done by hand: nobody but SQLite knows of it.
    const ENDED: Sql = Sql { sqlite: "rollback", postgres: "" };
    let dir = tempfile::tempdir().expect("a folder");
    let engine = migrated(&sqlite_url(&dir)).await;
    let mut ended = engine.begin().await.unwrap();
    ended.execute(ENDED, args![]).await.unwrap();
    drop(ended);
    engine.begin().await.expect("another begins").commit().await.expect("it is committed");
}

#[derive(sqlx::FromRow)]
struct Step {
    detail: String,
}

#[tokio::test]
async fn a_page_of_jobs_is_read_by_an_index_and_not_sorted() {
    use crate::sql::jobs as by;
    let dir = tempfile::tempdir().expect("a folder");
    let engine = migrated(&sqlite_url(&dir)).await;
    let Engine::Sqlite { readers, .. } = &engine else { panic!("not SQLite") };
    for (sql, index) in [
        (by::LIST, "sqlite_autoindex_jobs_1 (id<?)"),
        (by::LIST_BEFORE, "sqlite_autoindex_jobs_1 (id>?)"),
        (by::LIST_OF_ASSET, "jobs_of_asset (asset_id=? AND id<?)"),
        (by::LIST_OF_ASSET_BEFORE, "jobs_of_asset (asset_id=? AND id>?)"),
        (by::LIST_IN_STATE, "jobs_by_state (state=? AND id<?)"),
        (by::LIST_IN_STATE_BEFORE, "jobs_by_state (state=? AND id>?)"),
        (by::LIST_OF_KIND, "jobs_by_kind (kind=? AND id<?)"),
        (by::LIST_OF_KIND_BEFORE, "jobs_by_kind (kind=? AND id>?)"),
        (by::LIST_OF_KIND_IN_STATE, "jobs_by_kind_and_state (<expr>=? AND id<?)"),
        (by::LIST_OF_KIND_IN_STATE_BEFORE, "jobs_by_kind_and_state (<expr>=? AND id>?)"),
    ] {
        let plan = sqlx::AssertSqlSafe(format!("explain query plan {}", sql.sqlite));
        let steps: Vec<Step> = sqlx::query_as(plan).fetch_all(readers).await.expect("a plan");
        let steps: Vec<&str> = steps.iter().map(|step| step.detail.as_str()).collect();
        assert_eq!(steps, [format!("SEARCH jobs USING INDEX {index}")]);
    }
}

#[test]
fn both_engines_have_the_same_migrations() {
    let numbers = |own: &Migrator| migrations(own).iter().map(|one| (one.version, one.description.clone())).collect();
    let (sqlite, postgres): (Vec<_>, Vec<_>) = (numbers(&OF_SQLITE), numbers(&OF_POSTGRES));
    assert_eq!(sqlite, postgres);
    assert!(sqlite.windows(2).all(|pair| pair[0].0 < pair[1].0), "no number is given twice");
}
