-- A cache in front.

insert into purge_targets (name, seq, failures, failing_since, error, retry_at, given_up, holder, lease_until)
values ('cdn', 1, 2, 1790000030000, 'connection refused', 1790000070000, 1, 'headwater-1', 1790000040000);
