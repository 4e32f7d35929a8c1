-- Parts learn which upload took them, and under which capability they came. Common to both engines.

alter table uploads add column taken_by text;
alter table uploads add column grant_id text;
create index uploads_of_grant on uploads (grant_id, kind);
