-- A known text, sealed as all secrets are: whoever opens it has the key of this database. Common to both engines.

create table secret_check (
    id bigint not null primary key,
    sealed text not null
);
