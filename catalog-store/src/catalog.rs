//! The handle on the catalogue, and its transactions.

use std::sync::{Arc, OnceLock};

use domain::{AssetEvent, AssetId, AssetState, Timestamp, UserId};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::assets::AssetRow;
use crate::engine::{self, Arg, Engine, Row, Transaction, args};
use crate::search::KeptFinds;
use crate::search::index::Dialect;
use crate::secrets::SecretKeys;
use crate::sql::{self, Sql};
use crate::{CatalogError, LeasedJob, TOPICS};

/// Where processes on PostgreSQL tell each other that there is work.
const WORK_CHANNEL: &str = "headwater_jobs";

/// The catalogue of one installation. Cheap to clone; all clones share connections and wake-ups.
///
/// # Cancellation
/// Every method may be dropped at any await: its transaction leaves nothing behind, or all of it if the
/// commit was already on its way.
#[derive(Clone)]
pub struct Catalog {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    /// How many transactions this process committed.
    commits: watch::Sender<u64>,
    /// What secrets are sealed with, once that is known.
    keys: OnceLock<SecretKeys>,
    /// What was searched for lately.
    finds: KeptFinds,
}

impl Catalog {
    /// Opens the database behind `url`: `sqlite:///absolute/path.db`, `sqlite://relative/path.db` or `postgres://...`.
    ///
    /// A SQLite file is created if missing; call [`migrate`](Self::migrate) before anything else.
    ///
    /// # Errors
    /// [`CatalogError::Scheme`] for another URL, [`CatalogError::Open`] if the database cannot be reached.
    pub async fn open(url: &str) -> Result<Self, CatalogError> {
        Ok(Self::over(Engine::open(url).await?))
    }

    /// Opens an existing database only to read it; whoever writes to it may go on doing so.
    ///
    /// Everything that writes fails.
    ///
    /// # Errors
    /// As for [`open`](Self::open); [`CatalogError::Schema`] unless the schema is this program's.
    pub async fn open_to_read(url: &str) -> Result<Self, CatalogError> {
        let engine = Engine::open_to_read(url).await?;
        let applied: Option<MaybeNumber> = engine.row(sql::SCHEMA_VERSION, args![]).await?;
        let (found, expected) = (applied.and_then(|row| row.number).unwrap_or(0), engine::schema_version());
        if found != expected {
            return Err(CatalogError::Schema { found, expected });
        }
        Ok(Self::over(engine))
    }

    fn over(engine: Engine) -> Self {
        let (commits, _) = watch::channel(0);
        Self { inner: Arc::new(Inner { engine, commits, keys: OnceLock::new(), finds: KeptFinds::default() }) }
    }

    /// Brings the schema up to date, and what a search looks into; does nothing if they are.
    ///
    /// # Errors
    /// [`CatalogError::Migrate`], also when the schema is newer than this program.
    pub async fn migrate(&self) -> Result<(), CatalogError> {
        self.inner.engine.migrate().await?;
        self.renew_user_terms().await?;
        self.renew_search().await?;
        self.renew_title_keys().await
    }

    /// Closes all connections after their running statements; later calls fail.
    pub async fn close(&self) {
        self.inner.engine.close().await;
    }

    /// Proves that the database answers and has a schema.
    ///
    /// # Errors
    /// [`CatalogError::Statement`] if not.
    pub async fn ping(&self) -> Result<(), CatalogError> {
        self.rows::<Number>(sql::assets::PING, args![]).await.map(|_| ())
    }

