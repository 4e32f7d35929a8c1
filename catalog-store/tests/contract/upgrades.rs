//! Databases of earlier schemas become today's, and nothing in them is lost.
//!
//! `upgrades/NNNN.sql` holds the rows that a database of schema N gained over the one before. For each stage, a database
//! is brought to it, filled with the rows of all files up to it, and opened by today's catalogue. A table that no file
//! fills is given a row made up from what the engine says of its columns, so a new migration is tested without a file;
//! with one it is tested better.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use catalog_store::{Asset, Catalog, Filter, Order, Search};
use domain::authority::Standing;
use domain::search::{Query, fold};
use domain::{AssetState, Timestamp};
use serde_json::Value;
use sqlx::migrate::Migrator;
use sqlx::{AssertSqlSafe, PgPool, SqlitePool};

static COMMON: Migrator = sqlx::migrate!("./migrations");
static OF_SQLITE: Migrator = sqlx::migrate!("./migrations/sqlite");
static OF_POSTGRES: Migrator = sqlx::migrate!("./migrations/postgres");

/// The first schema from which upgrades are tested.
const FIRST: i64 = 5;
/// The schema of the database that the tests of the program begin with.
const KEPT: i64 = 19;

/// What is made anew from everything else, or is the engine's own.
const DERIVED: [&str; 3] = ["search_", "sqlite_", "_sqlx_"];

/// Columns whose values a migration changes or that it takes away: its number, table and column. State the reason.
const CHANGED: [(i64, &str, &str); 1] = [
    // Made of title and file name; each start fills in what an earlier program left empty.
    (i64::MAX, "assets", "title_key"),
];

/// Rows of a table, as columns and values.
type Rows = Vec<BTreeMap<String, Value>>;

/// A column, as the engine describes it.
#[derive(Debug)]
struct Column {
    name: String,
    is_text: bool,
    /// The table and column that it refers to.
    refers_to: Option<(String, String)>,
}

/// A database that is looked at without the catalogue.
enum Raw {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

impl Raw {
    async fn open(url: &str) -> Self {
        if url.starts_with("sqlite") {
            let options: sqlx::sqlite::SqliteConnectOptions = url.parse().unwrap();
            Self::Sqlite(SqlitePool::connect_with(options.create_if_missing(true)).await.unwrap())
        } else {
            Self::Postgres(PgPool::connect(url).await.unwrap())
        }
    }

    /// Brings the schema to `stage`, as a program of that time did.
    async fn migrate_to(&self, stage: i64) {
        let own = if matches!(self, Self::Sqlite(_)) { &OF_SQLITE } else { &OF_POSTGRES };
        let all = COMMON.iter().chain(own.iter()).filter(|migration| migration.version <= stage);
        let migrator = Migrator::with_migrations(all.cloned().collect());
        match self {
            Self::Sqlite(pool) => migrator.run(pool).await,
            Self::Postgres(pool) => migrator.run(pool).await,
        }
        .unwrap();
    }

    async fn execute(&self, sql: String) {
        let outcome = match self {
            Self::Sqlite(pool) => sqlx::raw_sql(AssertSqlSafe(sql.clone())).execute(pool).await.map(drop),
            Self::Postgres(pool) => sqlx::raw_sql(AssertSqlSafe(sql.clone())).execute(pool).await.map(drop),
        };
        outcome.unwrap_or_else(|error| panic!("{error} in\n{sql}"));
    }

    /// One text for each row.
    async fn texts(&self, sql: String) -> Vec<String> {
        match self {
            Self::Sqlite(pool) => sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(pool).await,
            Self::Postgres(pool) => sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(pool).await,
        }
        .unwrap()
    }

    /// The tables that hold what cannot be made anew.
    async fn tables(&self) -> Vec<String> {
        let sql = match self {
            Self::Sqlite(_) => "select name from sqlite_master where type = 'table' order by name",
            Self::Postgres(_) => {
                "select table_name::text from information_schema.tables \
                 where table_schema = 'public' and table_type = 'BASE TABLE' order by table_name"
            }
        };
        let all = self.texts(sql.to_owned()).await;
        all.into_iter().filter(|table| !DERIVED.iter().any(|prefix| table.starts_with(prefix))).collect()
    }

