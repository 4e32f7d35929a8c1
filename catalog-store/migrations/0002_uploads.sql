-- Uploads learn of parts, owners, expiry and refusal. A part of a concatenation has no asset, so the
-- column may be null; SQLite cannot alter that, hence the copy. Common to both engines.

create table uploads_next (
    id text not null primary key,
    kind text not null,
    asset_id text references assets (id) on delete cascade,
    state text not null,
    length_bytes bigint,
    offset_bytes bigint not null default 0,
    metadata text not null,
    file_name text,
    terms text not null,
    owner text,
    expires_at bigint,
    failure text,
    created_at bigint not null,
    updated_at bigint not null
);

insert into uploads_next (id, kind, asset_id, state, length_bytes, offset_bytes, metadata, file_name, terms,
    created_at, updated_at)
select id, 'whole', asset_id, state, length_bytes, offset_bytes, metadata, file_name, '{}', created_at, updated_at
from uploads;

drop table uploads;
alter table uploads_next rename to uploads;
create index uploads_of_asset on uploads (asset_id);
create index uploads_in_state on uploads (state, id);
create index uploads_to_expire on uploads (state, expires_at);
create index uploads_of_owner on uploads (owner, state);
