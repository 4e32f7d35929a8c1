//! `headwater serve`: the roles of one process, wired together.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use catalog_api::{Access, Accounts};
use catalog_store::search::Place;
use catalog_store::{Catalog, idempotency};
use domain::{Clock, JobId, Stage, Timestamp};
use media_store::{MediaStore, Staging};
use origin::access::KeyRing;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Role, read_keys};
use crate::data_dir::DataDir;
use crate::http::{Health, Listener, Parts, Probe, PurgeDoor, Surface, Tls, cors};
use crate::lifecycle::{Lifecycle, Stop};
use crate::metrics::{Metrics, PurgeCounts};
use crate::wiring::tickets::TicketKeys;
use crate::{cli, engine, machine, terminal, wiring};

/// How long an event can be replayed: a week.
const EVENTS_KEPT_MS: i64 = 7 * 24 * 3600 * 1000;

/// Time between two looks at the bin, and at schedules that were missed.
const TIME_KEPT_EVERY: Duration = Duration::from_secs(30);
/// Time between two looks at schedules.
const WINDOWS_KEPT_EVERY: Duration = Duration::from_secs(1);
/// How far back such a look goes; what was missed for longer is found by the other one.
const WINDOWS_MISSED_MS: i64 = 120_000;
/// Assets of which a round has the subtitles read again at most.
const TRANSCRIPTS_AT_ONCE: u32 = 20;
/// Assets of which a round takes care at most.
const TIME_KEPT_AT_ONCE: u32 = 200;
/// Time between two looks for events that are older.
const EVENTS_PRUNED_EVERY: Duration = Duration::from_secs(3600);
/// When words are first looked for that nothing says any more, and between two rounds of that.
const WORDS_FORGOTTEN_AFTER: Duration = Duration::from_secs(3600);
const WORDS_FORGOTTEN_EVERY: Duration = Duration::from_secs(24 * 3600);
/// Rows of words that are looked at together, and the rest between two such looks.
const WORDS_AT_ONCE: u32 = 200;
const WORDS_PAUSE: Duration = Duration::from_millis(100);

/// Pause before the next try to hear of work that other processes add.
const LISTEN_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Time between two looks at the file of keys.
const KEYS_LOOKED_AT_EVERY: Duration = Duration::from_secs(2);

/// Runs the server until it is stopped.
///
/// # Errors
/// If a part cannot start: the data folder is in use, the database or the storage cannot be
/// reached, the address is taken.
pub async fn run(config: Config) -> anyhow::Result<ExitCode> {
    machine::raise_descriptors();
    if config.is_edge() {
        return edge(config).await;
    }
    let data_dir = DataDir::open(&config.data_dir)?;
    let base = Base::open(&config, data_dir).await?;
    let door = Door::open(&config).await?;
    warn_if_open(&config);

    let lifecycle = Lifecycle::new();
    let counters = Arc::new(pipeline::Metrics::new());
    let purges = Arc::new(PurgeCounts::default());
    if let Some(catalog) = base.catalog.as_ref().filter(|_| config.has(Role::Worker)) {
        let worker =
            wiring::worker(&config, &base.data_dir, catalog, &base.store, &base.clock, Arc::clone(&counters), true)
                .await?;
        let (soft, hard) = (lifecycle.soft().clone(), lifecycle.hard().clone());
        lifecycle.spawn_essential("worker", async move { worker.run(soft, hard).await });
        let listen = listen_for_work(catalog.clone(), lifecycle.soft().clone());
        lifecycle.spawn_essential("work listener", listen);
        lifecycle.spawn_essential("words", forget_words(catalog.clone(), lifecycle.soft().clone()));
        let prune = prune_events(catalog.clone(), Arc::clone(&base.clock), lifecycle.soft().clone());
        lifecycle.spawn_essential("event pruner", prune);
        let keeper =
            keep_time(catalog.clone(), config.keep_versions, Arc::clone(&base.clock), lifecycle.soft().clone());
        lifecycle.spawn_essential("bin and schedules", keeper);
        if let Some(teller) = wiring::teller(&config, &base.data_dir, catalog, &base.clock, &purges)? {
            lifecycle.spawn_essential("purges", teller.run(lifecycle.soft().clone()));
        }
        let (fan, sender) = wiring::webhooks(&config, &base.data_dir, catalog, &base.clock)?;
        lifecycle.spawn_essential("webhook messages", fan.run(lifecycle.soft().clone()));
        lifecycle.spawn_essential("webhook sender", sender.run(lifecycle.soft().clone()));
    }
    if let Some(catalog) = base.catalog.as_ref().filter(|_| config.has(Role::Api) || config.has(Role::Ingest)) {
        let first = if config.review { Stage::Draft } else { Stage::Published };
        catalog.set_first_stage(first).await.context("cannot say in which stage assets begin")?;
    }
    let access = base.access(&config, &lifecycle).await?;
    let parts = base.parts(&config, &lifecycle, (counters, purges), &access).await?;
    if config.has(Role::Worker) || config.has(Role::Ingest) {
        let (metrics, soft) = (Arc::clone(&parts.metrics), lifecycle.soft().clone());
        let look = engine::look(wiring::engine(&config.source_limits())?, metrics, soft);
        lifecycle.tracker().spawn(async move {
            look.await;
            // Nothing of the start takes longer.
            give_back_start_pages();
        });
    }
    let url = door.serve(&config, parts, &lifecycle)?;
    if let Access::Accounts(accounts) = &access {
        invite(&config, accounts, &url).await?;
    }
    let stop = lifecycle.run(config.shutdown_deadline()).await?;
    if let Some(catalog) = &base.catalog {
        catalog.close().await;
    }
    tracing::info!(clean = stop == Stop::Clean, "stopped");
    Ok(ExitCode::from(cli::DONE))
}

