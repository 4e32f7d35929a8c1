-- Documents that are added to assets, each brought by an upload. Common to both engines.

create table documents (
    id text not null primary key,
    asset_id text not null references assets (id) on delete cascade,
    -- What brings it; its row may be gone.
    upload_id text not null,
    -- The order in which they are shown; two may have the same, and then the older comes first.
    position bigint not null,
    name text not null,
    description text not null default '',
    -- uploading, ready, failed, or removing: it is taken back, and its object is still there.
    state text not null,
    -- What it is by its content, its SHA-256 and its length; told when all of it is there.
    media_type text,
    sha256 text,
    size_bytes bigint,
    -- Why nothing came of it, as JSON.
    failure text,
    -- Rises with every change of its name, description and place.
    version bigint not null default 1,
    created_at bigint not null,
    updated_at bigint not null
);
create index documents_of_asset on documents (asset_id, position, id);

-- The document that an upload brings, which is no source then; null for any other.
alter table uploads add column document_id text;
create index uploads_of_document on uploads (document_id);
-- It brings a document of its asset, and not another source.
alter table upload_grants add column is_document bigint not null default 0;
