-- Accounts and what proves who somebody is. Common to both engines. Of passwords, tokens and keys only hashes are kept.

create table users (
    id text not null primary key,
    -- As it was given, and as it is compared; null once the account is deleted, or before it is set.
    email text,
    email_key text unique,
    name text not null,
    bio text not null,
    language text,
    role text not null,
    state text not null,
    password text,
    email_verified_at bigint,
    quota_bytes bigint,
    version bigint not null default 1,
    created_at bigint not null,
    updated_at bigint not null
);

create table sessions (
    id text not null primary key,
    user_id text not null references users (id) on delete cascade,
    -- Of the cookie; null for a session that is proven by tokens.
    secret_hash text unique,
    -- From which the successors of its refresh tokens are made, together with the tokens themselves.
    chain_key text,
    client text not null,
    created_at bigint not null,
    seen_at bigint not null,
    expires_at bigint not null,
    ended_at bigint
);
create index sessions_of_user on sessions (user_id, id);
create index sessions_to_forget on sessions (expires_at);

create table refresh_tokens (
    hash text not null primary key,
    session_id text not null references sessions (id) on delete cascade,
    expires_at bigint not null,
    used_at bigint,
    successor text
);
create index refresh_tokens_of_session on refresh_tokens (session_id);

create table api_keys (
    id text not null primary key,
    user_id text not null references users (id) on delete cascade,
    name text not null,
    prefix text not null,
    hash text not null unique,
    scopes text not null,
    created_at bigint not null,
    expires_at bigint,
    seen_at bigint,
    revoked_at bigint
);
create index api_keys_of_user on api_keys (user_id, id);

-- Links that are good once: to set up the first account, to verify an address, to reset a password.
create table tickets (
    hash text not null primary key,
    user_id text not null references users (id) on delete cascade,
    purpose text not null,
    data text not null,
    created_at bigint not null,
    expires_at bigint not null
);
create index tickets_of_user on tickets (user_id, purpose);

create table signing_keys (
    id text not null primary key,
    purpose text not null,
    secret text not null,
    created_at bigint not null
);

create table asset_shares (
    asset_id text not null references assets (id) on delete cascade,
    user_id text not null references users (id) on delete cascade,
    standing text not null,
    created_at bigint not null,
    primary key (asset_id, user_id)
);
create index asset_shares_of_user on asset_shares (user_id);