/// Gets the catalogue ready for many requests at once.
async fn warm(catalog: Catalog, now: Timestamp, soft: CancellationToken) {
    match soft.run_until_cancelled(catalog.warm(now)).await {
        Some(Err(error)) => tracing::info!(%error, "the first requests may be slow: the catalogue was not got ready"),
        Some(Ok(())) => tracing::debug!("the catalogue is ready for many requests"),
        None => {}
    }
}

fn give_back_start_pages() {
    let bytes = transcoder::start_pages::give_back();
    tracing::debug!(bytes, "gave back what the start touched of the program");
}

/// Serves from memory and from another origin until it is stopped: there is nothing else to stand on.
async fn edge(config: Config) -> anyhow::Result<ExitCode> {
    let door = Door::open(&config).await?;
    let (lifecycle, clock) = (Lifecycle::new(), wiring::clock());
    let edge = config.edge(Arc::clone(&clock))?;
    let metrics = Metrics::new(Arc::new(pipeline::Metrics::new()), Arc::default(), Arc::default());
    let parts = Parts {
        origin: None,
        ingest: None,
        api: None,
        pages: None,
        // It serves what it has while the upstream is away: nothing else has to be there.
        health: Health::new(lifecycle.soft().clone(), Vec::new()),
        metrics: Arc::new(metrics.with_edge(edge.clone())),
        catalog: None,
        strangers: None,
        is_behind_tls: config.is_behind_tls(),
        clock,
        purge: Some(PurgeDoor::new(edge.clone(), &config.purge_secret)),
        edge: Some(edge),
    };
    door.serve(&config, parts, &lifecycle)?;
    let stop = lifecycle.run(config.shutdown_deadline()).await?;
    tracing::info!(clean = stop == Stop::Clean, "stopped");
    Ok(ExitCode::from(cli::DONE))
}

/// The sockets that clients come through.
struct Door {
    listener: Listener,
    encrypted: Option<(Listener, Tls)>,
}

impl Door {
    async fn open(config: &Config) -> anyhow::Result<Self> {
        let limits = config.connection_limits();
        let listener = match config.listen_reuse_port {
            true => Listener::bind_shared(config.listen, limits).await,
            false => Listener::bind(config.listen, limits).await,
        };
        let listener = listener.with_context(|| format!("cannot listen on {}", config.listen))?;
        let encrypted = encrypted(config, &listener).await?;
        Ok(Self { listener, encrypted })
    }

