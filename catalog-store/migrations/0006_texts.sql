-- Subtitle files that are added to assets, chapters that are set, and which document of a generation is in force.
-- Common to both engines.

create table texts (
    id text not null primary key,
    asset_id text not null references assets (id) on delete cascade,
    language text,
    name text,
    charset text,
    is_forced bigint not null,
    is_default bigint not null,
    is_removed bigint not null default 0,
    state text not null,
    report text,
    generation bigint,
    rendition text,
    created_at bigint not null
);
create index texts_of_asset on texts (asset_id, id);

-- Null as long as the file's own are shown.
alter table assets add column chapters text;
-- Rises with everything that somebody wishes to be published; a document that was built before is out of date.
alter table assets add column wishes bigint not null default 0;

-- The highest revision that was handed out, and the one that is in force.
alter table generations add column revision_taken bigint not null default 0;
alter table generations add column revision bigint not null default 0;
alter table generations add column is_complete bigint not null default 0;
update generations set revision_taken = 1, revision = 1, is_complete = 1
    where exists (select 1 from assets a where a.id = generations.asset_id and a.state = 'ready');
