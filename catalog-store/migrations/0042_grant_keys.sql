-- The API key with which an upload capability was made, since it holds no longer than that; null for those that were
-- made without one. Common to both engines.

alter table upload_grants add column key_id text;
create index upload_grants_by_owner on upload_grants (owner, created_at, id);