    /// Answers what comes through, from here on; the address where, that of TLS if there is one.
    fn serve(self, config: &Config, parts: Parts, lifecycle: &Lifecycle) -> anyhow::Result<String> {
        let address = self.listener.address().context("cannot tell the address")?;
        let surface = Surface::new(parts);
        let mut url = address_of("http", address);
        if let Some((listener, tls)) = self.encrypted {
            let address = listener.address().context("cannot tell the address")?;
            lifecycle.spawn_essential("certificates", tls.watch(lifecycle.soft().clone()));
            lifecycle.spawn_essential("TLS listener", listener.run(surface.clone(), lifecycle.clone()));
            tracing::info!(%address, "listening for TLS");
            // Links hold what is as good as a password.
            url = address_of("https", address);
        }
        lifecycle.spawn_essential("listener", self.listener.run(surface, lifecycle.clone()));
        give_back_start_pages();
        // Whoever started this process waits for the line: from here on requests are answered.
        terminal::say(&format!("listening on http://{address}"));
        tracing::info!(%address, roles = ?config.roles, accounts = config.has_accounts(), "serving");
        Ok(url)
    }
}

/// Where somebody on this machine finds what listens there.
fn address_of(scheme: &str, address: SocketAddr) -> String {
    match address.ip().is_unspecified() {
        true => format!("{scheme}://localhost:{}", address.port()),
        false => format!("{scheme}://{address}"),
    }
}

/// The listener for TLS beside the other, if there is to be one.
async fn encrypted(config: &Config, beside: &Listener) -> anyhow::Result<Option<(Listener, Tls)>> {
    let Ok(address) = config.tls_listen.parse() else { return Ok(None) };
    let clients = Some(config.tls_client_ca.as_path()).filter(|path| !path.as_os_str().is_empty());
    let tls = Tls::load(&config.tls_cert, &config.tls_key, clients)?;
    let listener = beside.bind_tls(address, tls.clone()).await;
    Ok(Some((listener.with_context(|| format!("cannot listen on {address}"))?, tls)))
}

/// What the roles stand on.
struct Base {
    data_dir: DataDir,
    /// `None` for a pure origin, which serves with the database switched off.
    catalog: Option<Catalog>,
    store: MediaStore,
    clock: Arc<dyn Clock>,
}

impl Base {
    async fn open(config: &Config, data_dir: DataDir) -> anyhow::Result<Self> {
        let needs_catalog = [Role::Ingest, Role::Worker, Role::Api].into_iter().any(|role| config.has(role));
        let catalog = if needs_catalog { Some(wiring::catalog(config, data_dir.root()).await?) } else { None };
        let store = wiring::store(config, data_dir.root()).await?;
        Ok(Self { data_dir, catalog, store, clock: wiring::clock() })
    }

    async fn parts(
        &self,
        config: &Config,
        lifecycle: &Lifecycle,
        (counters, purges): (Arc<pipeline::Metrics>, Arc<PurgeCounts>),
        access: &Access,
    ) -> anyhow::Result<Parts> {
        let uploads = Arc::new(ingest::Metrics::default());
        let keys = self.ticket_keys(config, lifecycle)?;
        let api = self.catalog.as_ref().map(|catalog| {
            let state = self.api_state(config, catalog, lifecycle, access);
            state.with_tickets(keys.tickets()).with_passwords(origin::access::hash_password)
        });
        let ingest = match self.catalog.as_ref().zip(api.as_ref()).filter(|_| config.has(Role::Ingest)) {
            Some((catalog, api)) => {
                let gate = wiring::accounts::gate(config, access);
                Some(self.ingest(config, catalog, lifecycle, (Arc::clone(&uploads), gate), api).await?)
            }
            None => None,
        };
        let api = api.filter(|_| config.has(Role::Api)).map(catalog_api::router);
        let api = api.map(|router| cors::around(router, &config.api_origins));
        if let Some(catalog) = self.catalog.clone().filter(|_| config.has(Role::Api)) {
            let (store, clock, soft) = (self.store.clone(), Arc::clone(&self.clock), lifecycle.soft().clone());
            lifecycle.tracker().spawn(warm(catalog.clone(), clock.now(), soft.clone()));
            lifecycle.spawn_essential("pictures of accounts", catalog_api::keep_avatars(catalog, store, clock, soft));
        }
        let origin = if config.has(Role::Origin) { Some(self.origin(config, lifecycle, &keys)?) } else { None };
        let players = origin.as_ref().map(|origin| Arc::clone(origin.metrics())).unwrap_or_default();
        Ok(Parts {
            origin,
            edge: None,
            purge: None,
            ingest,
            api,
            pages: config.has(Role::Api).then(|| wiring::pages(config)),
            health: self.health(lifecycle),
            metrics: Arc::new(Metrics::new(counters, uploads, players).with_purges(purges)),
            catalog: self.catalog.clone(),
            strangers: config.strangers(),
            is_behind_tls: config.is_behind_tls(),
            clock: Arc::clone(&self.clock),
        })
    }

