-- The number of the transaction that changed last what is looked into of an asset. What a term finds is kept by processes,
-- and looked for again only in what was changed since. For PostgreSQL.

alter table search_documents add column changed bigint not null default 0;
create index search_changes on search_documents (changed);
