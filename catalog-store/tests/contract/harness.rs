//! A catalogue on each engine, and builders of what the cases need.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use catalog_store::{Catalog, Claim, LeasedJob, NewAsset, NewUpload, SecretKeys, SegmentRow, Target, UploadKind};
use domain::plan::{Limits, Plan};
use domain::probe::{AudioTrack, Color, Extent, FieldOrder, Orientation, VideoTrack};
use domain::{
    AssetId, ByteSize, CollectionId, FrameRate, Generation, JobId, JobLane, JobSpec, KeyId, MediaTime, PlaybackId,
    Probe, Recipe, RenditionId, Resolution, SessionId, Timescale, Timestamp, UploadId, UserId,
};

/// What secrets are sealed with.
pub(crate) const KEY: &str = "a key of the tests, of 32 characters and more";
pub(crate) const LEASE: Duration = Duration::from_secs(10);
pub(crate) const GENERATION: Generation = Generation(1);

/// A catalogue with a supply of fresh ids.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) catalog: Catalog,
    pub(crate) url: String,
    next: Arc<AtomicU64>,
}

pub(crate) async fn on_sqlite<F: Future<Output = ()>>(case: impl FnOnce(World) -> F) {
    let dir = tempfile::tempdir().expect("a folder");
    run(&format!("sqlite://{}", dir.path().join("catalog.db").display()), case).await;
}

pub(crate) async fn on_postgres<F: Future<Output = ()>>(case: impl FnOnce(World) -> F) {
    run(&fixtures::services::postgres_url(), case).await;
}

async fn run<F: Future<Output = ()>>(url: &str, case: impl FnOnce(World) -> F) {
    let catalog = Catalog::open(url).await.expect("the database opens");
    catalog.migrate().await.expect("the schema is made");
    catalog.unlock(SecretKeys::new(KEY, []).expect("it is long enough")).await.expect("it is unlocked");
    let world = World { catalog: catalog.clone(), url: url.to_owned(), next: Arc::new(AtomicU64::new(1)) };
    case(world).await;
    assert_eq!(catalog.integrity().await.expect("it reads").orphan_rows, 0);
    catalog.close().await;
}

/// The instant `ms` milliseconds after the story begins.
pub(crate) fn at(ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(1_800_000_000_000 + ms)
}