    /// The keys of tickets, which change when their file does.
    fn ticket_keys(&self, config: &Config, lifecycle: &Lifecycle) -> anyhow::Result<TicketKeys> {
        let keys = TicketKeys::new(config, &*self.clock)?;
        if !config.token_keys_file.as_os_str().is_empty() {
            let watch = watch_keys(config.token_keys_file.clone(), keys.ring().clone(), lifecycle.soft().clone());
            lifecycle.spawn_essential("token keys", watch);
        }
        Ok(keys)
    }

    fn origin(&self, config: &Config, lifecycle: &Lifecycle, keys: &TicketKeys) -> anyhow::Result<origin::Origin> {
        let gate = config.origin_gate(Arc::clone(&self.clock), keys.ring().clone())?;
        let gate = gate.with_own_keys(keys.own().clone());
        Ok(wiring::origin(config, self.store.clone(), self.demand(lifecycle), gate))
    }

    async fn ingest(
        &self,
        config: &Config,
        catalog: &Catalog,
        lifecycle: &Lifecycle,
        (metrics, gate): (Arc<ingest::Metrics>, Arc<dyn ingest::Gate>),
        api: &catalog_api::State,
    ) -> anyhow::Result<Router> {
        let staging = Staging::open(self.data_dir.layout().uploads).await.context("cannot open the uploads folder")?;
        let state = ingest::State {
            catalog: catalog.clone(),
            store: self.store.clone(),
            staging,
            clock: Arc::clone(&self.clock),
            limits: config.upload_limits(),
            tasks: lifecycle.tracker().clone(),
            shutdown: lifecycle.soft().clone(),
            sessions: ingest::Sessions::default(),
            gate,
            admission: wiring::admission(config)?,
            live: ingest::Live::default(),
            metrics,
            imports: ingest::Imports::new(config.imports()),
        };
        // Uploads that a killed server left behind are brought in order before anybody appends to them.
        ingest::recover(&state).await.context("cannot recover the uploads of the last run")?;
        ingest::resume_imports(&state).await.context("cannot go on with the imports of the last run")?;
        lifecycle.spawn_essential("upload janitor", ingest::janitor(state.clone()));
        let below_api = cors::around(api.once_around(ingest::api(state.clone())), &config.api_origins);
        // Uploads have their own, for pages of any origin.
        Ok(catalog_api::State::told_around(ingest::router(state)).merge(below_api))
    }

    /// Where the origin tells what viewers wait for; nobody listens in a process without a database.
    fn demand(&self, lifecycle: &Lifecycle) -> origin::DemandHook {
        let Some(catalog) = self.catalog.clone() else { return origin::DemandHook::none() };
        let (hook, listen) = wiring::demand(catalog, Arc::clone(&self.clock), lifecycle.soft().clone());
        lifecycle.spawn_essential("demands", listen);
        hook
    }

    fn api_state(
        &self,
        config: &Config,
        catalog: &Catalog,
        lifecycle: &Lifecycle,
        access: &Access,
    ) -> catalog_api::State {
        let (store, clock) = (self.store.clone(), Arc::clone(&self.clock));
        catalog_api::State::new(catalog.clone(), store, clock, lifecycle.soft().clone())
            .with_bin(config.bin_retention())
            .with_review(config.review)
            .with_rates(config.rates())
            .with_access(access.clone())
            .with_tasks(lifecycle.tracker().clone())
            .with_webhook_ports(&config.webhook_rules().ports)
    }

