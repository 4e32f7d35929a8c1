-- Jobs are listed for people, the newest first: all, those in one state, of one kind, or both. For PostgreSQL.

-- When it was claimed last.
alter table jobs add column started_at bigint;
-- The kind of reason for which a job failed, or 'cancelled'; null for those that ended before this was kept.
alter table jobs add column failure_code text;

-- In an order that the primary key does not have: it is read from its end, past all that is not meant, where one cannot
-- see beforehand how little is. For the same reason kind and state are one key.
create index jobs_by_state on jobs (state, id collate "C");
create index jobs_by_kind on jobs (kind, id collate "C");
create index jobs_by_kind_and_state on jobs ((kind || '.' || state), id collate "C");
