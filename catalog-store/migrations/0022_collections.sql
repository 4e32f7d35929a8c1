-- What assets are put together in, who publishes them, and when. Common to both engines.

create table collections (
    id text not null primary key,
    kind text not null,
    title text not null,
    description text not null,
    visibility text not null,
    owner text,
    version bigint not null default 1,
    created_at bigint not null,
    updated_at bigint not null
);
create index collections_of_owner on collections (owner, id);

-- An item is an asset, or a season of a series. Of equal positions the older item comes first.
create table collection_items (
    id text not null primary key,
    collection_id text not null references collections (id) on delete cascade,
    asset_id text references assets (id) on delete cascade,
    season_id text references collections (id) on delete cascade,
    position bigint not null,
    unique (collection_id, asset_id),
    unique (collection_id, season_id)
);
create index collection_items_in_order on collection_items (collection_id, position, id);
create index collection_items_of_asset on collection_items (asset_id);
create index collection_items_of_season on collection_items (season_id);

create table collection_shares (
    collection_id text not null references collections (id) on delete cascade,
    user_id text not null references users (id) on delete cascade,
    standing text not null,
    created_at bigint not null,
    primary key (collection_id, user_id)
);
create index collection_shares_of_user on collection_shares (user_id);

-- Handles are compared as they are kept: in small letters.
create table channels (
    id text not null primary key,
    handle text not null unique,
    name text not null,
    description text not null,
    owner text,
    version bigint not null default 1,
    created_at bigint not null,
    updated_at bigint not null
);

-- The channel in which everybody with an account sees it; null for none.
alter table assets add column channel_id text references channels (id) on delete set null;
create index assets_of_channel on assets (channel_id, id);

create table subscriptions (
    user_id text not null references users (id) on delete cascade,
    channel_id text not null references channels (id) on delete cascade,
    created_at bigint not null,
    primary key (user_id, channel_id)
);
create index subscriptions_to_channel on subscriptions (channel_id);

-- In the bin since when, and until when it can be taken out again; null while it is not.
alter table assets add column binned_at bigint;
alter table assets add column bin_until bigint;
create index assets_in_bin on assets (bin_until) where binned_at is not null;
-- From when and until when those who may not change it see and play it; null without a limit. Up to which instant
-- caches were told of that.
alter table assets add column publish_at bigint;
alter table assets add column expire_at bigint;
alter table assets add column window_told bigint not null default 0;
create index assets_to_publish on assets (publish_at) where publish_at is not null;
create index assets_to_expire on assets (expire_at) where expire_at is not null;

-- How far it is on its way to those who may see it, and what whoever reviewed it said.
alter table assets add column stage text not null default 'published';
alter table assets add column stage_note text;
create index assets_to_review on assets (id) where stage = 'submitted';
-- The stage in which assets begin.
create table catalog_settings (
    id bigint not null primary key,
    first_stage text not null
);
insert into catalog_settings (id, first_stage) values (1, 'published');