impl World {
    pub(crate) fn fresh(&self) -> u128 {
        u128::from(self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// The same database as another process has it.
    pub(crate) async fn another_process(&self) -> Self {
        let catalog = Catalog::open(&self.url).await.expect("the database opens");
        Self { catalog, url: self.url.clone(), next: self.next.clone() }
    }

    pub(crate) fn job_id(&self) -> JobId {
        JobId::from_u128(self.fresh())
    }

    pub(crate) fn user_id(&self) -> UserId {
        UserId::from_u128(self.fresh())
    }

    pub(crate) fn collection_id(&self) -> CollectionId {
        CollectionId::from_u128(self.fresh())
    }

    pub(crate) fn session_id(&self) -> SessionId {
        SessionId::from_u128(self.fresh())
    }

    pub(crate) fn key_id(&self) -> KeyId {
        KeyId::from_u128(self.fresh())
    }

    /// Changes the database past the catalogue, as somebody might who should not.
    pub(crate) async fn tamper(&self, sql: &'static str) {
        if self.url.starts_with("sqlite") {
            let pool = sqlx::SqlitePool::connect(&self.url).await.expect("the database opens");
            sqlx::query(sql).execute(&pool).await.expect("it is changed");
            pool.close().await;
        } else {
            let pool = sqlx::PgPool::connect(&self.url).await.expect("the database opens");
            sqlx::query(sql).execute(&pool).await.expect("it is changed");
            pool.close().await;
        }
    }

    /// The tables in which this text stands anywhere, by name.
    pub(crate) async fn tables_with(&self, text: &str) -> Vec<String> {
        let wanted = format!("%{text}%");
        let mut found = Vec::new();
        if self.url.starts_with("sqlite") {
            let pool = sqlx::SqlitePool::connect(&self.url).await.expect("the database opens");
            let tables: Vec<String> =
                sqlx::query_scalar("select name from sqlite_master where type = 'table' order by name")
                    .fetch_all(&pool)
                    .await
                    .expect("there are tables");
            for table in tables {
                let columns: Vec<String> = sqlx::query_scalar("select name from pragma_table_info($1)")
                    .bind(&table)
                    .fetch_all(&pool)
                    .await
                    .expect("it has columns");
                let any: Vec<String> = columns.iter().map(|column| format!("\"{column}\" like $1")).collect();
                let sql = format!("select count(*) from \"{table}\" where {}", any.join(" or "));
                let count: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
                    .bind(&wanted)
                    .fetch_one(&pool)
                    .await
                    .expect("it reads");
                found.extend((count > 0).then_some(table));
            }
            pool.close().await;
        } else {
            let pool = sqlx::PgPool::connect(&self.url).await.expect("the database opens");
            let tables: Vec<String> = sqlx::query_scalar(
                "select table_name::text from information_schema.tables where table_schema = 'public' order by 1",
            )
            .fetch_all(&pool)
            .await
            .expect("there are tables");
            for table in tables {
                let sql = format!("select count(*) from \"{table}\" t where t::text like $1");
                let count: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
                    .bind(&wanted)
                    .fetch_one(&pool)
                    .await
                    .expect("it reads");
                found.extend((count > 0).then_some(table));
            }
            pool.close().await;
        }
        found
    }

    pub(crate) fn new_upload(&self, length: Option<u64>) -> NewUpload {
        NewUpload {
            metadata: "filename Y2xpcC5tcDQ=".into(),
            file_name: Some("clip.mp4".into()),
            ..NewUpload::whole(UploadId::from_u128(self.fresh()), self.target(), length, at(0))
        }
    }

    fn target(&self) -> Target {
        Target::new(AssetId::from_u128(self.fresh()), PlaybackId::from_u128(self.fresh()))
    }

    /// A part of a file, that expires.
    pub(crate) fn new_part(&self, length: u64, expires_at: Timestamp) -> NewUpload {
        NewUpload {
            kind: UploadKind::Partial,
            target: None,
            expires_at: Some(expires_at),
            ..self.new_upload(Some(length))
        }
    }

    /// An asset with a complete source and a queued probe.
    pub(crate) async fn received(&self) -> AssetId {
        self.received_at(at(0)).await
    }

    async fn received_at(&self, now: Timestamp) -> AssetId {
        let asset = AssetId::from_u128(self.fresh());
        let new = NewAsset {
            asset,
            playback: PlaybackId::from_u128(self.fresh()),
            file_name: None,
            size: ByteSize(1000),
            job: self.job_id(),
            now,
        };
        self.catalog.create_received_asset(&new).await.expect("an asset");
        asset
    }

    /// An asset whose probe is settled: two chunks, one audio and one images job are queued.
    pub(crate) async fn processing(&self) -> AssetId {
        self.processing_at(at(0)).await
    }

    /// The same at another time.
    pub(crate) async fn processing_at(&self, now: Timestamp) -> AssetId {
        let asset = self.received_at(now).await;
        let probe = self.claim_in(JobLane::Urgent, now).await.expect("the probe");
        assert_eq!(probe.asset, asset);
        self.settle_probe(&probe, now).await;
        asset
    }

    pub(crate) fn parts(&self) -> Vec<(JobId, JobSpec)> {
        let generation = GENERATION;
        let specs = [
            JobSpec::Chunk { generation, chunk: 0 },
            JobSpec::Chunk { generation, chunk: 1 },
            JobSpec::Audio { generation, rendition: rendition("audio-0"), part: 0 },
            JobSpec::Images { generation, is_last: false },
        ];
        specs.into_iter().map(|spec| (self.job_id(), spec)).collect()
    }

    pub(crate) async fn settle_probe(&self, job: &LeasedJob, now: Timestamp) {
        let settled = self.catalog.settle_probe(job, &probe(), GENERATION, &plan(), &self.parts(), now).await;
        settled.expect("the probe settles");
    }

    /// What a worker with free lanes takes: a heavy job, or else an urgent one before a light one.
    pub(crate) async fn claim(&self, heavy: bool, now: Timestamp) -> Option<LeasedJob> {
        let lanes: &[JobLane] = if heavy { &[JobLane::Heavy] } else { &[JobLane::Urgent, JobLane::Light] };
        for lane in lanes {
            if let Some(job) = self.claim_in(*lane, now).await {
                return Some(job);
            }
        }
        None
    }

    /// What a worker with one free lane takes.
    pub(crate) async fn claim_in(&self, lane: JobLane, now: Timestamp) -> Option<LeasedJob> {
        self.catalog.claim(&Claim { worker: "worker", lane, lease: LEASE, now }).await.expect("a claim answers")
    }

    /// Claims and settles all parts, so that only the publish job is left.
    pub(crate) async fn settle_all_parts(&self, now: Timestamp) {
        for heavy in [true, true, false, false] {
            let job = self.claim(heavy, now).await.expect("a part");
            self.catalog.settle_part(&job, self.job_id(), now).await.expect("it settles");
        }
    }

    pub(crate) async fn topics(&self, asset: AssetId) -> Vec<String> {
        let events = self.catalog.events_of(asset, 0, 1000).await.expect("events");
        events.into_iter().map(|event| event.topic).collect()
    }
}

pub(crate) fn rendition(name: &str) -> RenditionId {
    RenditionId::new(name).expect("a rendition name")
}

pub(crate) fn segment(asset: AssetId, name: &str, index: u32) -> SegmentRow {
    SegmentRow {
        asset,
        generation: GENERATION,
        rendition: rendition(name),
        index,
        ticks: 50_000,
        bytes: 1234,
        sha256: "ab".repeat(32),
        keyframes: vec![domain::presentation::KeyframeRange { offset: 24, length: 900, ticks: 50_000 }],
    }
}

/// 30 s of 640x360 at 25 fps with stereo sound: segments of 2, 2, 2, 6, 6, 6 and 6 s.
pub(crate) fn probe() -> Probe {
    let scale = Timescale::MILLISECONDS;
    let extent = Extent { start: MediaTime::zero(), end: MediaTime::new(30_000, scale) };
    let video = VideoTrack {
        stream_index: 0,
        codec: "h264".into(),
        pixel_format: "yuv420p".into(),
        coded: Resolution { width: 640, height: 360 },
        sample_aspect: (1, 1),
        orientation: Orientation::default(),
        color: Color::default(),
        field_order: FieldOrder::Progressive,
        extent,
        frame_count: 750,
        measured_rate: FrameRate::new(25, 1).expect("a rate"),
        is_variable_rate: false,
        language: None,
        is_default: true,
        jumps: Vec::new(),
        last_decodable: None,
        avc: None,
    };
    let audio = AudioTrack {
        stream_index: 1,
        codec: "aac".into(),
        sample_rate: 48_000,
        channels: 2,
        extent,
        language: None,
        title: None,
        is_default: true,
        jumps: Vec::new(),
        aac: None,
    };
    Probe {
        container: "mp4".into(),
        size: ByteSize(1000),
        video: vec![video],
        audio: vec![audio],
        subtitles: vec![],
        chapters: vec![],
        title: Some("A title".into()),
        libraries: String::new(),
        cover: None,
    }
}

pub(crate) fn plan() -> Plan {
    Plan::new(&probe(), &Recipe::default(), &Limits::default()).expect("a plan")
}