    /// Who may use the API and uploads, where this process serves either.
    async fn access(&self, config: &Config, lifecycle: &Lifecycle) -> anyhow::Result<Access> {
        let asks = config.has(Role::Api) || config.has(Role::Ingest);
        match self.catalog.as_ref().filter(|_| asks) {
            Some(catalog) => wiring::accounts::access(config, catalog, &self.clock, &self.data_dir, lifecycle).await,
            None => Ok(Access::Open),
        }
    }

    fn health(&self, lifecycle: &Lifecycle) -> Health {
        let store = self.store.clone();
        let mut probes = vec![Probe::new("storage", move || {
            let store = store.clone();
            async move { store.check().await.map_err(|error| cli::with_causes(&error.into())) }
        })];
        if let Some(catalog) = self.catalog.clone() {
            probes.push(Probe::new("database", move || {
                let catalog = catalog.clone();
                async move { catalog.ping().await.map_err(|error| cli::with_causes(&error.into())) }
            }));
        }
        Health::new(lifecycle.soft().clone(), probes)
    }
}

/// Takes up the keys of tokens when their file changes. Keys that cannot be used leave those in force.
async fn watch_keys(file: PathBuf, ring: KeyRing, soft: CancellationToken) {
    let changed = || std::fs::metadata(&file).and_then(|meta| meta.modified()).ok();
    let (mut seen, mut refused) = (changed(), None);
    // Ends with the soft signal.
    while soft.run_until_cancelled(tokio::time::sleep(KEYS_LOOKED_AT_EVERY)).await.is_some() {
        let now = changed();
        if now == seen {
            continue;
        }
        match read_keys(&file, &ring) {
            Ok(()) => {
                seen = now;
                tracing::info!("keys of tokens taken up");
            }
            // Looked at again and again, and told once: the file may be readable later without another change.
            Err(_) if refused == Some(now) => {}
            Err(error) => {
                refused = Some(now);
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "keys of tokens not taken up; those before stay"
                );
            }
        }
    }
}

/// Wakes the worker when another process adds work, so that nobody waits for the next look at the queue.
async fn listen_for_work(catalog: Catalog, soft: CancellationToken) {
    // Ends with the soft signal. What is told while nobody listens is found by looking at the queue.
    while let Some(Err(error)) = soft.run_until_cancelled(catalog.listen()).await {
        tracing::warn!(error = &error as &dyn std::error::Error, "cannot hear of new work");
        let _ = soft.run_until_cancelled(tokio::time::sleep(LISTEN_AGAIN_AFTER)).await;
    }
}

/// Forgets old events and answers that were kept for those who ask again, now and every hour.
async fn prune_events(catalog: Catalog, clock: Arc<dyn Clock>, soft: CancellationToken) {
    // Ends with the soft signal; a lost branch loses nothing, since the next start prunes again.
    while !soft.is_cancelled() {
        let now = clock.now().unix_ms();
        let oldest = Timestamp::from_unix_ms(now.saturating_sub(EVENTS_KEPT_MS));
        match catalog.prune_events(oldest).await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "old events forgotten"),
            Err(error) => tracing::warn!(%error, "old events cannot be forgotten"),
        }
        let kept_ms = i64::try_from(idempotency::REMEMBERED.as_millis()).unwrap_or(i64::MAX);
        if let Err(error) = catalog.prune_named(Timestamp::from_unix_ms(now.saturating_sub(kept_ms))).await {
            tracing::warn!(%error, "old idempotency keys cannot be forgotten");
        }
        let _ = soft.run_until_cancelled(tokio::time::sleep(EVENTS_PRUNED_EVERY)).await;
    }
}

/// Forgets words by which slips of the hand are found, once nothing says them any more: once a day, a few at a time.
async fn forget_words(catalog: Catalog, soft: CancellationToken) {
    let (mut place, mut count, mut rest) = (Place::default(), 0, WORDS_FORGOTTEN_AFTER);
    // Ends with the soft signal; a lost branch loses nothing, since the next start begins anew.
    while soft.run_until_cancelled(tokio::time::sleep(rest)).await.is_some() {
        match catalog.forget_words(&place, WORDS_AT_ONCE).await {
            Ok(forgotten) => {
                count += forgotten.count;
                rest = if forgotten.next.is_some() { WORDS_PAUSE } else { WORDS_FORGOTTEN_EVERY };
                if forgotten.next.is_none() && count > 0 {
                    tracing::info!(
                        count = std::mem::take(&mut count),
                        "words that nothing says any more are forgotten"
                    );
                }
                place = forgotten.next.unwrap_or_default();
            }
            Err(error) => {
                tracing::warn!(%error, "words that nothing says any more cannot be forgotten");
                rest = WORDS_FORGOTTEN_AFTER;
            }
        }
    }
}

