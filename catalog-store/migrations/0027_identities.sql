-- Who somebody is at a provider of identities. Common to both engines.

create table identities (
    id text not null primary key,
    user_id text not null references users (id) on delete cascade,
    -- The name of the provider in the settings, when it was linked.
    provider text not null,
    issuer text not null,
    subject text not null,
    created_at bigint not null,
    used_at bigint not null,
    unique (issuer, subject)
);
create index identities_of_user on identities (user_id, id);
