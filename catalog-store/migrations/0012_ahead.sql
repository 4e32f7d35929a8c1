-- Jobs may wait for a part of a source that is still being uploaded. Common to both engines.

-- How many octets of the upload must be recorded before the job may run; null for a job whose source is complete.
-- Jobs that wait for a part are in lanes of their own, which only a worker that can read unfinished uploads serves.
alter table jobs add column needs_bytes bigint;