/// Empties the bin and removes versions that are kept no longer, now and twice a minute, and has caches told of what
/// begins or ends to be shown, each second. Whether it is shown the clock decides, not this.
async fn keep_time(catalog: Catalog, keep_versions: u32, clock: Arc<dyn Clock>, soft: CancellationToken) {
    // Ends with the soft signal; a lost branch loses nothing, since the next round does the rest.
    while !soft.is_cancelled() {
        if let Err(error) = look_at_time(&catalog, keep_versions, &*clock).await {
            tracing::warn!(%error, "the bin and schedules cannot be looked after");
        }
        let until_next_look = tell_of_time(&catalog, &*clock);
        let _ = soft.run_until_cancelled(tokio::time::timeout(TIME_KEPT_EVERY, until_next_look)).await;
    }
}

/// Has caches told of what begins or ends to be shown within about a second. Goes on until it is dropped: what is cut
/// off is found by the next look.
async fn tell_of_time(catalog: &Catalog, clock: &dyn Clock) {
    loop {
        tokio::time::sleep(WINDOWS_KEPT_EVERY).await;
        let now = clock.now();
        let since = Timestamp::from_unix_ms(now.unix_ms().saturating_sub(WINDOWS_MISSED_MS));
        match catalog.tell_windows(TIME_KEPT_AT_ONCE, since, now).await {
            Ok(0) => {}
            Ok(told) => tracing::info!(assets = told, "assets are shown, or not any more"),
            Err(error) => tracing::warn!(%error, "schedules cannot be looked after"),
        }
    }
}

async fn look_at_time(
    catalog: &Catalog,
    keep_versions: u32,
    clock: &dyn Clock,
) -> Result<(), catalog_store::CatalogError> {
    let told = catalog.tell_windows(TIME_KEPT_AT_ONCE, Timestamp::from_unix_ms(i64::MIN), clock.now()).await?;
    if told > 0 {
        tracing::info!(assets = told, "assets are shown, or not any more");
    }
    let job = || JobId::mint(clock.now(), clock.entropy());
    let asked = catalog.ask_for_transcripts(TRANSCRIPTS_AT_ONCE, job, clock.now()).await?;
    if asked > 0 {
        tracing::info!(assets = asked, "subtitles are read again, so that what is said is found");
    }
    for asset in catalog.bins_due(TIME_KEPT_AT_ONCE, clock.now()).await? {
        let now = clock.now();
        if catalog.delete_asset(asset.id, JobId::mint(now, clock.entropy()), now).await? {
            tracing::info!(asset.id = %asset.id, "asset deleted, as its time in the bin is over");
        }
    }
    for _ in 0..TIME_KEPT_AT_ONCE {
        let removed = catalog.remove_surplus_versions(keep_versions, job, clock.now()).await?;
        if removed == 0 {
            break;
        }
        tracing::info!(versions = removed, "versions are removed, as others are newer");
    }
    Ok(())
}

fn warn_if_open(config: &Config) {
    let is_asked = config.has(Role::Ingest) || config.has(Role::Api);
    if is_asked && !config.has_accounts() && !config.is_local() {
        tracing::warn!(
            address = %config.listen,
            "uploads and deletions are open to everyone who can reach this address"
        );
    }
}

/// Prints the link by which the first account is set up, if there is nobody yet. It is as good as a password, so it
/// goes to whoever started the server and not into the log.
async fn invite(config: &Config, accounts: &Accounts, url: &str) -> anyhow::Result<()> {
    accounts.listens_at(url);
    if !config.has(Role::Api) {
        return Ok(());
    }
    if let Some(link) = accounts.setup_link().await.context("cannot make the first account")? {
        terminal::say(&format!("set up the first account within a day: {link}"));
    }
    Ok(())
}
