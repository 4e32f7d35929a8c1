-- What was asked for under a name of the asker's choice, so that it is done once. Common to both engines.

create table idempotency_keys (
    -- Of who asks and the name that they gave.
    hash text not null primary key,
    principal text not null,
    -- Of what they asked.
    fingerprint text not null,
    -- running, effective (something was done, and the answer is not known), or answered.
    state text not null,
    -- Who does it, the how manyeth, and until when nobody else may.
    fence bigint not null,
    locked_until bigint not null,
    -- Sealed under the name, which is not kept.
    answer text,
    created_at bigint not null
);
create index idempotency_keys_of_principal on idempotency_keys (principal, created_at);
create index idempotency_keys_to_forget on idempotency_keys (created_at);
