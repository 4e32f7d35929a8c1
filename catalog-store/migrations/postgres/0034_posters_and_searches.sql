-- What people chose as posters, and what administrators look for. For PostgreSQL: with the collation "C" text is sorted by its octets, as SQLite does it.

-- As JSON; null while nobody chose.
alter table assets add column poster text;

-- What names and mail addresses of accounts are looked for by: folded, one row for each beginning that counts. An account
-- without a row of kind `name` was written by an earlier version.
create table search_users (
    user_id text not null references users (id) on delete cascade,
    kind text not null,
    term text collate "C" not null,
    primary key (user_id, kind, term)
);
create index users_of_term on search_users (term, user_id);

create index audit_of_actor on audit_log (actor, seq);
create index audit_of_action on audit_log (action collate "C", seq);
create index audit_of_subject on audit_log (subject, seq);
create index audit_at on audit_log (at, seq);
