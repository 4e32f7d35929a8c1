-- That somebody has to look at a source of an asset before it is shown: whoever brought it may not review. What is there
-- already was shown under the rules of its time. Common to both engines.

alter table asset_versions add column needs_review bigint not null default 0;
