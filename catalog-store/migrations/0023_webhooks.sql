-- Whom events are sent to. Common to both engines.

-- For whom alone an event is; null for everybody who sees its asset.
alter table events add column user_id text;

create table webhooks (
    id text not null primary key,
    -- The principal whose it is: it is told of what that one sees.
    owner text not null,
    url text not null,
    description text not null,
    -- Patterns of topics with commas between them; empty for all.
    topics text not null,
    secret text not null,
    -- Good beside the other until then.
    previous_secret text,
    previous_until bigint,
    -- The last event before it was made: it is told of what comes after.
    since_seq bigint not null,
    -- Why nothing is sent any more; null while it is.
    disabled_reason text,
    -- It wants to be left alone until then.
    rests_until bigint not null default 0,
    -- When it last took something.
    succeeded_at bigint,
    version bigint not null default 1,
    created_at bigint not null,
    updated_at bigint not null
);
create index webhooks_of_owner on webhooks (owner, id);

create table webhook_deliveries (
    id text not null primary key,
    webhook_id text not null references webhooks (id) on delete cascade,
    -- The event; null for what somebody sends to try it out.
    seq bigint,
    topic text not null,
    payload text not null,
    -- pending, delivered or failed.
    state text not null,
    attempts bigint not null default 0,
    -- The latest attempts, a JSON list.
    log text not null default '[]',
    next_at bigint not null,
    -- Who sends it, until when nobody else does, and the how manyeth to do so.
    holder text not null default '',
    lease_until bigint not null default 0,
    fence bigint not null default 0,
    created_at bigint not null,
    updated_at bigint not null,
    unique (webhook_id, seq)
);
create index webhook_deliveries_due on webhook_deliveries (state, next_at);
create index webhook_deliveries_of_webhook on webhook_deliveries (webhook_id, id);
