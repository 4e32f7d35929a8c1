-- What people say about assets, and by what they are listed. For PostgreSQL: with the collation "C" text is sorted by its octets, as SQLite does it.

-- As JSON; empty while nothing is said. Its version counts the changes that people make to it, and no others.
alter table assets add column about text not null default '{}';
alter table assets add column about_version bigint not null default 1;
-- `video` or `audio`, once that is known.
alter table assets add column kind text;
-- What assets are sorted by, so that no engine sorts by rules of its own; empty where there is nothing to sort by.
alter table assets add column released_on text collate "C" not null default '';
alter table assets add column title_key text collate "C" not null default '';
update assets set kind = case when probe like '%"video":[{%' then 'video' else 'audio' end where probe is not null;
create index assets_by_release on assets (released_on, id);
create index assets_by_title on assets (title_key, id);

-- Tags, genres and languages of assets, as they are compared and as they are written.
create table asset_labels (
    asset_id text not null references assets (id) on delete cascade,
    kind text not null,
    label_key text collate "C" not null,
    label text collate "C" not null,
    primary key (asset_id, kind, label_key)
);
create index assets_of_label on asset_labels (kind, label_key, asset_id);

-- Under which ids others know assets; no two assets are one.
create table asset_external_ids (
    asset_id text not null references assets (id) on delete cascade,
    scheme text not null,
    external_id text not null,
    primary key (asset_id, scheme),
    unique (scheme, external_id)
);