    /// Wakes whoever waits for work or events: the value changes after each commit of this process.
    ///
    /// Other processes commit too, so waiters must also poll now and then.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.inner.commits.subscribe()
    }

    /// Hears of work that other processes add, and wakes whoever waits on [`changed`](Self::changed).
    ///
    /// Never returns while the database is reached; call it again after an error. On SQLite it waits for ever:
    /// there polling has to do.
    ///
    /// # Errors
    /// [`CatalogError::Statement`] when the connection is lost.
    pub async fn listen(&self) -> Result<std::convert::Infallible, CatalogError> {
        let mut listener = self.inner.engine.listener(WORK_CHANNEL).await?;
        loop {
            // Ends with the connection.
            listener.heard().await?;
            self.inner.commits.send_modify(|commits| *commits = commits.wrapping_add(1));
        }
    }

    /// The keys that secrets are sealed with.
    pub(crate) fn keys(&self) -> Result<&SecretKeys, CatalogError> {
        self.inner.keys.get().ok_or(CatalogError::Locked)
    }

    /// Keeps the keys for as long as this handle and its clones live; those that came first count.
    pub(crate) fn keep_keys(&self, keys: SecretKeys) -> &SecretKeys {
        self.inner.keys.get_or_init(|| keys)
    }

    pub(crate) async fn begin(&self) -> Result<Tx, CatalogError> {
        Ok(Tx {
            transaction: self.inner.engine.begin().await?,
            events: Vec::new(),
            has_work: false,
            catalog: self.clone(),
        })
    }

    /// What was searched for lately.
    pub(crate) fn kept_finds(&self) -> &KeptFinds {
        &self.inner.finds
    }

    /// How many connections are opened when they are needed, each of which has all to learn.
    pub(crate) fn new_connections(&self) -> u32 {
        self.inner.engine.new_connections()
    }

    /// How the engine wants to be asked for words.
    pub(crate) fn dialect(&self) -> Dialect {
        match self.inner.engine {
            Engine::Sqlite { .. } => Dialect::Sqlite,
            Engine::Postgres(_) => Dialect::Postgres,
        }
    }

    pub(crate) async fn rows<R: Row>(&self, sql: Sql, args: Vec<Arg>) -> Result<Vec<R>, CatalogError> {
        self.inner.engine.rows(sql, args).await
    }

    pub(crate) async fn row<R: Row>(&self, sql: Sql, args: Vec<Arg>) -> Result<Option<R>, CatalogError> {
        self.inner.engine.row(sql, args).await
    }

    /// The one number of a statement that always returns one.
    pub(crate) async fn number(&self, sql: Sql, args: Vec<Arg>) -> Result<u64, CatalogError> {
        let number: Option<Number> = self.row(sql, args).await?;
        engine::count("number", number.map_or(0, |row| row.number))
    }
}

impl std::fmt::Debug for Catalog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.inner.engine {
            Engine::Sqlite { .. } => "Catalog(SQLite)",
            Engine::Postgres(_) => "Catalog(PostgreSQL)",
        })
    }
}

/// A row with one number in it.
#[derive(sqlx::FromRow)]
pub(crate) struct Number {
    pub(crate) number: i64,
}

/// A row with one text in it.
#[derive(sqlx::FromRow)]
pub(crate) struct Text {
    pub(crate) text: String,
}

/// A row with perhaps a number in it.
#[derive(sqlx::FromRow)]
pub(crate) struct MaybeNumber {
    pub(crate) number: Option<i64>,
}

/// A transaction that knows what it must tell the world once it is committed.
///
/// Events are written last, since their counter is locked until commit: the wait is short, and
/// nobody who holds the counter waits for another row.
pub(crate) struct Tx {
    transaction: Transaction,
    events: Vec<NewEvent>,
    /// A job was added.
    has_work: bool,
    catalog: Catalog,
}

struct NewEvent {
    at: Timestamp,
    topic: String,
    asset: Option<AssetId>,
    /// For whom alone it is.
    user: Option<UserId>,
    data: Value,
}

impl Tx {
    /// How the engine wants to be told of words.
    pub(crate) fn dialect(&self) -> Dialect {
        self.catalog.dialect()
    }

