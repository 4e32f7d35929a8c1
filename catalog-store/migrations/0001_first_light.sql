-- Common to SQLite and PostgreSQL. Ids are text, instants are milliseconds since 1970, documents are JSON text,
-- facts (is_...) are 0 or 1.

create table assets (
    id text not null primary key,
    playback_id text not null unique,
    state text not null,
    file_name text,
    title text,
    size_bytes bigint,
    probe text,
    generation bigint,
    failure text,
    is_playable bigint not null default 0,
    version bigint not null default 1,
    created_at bigint not null,
    updated_at bigint not null
);

create table uploads (
    id text not null primary key,
    asset_id text not null references assets (id) on delete cascade,
    state text not null,
    length_bytes bigint,
    offset_bytes bigint not null default 0,
    metadata text not null,
    file_name text,
    created_at bigint not null,
    updated_at bigint not null
);
create index uploads_of_asset on uploads (asset_id);
create index uploads_in_state on uploads (state, id);

create table generations (
    asset_id text not null references assets (id) on delete cascade,
    generation bigint not null,
    plan text not null,
    segments_total bigint not null,
    open_jobs bigint not null,
    images text,
    subtitles text,
    progress_at bigint not null default 0,
    created_at bigint not null,
    primary key (asset_id, generation)
);

create table segments (
    asset_id text not null,
    generation bigint not null,
    rendition text not null,
    segment_index bigint not null,
    ticks bigint not null,
    size_bytes bigint not null,
    sha256 text not null,
    keyframes text not null,
    created_at bigint not null,
    primary key (asset_id, generation, rendition, segment_index),
    foreign key (asset_id, generation) references generations (asset_id, generation) on delete cascade
);

create table jobs (
    id text not null primary key,
    asset_id text not null references assets (id) on delete cascade,
    kind text not null,
    spec text not null,
    state text not null,
    is_heavy bigint not null,
    priority bigint not null,
    run_at bigint not null,
    lease_until bigint,
    worker text,
    fence bigint not null default 0,
    attempts bigint not null default 0,
    crashes bigint not null default 0,
    failures bigint not null default 0,
    error text,
    created_at bigint not null,
    updated_at bigint not null
);
create index jobs_to_claim on jobs (state, is_heavy, priority, id);
create index jobs_of_asset on jobs (asset_id, id);

create table events (
    seq bigint not null primary key,
    at bigint not null,
    topic text not null,
    asset_id text,
    data text not null
);
create index events_of_asset on events (asset_id, seq);

-- The one row hands out event numbers. Whoever updates it holds it until commit, so numbers become
-- visible in order and without gaps, which a sequence does not promise.
create table event_counter (
    id bigint not null primary key,
    seq bigint not null
);
insert into event_counter (id, seq) values (1, 0);
