-- A number that rises with each change of what is looked into, as it was when an asset was changed last. What a term finds
-- is kept by processes, and looked for again only in what was changed since. For SQLite.

alter table search_documents add column changed bigint not null default 0;
create index search_changes on search_documents (changed);

-- The number never falls, also when the asset that was changed last goes.
insert into search_rules (id, version) values (3, 0);
create trigger search_documents_gone after delete on search_documents begin
    update search_rules set version = max(version, old.changed) where id = 3;
end;
