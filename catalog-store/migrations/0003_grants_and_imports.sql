-- Upload capabilities, and how far imports are. Common to both engines.

-- The id is made from the hash of the secret, which is stored nowhere.
create table upload_grants (
    id text not null primary key,
    owner text,
    bytes_max bigint,
    duration_s_max bigint,
    types text not null,
    origin text,
    uses_left bigint not null,
    expires_at bigint not null,
    revoked_at bigint,
    created_at bigint not null
);
create index upload_grants_by_expiry on upload_grants (expires_at);

-- One row per upload that is pulled from an address, once its server has answered.
create table imports (
    upload_id text not null primary key references uploads (id) on delete cascade,
    validator text,
    attempts bigint not null,
    error text,
    updated_at bigint not null
);
