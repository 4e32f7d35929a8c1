-- How far each cache in front was told of what changed. Common to both engines.
create table purge_targets (
    name text not null primary key,
    -- The last event that it was told of, or that is nothing to it.
    seq bigint not null,
    -- Attempts in a row that failed, since when, what the last one met, and when the next one is due.
    failures bigint not null,
    failing_since bigint,
    error text,
    retry_at bigint not null,
    -- How many times it was given up to tell it of something.
    given_up bigint not null,
    -- The process that tells it, and until when nobody else may.
    holder text not null,
    lease_until bigint not null
);
