-- Jobs run in one of three lanes, and one that a viewer waits for exists once however often it is asked for.
-- Common to both engines.

alter table jobs add column lane text not null default 'light';
alter table jobs add column dedup_key text;
update jobs set lane = case when is_heavy = 1 then 'heavy' when kind in ('probe', 'publish') then 'urgent' else 'light' end;
drop index jobs_to_claim;
alter table jobs drop column is_heavy;
create index jobs_to_claim on jobs (lane, state, run_at);
-- The key is taken away when the job is settled, so that it may be asked for anew.
create unique index jobs_by_dedup_key on jobs (dedup_key);
