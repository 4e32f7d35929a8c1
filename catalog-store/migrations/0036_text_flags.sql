-- What is said of subtitle files can be changed, and one may take the place of a track of the source. Common to both
-- engines.

alter table texts add column is_sdh bigint not null default 0;
-- Rises with every change of its language, name and flags.
alter table texts add column version bigint not null default 1;
-- The rendition of the source's own track that it is shown instead of, and of which source; null for a file beside them.
alter table texts add column replaces text;
alter table texts add column replaces_version bigint;
