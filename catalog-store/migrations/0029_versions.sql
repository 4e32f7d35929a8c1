-- The sources that an asset has had, one after the other. Common to both engines.

-- Rows are there once a second one was begun; until then the asset itself tells of its only one.
create table asset_versions (
    asset_id text not null references assets (id) on delete cascade,
    source_version bigint not null,
    -- What brought it, and tells its name and whose it is.
    upload_id text,
    -- uploading, processing, ready, failed, or removing: it is kept no longer.
    state text not null,
    size_bytes bigint,
    duration_ms bigint,
    -- Its latest output.
    generation bigint,
    -- Why it never was in force, as JSON.
    failure text,
    created_at bigint not null,
    -- When it came into force last.
    shown_at bigint,
    primary key (asset_id, source_version)
);
create index asset_versions_in_state on asset_versions (state, asset_id);

-- The one in force, the one that the next output is made of where that is another, and the highest number given.
alter table assets add column source_version bigint not null default 1;
alter table assets add column next_source_version bigint;
alter table assets add column source_version_taken bigint not null default 1;
-- How many times an earlier one was gone back to: outputs are put in force with rising numbers otherwise.
alter table assets add column turn bigint not null default 0;
-- What an output is made of, and what an upload brings.
alter table generations add column source_version bigint not null default 1;
alter table uploads add column source_version bigint not null default 1;
-- The asset of which it brings another source; null for a new asset.
alter table upload_grants add column asset_id text;