    async fn columns(&self, table: &str) -> Vec<Column> {
        let sql = match self {
            Self::Sqlite(_) => format!(
                "select json_object('name', c.name, 'type', lower(c.type), 'table', f.\"table\", 'column', f.\"to\") \
                 from pragma_table_info('{table}') c left join pragma_foreign_key_list('{table}') f \
                 on f.\"from\" = c.name order by c.cid"
            ),
            Self::Postgres(_) => format!(
                "select json_build_object('name', a.attname, 'type', format_type(a.atttypid, null), 'table', \
                 (select f.confrelid::regclass::text from pg_constraint f where f.contype = 'f' \
                    and f.conrelid = a.attrelid and a.attnum = any (f.conkey) limit 1), 'column', \
                 (select t.attname from pg_constraint f join pg_attribute t on t.attrelid = f.confrelid \
                    and t.attnum = f.confkey[array_position(f.conkey, a.attnum)] where f.contype = 'f' \
                    and f.conrelid = a.attrelid and a.attnum = any (f.conkey) limit 1))::text \
                 from pg_attribute a where a.attrelid = '{table}'::regclass and a.attnum > 0 and not a.attisdropped \
                 order by a.attnum"
            ),
        };
        let described = self.texts(sql).await;
        let column = |text: &String| {
            let column: Value = serde_json::from_str(text).unwrap();
            let text = |key: &str| column[key].as_str().map(str::to_owned);
            Column {
                name: text("name").unwrap(),
                is_text: text("type").as_deref() == Some("text"),
                refers_to: text("table").zip(text("column")),
            }
        };
        described.iter().map(column).collect()
    }

    async fn rows(&self, table: &str) -> Rows {
        let sql = match self {
            Self::Sqlite(_) => {
                let columns = self.columns(table).await;
                // A column that is two foreign keys is listed twice.
                let names: BTreeMap<&str, ()> = columns.iter().map(|column| (column.name.as_str(), ())).collect();
                let pairs: Vec<String> = names.keys().map(|name| format!("'{name}', \"{name}\"")).collect();
                format!("select json_object({}) from \"{table}\"", pairs.join(", "))
            }
            Self::Postgres(_) => format!("select row_to_json(t)::text from \"{table}\" t"),
        };
        self.texts(sql).await.iter().map(|row| serde_json::from_str(row).unwrap()).collect()
    }

    /// Inserts a row that is made up, with rows that it refers to.
    async fn make_up(&self, table: &str) {
        let (mut names, mut values) = (Vec::new(), Vec::new());
        for column in self.columns(table).await {
            if names.contains(&column.name) {
                continue;
            }
            let value = match &column.refers_to {
                Some((table, to)) => format!("(select min(\"{to}\") from \"{table}\")"),
                None if column.is_text => format!("'{{\"made up\":\"for {}\"}}'", column.name),
                None => "1".to_owned(),
            };
            names.push(column.name);
            values.push(value);
        }
        let names: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
        self.execute(format!("insert into \"{table}\" ({}) values ({})", names.join(", "), values.join(", "))).await;
    }

    async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

/// Where the rows of all stages stand.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/contract/upgrades")
}

/// The statements that fill a database of schema `stage`.
fn rows_up_to(stage: i64) -> String {
    let read = |name: &str| std::fs::read_to_string(folder().join(name)).unwrap();
    let (plan, probe) = (read("plan.json"), read("probe.json"));
    let mut files: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| {
            name.strip_suffix(".sql").and_then(|number| number.parse().ok()).is_some_and(|at: i64| at <= stage)
        })
        .collect();
    files.sort();
    let all: String = files.iter().map(|name| read(name)).collect();
    all.replace("PLAN'", &format!("{}'", plan.trim())).replace("PROBE'", &format!("{}'", probe.trim()))
}

fn stages() -> Vec<i64> {
    let mut stages: Vec<i64> = COMMON.iter().chain(OF_SQLITE.iter()).map(|migration| migration.version).collect();
    stages.sort_unstable();
    stages.retain(|stage| *stage >= FIRST);
    stages
}

