-- Jobs are listed for people, the newest first: all, those in one state, of one kind, or both. For SQLite.

-- When it was claimed last.
alter table jobs add column started_at bigint;
-- The kind of reason for which a job failed, or 'cancelled'; null for those that ended before this was kept.
alter table jobs add column failure_code text;

create index jobs_by_state on jobs (state, id);
create index jobs_by_kind on jobs (kind, id);
create index jobs_by_kind_and_state on jobs ((kind || '.' || state), id);