    pub(crate) async fn execute(&mut self, sql: Sql, args: Vec<Arg>) -> Result<u64, CatalogError> {
        self.transaction.execute(sql, args).await
    }

    pub(crate) async fn row<R: Row>(&mut self, sql: Sql, args: Vec<Arg>) -> Result<Option<R>, CatalogError> {
        self.transaction.row(sql, args).await
    }

    pub(crate) async fn rows<R: Row>(&mut self, sql: Sql, args: Vec<Arg>) -> Result<Vec<R>, CatalogError> {
        self.transaction.rows(sql, args).await
    }

    /// Runs a statement that only touches the job's row while its lease holds.
    pub(crate) async fn fenced(&mut self, job: &LeasedJob, sql: Sql, args: Vec<Arg>) -> Result<(), CatalogError> {
        match self.execute(sql, args).await? {
            1 => Ok(()),
            _ => Err(CatalogError::LostLease { job: job.id }),
        }
    }

    pub(crate) fn event(&mut self, at: Timestamp, topic: impl Into<String>, asset: AssetId, data: Value) {
        self.push_event(NewEvent { at, topic: topic.into(), asset: Some(asset), user: None, data });
    }

    /// Something that is told to one person alone; to whoever comes, where nobody is asked for a name.
    pub(crate) fn event_for(
        &mut self,
        user: Option<UserId>,
        at: Timestamp,
        topic: &str,
        asset: Option<AssetId>,
        data: Value,
    ) {
        self.push_event(NewEvent { at, topic: topic.to_owned(), asset, user, data });
    }

    fn push_event(&mut self, event: NewEvent) {
        // What is not in the list is in no description either.
        debug_assert!(
            TOPICS.iter().any(|(topic, _)| *topic == event.topic),
            "{} is missing in the topics",
            event.topic
        );
        self.events.push(event);
    }

    /// Holds the asset's row until commit; every transaction that changes an asset begins with this.
    pub(crate) async fn lock_asset(&mut self, asset: AssetId, now: Timestamp) -> Result<AssetRow, CatalogError> {
        self.row(sql::assets::LOCK, args![asset, now]).await?.ok_or(CatalogError::NoAsset(asset))
    }

    /// Moves a locked asset to the state after `event` and tells it; `data` gains the new `state`.
    pub(crate) async fn apply(
        &mut self,
        (asset, from): (AssetId, AssetState),
        event: AssetEvent,
        mut data: Value,
        now: Timestamp,
    ) -> Result<AssetState, CatalogError> {
        let state = from.after(event)?;
        self.execute(sql::assets::SET_STATE, args![asset, state.as_str()]).await?;
        data["state"] = json!(state);
        self.event(now, format!("asset.{state}"), asset, data);
        Ok(state)
    }

    /// Tells other processes at the commit that there is work.
    pub(crate) fn tell_of_work(&mut self) {
        self.has_work = true;
    }

    /// Does nothing of it, and holds no row any more when it returns; one that is dropped may for a moment.
    pub(crate) async fn cancel(self) -> Result<(), CatalogError> {
        self.transaction.rollback().await
    }

    pub(crate) async fn commit(mut self) -> Result<(), CatalogError> {
        self.mark().await?;
        for event in std::mem::take(&mut self.events) {
            let seq: Option<Number> = self.row(sql::events::NEXT_SEQ, args![]).await?;
            let seq = seq.ok_or_else(|| engine::corrupt("event_counter", "no row"))?.number;
            let (asset, user) = (event.asset.map(|id| id.to_string()), event.user.map(|id| id.to_string()));
            let args = args![seq, event.at, event.topic, asset, user, event.data.to_string()];
            self.execute(sql::events::INSERT, args).await?;
        }
        if self.has_work {
            self.execute(sql::jobs::WAKE, args![]).await?;
        }
        self.transaction.commit().await?;
        self.catalog.inner.commits.send_modify(|commits| *commits = commits.wrapping_add(1));
        Ok(())
    }
}