/// A database of schema `stage` in use, all of it filled; the tables that were filled with what is made up.
async fn earlier(url: &str, stage: i64) -> (Raw, Vec<String>) {
    let raw = Raw::open(url).await;
    raw.migrate_to(stage).await;
    raw.execute(rows_up_to(stage)).await;
    let mut empty = Vec::new();
    for table in raw.tables().await {
        if raw.rows(&table).await.is_empty() {
            empty.push(table);
        }
    }
    // A row may refer to one of a table that is filled later: so many turns lead to the last of them.
    let mut made_up = Vec::new();
    for _ in 0..=empty.len() {
        for table in std::mem::take(&mut empty) {
            let mut is_ready = true;
            for column in raw.columns(&table).await {
                if let Some((other, _)) = column.refers_to {
                    is_ready &= other == table || !raw.rows(&other).await.is_empty();
                }
            }
            if is_ready {
                raw.make_up(&table).await;
                made_up.push(table);
            } else {
                empty.push(table);
            }
        }
    }
    assert!(empty.is_empty(), "{empty:?} cannot be filled at schema {stage}: write upgrades/{stage:04}.sql");
    (raw, made_up)
}

/// Fails unless each row of before is there, with all that it held.
fn check_kept(stage: i64, table: &str, before: &Rows, after: &Rows) {
    let is_changed = |column: &str| CHANGED.iter().any(|(at, of, name)| *at > stage && *of == table && *name == column);
    for row in before {
        let holds = |found: &BTreeMap<String, Value>| {
            row.iter().all(|(column, value)| is_changed(column) || found.get(column) == Some(value))
        };
        assert!(after.iter().any(holds), "schema {stage}: {row:?} of {table} is not among {after:?}");
    }
}

/// What a catalogue must read in a database that was filled at `stage`.
async fn check_read(catalog: &Catalog, stage: i64) {
    let now = Timestamp::from_unix_ms(1_800_000_000_000);
    assert!(catalog.integrity().await.unwrap().is_sound(), "schema {stage}");
    let assets = catalog.assets(None, 100).await.unwrap();
    let states: Vec<AssetState> = assets.iter().map(|asset| asset.state).collect();
    let expected = [AssetState::Processing, AssetState::Failed, AssetState::Uploading, AssetState::Ready];
    assert_eq!(states, expected, "schema {stage}");
    let ready = &assets[3];
    assert!(ready.is_playable && ready.probe.is_some() && ready.title.is_some());
    assert_eq!(ready.owner.as_deref(), Some("ci"));
    let listed = catalog.list_assets(&Filter::default(), Order::default(), None, None, 10, now).await.unwrap();
    assert_eq!(listed.len(), if stage < 22 { 4 } else { 3 }, "from 22 on one lies in the bin");
    let sorted = catalog.list_assets(&Filter::default(), Order::Title, None, None, 10, now).await.unwrap();
    let shown = |asset: &Asset| asset.title.clone().or(asset.file_name.clone()).map(|name| fold(&name));
    assert!(sorted.is_sorted_by_key(shown), "schema {stage}: {:?}", sorted.iter().map(shown).collect::<Vec<_>>());
    let generation = ready.generation.unwrap();
    assert!(catalog.plan(ready.id, generation).await.unwrap().is_some());
    assert_eq!(catalog.segments(ready.id, generation).await.unwrap().len(), 1);
    assert!(catalog.output(ready.id, generation).await.unwrap().is_some());
    let edition = catalog.edition(ready.id, generation).await.unwrap().unwrap();
    assert!(edition.is_complete && edition.revision > 0);
    let query = Query::parse(if stage < 20 { "title" } else { "systeme" });
    let search = Search { query: &query, seen_by: None, filter: &Filter::default(), is_forgiving: false, now };
    assert!(!catalog.search(&search, None, 10).await.unwrap().hits.is_empty(), "schema {stage}");
    for asset in &assets {
        catalog.jobs_of(asset.id).await.unwrap();
        catalog.texts(asset.id).await.unwrap();
        catalog.shares_of(asset.id).await.unwrap();
    }
    assert_eq!(catalog.open_uploads().await.unwrap().len(), 1);
    assert_eq!(catalog.grant("grant-1").await.unwrap().unwrap().uses_left, 2);
    assert!(catalog.events_after(0, 10).await.unwrap().len() >= 2);
    if stage >= 18 {
        let verdict = catalog.audit_verify().await.unwrap();
        assert_eq!((verdict.entries, verdict.fault), (1, None));
    }
    if stage >= 17 {
        let users = catalog.users(None, 10).await.unwrap();
        let ada = catalog.user_by_email("ada@example.org").await.unwrap().unwrap();
        assert_eq!(users.len(), 1, "who is deleted is not listed");
        assert_eq!(catalog.sessions_of(ada.id, now).await.unwrap().len(), 1);
        assert_eq!(catalog.api_keys_of(ada.id).await.unwrap().len(), 1);
        assert_eq!(catalog.standing(ready.id, &ada.id.to_string(), now).await.unwrap(), Standing::Viewer);
        if stage >= 23 {
            assert_eq!(catalog.webhooks_of(&ada.id.to_string()).await.unwrap().len(), 1);
        }
    }
    if stage >= 22 {
        let channel = catalog.channel_by_handle("cinema").await.unwrap().unwrap();
        assert_eq!(ready.channel, Some(channel.id));
    }
}

