-- An upload may hold all its octets before it is complete, and a creation may be repeated. Common to both engines.

alter table uploads add column is_full bigint not null default 0;
alter table uploads add column repeat_key text;
create unique index uploads_by_repeat_key on uploads (repeat_key);
