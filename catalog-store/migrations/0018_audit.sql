-- What was done about accounts and rights, each row sealed together with the one before it. Common to both engines.

create table audit_log (
    seq bigint not null primary key,
    at bigint not null,
    actor text not null,
    action text not null,
    subject text,
    data text not null,
    hash text not null
);

-- The one row hands out numbers and holds the last seal. Whoever updates it holds it until commit.
create table audit_head (
    id bigint not null primary key,
    seq bigint not null,
    hash text not null
);
insert into audit_head (id, seq, hash) values (1, 0, '');