async fn check(url: &str, stage: i64) {
    let (raw, made_up) = earlier(url, stage).await;
    let mut before = BTreeMap::new();
    for table in raw.tables().await {
        before.insert(table.clone(), raw.rows(&table).await);
    }
    let catalog = Catalog::open(url).await.unwrap();
    catalog.migrate().await.unwrap();
    for (table, rows) in &before {
        assert!(!rows.is_empty(), "{table} at schema {stage}");
        check_kept(stage, table, rows, &raw.rows(table).await);
    }
    // What is made up is no document that anybody could read.
    for table in made_up.iter().rev() {
        raw.execute(format!("delete from \"{table}\"")).await;
    }
    check_read(&catalog, stage).await;
    catalog.close().await;
    raw.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_of_any_earlier_schema_becomes_todays_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    for stage in stages() {
        check(&format!("sqlite://{}", folder.path().join(format!("{stage}.db")).display()), stage).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_of_any_earlier_schema_becomes_todays_on_postgres() {
    for stage in stages() {
        check(&fixtures::services::postgres_url(), stage).await;
    }
}

#[test]
fn a_row_that_is_gone_or_changed_is_noticed() {
    let row = |value: i64| BTreeMap::from([("id".to_owned(), Value::from(value)), ("at".to_owned(), Value::from(1))]);
    let is_kept = |after: Rows| std::panic::catch_unwind(|| check_kept(5, "t", &vec![row(1)], &after)).is_ok();
    assert!(is_kept(vec![row(2), row(1)]));
    assert!(!is_kept(vec![]) && !is_kept(vec![row(2)]));
    let mut more = row(1);
    more.insert("new".into(), Value::Null);
    assert!(is_kept(vec![more.clone()]), "a column more");
    more.remove("at");
    assert!(!is_kept(vec![more]), "a column less");
}

/// The database with which the tests of the program begin is what this leaves in the folder of the build,
/// `target/tmp/earlier.db`: copy it to `headwater/tests/suite/upgrade/` to renew that.
#[tokio::test]
async fn an_earlier_database_is_whole_by_itself() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("earlier.db");
    let temporary = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", temporary.path().join("filled.db").display());
    let (raw, made_up) = earlier(&url, KEPT).await;
    assert_eq!(made_up, Vec::<String>::new(), "every table of schema {KEPT} has rows of its own");
    let _ = std::fs::remove_file(&file);
    // Small pages: most tables hold a row or two.
    raw.execute(format!("pragma page_size = 512; vacuum into '{}'", file.display())).await;
    raw.close().await;
    let contents = catalog_store::backup::contents(&file).await.unwrap();
    assert_eq!((contents.schema, contents.fault, contents.audit_entries), (KEPT, None, 1));
}
